"""ExecuTorch for models that write: runtime, runner and its tokenizer answer as the model does, and broken exports
show. Its exporter takes a minute for two layers, so nearly all is slow."""

from __future__ import annotations

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from matrix_page import told
from sample_writer import gemma, made, prove, refuses, taught, tuned, write, writes_the_likeliest
from transformers import AutoTokenizer

from seedbed.engines.executorch_llm import RunnerWords
from seedbed.engines.writer import Writer
from seedbed.errors import CorruptFile, UserError
from seedbed.export.certificate import Certificate
from seedbed.export.targets.executorch_writer import ExecuTorchWriterTarget, quantized, words_of
from seedbed.export.targets.writers import WRITERS

for name in ("executorch", "torchao", "pytorch_tokenizers"):
    pytest.importorskip(name, reason="ExecuTorch is not installed: pip install 'seedbed[executorch]'")

pytestmark = pytest.mark.timeout(1800)  # exporters that take minutes, on machines that do other things too
TARGET = ExecuTorchWriterTarget()
SMALL = {"num_hidden_layers": 2}
CHECKS = ["prompts with other tokens", "texts with other tokens", "ends at which it does not stop",
          "divergence, short text", "divergence, medium text", "divergence, long text", "same next word",
          "divergence of single steps", "likelier words than those written, nats"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It reads 320 tokens, and the file's passes take 128."""
    return made(tmp_path_factory.mktemp("llama"), **SMALL, max_position_embeddings=512)


@pytest.fixture(scope="module")
def small(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at 8 bits, fitted to rows that it has learned from."""
    return write(TARGET, llama, tmp_path_factory.mktemp("executorch") / "int8", "int8", taught(llama))


def failed(found: Certificate) -> list[str]:
    return [one.name for one in found.failed]


@pytest.mark.parametrize(("family", "more"), [
    ("llama", {}), ("qwen2", {}), ("mistral", {"sliding_window": 8}), ("gemma3", {"sliding_window": 8})])
def test_the_traced_module_is_the_model_however_a_text_is_cut(family: str, more: dict[str, Any],
                                                              tmp_path: Path) -> None:
    """Windows too, and what stood in the room before does not matter."""
    from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401

    from seedbed.export.targets.roomy import Roomy

    model = made(tmp_path / "model", family, **more)
    want = Writer.open(model).backbone.root
    roomy = Roomy(Writer.open(model).backbone.root, 1100)
    ids = torch.randint(10, 300, (1, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = want(ids).logits
        for cuts in ([0, 40], [0, 1, 2, 3, 20, 33, 40], [0, 31, 32, 40]):
            said = torch.cat([roomy(ids[:, begin:end], torch.tensor([begin]))
                              for begin, end in pairwise(cuts)], 1)
            assert torch.allclose(said, expected, atol=1e-4)
            roomy(ids.flip(1), torch.tensor([0]))


@pytest.mark.parametrize(("precision", "off"), [("int8", 0.02), ("int4", 0.3)])
def test_quantized_weights_stay_near(precision: str, off: float, tmp_path: Path) -> None:
    model = made(tmp_path / "model", **SMALL)
    ids = torch.randint(10, 300, (1, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        p, q = (root(ids).logits.log_softmax(-1) for root in (
            Writer.open(model).backbone.root, quantized(Writer.open(model).backbone.root, precision)))
    found = float((p.exp() * (p - q)).sum(-1).mean())
    assert off / 100 < found < off


@pytest.mark.parametrize(("family", "told"), [
    ("bloom", "family bloom that write are not exported to ExecuTorch here"), ("t5", "family t5"),
    ("lfm2", "family lfm2")])
def test_what_would_come_out_wrong_is_refused(family: str, told: str) -> None:
    refuses(WRITERS.get("executorch"), tiny.model(family), "int8", told)


def test_a_model_that_looks_ahead_and_one_without_tokenizer_are_refused(tmp_path: Path) -> None:
    refuses(TARGET, made(tmp_path / "ahead", "gemma3", use_bidirectional_attention=True), "int8", "looks ahead")
    (made(tmp_path / "bare") / "tokenizer.json").unlink()
    refuses(TARGET, tmp_path / "bare", "int8", "no tokenizer.json")


def test_tokenizers_that_the_runner_misreads_are_refused_or_told_otherwise(tmp_path: Path) -> None:
    """Gemma's runs of spaces are others to it; Qwen's composed characters would lose what stands above them."""
    refuses(TARGET, made(tmp_path / "gemma", "gemma3", gemma), "int8", "reads texts otherwise .*: 'def area")
    model = made(tmp_path / "qwen", "qwen2")
    assert json.loads((model / "tokenizer.json").read_text())["normalizer"] == {"type": "NFC"}
    TARGET.refuse(model, "int8")
    (tmp_path / "words.json").write_text((model / "tokenizer.json").read_text())
    words, read = "läuft", AutoTokenizer.from_pretrained(model)("läuft")["input_ids"]
    assert RunnerWords(tmp_path / "words.json").tokens(words, special=True) != read
    (tmp_path / "words.json").write_text(words_of(model))
    assert RunnerWords(tmp_path / "words.json").tokens(words, special=True) == read


@pytest.mark.slow
def test_runtime_runner_and_tokenizer_answer_as_the_model(llama: Path, small: Path) -> None:
    assert {path.name for path in small.iterdir()} == {
        "model.pte", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "seedbed.json"}
    assert json.loads((small / "seedbed.json").read_text())["data_hash"] == "abc"
    found = prove(TARGET, small, llama, "int8")
    assert not found.failed, [one.told for one in found.failed]
    assert [one.name for one in found.checks] == CHECKS
    told("write", "llama", "executorch:int8", "works")
    assert 1e-6 < (found.figure("divergence, long text") or 0) < 0.01
    assert found.pace and found.pace.reads > 0 and found.faster > 0


@pytest.mark.slow
def test_it_writes_the_likeliest_words_and_stops(llama: Path, small: Path) -> None:
    writes_the_likeliest(TARGET, small, llama)


@pytest.mark.slow
def test_what_was_read_is_not_read_again_and_another_text_begins_anew(llama: Path, small: Path) -> None:
    with TARGET.opened(small, llama) as form:
        one: Any = form.runtime
        ran = list[int]()

        class Seen:
            def execute(self, given: list[torch.Tensor], forward: Any = one._forward) -> Any:
                ran.append(given[0].shape[1])
                return forward.execute(given)
        one._forward = Seen()
        whole = one.logits([5, 6, 7, 8], 4)
        one.logits([5, 6, 7, 8, 9])
        one.logits([5, 6, 30])
        assert ran == [4, 1, 1]
        assert np.allclose(one.logits([5, 6, 7, 8], 4), whole, atol=1e-4)
        assert not np.allclose(one.logits([9, 6, 7, 8], 4), whole, atol=6e-2)
        ran.clear()
        assert one.logits(list(range(10, 310)), 150).shape == (150, whole.shape[1]) and ran == [128, 128, 44]
        with pytest.raises(UserError, match="513 tokens, and the file was exported with room for 512"):
            one.logits([5] * 513)
    assert TARGET.author(small, llama).room([5] * 500) == 12


@pytest.mark.slow
def test_what_is_wrong_is_found_out(llama: Path, small: Path, tmp_path: Path) -> None:
    """The base in place of the tuned model, another template, an end that is missing, and another tokenizer."""
    names = failed(prove(TARGET, small, made(tmp_path / "tuned", change=tuned, **SMALL), "int8"))
    assert {"divergence, short text", "divergence, long text"} <= set(names)

    def ends(model: Any, tokenizer: Any) -> None:
        model.generation_config.eos_token_id = [0, 5, 7]
    assert failed(prove(TARGET, small, made(tmp_path / "ends", change=ends, **SMALL), "int8")) == [
        "ends at which it does not stop"]

    folder = Path(shutil.copytree(small, tmp_path / "words"))
    words = json.loads((folder / "tokenizer.json").read_text())
    words["model"]["merges"] = words["model"]["merges"][:-20]
    (folder / "tokenizer.json").write_text(json.dumps(words))
    assert "texts with other tokens" in failed(prove(TARGET, folder, llama, "int8"))
    file = Path(shutil.copytree(small, tmp_path / "template")) / "chat_template.jinja"
    file.write_text(file.read_text().replace("Be kind.", "Be brief."))
    assert failed(prove(TARGET, file.parent, llama, "int8")) == ["prompts with other tokens"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1000, 60_000])
def test_a_cut_file_is_not_opened(small: Path, llama: Path, tmp_path: Path, size: int) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "copy"))
    os.truncate(folder / "model.pte", size)
    with pytest.raises(CorruptFile, match="ExecuTorch cannot open"):
        prove(TARGET, folder, llama, "int8")


@pytest.mark.slow
def test_a_cache_that_forgets_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an export whose place was fixed by its sample: one text at once is right, step by step it is wrong."""
    from seedbed.export.targets import roomy

    right = roomy.Kept.update

    def forgets(self: Any, keys: Any, values: Any, *more: Any, **named: Any) -> Any:
        self.start = self.start * 0
        return right(self, keys, values)
    model = made(tmp_path / "model", **SMALL)
    monkeypatch.setattr(roomy.Kept, "update", forgets)
    names = failed(prove(TARGET, write(TARGET, model, tmp_path / "out", "fp32"), model, "fp32"))
    assert names[0] == "divergence of single steps"


@pytest.mark.slow
@pytest.mark.parametrize(("family", "precision", "more"), [
    ("gemma3", "fp32", {"sliding_window": 32, "max_position_embeddings": 512,
                        "layer_types": ["sliding_attention", "full_attention"]}),
    ("qwen2", "fp32", {"layer_types": ["full_attention"] * 2}),
    ("mistral", "fp32", {"sliding_window": None, "head_dim": 16}), ("llama", "fp32", {"tie_word_embeddings": False})])
def test_other_families(family: str, precision: str, more: dict[str, Any], tmp_path: Path) -> None:
    """With the window that Gemma has, whose scores are large, and a beginning; fp32 is the model to last digits."""
    model = made(tmp_path / "model", family, **SMALL, **more)
    found = prove(TARGET, write(TARGET, model, tmp_path / "out", precision), model, precision)
    assert not found.failed, [one.told for one in found.failed]
    assert (found.figure("divergence, long text") or 1) < 1e-7
    told("write", family, f"executorch:{precision}", "works")
