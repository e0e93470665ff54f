"""A device folder of a model that writes: a runner without seedbed and torch answers as the bundle does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import validate
from sample_writer import FACTS, made

from seedbed.engines.sampling import Sampling
from seedbed.errors import QualityFloor, UserError
from seedbed.export import edge, writer_edge
from seedbed.export.manifest import EngineEntry
from seedbed.export.targets.writers import WRITERS, suited
from seedbed.export.writer_edge import strayed
from seedbed.tasks.extract import Extract
from seedbed.tasks.summarize import Summarize

MEMORY = 1 << 30
CODE = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, ({MEMORY}, {MEMORY}))
needed = open(sys.argv[1].replace('generate.py', 'requirements.txt')).read()
for name in ('torch', 'transformers', 'tokenizers', 'seedbed', 'onnx', 'nncf', 'sklearn', 'llguidance'):
    if name + '==' not in needed:
        sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
Made = tuple[Path, EngineEntry, Path]
FORMS = [("gguf", "f16", "xllamacpp"), ("openvino", "int8", "openvino_genai"), ("onnx", "fp32", "onnxruntime_genai")]
SCHEMA = {"type": "object", "properties": {"kind": {"enum": ["box", "paper"]}, "fast": {"type": "boolean"}},
          "required": ["kind", "fast"], "additionalProperties": False}


def readable(model: Any, tokenizer: Any) -> None:
    """It writes whole characters: half ones are told otherwise by each program."""
    with torch.no_grad():
        for token in range(len(tokenizer)):
            word = tokenizer.decode([token])
            if token not in model.generation_config.eos_token_id and not (
                    word.isascii() and word.isprintable() and word.strip()):
                model.get_output_embeddings().weight[token] = 0


def exported(place: Path, kind: str, precision: str, task: Any = None, template: bool = True) -> Made:
    """A bundle's folder, its form and its model."""
    def change(model: Any, tokenizer: Any) -> None:
        readable(model, tokenizer)
        if not template:
            tokenizer.chat_template = None
    model = made(place / "model", change=change, max_position_embeddings=512, tie_word_embeddings=False,
                 head_dim=16)
    return form(place, kind, precision, model, task)


def form(place: Path, kind: str, precision: str, model: Path, task: Any = None, target: Any = None) -> Made:
    """A form of a model, as a bundle has it."""
    asks(model, task)
    name = f"{kind}-{precision}"
    (place / name).mkdir()
    (target or WRITERS.get(kind)).write(model, place / name, precision, FACTS)
    (place / name / "trial.json").write_text("{}")
    return place, EngineEntry(name=name, kind=kind, folder=name, files=[]), model


def asks(model: Path, task: Any) -> None:
    """The model was trained to be asked so."""
    if task:
        (model / "task.json").write_text(json.dumps(task.to_dict()))


@pytest.fixture(scope="module", params=FORMS, ids=[kind for kind, *_ in FORMS])
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A form of each kind; tests only say how its model is asked."""
    kind, precision, package = request.param
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'seedbed[{kind}]'")
    return exported(tmp_path_factory.mktemp(kind), kind, precision)


def alone(folder: Path, *words: str, given: str = "") -> list[str]:
    """What the runner prints in a process that has little memory and nothing but the runtime."""
    done = subprocess.run([sys.executable, "-c", CODE, str(folder / writer_edge.RUNNER), *words], input=given,
                          capture_output=True, text=True, cwd=folder.parent)
    assert done.returncode == 0 and "rror" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def test_it_writes_alone_what_the_bundle_writes(one: Made, tmp_path: Path) -> None:
    bundle, entry, model = one
    asks(model, Summarize(words=5))
    done = writer_edge.write(bundle, entry, model, tmp_path / "device", ["the box came"])
    files = {path.name for path in (tmp_path / "device").iterdir()}
    assert files >= {"generate.py", "task.json", "requirements.txt", "tokenizer.json", "edge.json"}
    assert "trial.json" not in files
    assert done.size == sum(p.stat().st_size for p in (tmp_path / "device").iterdir() if p.name != "edge.json")
    assert 20e6 < done.peak_memory < MEMORY
    assert [line.partition("==")[0] for line in done.packages] == list(writer_edge.PACKAGES[entry.kind])
    code = (tmp_path / "device" / writer_edge.RUNNER).read_text()
    assert len(code.splitlines()) < 72 and code.count("def open_") == 1

    author = WRITERS.get(entry.kind).author(bundle / entry.folder, model)
    for text in ("the box came on monday", "naïve 好"):
        asked = [{"role": "user", "content": f"Summarize this text in about 5 words.\n\n{text}"}]
        told = json.loads(alone(tmp_path / "device", "--json", "--max-tokens", "24", text)[0])
        assert not strayed(author, author.asked(asked), told)
        assert strayed(author, author.asked([{"role": "user", "content": "monday"}]), told)  # another question
        said = "".join(author.answer(asked, Sampling(max_tokens=24)))
        assert told[:8].strip() == said[:8].strip() != ""
    lines = alone(tmp_path / "device", "--json", "--max-tokens", "24", given=f"the box\n{text}\n")
    assert len(lines) == 2 and not strayed(author, author.asked(asked), json.loads(lines[1]))
    plain = "\n".join(alone(tmp_path / "device", "--max-tokens", "24", text))
    assert plain.strip()[:8] == told.strip()[:8]


def test_answers_keep_to_the_schema(one: Made, tmp_path: Path) -> None:
    bundle, entry, model = one
    asks(model, Extract(schema=json.dumps(SCHEMA), layout="spaced"))
    writer_edge.write(bundle, entry, model, tmp_path / "device")
    for line in alone(tmp_path / "device", "the box came", "paper", "--max-tokens", "60"):
        validate(json.loads(line), SCHEMA)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "precision"), [("onnx", "fp32"), ("openvino", "int8")])
def test_an_encoder_decoder_writes_alone_what_the_bundle_writes(kind: str, precision: str, tmp_path: Path) -> None:
    for package in ("onnxruntime", "onnxscript") if kind == "onnx" else ("openvino", "nncf"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'seedbed[{kind}]'")
    def plain(model: Any, tokenizer: Any) -> None:
        readable(model, tokenizer)
        tokenizer.chat_template = None
    model = made(tmp_path / "model", "t5", plain, num_layers=2, num_decoder_layers=2)
    target = suited(WRITERS.get(kind), model)
    bundle, entry, model = form(tmp_path, kind, precision, model, Summarize(words=5), target)
    done = writer_edge.write(bundle, entry, model, tmp_path / "device")
    assert [line.partition("==")[0] for line in done.packages] == list(writer_edge.PACKAGES[f"{kind}_paired"])
    code = (tmp_path / "device" / writer_edge.RUNNER).read_text()
    assert len(code.splitlines()) < 80 and code.count("def open_") == 1 and "def rendered" not in code
    author = WRITERS.get(kind).author(bundle / entry.folder, model)
    lines = alone(tmp_path / "device", "--json", "--max-tokens", "24", "the box came", "naïve 好 <eos> a")
    for text, line in zip(("the box came", "naïve 好 <eos> a"), lines, strict=True):
        asked = [{"role": "user", "content": f"Summarize this text in about 5 words.\n\n{text}"}]
        assert json.loads(line) == "".join(author.answer(asked, Sampling(max_tokens=24))).rstrip("\ufffd") != ""


@pytest.mark.parametrize(("kind", "precision", "package"), [
    FORMS[0], *(pytest.param(*one, marks=pytest.mark.slow) for one in FORMS[1:])])
def test_without_a_template_a_turn_is_a_line(kind: str, precision: str, package: str, tmp_path: Path) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'seedbed[{kind}]'")
    bundle, entry, model = exported(tmp_path, kind, precision, template=False)
    writer_edge.write(bundle, entry, model, tmp_path / "device")
    told = json.loads((tmp_path / "device" / "task.json").read_text())
    assert not told["chats"] and told["turns"] == [{"role": "user", "around": ["", ""]}]


def test_a_runner_that_asks_otherwise_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")
    bundle, entry, model = exported(tmp_path, "gguf", "f16", Summarize(words=5))
    before = sorted(path.name for path in tmp_path.iterdir())
    code = writer_edge.runner("gguf", False)
    assert "paired" not in code and "def rendered" in code
    for whole, other in (("text.join(turn[\"around\"])", "text"), ('"temperature": 0,', '"temperature": 4,'),
                         ("server.handle_chat_completions", "sys.exit('no model here') or "
                                                            "server.handle_chat_completions")):
        assert code.count(whole) == 1
        monkeypatch.setattr(writer_edge, "runner", lambda *kind, whole=whole, other=other: code.replace(whole, other))
        with pytest.raises(QualityFloor, match=r"answers otherwise: to|fails in a process of its own: no model"):
            writer_edge.write(bundle, entry, model, tmp_path / "device")
        assert sorted(path.name for path in tmp_path.iterdir()) == before
    with pytest.raises(UserError, match="no runner for executorch"):
        edge.runner("executorch", "generate.py", "writer_runner.py", "gguf")


def test_a_question_that_is_too_long_is_said(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")
    bundle, entry, model = exported(tmp_path, "gguf", "f16")
    writer_edge.write(bundle, entry, model, tmp_path / "device")
    done = subprocess.run([sys.executable, str(tmp_path / "device" / writer_edge.RUNNER), "the box " * 600],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "llama.cpp refuses: " in done.stderr and "context size" in done.stderr


def test_javascript_where_its_runtime_holds_the_schema(tmp_path: Path) -> None:
    for schema, there in ((SCHEMA, True), ({**SCHEMA, "patternProperties": {}}, False),
                          ({"type": ["object", "null"], "properties": {}}, False),
                          ({"type": "array", "items": {"type": "string", "pattern": "a"}}, False)):
        for kind in ("gguf", "onnx"):
            folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            writer_edge.script(folder, kind, Extract(schema=json.dumps(schema), layout="spaced"))
            assert {path.name for path in folder.iterdir()} == (
                {"generate.mjs", "package.json"} if there and kind == "gguf" else set())


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("task", [None, Summarize(words=5), Extract(schema=json.dumps(SCHEMA), layout="spaced")])
@pytest.mark.parametrize("template", [True, False])
def test_javascript_writes_what_the_bundle_writes(node_modules: Path, task: Any, template: bool,
                                                  tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")
    bundle, entry, model = exported(tmp_path, "gguf", "f16", task, template)
    writer_edge.write(bundle, entry, model, tmp_path / "device")
    assert json.loads((tmp_path / "device" / "package.json").read_text())["dependencies"] == writer_edge.NODE
    (tmp_path / "device" / "node_modules").symlink_to(node_modules)
    texts = ["the box came on monday", "naïve 好"]

    def said(*words: str, given: str = "") -> list[str]:
        command = ["node", tmp_path / "device" / writer_edge.SCRIPT, "--threads", "1", *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
    lines = said("--json", "--max-tokens", "60", *texts)
    assert said("--json", "--max-tokens", "60", given="\n".join(texts)) == lines
    author = WRITERS.get("gguf").author(bundle / entry.folder, model)
    told = writer_edge.told_of("gguf", author, task)
    for text, line in zip(texts, lines, strict=True):
        ids = author.asked(writer_edge.turns_of(told["turns"], text))
        if told["schema"]:  # node-llama-cpp lays it out otherwise
            validate(json.loads(json.loads(line)), SCHEMA)
        else:
            assert not strayed(author, ids, json.loads(line))
    assert said("--max-tokens", "60", texts[0])[0] == json.loads(lines[0]).split("\n")[0]
    command = ["node", tmp_path / "device" / writer_edge.SCRIPT, "the box " * 600]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "tokens and the model takes 512" in done.stderr


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(("kind", "precision", "package"), [FORMS[0], FORMS[1]])
def test_the_real_smollm2_at_4_bits_within_a_gigabyte(smollm2_folder: Path, kind: str, precision: str, package: str,
                                                      tmp_path: Path) -> None:
    from seedbed.models.folder import open_folder

    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'seedbed[{kind}]'")
    model = tmp_path / "model"
    shutil.copytree(open_folder(smollm2_folder), model)
    bundle, entry, model = form(tmp_path, kind, {"gguf": "q4_k_m", "openvino": "int4"}[kind], model)
    done = writer_edge.write(bundle, entry, model, tmp_path / "device", ["What is the capital of France?"])
    assert done.size < 130e6 and 100e6 < done.peak_memory < MEMORY
    asked = "What is the capital of France?"
    said = alone(tmp_path / "device", "--json", "--max-tokens", "32", asked, "Say good morning in French.")
    author = WRITERS.get(kind).author(bundle / entry.folder, model)
    assert not strayed(author, author.asked([{"role": "user", "content": asked}]), json.loads(said[0]))
    assert len(json.loads(said[0])) > 20 < len(json.loads(said[1]))
