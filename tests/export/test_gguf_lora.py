"""An adapter apart from its base in llama.cpp: on, off, on; and what is wrong with it is found out."""

from __future__ import annotations

import ctypes as c
import json
from functools import partial
from pathlib import Path
from typing import Any

import matrix_page
import pytest
import torch
from sample_writer import FACTS, gemma, made

from seedbed.engines.llama_adapter import LlamaAdapted
from seedbed.errors import CorruptFile, UserError
from seedbed.export import gguf_adapter, gguf_family
from seedbed.export.certificate import Certificate
from seedbed.export.targets.gguf_lora import ADAPTER, BASE, GgufLoraTarget
from seedbed.export.writer_certificate import certify
from seedbed.export.writer_reference import Parts, Reference
from seedbed.models.adapters import add_lora, merge, save_adapter
from seedbed.models.backbone import Backbone
from seedbed.models.template import Row

pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")

CHANGE = "share of the adapter's change that is otherwise"
NAMES = ["divergence without the adapter", CHANGE, "divergence after the adapter was off"]


def learned(base: Path, place: Path, seed: int = 0, strength: float = 0.1, **how: Any) -> Reference:
    """A model of a base and an adapter that changes something; its reference knows both."""
    backbone = Backbone.open(base, dtype=torch.float32, vocabulary=True)
    model = add_lora(backbone, **{"rank": 4, "alpha": 16.0, "layers": 2, **how})
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for name, one in model.named_parameters():
            if "lora_B" in name:
                one.normal_(std=strength)
    save_adapter(model, place / "adapter")
    merge(backbone, model)
    backbone.save(place / "model")
    rows = [Row(list(range(10 + at, 40 + at)), [False] * 10 + [True] * 20) for at in range(3)]
    return Reference.open(place / "model", rows, apart=Parts(base, place / "adapter", Reference.open(base)))


def written(reference: Reference, place: Path, precision: str = "f16") -> Path:
    folder = place / f"out-{precision}"
    folder.mkdir()
    GgufLoraTarget().refuse(place / "model", precision)
    GgufLoraTarget().write(place / "model", folder, precision, FACTS | {"base_model": "tiny"}, reference)
    return folder


def proven(folder: Path, reference: Reference, place: Path, precision: str = "f16") -> Certificate:
    with GgufLoraTarget().opened(folder, place / "model") as form:
        return certify(form, reference, precision)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def sound(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reference, Path]:
    """A place with base and adapter, the reference, and what was written. Tests do not write there."""
    place = tmp_path_factory.mktemp("sound")
    reference = learned(base, place)
    return place, reference, written(reference, place)


@pytest.mark.parametrize(("family", "how"), [
    ("llama", {}), ("llama", {"kind": "rslora", "rank": 3}), ("llama", {"layers": None}), ("qwen2", {}),
    ("mistral", {}), ("gemma3", {})])
def test_on_off_on(family: str, how: dict[str, Any], tmp_path: Path) -> None:
    change = {"gemma3": gemma}.get(family)
    more = {"gemma3": {"sliding_window": 32, "max_position_embeddings": 512},
            "mistral": {"sliding_window": None}}.get(family, {})
    reference = learned(made(tmp_path / "base", family, change, **more), tmp_path, **how)
    found = proven(written(reference, tmp_path), reference, tmp_path)
    assert not found.failed, [one.told for one in found.failed]
    assert [one.name for one in found.checks if one.name in NAMES] == NAMES
    off, change_of, again = (found.figure(name) for name in NAMES)
    assert off is not None and off < 1e-4 and change_of is not None and change_of < 0.01 and again == 0
    assert any(one.name.startswith("rise of the loss") for one in found.checks)
    matrix_page.told("write", family, "gguf_lora:f16", "works")


def test_the_files_are_those_of_llama_cpp(sound: tuple[Path, Reference, Path]) -> None:
    from gguf import GGUFReader

    folder = sound[2]
    read = GGUFReader(folder / ADAPTER)
    said = {name: field.contents() for name, field in read.fields.items()}
    assert (said["general.type"], said["adapter.type"], said["adapter.lora.alpha"]) == ("adapter", "lora", 16.0)
    assert said["general.architecture"] == "llama" and said["seedbed.data_hash"] == "abc"
    shapes = {tensor.name: list(map(int, tensor.shape)) for tensor in read.tensors}
    assert len(shapes) == 2 * 7 * 2 and shapes["blk.2.attn_k.weight.lora_a"] == [32, 4]
    assert shapes["blk.2.attn_k.weight.lora_b"] == [4, 16] and not any(name.startswith("blk.1.") for name in shapes)
    assert (folder / "Modelfile").read_text().splitlines()[:2] == ["FROM ./base.gguf", "ADAPTER ./adapter.gguf"]
    assert not {name for name in GGUFReader(folder / BASE).fields if "data_hash" in name or "model_hash" in name}


def test_tasks_share_one_base_file(base: Path, sound: tuple[Path, Reference, Path], tmp_path: Path) -> None:
    other = written(learned(base, tmp_path, seed=5), tmp_path)
    assert (other / BASE).read_bytes() == (sound[2] / BASE).read_bytes()
    assert (other / ADAPTER).read_bytes() != (sound[2] / ADAPTER).read_bytes()


def test_layers_of_other_ranks_and_scales(base: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    backbone = Backbone.open(base, dtype=torch.float32, vocabulary=True)
    model = get_peft_model(backbone.root, LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], rank_pattern={"down_proj": 2},
        alpha_pattern={"layers.1.self_attn.q_proj": 24}))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for name, one in model.named_parameters():
            if "lora_B" in name:
                one.normal_(std=0.1)
    save_adapter(model, tmp_path / "adapter")
    merge(backbone, model)
    backbone.save(tmp_path / "model")
    reference = Reference.open(tmp_path / "model", apart=Parts(base, tmp_path / "adapter", Reference.open(base)))
    found = proven(written(reference, tmp_path), reference, tmp_path)
    assert not found.failed and (found.figure(CHANGE) or 0) < 0.01


def test_at_8_bits(sound: tuple[Path, Reference, Path]) -> None:
    place, reference, _ = sound
    found = proven(written(reference, place, "q8_0"), reference, place, "q8_0")
    assert not found.failed and 1e-6 < (found.figure(CHANGE) or 0) < 0.15
    matrix_page.told("write", "llama", "gguf_lora:q8_0", "works")


def test_at_4_bits(sound: tuple[Path, Reference, Path]) -> None:
    place, reference, _ = sound
    found = proven(written(reference, place, "q4_k_m"), reference, place, "q4_k_m")
    assert {one.name for one in found.failed} <= {"same next word"}  # near ties of random numbers
    assert 1e-6 < (found.figure(CHANGE) or 0) < 0.2


def faults(found: Certificate) -> list[str]:
    return [one.name for one in found.failed]


def test_an_adapter_that_is_not_put_on_is_found_out(sound: tuple[Path, Reference, Path],
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    place, reference, folder = sound
    monkeypatch.setattr(LlamaAdapted, "switch", lambda self, on: self.forget())
    failed = proven(folder, reference, place).failed
    assert {CHANGE, "divergence, short text", "divergence, long text"} <= {one.name for one in failed}
    assert next(one.found for one in failed if one.name == CHANGE) == pytest.approx(1, abs=0.01)


def test_a_weak_one_too_even_at_4_bits(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A divergence of 0.2 nats is allowed there: more than such an adapter changes."""
    reference = learned(base, tmp_path, strength=0.05)
    folder = written(reference, tmp_path, "q4_k_m")
    monkeypatch.setattr(LlamaAdapted, "switch", lambda self, on: self.forget())
    failed = faults(proven(folder, reference, tmp_path, "q4_k_m"))
    assert CHANGE in failed and not any(one.startswith("divergence") for one in failed)


@pytest.mark.parametrize(("scale", "off"), [(0.5, 0.25), (2.0, 1.0), (-1.0, 4.0)])
def test_a_wrong_scale_is_found_out(sound: tuple[Path, Reference, Path], scale: float, off: float, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    place, reference, _ = sound
    right = gguf_adapter.scale_of
    monkeypatch.setattr(gguf_adapter, "scale_of", lambda *given: scale * right(*given))
    folder = tmp_path / "out"
    folder.mkdir()
    GgufLoraTarget().write(place / "model", folder, "f16", FACTS, reference)
    found = proven(folder, reference, place)
    assert CHANGE in faults(found) and "divergence without the adapter" not in faults(found)
    assert found.figure(CHANGE) == pytest.approx(off, rel=0.6)


def test_one_that_stays_on_and_one_in_another_order_are_found_out(
        sound: tuple[Path, Reference, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, reference, folder = sound
    switch = LlamaAdapted.switch
    with monkeypatch.context() as patch:
        patch.setattr(LlamaAdapted, "switch", lambda self, on: switch(self, True))
        assert {"divergence without the adapter", CHANGE} <= set(faults(proven(folder, reference, place)))
    times = iter(range(99))

    def weaker(self: Any, on: bool) -> None:
        """Each time that it is put on, less of it is."""
        self.forget()
        self._code.llama_set_adapters_lora(self._context, (c.c_void_p * 1)(self._adapter), int(on),
                                           (c.c_float * 1)(0.95 ** next(times)))
    with monkeypatch.context() as patch:
        patch.setattr(LlamaAdapted, "switch", weaker)
        assert "divergence after the adapter was off" in faults(proven(folder, reference, place))
    write = gguf_adapter.write_adapter
    monkeypatch.setattr("seedbed.export.targets.gguf_lora.write_adapter", lambda file, adapter, family, *more: write(
        file, adapter, type("As", (gguf_family.Family,), {"name": "llama"})(), *more))
    (tmp_path / "out").mkdir()
    GgufLoraTarget().write(place / "model", tmp_path / "out", "f16", FACTS, reference)
    assert CHANGE in faults(proven(tmp_path / "out", reference, place))


def test_what_llama_cpps_adapters_have_not_is_refused(base: Path, sound: tuple[Path, Reference, Path],
                                                      tmp_path: Path) -> None:
    place, _, folder = sound
    config = json.loads((place / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text("")
    for change, told in (({"use_dora": True}, "DoRA's lengths"), ({"bias": "all"}, "no plain LoRA"),
                         ({"modules_to_save": ["lm_head"]}, "whole layers beside it"),
                         ({"trainable_token_indices": [5]}, "words that were trained")):
        (tmp_path / "adapter_config.json").write_text(json.dumps(config | change))
        with pytest.raises(UserError, match=told) as found:
            gguf_adapter.settings_of(tmp_path)
        assert "--to gguf" in found.value.hint
    write = partial(GgufLoraTarget().write, place / "model", tmp_path, "f16", FACTS)
    for without in (None, Reference.open(place / "model")):
        with pytest.raises(UserError, match="no base and adapter to be written apart"):
            write(without)
    with pytest.raises(UserError, match="Adapters of the family falcon are not written apart"):
        GgufLoraTarget().refuse(made(tmp_path / "falcon", "falcon"), "f16")
    with pytest.raises(CorruptFile, match=r"cannot put .*base\.gguf on base\.gguf"):
        LlamaAdapted(folder / BASE, folder / BASE, 64, 1)
