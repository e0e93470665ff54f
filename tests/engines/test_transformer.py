from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from safetensors import safe_open
from tiny import exactly  # noqa: F401

from seedbed.engines.base import Classifier, load_classifier
from seedbed.engines.transformer import TransformerHead
from seedbed.errors import CorruptFile, NotFound
from seedbed.models.backbone import Backbone


def made(family: str, labels: int = 3) -> TransformerHead:
    chance = np.random.default_rng(0)
    return TransformerHead(Backbone.open(tiny.model(family), max_tokens=24), chance.normal(size=(labels, 32)),
                           chance.normal(size=labels))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    made("llama").save(folder)
    return folder


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_it_comes_back_the_same(family: str, tmp_path: Path) -> None:
    model = made(family)
    assert isinstance(model, Classifier)
    before = model.logits(tiny.TEXTS)
    assert before.shape == (len(tiny.TEXTS), 3)
    assert before.dtype == np.float32
    expected = model.backbone.embed(tiny.TEXTS).numpy() @ model.weight.T + model.bias
    assert np.array_equal(before, expected)
    model.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"body", "head.safetensors", "engine.json"}
    again = load_classifier(tmp_path)
    assert isinstance(again, TransformerHead)
    assert again.backbone.max_tokens == 24
    assert np.array_equal(again.logits(tiny.TEXTS), before)
    assert again.logits([]).shape == (0, 3)
    assert np.array_equal(model.logits(tiny.TEXTS), before)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_size_is_that_of_the_tensors_on_disk(family: str, tmp_path: Path) -> None:
    model = made(family)
    model.save(tmp_path)
    stored = 0
    for file in tmp_path.rglob("*.safetensors"):
        with safe_open(file, "np") as opened:
            stored += sum(opened.get_tensor(name).nbytes for name in opened.keys())  # noqa: SIM118
    assert model.size == stored


@pytest.mark.parametrize("name", ["body/config.json", "body/model.safetensors", "body/tokenizer.json",
                                  "body/tokenizer_config.json", "body/backbone.json", "head.safetensors",
                                  "engine.json"])
@pytest.mark.parametrize("content", [b"", b"{ half", b"\x00\xff" * 50])
def test_a_broken_file_is_told(name: str, content: bytes, saved: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    (folder / name).write_bytes(content)
    with pytest.raises(CorruptFile, match="cannot be read"):
        load_classifier(folder)


@pytest.mark.parametrize("name", ["body/config.json", "body/model.safetensors", "body/tokenizer.json",
                                  "body/backbone.json", "head.safetensors", "engine.json"])
def test_a_missing_file_is_told(name: str, saved: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    (folder / name).unlink()
    with pytest.raises((CorruptFile, NotFound)) as told:
        load_classifier(folder)
    assert str(folder) in told.value.message


def test_weights_that_are_cut_short_are_told(saved: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    path = folder / "body" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptFile, match="cannot be read"):
        load_classifier(folder)


def test_a_head_of_another_width_is_told(saved: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    save_file({"weight": np.zeros((3, 31), np.float32), "bias": np.zeros(3, np.float32)}, folder / "head.safetensors")
    with pytest.raises(CorruptFile, match="31"):
        load_classifier(folder)


def test_a_body_saved_in_bf16_opens_in_fp32_where_that_is_what_runs(tmp_path: Path) -> None:
    model = made("qwen2")
    before = model.logits(tiny.TEXTS)
    model.backbone.body.to(torch.bfloat16)
    short = model.size
    model.save(tmp_path)
    again = load_classifier(tmp_path)
    assert isinstance(again, TransformerHead)
    assert again.backbone.dtype == torch.float32
    assert again.size > 1.8 * short
    assert json.loads((tmp_path / "body" / "config.json").read_text())["dtype"] == "bfloat16"
    assert np.abs(again.logits(tiny.TEXTS) - before).max() < 0.1 * np.abs(before).max()


def test_a_transposed_head_is_saved_as_the_numbers_that_it_holds(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    weight = chance.normal(size=(32, 3)).astype(np.float32).T   # safetensors would write the memory as it lies
    assert not weight.flags.c_contiguous
    model = TransformerHead(Backbone.open(tiny.model("bert"), max_tokens=24), weight, chance.normal(size=3))
    model.save(tmp_path)
    again = load_classifier(tmp_path)
    assert isinstance(again, TransformerHead)
    assert np.array_equal(again.weight, weight)
    assert np.array_equal(again.logits(tiny.TEXTS), model.logits(tiny.TEXTS))
