"""The verb `data`: check, view, split, redact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import show
from .options import Json

if TYPE_CHECKING:
    import pyarrow as pa

    from ..data.health import Finding, Health
    from ..data.read import Reading

app = typer.Typer(no_args_is_help=True, help="Look after data: check, view, split, redact.")

File = Annotated[str, typer.Argument(metavar="FILE", help="CSV, TSV, JSON, JSONL, Parquet or Excel file (compressed "
                                     "too), a folder of text files by class, or a database URL with a query.")]
Text = Annotated[str | None, typer.Option(help="Column of the text (default: guessed).")]
Label = Annotated[str | None, typer.Option(help="Column of the label (default: guessed).")]
Group = Annotated[str | None, typer.Option(help="Column whose equal values are never in different splits.")]
SplitColumn = Annotated[str | None, typer.Option(help="Column that says train, validation or test.")]
Encoding = Annotated[str | None, typer.Option(help="Encoding of the file, such as cp1252 (default: found out).")]
Delimiter = Annotated[str | None, typer.Option(help="Character between columns, or tab (default: found out).")]
Seed = Annotated[int, typer.Option(help="Seed of samples, folds and splits.")]
DEFAULT_MODEL = "smollm2-135m-instruct"
Force = Annotated[bool, typer.Option("--force", help="Replace what is there already.")]


@app.command()
def check(file: File, text: Text = None, label: Label = None, group: Group = None, split_column: SplitColumn = None,
          validation: Annotated[str | None, typer.Option(help="File with the validation rows; FILE is for training.")
                                ] = None,
          test: Annotated[str | None, typer.Option(help="File with the test rows; FILE is for training.")] = None,
          model: Annotated[str | None, typer.Option(help="Count tokens as this model does: an id of the catalog, "
                                                    "or a folder with a tokenizer.json.")] = None,
          max_tokens: Annotated[int | None, typer.Option(min=1, help="Where texts are cut (default: the model's "
                                                         "limit).")] = None,
          seed: Seed = 0, json: Json = False,
          fail_on: Annotated[Literal["error", "warning", "never"], typer.Option(
              help="The least severe finding that makes the exit code 1.")] = "error") -> None:
    """Find what would spoil a model or its scores, before training. Exit code 1 when there are errors."""
    from ..data.check import check as run_check
    from ..data.read import read

    tokenizer = _tokenizer(model) if model else None
    bar = show.bar()
    named = {"train": file, "validation": validation, "test": test}
    source = {name: path for name, path in named.items() if path} if validation or test else file
    reading = read(source, text=text, label=label, group=group, split=split_column, progress=bar)
    health = run_check(reading, tokenizer=tokenizer, max_tokens=max_tokens, seed=seed, progress=bar)
    show.close()
    if json:
        show.json(health)
    else:
        _tell(health, several_sources=bool(validation or test))
    bad = {"error": ("error",), "warning": ("error", "warning"), "never": ()}[fail_on]
    if any(one.severity in bad for one in health.findings):
        raise typer.Exit(1)


@app.command()
def view(file: Annotated[str, typer.Argument(metavar="FILE", help="Conversations, prompts with completions or plain "
                                             "texts, as `seedbed train` reads them; or a folder of documents or "
                                             "source files.")],
         mask: Annotated[bool, typer.Option("--mask", help="Show which tokens are learned: in colour, or "
                                                                       "in brackets ⟦ ⟧ in a pipe.")] = False,
         model: Annotated[str, typer.Option(help="The model that reads them: an id of the catalog.")] = DEFAULT_MODEL,
         rows: Annotated[int, typer.Option(min=0, help="How many rows to show.")] = 3,
         ask: Annotated[str | None, typer.Option(help="Column with the questions; with --answer.")] = None,
         answer: Annotated[str | None, typer.Option(help="Column with what shall be written.")] = None,
         encoding: Encoding = None, delimiter: Delimiter = None,
         max_tokens: Annotated[int, typer.Option(min=8, help="Where texts are cut.")] = 1024) -> None:
    """Show conversations and texts as a model reads them in training, and what serving would do otherwise."""
    from ..workflow.config import typed
    from ..workflow.view import view as run_view

    seen = run_view(file, model=model, ask=ask, answer=answer, encoding=encoding,
                    delimiter=typed(delimiter), max_tokens=max_tokens, rows=rows,
                    progress=show.bar())
    show.close()
    for where, parts in seen.shown:
        show.line(f"{where}: {sum(part.tokens for part in parts)} tokens, "
                  f"{sum(part.tokens for part in parts if part.learned)} learned")
        texts = [show.visible(part.text) for part in parts]
        show.line("".join(show.mark(text) if mask and part.learned else text
                          for text, part in zip(texts, parts, strict=True)))
        show.line()
    show.line(f"{seen.rows:,} rows as {seen.form}: {seen.tokens:,} tokens, {seen.learned:,} learned, {seen.cut:,} "
              "cut off at --max-tokens" + (f"; {seen.empty:,} rows would teach nothing" if seen.empty else ""))
    how = [f"{what} {seen.detected[what]}" for what in ("format", "encoding", "delimiter") if what in seen.detected]
    show.line(f"read as: {', '.join(how)}")
    for sentence in (*seen.problems, *seen.diagnosis):
        show.line(f"mind: {sentence}")


def _tokenizer(model: str) -> Path:
    """The folder of a model's tokenizer.

    Raises:
        NotFound: no such model, or it is not fetched.
    """
    from ..catalog.cards import card
    from ..catalog.fetch import local
    from ..errors import NotFound

    if Path(model).exists():
        return Path(model)
    found = card(model)
    folder = local(found)
    if folder is None:
        raise NotFound(f"{found.id} is not on this machine, so its tokens cannot be counted.",
                       f"Fetch it: seedbed models pull {found.id}")
    return folder


def _tell_counts(read: Health | Reading) -> None:
    left_out = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in read.skipped.items())
    show.line(f"{read.source}: {read.read:,} rows read, {read.kept:,} kept"
              + (f", {read.read - read.kept:,} left out ({left_out})" if left_out else ""))


def _tell(health: Health, several_sources: bool) -> None:
    _tell_counts(health)
    show.line("; ".join(f"{what}: {value}" for what, value in health.detected.items()))
    if health.labels:
        most = list(health.labels.items())[:12]
        more = len(health.labels) - len(most)
        show.line("labels: " + ", ".join(f"{name} {n:,} ({n / health.kept:.0%})" for name, n in most)
                  + (f" and {more} more" if more else ""))
    if health.splits:
        show.line("splits: " + ", ".join(f"{name} {n:,}" for name, n in health.splits.items()))
    if health.tokens:
        show.line(f"tokens: median {health.tokens['median']:.0f}, 95 % of the rows up to {health.tokens['p95']:.0f}, "
                  f"longest {health.tokens['max']:,.0f}"
                  + (f"; limit {health.tokens['limit']:.0f}" if "limit" in health.tokens else ""))
    if health.tokens_per_word:
        show.line("tokens a word: " + ", ".join(f"{code} {n:.2f}" for code, n in health.tokens_per_word.items()))
    for one in health.findings:
        _tell_one(one, several_sources)
    found: list[str] = [one.severity for one in health.findings]
    counts = {name: found.count(severity) for severity, name in
              (("error", "error"), ("warning", "warning"), ("info", "note"))}
    show.line()
    show.line(", ".join(f"{n} {name}{'' if n == 1 else 's'}" for name, n in counts.items())
              if found else "Nothing found: the data is ready.")


def _tell_one(one: Finding, several_sources: bool) -> None:
    show.line()
    show.line(f"{'note' if one.severity == 'info' else one.severity.upper()} {one.code}: {one.message}")
    if one.lines and not several_sources:  # of several files the lines are told with the examples
        more = f" and {one.count - len(one.lines):,} more" if one.count > len(one.lines) else ""
        show.line(f"  line{'' if len(one.lines) == 1 else 's'} {', '.join(map(str, one.lines))}{more}")
    for example in one.examples:
        show.line(f"  {example}")
    show.line(f"  fix: {one.fix}")


@app.command()
def split(file: File, out: Annotated[Path, typer.Option(help="Folder for the splits; made when needed.")],
          text: Text = None, label: Label = None, group: Group = None, split_column: SplitColumn = None,
          validation: Annotated[float, typer.Option(min=0, max=0.9, help="Share of validation rows.")] = 0.15,
          test: Annotated[float, typer.Option(min=0, max=0.9, help="Share of test rows.")] = 0.15,
          anew: Annotated[bool, typer.Option("--anew", help="Forget the splits that the data comes with.")] = False,
          seed: Seed = 0, force: Force = False, json: Json = False) -> None:
    """Divide into train, validation and test, with groups and near duplicates kept together, frozen by hash."""
    from ..data.duplicates import find
    from ..data.freeze import MANIFEST, ROWS, save_splits
    from ..data.read import read
    from ..data.split import split as divide
    from ..errors import UserError

    if validation + test >= 1:
        raise UserError(f"Validation {validation} and test {test} leave no rows to train on.",
                        "Give shares that sum to less than 1, such as --validation 0.15 --test 0.15.")
    if (out / MANIFEST).exists() and not force:
        raise UserError(f"{out} holds splits already.", "Choose another folder, or replace them with --force.")
    bar = show.bar()
    reading = read(file, text=text, label=label, group=group, split=split_column, progress=bar)
    data = reading.dataset
    if anew:
        data = data.with_column("split", [None] * len(data))
    data = divide(data, fractions=(1 - validation - test, validation, test), seed=seed,
                  clusters=find(data.texts, seed=seed).near.tolist())
    frozen = save_splits(data, out)
    files = _write_splits(reading, data.table, data.multi_label, out)
    show.close()
    if json:
        show.json({"folder": out, "read": reading.read, "kept": reading.kept, "skipped": reading.skipped,
                   "files": files, **frozen.model_dump()})
        return
    _tell_counts(reading)
    names = list(frozen.counts.rows)
    show.table(["label", *names], [*([label, *(by.get(name, 0) for name in names)]
                                     for label, by in frozen.counts.labels.items()),
                                   ["rows", *frozen.counts.rows.values()]])
    show.line(f"{out}: {', '.join(files)} to read, {ROWS} and {MANIFEST} frozen (hash {frozen.hash[:12]})")


def _write_splits(reading: Reading, table: pa.Table, multi_label: bool, out: Path) -> list[str]:
    """One file a split with the columns' own names: CSV, or JSON lines where a row has several labels."""
    import pyarrow.compute as pc

    from ..data.dataset import SPLITS
    from ..data.write import Writer

    named = {"text": reading.detected.get("text column", "text"),
             "target": reading.detected.get("label column", "label"),
             "group": reading.detected.get("group column", "group")}
    hidden = {"id", "line", "source", "split"}
    if table.column("group").null_count == len(table):
        hidden.add("group")
    order = sorted((name for name in table.column_names if name not in hidden),
                   key=lambda name: list(named).index(name) if name in named else len(named))
    files = []
    for name in SPLITS:
        part = table.filter(pc.equal(table.column("split"), name))
        if not len(part):
            continue
        path = out / f"{name}.{'jsonl' if multi_label else 'csv'}"
        with Writer(path, force=True) as file:
            for batch in part.to_batches(max_chunksize=10_000):
                file.write({named.get(column, column): batch.column(column).to_pylist() for column in order})
        files.append(path.name)
    return files


@app.command()
def redact(file: File, out: Annotated[Path, typer.Option(help="The copy: .csv, .tsv or .jsonl.")],
           numbered: Annotated[bool, typer.Option("--numbered", help="[EMAIL-1], [EMAIL-2]: the same address has the "
                                                  "same number everywhere.")] = False,
           force: Force = False, json: Json = False) -> None:
    """Write a copy with placeholders such as [EMAIL] in place of personal data, in every column."""
    from ..data.redact import redact_file

    done = redact_file(file, out, numbered=numbered, force=force, progress=show.bar())
    show.close()
    if json:
        show.json(done)
        return
    show.line(f"{done.source}: {done.read:,} rows read, {done.written:,} written to {done.out}"
              + (f", {done.read - done.written:,} left out" if done.skipped else ""))
    if done.replaced:
        show.table(["personal data", "replaced"], list(done.replaced.items()))
    show.line(f"{done.rows:,} rows changed. Names of people and street addresses are not looked for."
              if done.rows else "No personal data of the known kinds was found; names of people are not looked for.")
    for one in done.findings:
        _tell_one(one, several_sources=False)
