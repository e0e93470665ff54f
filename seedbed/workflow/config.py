"""What the main job is told, and where it writes."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from .. import options
from ..errors import CorruptFile, NotFound, UserError
from ..options import flag_of, option
from ..progress import Progress
from ..train.config import LoopConfig, TextConfig, TrainConfig
from ..train.ladder import NAMES


@dataclass(frozen=True)
class RunConfig:
    """The main job. Flags, YAML and docs come from these fields."""

    task: str = option("classify", "What the model shall do.", choices=("classify",))
    text: str | None = option(None, "Column with the texts; guessed and said when not named.")
    label: str | None = option(None, "Column with the labels; guessed and said when not named.")
    group: str | None = option(None, "Column whose rows with the same value stay in one split.")
    split: str | None = option(None, "Column that says train, validation or test.")
    validation: Path | None = option(None, "File of validation rows, when you have made the splits.")
    test: Path | None = option(None, "File of test rows, when you have made the splits.")
    multi_label: bool | None = option(None, "A text may carry several labels; found out when not said.")
    encoding: str | None = option(None, "Encoding of the files, such as cp1252; found out when not said.")
    delimiter: str | None = option(None, "Character between columns (or `tab`); found out when not said.")
    candidates: tuple[str, ...] = option((), "Only these.", choices=NAMES)
    model: str | None = option(None, "Base model: a card of `seedbed models`, a model folder, or a run.")
    teacher: Path | None = option(None, "A larger classifier of these labels (a run folder or a bundle): the "
                                        "candidates `encoder` and `lora` learn from its probabilities too.")
    unlabeled: Path | None = option(None, "File of further texts without labels, which the teacher labels.")
    budget: str | None = option(None, "Most time for training, such as 90s, 10m or 2h.")
    metric: str = option("macro_f1", "Figure that chooses.", choices=("macro_f1", "accuracy", "micro_f1"))
    target_error: float = option(0.1, "Share of wrong answers you accept; below it the model abstains.",
                                 minimum=0.001, maximum=0.5)
    learning_curve: bool = option(True, "Train the winner on parts of the data too: would more data help?")
    seed: int = option(0, "Fixes everything random.", minimum=0)


@dataclass(frozen=True)
class TuneConfig:
    """Fine-tuning. Flags, YAML and docs come from these fields."""

    task: str = option("chat", "What the model shall learn; `prefer` is found out where answers are judged.",
                       choices=("chat", "summarize", "translate", "extract", "complete", "entities", "embed",
                                "prefer", "pretrain"))
    model: str = option("", "Base model: a card of `seedbed models`, a model folder, or a run; each task has its own "
                            "when none is named.")
    method: str = option("lora", "lora: adapters, merged afterwards; qlora: the same on weights at 4 bits, in less "
                                 "memory; full: the weights themselves; qat: the weights, rounded in every pass to "
                                 "what an int4 export can hold.", choices=("lora", "qlora", "full", "qat"))
    prefer: str | None = option(None, "How it learns what is preferred; dpo for pairs, kto where answers are judged "
                                      "alone, when not said.", choices=("dpo", "orpo", "kto"))
    teacher: str | None = option(None, "Learn from this model: a card, a run folder, a model folder, or the URL of "
                                       "a server with OpenAI's chat completions.")
    distill: str = option("logits", "What of it: logits (its probabilities of the rows' answers), text (answers that "
                                    "it writes), policy (its probabilities of the student's own answers).",
                          choices=("logits", "text", "policy"))
    teacher_model: str | None = option(None, "The teacher's name on that server; needed if it has several.")
    draws: int = option(1, "Answers that the teacher writes to each question; of several the one is learned that the "
                           "others agree with.", minimum=1, maximum=64)
    agreement: float = option(0.5, "Least likeness of that answer to the others, as mean token F1.", minimum=0,
                              maximum=1)
    answer_tokens: int = option(256, "Most tokens of an answer that teacher or student writes; longer ones are left "
                                     "out.", minimum=1)
    ask: str | None = option(None, "Column with the questions or documents, in any table; with --answer.")
    answer: str | None = option(None, "Column with what shall be written.")
    language: str | None = option(None, "What to translate into, by name or code; told from the rows when not said.")
    from_language: str | None = option(None, "What to translate from; told from the rows when not said.")
    schema: Path | None = option(None, "File with the JSON schema of what is extracted; derived when not said.")
    long_rows: str = option("cut", "Rows of tasks that write, when longer than --max-tokens. cut: their end goes, "
                                   "and rows of whose answer nothing stays are left out; drop: all are; refuse: they "
                                   "are an error.",
                            choices=("cut", "drop", "refuse"))
    answered: int = option(100, "Test rows that are answered before and after, to score the answers; 0 is none.",
                           minimum=0)
    judge: str | None = option(None, "Ask a judge model too which answers are better: the URL of a server with "
                                     "OpenAI's chat completions. The test rows are sent there.")
    judge_model: str | None = option(None, "The judge's name on that server; needed if it has several.")
    judge_tokens: int = option(16, "Most tokens of the judge's reply; one that thinks first needs 1000 or more.",
                               minimum=1)
    fim: float = option(0.5, "Share of the windows of source files that are learned with a gap (fill-in-the-middle), "
                             "where the model has the tokens; 0 is none.", minimum=0, maximum=1)
    group: str | None = option(None, "Column whose rows with the same value stay in one split.")
    validation: Path | None = option(None, "File of validation rows, when you have made the splits.")
    test: Path | None = option(None, "File of test rows, when you have made the splits.")
    encoding: str | None = option(None, "Encoding of the files, such as cp1252; found out when not said.")
    delimiter: str | None = option(None, "Character between columns (or `tab`); found out when not said.")
    budget: str | None = option(None, "Most time for training, such as 90s, 10m or 2h.")
    search: str | None = option(None, "Try other learning rates, ranks and layers this long (30m, or '12 trials'); "
                                      "the best on validation stays.")
    seed: int = option(0, "Fixes everything random.", minimum=0)


WRITER = "smollm2-135m-instruct"
USUAL = {"entities": "all-minilm-l6-v2", "embed": "all-minilm-l6-v2"}
"""The base model of each task that does not write, when none is named; all others have `WRITER`."""
ELSEWHERE = {"ask": ("pretrain",), "answer": ("pretrain",), **dict.fromkeys(
    ("schema", "language", "from_language"), (*USUAL, "prefer", "pretrain"))}
"""Options that these tasks do not have."""
Config = TypeVar("Config", RunConfig, TuneConfig, TrainConfig, TextConfig)
Main = TypeVar("Main", RunConfig, TuneConfig)
Training = TypeVar("Training", TrainConfig, TextConfig)
VERBS: dict[type, str] = {RunConfig: "run", TuneConfig: "train"}


def checked(kind: type[Config], values: dict[str, Any]) -> Config:
    """A configuration of these values; YAML and Python are refused in the same words as flags.

    Raises:
        UserError: a name that is no option, a value of another type, out of bounds or not among the choices.
    """
    from pydantic import TypeAdapter, ValidationError

    known = {one.name: one for one in dataclasses.fields(kind)}
    for name in values:
        if name not in known:
            raise UserError(f"{name!r} is no option of {kind.__name__}.", f"Known: {', '.join(known)}.")
    try:
        made: Config = TypeAdapter(kind).validate_python(values)
    except ValidationError as problem:
        first = problem.errors()[0]
        name = str(first["loc"][0])
        raise UserError(f"{flag_of(known[name])} is {values[name]!r}: {first['msg']}.",
                        f"Give a value of the type {known[name].type}.") from None
    options.check(made)
    return made


def check(run: Main, training: Training) -> tuple[Main, Training]:
    """The configuration, every value held against its type and bounds, and the values against each other.

    Raises:
        UserError, NotFound: what cannot be meant.
    """
    run, training = checked(type(run), vars(run)), checked(type(training), vars(training))
    seconds(run.budget)
    if isinstance(run, TuneConfig):
        if run.prefer and run.task == "chat":
            run = dataclasses.replace(run, task="prefer")
        run = dataclasses.replace(run, model=run.model or USUAL.get(run.task, WRITER))
        _tune(run, training)
    else:
        _run(run)
    if run.model:
        run = dataclasses.replace(run, model=_known(run.model))
    return run, training


def _run(run: RunConfig) -> None:
    if run.split and (run.validation or run.test):
        raise UserError("--split was given together with a file of its own for a split.",
                        "Name the column that says the split, or the files that are the splits.")
    if run.unlabeled and not run.teacher:
        raise UserError("--unlabeled was given without a teacher that could label its texts.",
                        "Name one: --teacher BUNDLE")


def _tune(run: TuneConfig, training: LoopConfig) -> None:
    if run.method == "qlora" and training.adapter == "dora":
        raise UserError("--method qlora and --adapter dora do not go together: DoRA scales weights as wholes, and "
                        "there they are at 4 bits.", "Take --adapter rslora, or --method lora.")
    if run.prefer and run.task != "prefer":
        raise UserError(f"--prefer was given together with --task {run.task}.",
                        "Leave one of them out: what is preferred is a task of its own.")
    if run.method in ("qlora", "qat") and run.task in USUAL:
        raise UserError(f"--task {run.task} is not trained on weights at 4 bits.", "Take --method lora or full.")
    for name, tasks in ELSEWHERE.items():
        if getattr(run, name) is not None and run.task in tasks:
            raise UserError(f"--task {run.task} takes no --{name.replace('_', '-')}.", "Leave it out.")
    if run.search is not None:
        from .search import limit, need

        limit(run.search)
        for other, name in ((run.budget, "--budget"), (run.teacher, "--teacher")):
            if other:
                raise UserError(f"--search was given together with {name}.", "Leave one of them out.")
        need()
    if run.judge:
        from .judging import server

        if run.task in (*USUAL, "prefer", "pretrain") or run.answered < 2:
            what = f"--task {run.task}" if run.answered > 1 else f"--answered {run.answered}"
            raise UserError(f"--judge was given together with {what}, and there will be no answers to judge.",
                            "Leave it out, or take a task that writes and --answered 2 or more.")
        server(run).close()  # a URL that may not be used is told before the training
    if run.teacher is None:
        for name in ("distill", "teacher_model", "draws", "agreement", "answer_tokens"):
            if (value := getattr(run, name)) != getattr(TuneConfig, name):
                raise UserError(f"--{name.replace('_', '-')} {value} was given without a teacher.",
                                "Name one: --teacher MODEL")
    elif run.task in (*USUAL, "prefer", "pretrain"):
        raise UserError(f"--teacher was given together with --task {run.task}, which no teacher helps with here.",
                        "Leave it out, or take a task that answers.")
    elif "://" in run.teacher and run.distill != "text":
        raise UserError(f"A teacher behind a URL gives text, and --distill {run.distill} needs its probabilities of "
                        "each word.", "Learn from its text: --distill text")


def _known(model: str) -> str:
    """The model as the run remembers it: a folder by its whole path, so that a run can be gone on with from anywhere.

    Raises:
        NotFound: there is no card of that name, and no folder.
    """
    from ..catalog.cards import card
    from ..catalog.folders import FolderCard

    found = card(model)
    return found.id if isinstance(found, FolderCard) else model


def seconds(text: str | None) -> float | None:
    """`90s`, `10m`, `2h` or plain seconds as seconds.

    Raises:
        UserError: it is none of these.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|)\s*", text)
    if not match or float(match[1]) <= 0:
        raise UserError(f"The budget {text!r} is not a time.", "Write it as 90s, 10m or 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def typed(delimiter: str | None) -> str | None:
    """What stands between columns, as it may be typed: a tab by its name."""
    return "\t" if delimiter in ("tab", "\\t") else delimiter


class At:
    """A file or folder in a run folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunFolder, kind: type) -> Path:
        return folder.path / self.name


@dataclass(frozen=True)
class RunFolder:
    """The layout of a run folder. With `config.yaml` it is a run: that file is written when the splits are frozen."""

    path: Path

    config, result, health = At("config.yaml"), At("result.json"), At("health.json")
    metrics, report, bundle = At("metrics.jsonl"), At("report.html"), At("bundle")
    model = At("bundle/model")
    """A model that `seedbed train` made, as transformers opens it."""
    adapter = At("adapter")
    """The same as what it adds to its base, as PEFT opens it."""

    def candidate(self, name: str) -> Path:
        return self.path / "candidates" / name

    @property
    def free(self) -> bool:
        """Nothing is lost by a run in this folder: it is new, empty, or of a run that was killed before it began."""
        ours = {".lock", "data.parquet", "data.json", self.health.name}
        return not self.path.exists() or (self.path.is_dir() and all(
            one.name in ours or one.suffix in (".new", ".part") for one in self.path.iterdir()))


@dataclass(frozen=True)
class Job(Generic[Main, Training]):
    """What every step of a run is told.

    Args:
        source: what was read, as it may be written down: without a password.
        begin: `time.monotonic()` when this process began with it.
    """

    source: str
    config: Main
    training: Training
    folder: RunFolder
    begin: float
    progress: Progress

    @property
    def verb(self) -> str:
        """The verb that does it."""
        return VERBS[type(self.config)]


def write(path: Path, text: str) -> None:
    """Write under a temporary name, then rename: there is never half a file."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """What a file of JSON lines holds that grew line by line; none where there is none. A last line that a kill cut
    short is taken away, so that the file can grow on."""
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(sum(map(len, lines[:-1])))
        lines = lines[:-1]
    return [json.loads(line) for line in lines]


def write_config(job: Job[Main, Training]) -> None:
    """Write `config.yaml`, from which the run can be repeated or resumed."""
    values = {"source": job.source, job.verb: plain(job.config), "training": plain(job.training)}
    write(job.folder.config, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def plain(config: RunConfig | TuneConfig | TrainConfig | TextConfig) -> dict[str, Any]:
    """The values as YAML and JSON hold them."""
    return {name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(config).items()}


def read_config(folder: RunFolder, kind: type[Main], training: type[Training]) -> tuple[str, Main, Training]:
    """What `write_config` wrote for a job of that kind.

    Raises:
        NotFound, CorruptFile: no run folder, or its config cannot be read.
        UserError: it is a run of another verb.
    """
    if not folder.config.is_file():
        raise NotFound(f"{folder.path} is no run folder: config.yaml is missing.", "List runs with: seedbed runs")
    try:
        values = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
        if VERBS[kind] not in values and (other := next((v for v in VERBS.values() if v in values), None)):
            raise UserError(f"{folder.path} was made by seedbed {other}.", f"seedbed {other} --resume {folder.path}")
        return str(values["source"]), checked(kind, values[VERBS[kind]]), checked(training, values["training"])
    except UserError as problem:
        if problem.message.startswith(str(folder.path)):
            raise
        raise CorruptFile(f"{folder.config}: {problem.message}", problem.hint) from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as problem:
        told = str(problem).splitlines()[0]
        raise CorruptFile(f"{folder.config} cannot be read: {told}.",
                          "Start the run anew in another folder.") from None
