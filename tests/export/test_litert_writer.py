"""LiteRT-LM for models that write: the graph in the file and LiteRT-LM itself answer as the model does, and broken
exports show. Its exporter takes half a minute for two layers, so nearly all is slow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from matrix_page import told
from sample_writer import FACTS, gemma, made, prove, refuses, taught, tuned, write, writes_the_likeliest

from seedbed.errors import CorruptFile, UserError
from seedbed.export.certificate import Certificate
from seedbed.export.targets import litert_writer
from seedbed.export.targets.litert_writer import LiteRtWriterTarget
from seedbed.export.targets.writers import WRITERS

for name in ("litert_torch", "ai_edge_litert", "litert_lm", "litert_lm_builder", "jaxtyping", "xdsl"):
    pytest.importorskip(name, reason="LiteRT-LM is not installed: docs/export.md has the install line")

pytestmark = pytest.mark.timeout(1800)  # exporters that take minutes, on machines that do other things too
TARGET = LiteRtWriterTarget()
SMALL: dict[str, Any] = {"num_hidden_layers": 2, "max_position_embeddings": 512}
CHECKS = ["prompts with other tokens", "texts with other tokens", "ends at which it does not stop",
          "divergence, short text", "divergence, medium text", "divergence, long text", "same next word",
          "divergence of single steps", "likelier words than those written, nats"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("llama"), **SMALL)


@pytest.fixture(scope="module")
def small(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at 8 bits, fitted to rows that it has learned from."""
    return write(TARGET, llama, tmp_path_factory.mktemp("litert") / "int8", "int8", taught(llama))


def failed(found: Certificate) -> list[str]:
    return [one.name for one in found.failed]


@pytest.mark.parametrize(("family", "told"), [
    ("bloom", "family bloom that write are not exported to LiteRT-LM here"), ("t5", "family t5")])
def test_what_would_come_out_wrong_is_refused(family: str, told: str) -> None:
    refuses(WRITERS.get("litert"), tiny.model(family), "int8", told)


def test_a_model_that_looks_ahead_and_one_without_tokenizer_are_refused(tmp_path: Path) -> None:
    refuses(TARGET, made(tmp_path / "ahead", "gemma3", use_bidirectional_attention=True), "int8", "looks ahead")
    (made(tmp_path / "bare") / "tokenizer.json").unlink()
    refuses(TARGET, tmp_path / "bare", "int8", "no tokenizer.json")


@pytest.mark.slow
def test_the_graph_and_litert_lm_answer_as_the_model(llama: Path, small: Path) -> None:
    assert {path.name for path in small.iterdir()} == {"model.litertlm"}
    found = prove(TARGET, small, llama, "int8")
    assert not found.failed, [one.told for one in found.failed]
    assert [one.name for one in found.checks] == CHECKS
    told("write", "llama", "litert:int8", "works")
    assert 1e-6 < (found.figure("divergence, long text") or 0) < 0.01
    assert found.pace and found.pace.reads > 0 and found.faster > 0
    assert {path.name for path in small.iterdir()} == {"model.litertlm"}  # LiteRT-LM keeps nothing beside it
    assert b"seedbed.data_hash" in (small / "model.litertlm").read_bytes()[:1 << 14]


@pytest.mark.slow
def test_it_writes_the_likeliest_words_and_stops(llama: Path, small: Path) -> None:
    writes_the_likeliest(TARGET, small, llama)


@pytest.mark.slow
def test_what_was_read_is_not_read_again_and_another_text_begins_anew(llama: Path, small: Path) -> None:
    with TARGET.opened(small, llama) as form:
        one: Any = form.runtime
        ran, run = list[int](), one._run

        def seen(graph: Any, some: list[int], start: int) -> Any:
            ran.append(len(some))
            return run(graph, some, start)
        one._run = seen
        whole = one.logits([5, 6, 7, 8], 4)
        one.logits([5, 6, 7, 8, 9])
        one.logits([5, 6, 30])
        assert ran == [1, 1, 1, 1, 1, 1]
        assert np.allclose(one.logits([5, 6, 7, 8], 4), whole, atol=1e-4)
        assert not np.allclose(one.logits([9, 6, 7, 8], 4), whole, atol=6e-2)
        ran.clear()
        at_once = one.logits(list(range(10, 210)), 2)
        assert ran == [128, 32, 32, *[1] * 8]
        one.forget()
        assert np.allclose(one.logits(list(range(10, 210)), 200)[-2:], at_once, atol=6e-2)
        with pytest.raises(UserError, match="513 tokens, and the file was exported with room for 512"):
            one.logits([5] * 513)
    assert TARGET.author(small, llama).room([5] * 500) == 12


def packed_anew(small: Path, model: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    """The same graphs with something else said beside them."""
    from litert_lm_builder import litertlm_peek
    from litert_lm_builder.runtime.proto import llm_metadata_pb2
    from transformers import AutoTokenizer

    from seedbed.engines.litert_lm import _graphs

    folder.mkdir()
    (folder / "graphs.tflite").write_bytes(_graphs(small / "model.litertlm", litertlm_peek))
    litert_writer.described(model, AutoTokenizer.from_pretrained(model), 512, folder / "said.pb")
    said = llm_metadata_pb2.LlmMetadata.FromString((folder / "said.pb").read_bytes())
    change(said)
    (folder / "said.pb").write_bytes(said.SerializeToString())
    litert_writer.packed(folder / "model.litertlm", folder, folder / "graphs.tflite", model / "tokenizer.json", FACTS)
    return folder


@pytest.mark.slow
def test_what_is_wrong_is_found_out(llama: Path, small: Path, tmp_path: Path) -> None:
    """The base in place of the tuned model, a missing end, another template, one that is given parts and no texts,
    and a beginning that is put before each prompt, as litert-torch's own exporter asks for it."""
    names = failed(prove(TARGET, small, made(tmp_path / "tuned", change=tuned, **SMALL), "int8"))
    assert {"divergence, short text", "divergence, long text"} <= set(names)

    def broken(name: str, change: Callable[[Any], Any]) -> list[str]:
        return failed(prove(TARGET, packed_anew(small, llama, tmp_path / name, change), llama, "int8"))
    assert broken("right", lambda said: None) == []
    assert broken("ends", lambda said: said.stop_tokens.pop()) == ["ends at which it does not stop"]
    assert broken("other", lambda said: setattr(said, "jinja_prompt_template", said.jinja_prompt_template.replace(
        "Be kind.", "Be brief."))) == ["prompts with other tokens"]
    assert broken("parts", lambda said: setattr(said, "jinja_prompt_template", said.jinja_prompt_template.replace(
        litert_writer.TEXTS, ""))) == ["prompts with other tokens"]
    assert broken("begins", lambda said: said.start_token.token_ids.ids.append(1))[:2] == [
        "prompts with other tokens", "texts with other tokens"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1000, 100_000])
def test_a_cut_file_is_not_opened(small: Path, llama: Path, tmp_path: Path, size: int) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "copy"))
    os.truncate(folder / "model.litertlm", size)
    with pytest.raises(CorruptFile, match="LiteRT cannot open"):
        prove(TARGET, folder, llama, "int8")


@pytest.mark.slow
def test_a_cache_that_forgets_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file whose graphs write to the place of the sample: each token is read, and none is kept."""
    from litert_torch.generative.export_hf.core import cache

    right = cache._update_kv_impl

    def forgets(keys: Any, values: Any, k: Any, v: Any, place: Any, *more: Any, **named: Any) -> Any:
        return right(keys, values, k, v, place * 0, *more, **named)
    model = made(tmp_path / "model", **SMALL)
    monkeypatch.setattr(cache, "_update_kv_impl", forgets)
    names = failed(prove(TARGET, write(TARGET, model, tmp_path / "out", "fp32"), model, "fp32"))
    assert names[0].startswith("divergence")


@pytest.mark.slow
@pytest.mark.parametrize(("family", "more"), [
    ("gemma3", {"sliding_window": 32, "layer_types": ["sliding_attention", "full_attention"]}),
    ("qwen2", {"layer_types": ["full_attention"] * 2}), ("mistral", {"sliding_window": None, "head_dim": 16}),
    ("llama", {"tie_word_embeddings": False})])
def test_other_families(family: str, more: dict[str, Any], tmp_path: Path) -> None:
    """With the tokenizer and the window that Gemma has; fp32 is the model to the last digits."""
    model = made(tmp_path / "model", family, gemma if family == "gemma3" else None, **SMALL, **more)
    found = prove(TARGET, write(TARGET, model, tmp_path / "out", "fp32"), model, "fp32")
    assert not found.failed, [one.told for one in found.failed]
    assert (found.figure("divergence, long text") or 1) < 1e-8
    told("write", family, "litert:fp32", "works")
