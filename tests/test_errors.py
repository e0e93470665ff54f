"""Every cause that a user can trigger, through the real command line: its exit code, exactly two lines, no traceback.

A row is a name, a function that prepares the cause in an empty folder and gives the command line, the exit code, and
what the two lines must name.
"""

from __future__ import annotations

import errno
import gzip
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seedbed import errors
from seedbed.cli import main
from seedbed.errors import UserError
from seedbed.progress import Silent
from seedbed.settings import settings
from seedbed.store import hold

Prepare = Callable[[Path, Callable[[str], Any]], list[str]]
Fixture = Callable[[str], Any]
"""Gives a fixture of conftest.py by name."""


@dataclass(frozen=True)
class Cause:
    """One row of the table.

    Args:
        words: prepares the cause in the folder; the command line's words.
        code: exit code.
        told: what the first line names.
        hint: what the second line names.
        environment: settings of the process.
    """

    words: Callable[[Path, Fixture], list[str]]
    code: int
    told: str
    hint: str = ""
    environment: tuple[tuple[str, str], ...] = ()


def line(*words: str) -> Callable[[Path, Fixture], list[str]]:
    """A command line that needs nothing prepared."""
    return lambda folder, fixture: list(words)


def corrupted_model(folder: Path, fixture: Fixture) -> list[str]:
    real = Path(fixture("minilm_folder"))
    copy = folder / "models" / "all-minilm-l6-v2"
    shutil.copytree(real, copy)
    weights = next(copy.rglob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    return ["models", "pull", "all-minilm-l6-v2"]


ROWS = "".join(f"text number {i} is here,{'good' if i % 2 else 'bad'}\n" for i in range(40))
"""Forty good rows of `text,label`."""


def data(content: bytes | str, name: str = "data.csv", *more: str, verb: str = "data check",
         ) -> Callable[[Path, Fixture], list[str]]:
    """A verb, `seedbed data check` or another, on a file with that content."""
    def words(folder: Path, fixture: Fixture) -> list[str]:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return [*verb.split(), name, *more]
    return words


def near_file(folder: Path, fixture: Fixture) -> list[str]:
    (folder / "reviews.csv").write_text("text,label\n" + ROWS)
    return ["data", "check", "review.csv"]


def database(folder: Path, fixture: Fixture) -> list[str]:
    with closing(sqlite3.connect(folder / "data.sqlite")) as made:
        made.execute("create table t (a)")
    return ["data", "check", "data.sqlite"]


def no_permission_to_write(folder: Path, fixture: Fixture) -> list[str]:
    (folder / "out").write_text("a file where a folder is wanted")
    (folder / "data.csv").write_text("text,label\n" + ROWS)
    return ["data", "redact", "data.csv", "--out", "out/copy.csv"]


def taken_folder(folder: Path, fixture: Fixture) -> list[str]:
    (folder / "out").mkdir()
    (folder / "out" / "something").touch()
    (folder / "data.csv").write_text("text,label\n" + ROWS)
    return ["run", "data.csv", "--out", "out"]


def newer_bundle(folder: Path, fixture: Fixture) -> list[str]:
    (folder / "bundle").mkdir()
    (folder / "bundle" / "bundle.json").write_text('{"format": 999}')
    return ["predict", "bundle", "a text"]


def half_a_bundle(folder: Path, fixture: Fixture) -> list[str]:
    (folder / "bundle").mkdir()
    (folder / "bundle" / "bundle.json").write_text('{"format": 1, "name": "x"')
    return ["predict", "bundle", "a text"]


def run_folder(folder: Path, **changed: str) -> list[str]:
    """A folder that looks like a run; `changed` gives the content of its files, `data_json` of `data.json`."""
    (folder / "out").mkdir()
    (folder / "out" / "config.yaml").write_text("source: a.csv\nrun: {}\ntraining: {}\n")
    for name, content in changed.items():
        (folder / "out" / name.replace("_", ".")).write_text(content)
    return ["run", "--resume", "out"]


def stopping(problem: BaseException, where: str = "seedbed.data.duplicates.find") -> Prepare:
    """`seedbed run` in which that happens while the data is read."""
    def words(folder: Path, fixture: Fixture) -> list[str]:
        def happens(*given: Any, **named: Any) -> Any:
            raise problem
        fixture("monkeypatch").setattr(where, happens)
        return data("text,label\n" + ROWS, "data.csv", "--out", "out", verb="run")(folder, fixture)
    return words


def held_folder(folder: Path, fixture: Fixture) -> list[str]:
    words = run_folder(folder)
    holder = hold(folder / "out")
    holder.__enter__()
    fixture("request").addfinalizer(lambda: holder.__exit__(None, None, None))
    return words


def an_empty_folder(folder: Path, fixture: Fixture) -> list[str]:
    (folder / "mine").mkdir()
    return data("text,label\n" + ROWS, "data.csv", "--model", "mine", verb="run")(folder, fixture)


def damaged_checkpoint(folder: Path, fixture: Fixture) -> list[str]:
    """A run that stopped in LoRA, whose checkpoint was cut since."""
    from made_tables import QUICK, make_cards

    from seedbed.workflow import RunConfig, run

    fixture("monkeypatch").setenv("SEEDBED_MODELS", str(folder / "models"))
    settings.cache_clear()
    make_cards(settings().home)
    (folder / "data.csv").write_text("text,label\n" + ROWS * 6)
    left = iter(range(100))

    class Stops(Silent):
        def advance(self, work: str, amount: float = 1) -> None:
            if work == "fine-tune" and next(left) == 9:
                raise KeyboardInterrupt
    with pytest.raises(errors.Interrupted):
        run(folder / "data.csv", RunConfig(candidates=("lora",), model="tiny-llama"), QUICK, out=folder / "out",
            progress=Stops())
    weights = folder / "out" / "candidates" / "lora" / "checkpoint" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    return ["run", "--resume", str(folder / "out")]


MIXED = b"text,label\n" + b"".join(
    f"Größe {i} ist gut,{'good' if i % 2 else 'bad'}\n".encode("utf-8" if i < 40 else "latin-1") for i in range(80))

EMPTY = ("SEEDBED_MODELS", "models")

TABLE: dict[str, Cause] = {
    "no such verb": Cause(line("rnu", "a.csv"), 2, "'rnu'", "seedbed --help"),
    "no such option": Cause(line("doctor", "--jsno"), 2, "--jsno", "seedbed doctor --help"),
    "a setting that is no number": Cause(line("doctor"), 2, "SEEDBED_THREADS is 'many'", "SEEDBED_THREADS",
                                         (("SEEDBED_THREADS", "many"),)),
    "no such model": Cause(line("models", "show", "gpt-9000"), 2, "'gpt-9000'", "seedbed models"),
    "an amount of memory that is none": Cause(line("models", "recommend", "--ram", "much"), 2, "'much'", "8GB"),
    "offline with a model not yet fetched": Cause(line("models", "pull", "all-minilm-l6-v2"), 4, "all-minilm-l6-v2",
                                                  "seedbed models pull", (("SEEDBED_OFFLINE", "1"), EMPTY)),
    "no such file": Cause(line("data", "check", "nope.csv"), 2, "nope.csv", "."),
    "no such file, but one like it": Cause(near_file, 2, "review.csv", "reviews.csv"),
    "empty file": Cause(data(""), 2, "data.csv is empty"),
    "a header and no rows": Cause(data("text,label\n"), 2, "no rows"),
    "binary file": Cause(data(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20), 2, "PNG", "CSV"),
    "a database for a table": Cause(database, 2, "SQLite", "?query="),
    "mixed encodings": Cause(data(MIXED), 2, "40 of 81 lines", "UTF-8"),
    "label column missing": Cause(data("text,label\n" + ROWS, "data.csv", "--label", "labell"), 2, "'labell'",
                                  "'label'"),
    "text column missing": Cause(data("text,label\n" + ROWS, "data.csv", "--text", "body"), 2, "'body'"),
    "compressed file that is cut off": Cause(data(gzip.compress(("text,label\n" + ROWS * 50).encode())[:-200],
                                                  "data.csv.gz"), 2, "damaged"),
    "JSON that does not parse": Cause(data('[{"text": "a", "label": "b"},\n {"text": oops}]', "data.json"), 2,
                                      "line 2, column 11"),
    "an address in the web": Cause(line("data", "check", "https://example.org/a.csv"), 2, "not from the web"),
    "a database that is not there": Cause(line("data", "check", "sqlite:///no.db?query=select 1"), 2, "no.db"),
    "a place where nothing can be written": Cause(no_permission_to_write, 2, "out"),
    "shares that leave nothing": Cause(data("text,label\n" + ROWS, "data.csv", "--out", "s", "--test", "0.6",
                                            "--validation", "0.6", verb="data split"), 2, "no rows to train on"),
    "one class only": Cause(data("text,label\n" + ROWS.replace("bad", "good"), verb="run"), 2, "'good'",
                            "other labels"),
    "fewer than 2 examples in a class": Cause(data("text,label\n" + ROWS + "one more,rare\n", verb="run"), 2,
                                              "'rare' has fewer than 2 examples: line 42"),
    "a run without data": Cause(line("run"), 2, "a file", "seedbed run FILE"),
    "a budget that is no time": Cause(data("text,label\n" + ROWS, "data.csv", "--budget", "soon", verb="run"), 2,
                                      "'soon'", "10m"),
    "a candidate that there is not": Cause(data("text,label\n" + ROWS, "data.csv", "--candidates", "tfid",
                                                verb="run"), 2, "'tfid'", "tfidf"),
    "a run folder that is not empty": Cause(taken_folder, 2, "out", "--out"),
    "a run to go on with that is not there": Cause(line("run", "--resume", "nope"), 2, "nope", "seedbed runs"),
    "going on with other options": Cause(line("run", "--resume", "nope", "--seed", "3"), 2, "--resume"),
    "a folder that is no run": Cause(lambda folder, fixture: ["run", "--resume", "."], 2, "config.yaml is missing",
                                     "seedbed runs"),
    "a run whose configuration was cut": Cause(lambda f, _: run_folder(f, config_yaml="run: {"), 2, "config.yaml",
                                               "another folder"),
    "a run whose configuration was changed": Cause(
        lambda f, _: run_folder(f, config_yaml="source: a\nrun: {seed: -3}\ntraining: {}"), 2, "--seed is -3"),
    "a run whose rows are gone": Cause(lambda f, _: run_folder(f), 2, "data.json is missing"),
    "a run whose rows were changed": Cause(lambda f, _: run_folder(f, data_json="{"), 2, "data.json cannot be read"),
    "a run that another process runs": Cause(held_folder, 6, "in use by process", "Wait"),
    "a run with a damaged checkpoint": Cause(damaged_checkpoint, 2, "checkpoint", "resume again"),
    "interrupted by Ctrl-C": Cause(stopping(KeyboardInterrupt()), 130, "nothing was kept", "Start it again"),
    "no memory": Cause(stopping(MemoryError()), 5, "memory of this machine did not suffice", "Close other programs"),
    "disk full": Cause(stopping(OSError(errno.ENOSPC, "No space left on device"), "seedbed.data.freeze.save_splits"),
                       5, "The disk is full", "Free some space"),
    "a candidate that does not fit the memory": Cause(
        data("text,label\n" + ROWS * 3, "data.csv", "--candidates", "lora", verb="run"), 5,
        "smollm2-135m-instruct needs about", "seedbed models recommend", (("SEEDBED_MEMORY_LIMIT", "300000000"),)),
    "offline, and a candidate whose model is not here": Cause(
        data("text,label\n" + ROWS * 3, "data.csv", "--candidates", "embedding", verb="run"), 4, "all-minilm-l6-v2",
        "seedbed models pull all-minilm-l6-v2", (("SEEDBED_OFFLINE", "1"), EMPTY)),
    "a folder without a model": Cause(an_empty_folder, 2, "mine is a folder without a model", "Name a model folder"),
    "a column for splits and a file for one": Cause(
        data("text,label\n" + ROWS, "data.csv", "--split", "part", "--test", "t.csv", verb="run"), 2, "--split"),
    "every cell too large": Cause(data(f"text,label\n{'a' * 10_000_000},bad\n", verb="run"), 2, "line 2",
                                  "Split the long"),
    "unbalanced quotes all over": Cause(data('text,label\n"no end,bad\n"nor here,good\n', verb="run"), 2,
                                        "(line 2", "quot"),
    "a delimiter of two characters": Cause(data("text,label\n" + ROWS, "data.csv", "--delimiter", "||", verb="run"),
                                           2, "'||'"),
    "an encoding that there is not": Cause(data("text,label\n" + ROWS, "data.csv", "--encoding", "utf-99",
                                                verb="run"), 2, "utf-99"),
    "no such run": Cause(line("runs", "show", "nope"), 2, "nope"),
    "no such bundle": Cause(line("predict", "nope", "a text"), 2, "nope"),
    "bundle of a newer format": Cause(newer_bundle, 2, "format 999", "upgrade"),
    "bundle that is cut off": Cause(half_a_bundle, 2, "bundle.json"),
    "nothing to serve": Cause(line("serve", "nope"), 2, "nope"),
    "corrupted model file": Cause(corrupted_model, 2, ".safetensors", "--force", (EMPTY,)),
}


@pytest.mark.parametrize("name", TABLE)
def test_cause(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
               request: pytest.FixtureRequest) -> None:
    cause = TABLE[name]
    words = cause.words(tmp_path, request.getfixturevalue)
    monkeypatch.chdir(tmp_path)
    for variable, value in cause.environment:
        monkeypatch.setenv(variable, value)
    settings.cache_clear()
    capfd.readouterr()
    code = main(["--quiet", *words])
    said = capfd.readouterr()
    lines = said.err.splitlines()
    assert (code, len(lines)) == (cause.code, 2), said.err
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("  try: ")
    assert cause.told in lines[0]
    assert cause.hint in lines[1]
    assert "Traceback" not in said.err + said.out


def test_every_class_is_two_lines_with_codes_of_its_own_kind() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserError)]
    assert len(kinds) == 10
    for kind in kinds:
        problem = kind("feature", "extra") if kind is errors.MissingExtra else kind("one\n two", "three\nfour")
        assert "\n" not in problem.message + problem.hint
        assert str(problem) == f"{problem.message}\n{problem.hint}"
        assert 2 <= kind.exit_code < 256
        assert 400 <= kind.http_status < 600
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_a_missing_extra_says_the_line_that_installs_it() -> None:
    assert errors.MissingExtra("Serving", "serve").hint == "Install it with: pip install 'seedbed[serve]'"
