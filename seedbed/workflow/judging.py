"""A judge model is asked about a run's answers; its replies are kept as they come and held against people's."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, Interrupted, NoResources, NotFound, UserError
from ..progress import SILENT, Progress
from ..settings import settings
from ..train.config import TextConfig
from .answering import TESTED
from .config import TuneConfig, whole_lines, write
from .courses import TuneJob

if TYPE_CHECKING:
    from ..engines.remote import Remote
    from ..evaluate.figures import TuneResult
    from ..evaluate.judge import Choice
    from .tune import FineTuned

REPLIES, SHEET = "judge.jsonl", "judged.csv"
"""In the run folder: what the judge replied, as it came; and the sheet that a person fills in."""
PERSON = {"1": 0, "1.0": 0, "2": 1, "2.0": 1, "tie": None}
"""What may stand in the sheet's column `person`, and the answer that it means; spreadsheets write 1 as 1.0."""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
OPTIONS = ("judge", "judge_model", "judge_tokens")
Row = dict[str, Any]


def server(config: TuneConfig) -> Remote:
    """The judge's server; nothing is sent yet.

    Raises:
        UserError: the URL carries a password, or is none. Offline: it leads away from this machine and may not.
    """
    from ..engines.remote import Remote

    return Remote(str(config.judge), config.judge_model, key=settings().judge_key, offline=settings().offline,
                  role="judge")


def hear(job: TuneJob, result: TuneResult) -> TuneResult:
    """The result of a run with the opinion of its judge; without it, and a note why, where the judge fails.

    The model is trained and saved by now: no judge can spoil that.
    """
    if not (job.folder.path / TESTED).is_file():
        job.progress.note("No test row was answered, so there is nothing to judge.")
        return result
    try:
        return _judged(job, result)
    except NoResources:
        raise
    except UserError as problem:
        job.progress.note(f"The judge was not heard: {problem.message} {problem.hint} What it said is kept; go on "
                          f"with: seedbed judge {job.folder.path} --judge {job.config.judge}")
        return result


def judge(folder: str | Path, config: TuneConfig | None = None, *, progress: Progress = SILENT) -> FineTuned:
    """Ask a judge about the answers of a finished run, or read what a person filled in since; then result, report,
    model card and store say so.

    Args:
        folder: of a run of `seedbed train` whose test rows were answered.
        config: its judge options are taken where they are not the defaults; the run's own else.
        progress: listener.

    Raises:
        NotFound: no such run, or it has no answers. DataError: a cell of the sheet is none of 1, 2 and tie.
        UserError: no judge was named, or its URL may not be used. Offline: it cannot be reached.
    """
    from ..evaluate.figures import TuneResult
    from ..store import hold, open_store
    from .stops import go_on
    from .tune import FineTuned, record

    job = go_on(folder, TuneConfig, TextConfig, progress)
    place, plain = job.folder, TuneConfig()
    given = {name: getattr(config, name) for name in OPTIONS
             if config and getattr(config, name) != getattr(plain, name)}
    job = replace(job, config=replace(job.config, **given))
    if not place.result.is_file():
        raise NotFound(f"The run {place.path} has not ended.", f"Go on with it: seedbed train --resume {place.path}")
    if not (place.path / TESTED).is_file():
        raise NotFound(f"The run {place.path} keeps no answers to judge.",
                       "Train anew, on rows with questions, a task that writes and --answered 2 or more.")
    with hold(place.path), open_store() as store:
        result = TuneResult.model_validate_json(place.result.read_text(encoding="utf-8"))
        if not job.config.judge and not result.judging:
            raise UserError("No judge was named.", f"seedbed judge {place.path} --judge http://127.0.0.1:8080/v1")
        try:
            result = _judged(job, result, ask=bool(given) or result.judging is None)
        except KeyboardInterrupt:
            raise Interrupted(f"Stopped; what the judge said is kept in {place.path}.",
                              f"Go on with: seedbed judge {place.path} --judge {job.config.judge}") from None
        store.record_dataset(result.data_hash, job.source, result.rows)
        id = store.start_run(place.path.absolute().name, place.path.absolute(), result.task, result.data_hash,
                             {"source": job.source}, metric=result.figures[0].name, resume=True)
        record(store, id, result, place)
    return FineTuned(place, result)


def _judged(job: TuneJob, result: TuneResult, ask: bool = True) -> TuneResult:
    """The result with what the judge and people say, which the run's folder is told."""
    from ..evaluate import judge as j
    from ..evaluate import report
    from ..evaluate.tuned_card import tuned_card
    from ..export.manifest import CARD

    path, seed = job.folder.path, job.config.seed
    rows = [json.loads(line) for line in (path / TESTED).read_text(encoding="utf-8").splitlines()]
    if ask:
        with server(job.config) as asked:
            model, url = asked.model(), asked.url
            found = _outcomes(job, rows, model, asked)
    else:
        assert result.judging is not None
        model, url = result.judging.model, result.judging.url
        found = _outcomes(job, rows, model, None)
    if not (path / SHEET).exists():
        _sheet(path / SHEET, rows, seed)
    people = _people(path / SHEET, rows, seed)
    both = [(counted, people[row["id"]]) for row, one in zip(rows, found, strict=True)
            if (counted := j.verdict_of(one)) and row["id"] in people]
    agreed = j.agreement([one for one, _ in both], [other for _, other in both], seed) if both else None
    new = [j.wins("judge_wins", f"share of rows won, by the judge {model} (not people)",
                  [counted for one in found if (counted := j.verdict_of(one))]),
           j.wins("people_wins", "share of rows won, by people", list(people.values()))]
    figures = [one for one in result.figures if one.name not in ("judge_wins", "people_wins")]
    result = result.model_copy(update={"figures": [*figures, *(one for one in new if one)],
                                       "judging": j.judging(model, url, found, agreed)})
    write(job.folder.bundle / CARD, tuned_card(result))
    report.write(result, path)
    write(job.folder.result, result.model_dump_json(indent=1))
    return result


def _outcomes(job: TuneJob, rows: Sequence[Row], model: str, asked: Remote | None) -> list[str]:
    """What the judge's two replies to each row say together; asked is only what it has not replied to.

    Args:
        asked: None where it replied to all.
    """
    from ..engines.remote import Wanted
    from ..engines.sampling import Sampling
    from ..evaluate.judge import ballot, outcome, shown
    from ..tasks.write import WRITING

    better, file = WRITING.get(job.config.task).better, job.folder.path / REPLIES
    there, wanted, ballots = {one["key"]: one for one in whole_lines(file)}, dict[str, str](), list[tuple[str, ...]]()
    for row in rows:
        pair = row["before"], row["after"]
        words = [] if pair[0].strip() == pair[1].strip() else [
            ballot(better, shown(row["asked"]), row["reference"], *places) for places in (pair, pair[::-1])]
        keys = [hashlib.sha256(f"{model}\0{one}".encode()).hexdigest()[:24] for one in words]
        ballots.append(tuple(keys))
        wanted |= {key: one for key, one in zip(keys, words, strict=True) if key not in there}
    if wanted and asked is not None:
        work = f"Asking the judge {model}"
        if job.config.judge == job.config.teacher:
            job.progress.note("The judge is the teacher of this model: mind that models like their own words.")
        job.progress.start(work, total=len(wanted), unit="questions")
        keys, how = list(wanted), Sampling(max_tokens=job.config.judge_tokens)
        with file.open("a", encoding="utf-8") as out:
            for at, reply in asked.answers([Wanted([{"role": "user", "content": one}], how)
                                            for one in wanted.values()]):
                there[keys[at]] = line = {"key": keys[at], "reply": reply.text, "refused": reply.refused}
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
                out.flush()
                job.progress.advance(work)
        job.progress.done(work)

    def found(keys: Sequence[str]) -> str:
        if not keys:
            return "same"
        replies = [there[key] for key in keys]
        return "refused" if any(one["refused"] for one in replies) else outcome(*(one["reply"] for one in replies))
    return list(map(found, ballots))


def _lot(row: Row, seed: int) -> bytes:
    """What decides by chance, the same each time, where a row stands in the sheet and which answer stands first."""
    return hashlib.sha256(f"{seed} {row['id']}".encode()).digest()


def _sides(row: Row, seed: int) -> tuple[Choice, Choice]:
    return ("before", "after") if _lot(row, seed)[-1] % 2 else ("after", "before")


def _sheet(file: Path, rows: Sequence[Row], seed: int) -> None:
    """Write the sheet. Rows stand in random order, so that the first 30 are as good a sample as any."""
    from ..evaluate.judge import shown

    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(("id", "asked", "reference", "answer_1", "answer_2", "person"))
    for row in sorted(rows, key=lambda one: _lot(one, seed)):
        if row["before"].strip() != row["after"].strip():
            texts = shown(row["asked"]), row["reference"], *(row[side] for side in _sides(row, seed))
            cells = [CONTROL.sub("\ufffd", one) for one in texts]
            # a spreadsheet would take such a text for a formula
            out.writerow((row["id"], *(" " * one.startswith(("=", "+", "-", "@")) + one for one in cells), ""))
    write(file, "\ufeff" + text.getvalue())  # the mark by which spreadsheets know UTF-8


def _people(file: Path, rows: Sequence[Row], seed: int) -> dict[str, Choice]:
    """What a person chose, by the row's id; rows that are not filled in are left out."""
    from ..data.gather import LINE
    from ..data.read import table_of
    from ..data.tally import Tally
    from ..data.targets import as_text

    if len(file.read_text(encoding="utf-8", errors="replace").splitlines()) < 2:
        return {}  # no two answers differ
    tally = Tally()
    raw, where, _ = table_of(file, ("id", "person"), None, None, tally, SILENT)
    if tally.skipped:
        raise DataError(f"{where}: {sum(tally.skipped.values())} rows cannot be read "
                        f"({', '.join(tally.skipped)}).", "Save it as CSV again.")
    known, found = {row["id"]: row for row in rows}, dict[str, "Choice"]()
    for id, cell, line in zip(*(as_text(raw.column(name)).to_pylist() for name in ("id", "person")),
                              raw.column(LINE).to_pylist(), strict=True):
        said = (cell or "").strip().lower()
        if not said:
            continue
        if said not in PERSON or id not in known:
            what = f"person is {cell!r}" if id in known else f"there is no row {id!r} in this run"
            raise DataError(f"{where}, line {line}: {what}.", "Write 1, 2 or tie, or leave it empty.")
        at = PERSON[said]
        found[id] = "tie" if at is None else _sides(known[id], seed)[at]
    return found
