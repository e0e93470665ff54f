"""Encoder-decoders for ONNX Runtime and OpenVINO: both graphs answer as the model does, and broken exports show."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from sample_writer import made, prove, tuned, write, writes_the_likeliest

from seedbed.engines.exported_author import ExportedAuthor
from seedbed.engines.paired import DECODER, ENCODER, OnnxPaired
from seedbed.engines.sampling import Sampling
from seedbed.engines.writer import Writer
from seedbed.errors import CorruptFile, UserError
from seedbed.export.certificate import Certificate
from seedbed.export.targets import onnx_blocks, paired
from seedbed.export.targets.onnx_writer import OnnxWriterTarget
from seedbed.export.targets.paired_writer import OnnxPairedTarget, OpenVinoPairedTarget, PairedTarget
from seedbed.export.targets.writers import WRITERS
from seedbed.export.writer_reference import ANSWERS, Reference
from seedbed.models.paired import Paired

for name in ("onnxruntime", "onnxscript"):
    pytest.importorskip(name, reason="ONNX Runtime is not installed: pip install 'seedbed[onnx]'")
for name in ("openvino", "nncf"):
    pytest.importorskip(name, reason="OpenVINO needs seedbed[openvino]")

ONNX, OPENVINO = OnnxPairedTarget(), OpenVinoPairedTarget()
SMALL = {"num_layers": 2, "num_decoder_layers": 2}
BESIDE = {"tokenizer.json", "generation_config.json", "seedbed.json"}
CHECKS = ["texts with other tokens", "ends at which it does not stop", "beginnings with another token",
          "divergence, short text", "divergence, medium text", "divergence, long text", "same next word",
          "divergence of single steps", "divergence of a padded source", "divergence after another source"]
SOURCE, OTHER = [9, 14, 33, 70, 12, 0], [50, 51, 52, 0]


def looks(model: Any, tokenizer: Any) -> None:
    """Attention that looks at some tokens more than at others, by what they are and how far away they stand. Four
    layers of random weights are then so sharp that 8 bits answer otherwise."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "relative_attention_bias" in name:
                weight.mul_(10)
            elif name.endswith((".q.weight", "q_proj.weight")):
                weight.mul_(6)


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("t5"), "t5", looks, **SMALL)


@pytest.fixture(scope="module")
def exact(t5: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for ONNX Runtime in fp32."""
    return write(ONNX, t5, tmp_path_factory.mktemp("onnx") / "fp32", "fp32")


@pytest.fixture(scope="module")
def small(t5: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for OpenVINO at 8 bits."""
    return write(OPENVINO, t5, tmp_path_factory.mktemp("openvino") / "int8", "int8")


def failed(found: Certificate) -> list[str]:
    return [one.name for one in found.failed]


def test_onnx_runtime_answers_as_the_model(t5: Path, exact: Path) -> None:
    assert {path.name for path in exact.iterdir()} == {"encoder.onnx", "decoder.onnx", *BESIDE}
    assert json.loads((exact / "seedbed.json").read_text())["data_hash"] == "abc"
    found = prove(ONNX, exact, t5, "fp32")
    assert not found.failed, [one.told for one in found.failed]
    assert [one.name for one in found.checks] == CHECKS
    assert [one.n for one in found.checks[3:6]] == list(ANSWERS.values()) and max(ANSWERS.values()) > 128
    assert (found.figure("divergence") or 0) < 1e-8  # the same to the last digits
    assert found.pace and found.reference_pace and found.pace.writes > 0 < found.pace.reads


def test_openvino_answers_as_the_model(t5: Path, small: Path) -> None:
    assert {path.name for path in small.iterdir()} == {
        f"{half}.{end}" for half in (ENCODER, DECODER) for end in ("xml", "bin")} | BESIDE
    found = prove(OPENVINO, small, t5, "int8")
    assert not found.failed, [one.told for one in found.failed]
    assert [one.name for one in found.checks] == CHECKS
    assert 1e-6 < (found.figure("divergence, long text") or 0) < 0.01
    weights = sum(one.numel() for one in Writer.open(t5).backbone.root.parameters())
    assert sum((small / f"{half}.bin").stat().st_size for half in (ENCODER, DECODER)) < 2.5 * weights  # not 4


def test_it_writes_the_likeliest_words_as_the_reference_does_and_stops(t5: Path, exact: Path, small: Path) -> None:
    writes_the_likeliest(ONNX, exact, t5)
    writes_the_likeliest(OPENVINO, small, t5)
    form, model = ONNX.author(exact, t5), Writer.open(t5)
    assert form.paired and form.room([5] * 3_000) == model.room([5] * 3_000) > 10**6
    asked = [{"role": "user", "content": "the box came on monday"}]
    for sampling in (Sampling(40), Sampling(40, temperature=1.0, seed=3), Sampling(40, 1.0, 0.8, ("a",), 4)):
        pieces = list(form.answer(asked, sampling))
        assert "".join(pieces) == "".join(model.answer(asked, sampling))
        assert sampling.temperature == 0 or len(pieces) > 3  # as they are written


def test_a_source_is_read_once_and_of_an_answer_only_what_is_new(
        t5: Path, exact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran, run = list[tuple[str, int, int]](), OnnxPaired._run

    def seen(self: OnnxPaired, graph: str, given: Any) -> Any:
        ran.append((graph, given[0].shape[1], given[-1].shape[2] if graph == DECODER else 0))
        return run(self, graph, given)
    monkeypatch.setattr(OnnxPaired, "_run", seen)
    one, model = OnnxPaired(exact), Reference.open(t5)
    for row in (Paired(SOURCE, [2, 5, 6]), Paired(SOURCE, [2, 5, 6, 7]), Paired(SOURCE, [2, 5, 9]),
                Paired(OTHER, [2, 5, 9])):
        assert np.allclose(one.logits(row, 2), model.logits(row, 2), atol=1e-5)
    assert ran == [(ENCODER, 6, 0), (DECODER, 3, 0), (DECODER, 2, 2), (DECODER, 2, 1),
                   (ENCODER, 4, 0), (DECODER, 3, 0)]
    one.logits(Paired(OTHER, [2] + [5] * 299), 280)
    assert ran[6:] == [(DECODER, 256, 2), (DECODER, 42, 258)]


@pytest.mark.parametrize("which", [ONNX, OPENVINO])
def test_texts_stand_together_in_a_batch(which: PairedTarget, t5: Path, exact: Path, small: Path) -> None:
    """Engines here ask one at a time; whoever opens the files may ask more."""
    one: Any = which.runtime(exact if which is ONNX else small)
    rows = [Paired(SOURCE, [2, 5, 6, 7]), Paired(OTHER, [2, 9, 8, 7]), Paired(SOURCE * 3, [2, 9, 9, 4])]
    wide = max(row.source for row in rows)
    ids, mask = np.full((3, wide), 2, np.int64), np.zeros((3, wide), np.int64)
    for at, row in enumerate(rows):
        ids[at, :row.source], mask[at, :row.source] = row[:row.source], 1
    cross = one._run(ENCODER, [ids, mask])
    _, heads, _, width = cross[0].shape
    said, past = [], [np.zeros((3, heads, 0, width), np.float32) for _ in cross]
    for place in range(4):
        new = np.array([[row[row.source + place]] for row in rows], np.int64)
        logits, *past = one._run(DECODER, [new, mask, *cross, *past])
        said.append(logits[:, 0])
    for at, row in enumerate(rows):
        one.forget()
        assert np.allclose(np.stack(said, 1)[at], one.logits(row, 4), atol=1e-3)


def other_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder reads always the same, as one whose input was taken for a constant."""
    right = paired.Encoder.forward
    monkeypatch.setattr(paired.Encoder, "forward", lambda self, ids, mask: right(self, ids * 0 + 5, mask))


def one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was said the last token alone is kept."""
    right = paired.Decoder.forward

    def forgets(self: Any, *given: Any) -> Any:
        logits, *kept = right(self, *given)
        return logits, *(one[:, :, -1:] for one in kept)
    monkeypatch.setattr(paired.Decoder, "forward", forgets)


def same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What T5 adds for a distance is that of the sample."""
    right = paired._tabled

    def fixed(attention: Any) -> None:
        right(attention)
        found = attention.compute_bias
        if attention.is_decoder:
            attention.compute_bias = lambda new, every, device=None, past_seen_tokens=0: found(
                new, every, device, paired.SAMPLE_PAST)
    monkeypatch.setattr(paired, "_tabled", fixed)


def sees_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask is not listened to."""
    monkeypatch.setattr(paired, "unseen", lambda mask: mask[:, None, None, :] * 0.0)


@pytest.mark.parametrize(("breaks", "shows"), [
    (other_source, ["divergence, short text", "divergence, medium text", "divergence, long text"]),
    (one_token, ["divergence of single steps"]),
    (same_place, ["divergence, short text", "divergence of single steps"]),
    (sees_padding, ["divergence of a padded source"])])
def test_a_graph_that_was_written_wrongly_is_found_out(breaks: Any, shows: list[str], t5: Path, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        breaks(patch)
        folder = write(OPENVINO, t5, tmp_path / "out", "int8")
    names = failed(prove(OPENVINO, folder, t5, "int8"))
    assert set(shows) <= set(names)
    if len(shows) == 1:
        assert names == shows


class Stale(OnnxPaired):
    """Answers the next question with what it read for the one before."""

    def logits(self, ids: Sequence[int], last: int = 1) -> Any:
        assert isinstance(ids, Paired)
        self._source = self._source and list(ids[:ids.source])
        return super().logits(ids, last)


def test_a_source_that_is_left_from_the_question_before_is_found_out(t5: Path, exact: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxPairedTarget, "runtime", Stale)
    assert failed(prove(ONNX, exact, t5, "fp32")) == ["divergence after another source"]


def test_the_base_in_place_of_the_tuned_model_is_found_out(exact: Path, tmp_path: Path) -> None:
    def change(model: Any, tokenizer: Any) -> None:
        looks(model, tokenizer)
        tuned(model, tokenizer)
    names = failed(prove(ONNX, exact, made(tmp_path / "tuned", "t5", change, **SMALL), "fp32"))
    assert {"divergence, short text", "divergence, medium text", "divergence, long text"} <= set(names)


def test_other_tokens_ends_and_beginnings_are_found_out(t5: Path, exact: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exact, tmp_path / "copy"))
    settings, words = folder / "generation_config.json", folder / "tokenizer.json"
    said = json.loads(settings.read_text())
    assert said == {"decoder_start_token_id": 2, "eos_token_id": [0, 5], "pad_token_id": 2}
    settings.write_text(json.dumps(said | {"eos_token_id": [0], "decoder_start_token_id": 0}))
    values = json.loads(words.read_text())
    words.write_text(json.dumps(values | {"normalizer": {"type": "Lowercase"}}))
    assert failed(prove(ONNX, folder, t5, "fp32")) == CHECKS[:3]


def test_a_cut_file_is_not_opened(t5: Path, exact: Path, small: Path, tmp_path: Path) -> None:
    for target, folder, file, told in ((ONNX, exact, "decoder.onnx", "ONNX Runtime cannot open"),
                                       (OPENVINO, small, "encoder.bin", "OpenVINO cannot open")):
        copy = Path(shutil.copytree(folder, tmp_path / target.name))
        os.truncate(copy / file, (copy / file).stat().st_size // 2)
        with pytest.raises(CorruptFile, match=told):
            prove(target, copy, t5, "int8")


def test_what_would_come_out_wrong_is_refused(t5: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(t5, tmp_path / "model"))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"has no tokenizer\.json, without which OpenVINO"):
        OPENVINO.refuse(folder, "int8")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "umt5"}))
    with pytest.raises(UserError, match="family umt5 that write are not exported to ONNX Runtime here"):
        ONNX.refuse(folder, "int8")
    with pytest.raises(UserError, match="family t5 that write are not exported to GGUF"):
        WRITERS.get("gguf").refuse(t5, "q8_0")


def test_one_name_is_for_both_kinds_of_models(t5: Path, exact: Path) -> None:
    either: Any = WRITERS.get("onnx")
    assert isinstance(either.of(tiny.model("llama")), OnnxWriterTarget)
    assert isinstance(either.of(t5), OnnxPairedTarget)
    assert isinstance(either.author(exact, t5), ExportedAuthor)
    with pytest.raises(UserError, match="family bloom"):
        either.refuse(tiny.model("bloom"), "fp32")


def test_rows_at_eight_bits() -> None:
    table = np.random.default_rng(0).normal(size=(50, 32)).astype(np.float32) * np.logspace(-3, 3, 50)[:, None]
    table[7] = 0
    rows, scale = onnx_blocks.rounded(table.astype(np.float32))
    off = np.abs(rows * scale - table)
    assert rows.dtype == np.int8 and (off <= scale * 0.501).all() and (off[7] == 0).all()
    assert np.allclose(np.abs(table).max(1), 127 * scale[:, 0], atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
@pytest.mark.parametrize("family", ["t5", "flan_t5", "bart", "marian"])
def test_families_in_onnx_runtime(family: str, precision: str, tmp_path: Path) -> None:
    import onnx

    model = made(tmp_path / "model", family, looks if precision == "fp32" else None)
    folder = write(ONNX, model, tmp_path / "out", precision)
    found = prove(ONNX, folder, model, precision)
    by_weights = {"same next word", *(f"divergence, {size} text" for size in ("short", "medium", "long"))}
    assert {one.name for one in found.failed} <= (by_weights if precision == "int4" else set())
    if precision != "fp32":
        graph = onnx.load(folder / "decoder.onnx").graph
        large = {one.name for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT and
                 np.prod(one.dims) >= onnx_blocks.TABLE}
        assert not [node.name for node in graph.node if large & set(node.input)]
        assert sum(node.op_type == "MatMulNBits" for node in graph.node) > 3 * 6


@pytest.mark.slow
@pytest.mark.parametrize("family", ["t5", "flan_t5", "bart", "marian"])
def test_families_in_openvino(family: str, tmp_path: Path) -> None:
    model = made(tmp_path / "model", family)
    found = prove(OPENVINO, write(OPENVINO, model, tmp_path / "out", "int8"), model, "int8")
    assert not found.failed, [one.told for one in found.failed]


@pytest.mark.slow
def test_four_bits_are_further_off_than_eight(t5: Path, small: Path, tmp_path: Path) -> None:
    near, far = (prove(OPENVINO, folder, t5, "int4").figure("divergence, long text") or 0
                 for folder in (small, write(OPENVINO, t5, tmp_path / "int4", "int4")))
    assert near * 5 < far < 1
