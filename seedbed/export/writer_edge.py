"""A folder for a small device that writes: an artefact, a runner of some sixty lines, and what it takes on disk and
in memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engines.author import HALF
from ..engines.form import SPACE
from ..errors import UserError
from ..models.template import MARKS
from ..tasks.write import Write, of_dict
from .edge import Edge, begun, defect, fill, finish, ran, size
from .edge import runner as runner_of
from .manifest import EngineEntry
from .targets.writers import WRITERS
from .writer_engine import TRIAL
from .writer_reference import SAID

if TYPE_CHECKING:
    from ..engines.author import Author

RUNNER = "generate.py"
PACKAGES = {"gguf": ("xllamacpp",), "openvino": ("openvino-genai", "openvino", "openvino-tokenizers"),
            "onnx": ("onnxruntime-genai", "onnxruntime")}
"""What a runner imports, and what that needs of its own makers'."""
SCRIPT = "generate.mjs"
NODE = {"node-llama-cpp": "3.22.1", "@huggingface/jinja": "0.5.11"}
"""What the runner in JavaScript needs."""
HELD = {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "oneOf", "minItems",
        "maxItems", "minLength", "maxLength", "description", "title"}
"""Words of a schema that node-llama-cpp reads, or that hold nothing."""
FREE = {"x-guidance": {"whitespace_flexible": True, "whitespace_pattern": r"[ \n\t]*"}}
"""How OpenVINO GenAI (xgrammar) lays JSON out: with any white space. The others heed what the schema says of it."""
QUESTIONS = ("One?", *SAID)
"""Texts of our own that a runner answers, after some of the run's."""
ASKED, FOLLOWED, NEAR = 48, 16, 0.5
"""Tokens that a runner writes to each at most, how many of them are held against the form in the bundle, and by how
much another may be likelier there, in nats: GenAI keeps keys and values at 8 bits, llama.cpp passes otherwise."""


def write(bundle: Path, entry: EngineEntry, model: Path, folder: Path, questions: Sequence[str] = ()) -> Edge:
    """Write an artefact with its runner, and let the runner answer some texts in a process of its own.

    Args:
        bundle: that holds the artefact.
        entry: the artefact.
        model: folder of the reference.
        folder: must not exist yet, or be empty.
        questions: that the run kept, to be answered beside some of our own.

    Raises:
        UserError: there is no runner for such artefacts.
        QualityFloor: the runner answers otherwise than the artefact does in the bundle. Nothing was written.
    """
    author, task = WRITERS.get(entry.kind).author(bundle / entry.folder, model), task_of(model)
    with begun(folder) as part:
        shutil.copytree(bundle / entry.folder, part, ignore=shutil.ignore_patterns(TRIAL))
        if not (part / "tokenizer.json").exists() and (model / "tokenizer.json").is_file():
            shutil.copyfile(model / "tokenizer.json", part / "tokenizer.json")
        told = told_of(entry.kind, author, task)
        packages = fill(part, RUNNER, runner(entry.kind), told, PACKAGES[entry.kind])
        laid = FREE if entry.kind == "openvino" else {}
        script(part, entry.kind, task)
        schema = json.dumps(told["schema"] | laid) if told["schema"] else ""
        peak = _try(part, entry, author, [*questions, *QUESTIONS], told["turns"], schema)
        return finish(part, folder, Edge(folder=str(folder), engine=entry.name, size=size(part), peak_memory=peak,
                                         packages=packages))


def runner(kind: str) -> str:
    """What answers in the folder.

    Raises:
        UserError: there is none.
    """
    return runner_of(kind, RUNNER, "writer_runner.py", "gguf")


def script(part: Path, kind: str, task: Write | None) -> None:
    """Write the runner in JavaScript, where the runtime has one that holds answers to the task's schema."""
    if kind != "gguf" or not _held(json.loads(task.form) if task and task.form else {}):
        return
    shutil.copyfile(Path(__file__).with_name("writer_runner.mjs"), part / SCRIPT)
    (part / "package.json").write_text(json.dumps({"private": True, "dependencies": NODE}, indent=1))


def _held(schema: Any) -> bool:
    """Every word of it is read by node-llama-cpp."""
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    if isinstance(schema.get("type"), list) and {"object", "array"} & set(schema["type"]):
        return False
    inner = [*schema.get("properties", {}).values(), *schema.get("oneOf", ()),
             *(schema[name] for name in ("items", "additionalProperties") if name in schema)]
    return schema.keys() - {"x-guidance"} <= HELD and all(map(_held, inner))


def task_of(model: Path) -> Write | None:
    """What a model was trained to be asked; None where it takes any question as it is."""
    file = model / "task.json"
    return of_dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def told_of(kind: str, author: Author, task: Write | None) -> dict[str, Any]:
    """What a runner must know of its model, for `task.json`."""
    mark = MARKS[0]
    turns = task.prompt(mark) if task else [{"role": "user", "content": mark}]
    schema = task.form if task else ""
    if schema:
        try:
            author.form(schema)
        except UserError:  # as in seedbed generate: answers are free words then
            schema = ""
    return {"kind": kind, "context": author.max_tokens, "chats": author.template.chats,
            "turns": [{"role": turn["role"], "around": turn["content"].split(mark)} for turn in turns],
            "schema": {"x-guidance": {"whitespace_pattern": SPACE}, **json.loads(schema)} if schema else None}


def turns_of(told: Sequence[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The turns that ask for the answer to a text, as the runner makes them."""
    return [{"role": turn["role"], "content": text.join(turn["around"])} for turn in told]


def _try(part: Path, entry: EngineEntry, author: Author, texts: Sequence[str], turns: Sequence[dict[str, Any]],
         schema: str) -> int:
    """Hold the runner's answers against the artefact in the bundle; the peak memory of its process."""
    asked = {text: author.template.ids(turns_of(turns, text)) for text in texts}
    asked = {text: ids for text, ids in asked.items() if author.room(ids) > ASKED}
    lines, peak = ran(part / RUNNER, entry.name, ["--json", "--max-tokens", str(ASKED), "--", *asked])
    for (text, ids), line in zip(asked.items(), lines, strict=True):
        if strays := strayed(author, ids, json.loads(line), schema):
            raise defect(entry.name, f"answers otherwise: to {text[:40]!r} it says {strays}")
    return peak


def strayed(author: Author, ids: list[int], said: str, schema: str = "") -> str:
    """Where an answer leaves what a form would write, word by word; empty where it does not.

    At a near tie the other word may be taken, and it is gone on from there: two programs that run one file add up in
    another order.

    Args:
        author: writes with the form.
        ids: what was asked.
        said: the answer; what stands after half a character in it is not looked at.
        schema: that the answer keeps to.
    """
    course, made = author.form(schema).begin() if schema else None, list[int]()
    whole, _, broken = said.lstrip().partition(HALF)

    def text(*more: int) -> str:
        return str(author.tokenizer.decode([*made, *more], skip_special_tokens=True)).lstrip().rstrip(HALF)
    while len(made) < FOLLOWED:
        ended = text() == whole
        if ended and (broken or (course and course.ended)):
            return ""
        scores = author.runtime.logits([*ids, *made])[0]
        if course:
            scores = np.where(course.allowed(len(scores)).numpy(), scores, -np.inf)
        near = [int(one) for one in np.argsort(-scores)[:9] if scores[one] >= scores.max() - NEAR]
        ends = {one for one in near if one in author.ends or author.runtime.ends(one)}
        if ended and ends:
            return ""
        token = next((one for one in near if one not in ends and whole.startswith(text(one))), None)
        if token is None:
            return f"{whole[:80]!r}, and not {text(near[0])!r}"
        if course:
            course.take(token)
        made.append(token)
    return ""
