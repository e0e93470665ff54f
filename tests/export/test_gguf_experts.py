"""Mixtures of experts in GGUF files: who is asked, how much each counts, and the one that all ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sample_writer import FACTS, made, prove, write

from seedbed.errors import UserError
from seedbed.export.gguf_experts import Qwen2Moe
from seedbed.export.targets.gguf import FILE, GgufTarget
from seedbed.export.writer_reference import Reference
from seedbed.models.template import Row

pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")
LONG = {"max_position_embeddings": 512}


def failed(model: Path, folder: Path) -> set[str]:
    folder.mkdir()
    GgufTarget().write(model, folder, "f16", FACTS)
    return {one.name for one in prove(GgufTarget(), folder, model, "f16").failed}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("experts"), "qwen2_moe", **LONG)


@pytest.mark.parametrize("more", [
    {}, {"tie_word_embeddings": False}, {"num_experts_per_tok": 4}, {"num_experts": 12, "num_experts_per_tok": 1}])
def test_llama_cpp_answers_as_qwen2_moe(more: dict[str, Any], tmp_path: Path) -> None:
    model = made(tmp_path / "model", "qwen2_moe", **LONG | more)
    found = prove(GgufTarget(), write(GgufTarget(), model, tmp_path / "out", "f16"), model, "f16")
    assert not found.failed, [one.told for one in found.failed]
    assert sum(one.n for one in found.checks if one.name.startswith("divergence, ")) == 400
    assert 0 < (found.figure("divergence, long text") or 0) < 1e-3  # at a near tie another expert is asked


@pytest.mark.parametrize("wrong", ["order", "gate", "shared", "count", "up"])
def test_what_is_broken_is_found_out(wrong: str, model: Path, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    import gguf

    true, count = Qwen2Moe.tensors, gguf.GGUFWriter.add_expert_used_count

    def tensors(self: Qwen2Moe, stored: Any, config: Any) -> Any:
        for name, values in true(self, stored, config):
            if wrong == "order" and name.endswith("experts.down_proj.weight"):
                values = values[::-1]
            if wrong == "gate" and name.endswith("mlp.gate.weight"):
                values = np.roll(values, 1, 0)
            if wrong == "shared" and name.endswith("shared_expert_gate.weight"):
                values = -values
            if wrong == "up" and ".experts." in name:
                name = name.replace("up_proj", "x").replace("gate_proj", "up_proj").replace("x.w", "gate_proj.w")
            yield name, values
    monkeypatch.setattr(Qwen2Moe, "tensors", tensors)
    if wrong == "count":
        monkeypatch.setattr(gguf.GGUFWriter, "add_expert_used_count", lambda self, _: count(self, 1))
    found = failed(model, tmp_path / "out")
    assert "divergence, long text" in found and "divergence of single steps" not in found


@pytest.mark.parametrize(("more", "told"), [
    ({"norm_topk_prob": True}, "add up to one"), ({"decoder_sparse_step": 2}, "have no experts"),
    ({"mlp_only_layers": [1]}, "have no experts"), ({"hidden_act": "gelu"}, "The activation gelu"),
    ({"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 4}, "looks back 16 tokens")])
def test_what_its_graph_has_otherwise_is_refused(more: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told) as found:
        GgufTarget().refuse(made(tmp_path / "model", "qwen2_moe", **more), "f16")
    assert "seedbed generate" in found.value.hint


def test_the_refusal_of_weights_that_add_up_is_right(tmp_path: Path) -> None:
    """Written all the same, such a file answers otherwise: llama.cpp weighs the experts as the router says."""
    assert "divergence, long text" in failed(made(tmp_path / "model", "qwen2_moe", norm_topk_prob=True, **LONG),
                                             tmp_path / "out")


def test_at_four_bits_what_chooses_the_experts_stays_whole(tmp_path: Path) -> None:
    """Experts are packed with no importance of columns, the rest by what the rows use."""
    from gguf import GGUFReader

    model = made(tmp_path / "model", "qwen2_moe", hidden_size=256, moe_intermediate_size=256, initializer_range=0.05,
                 shared_expert_intermediate_size=256, **LONG)
    rows = [Row(list(range(3, 40)), [True] * 37), Row(list(range(40, 60)), [True] * 20)]
    reference = Reference.open(model, learned=rows)
    name = "model.layers.0.mlp.shared_expert.up_proj.weight"
    seen = list[torch.Tensor]()
    hook = reference.root.get_submodule(name.removesuffix(".weight")).register_forward_pre_hook(
        lambda module, given: seen.append(given[0]))
    with torch.inference_mode():
        for row in rows:
            reference.root.base_model(input_ids=torch.tensor([row.ids]))
    hook.remove()
    assert np.allclose(reference.importance[name], torch.cat(seen).square().mean(0), rtol=1e-4)
    (tmp_path / "out").mkdir()
    GgufTarget().write(model, tmp_path / "out", "q4_k_m", FACTS, reference)
    kinds = {t.name: (t.tensor_type.name, t.shape.tolist()) for t in GGUFReader(tmp_path / "out" / FILE).tensors}
    assert kinds["blk.1.ffn_gate_inp.weight"] == ("F32", [256, 4])
    assert kinds["blk.1.ffn_gate_inp_shexp.weight"] == ("F32", [256])
    assert kinds["blk.1.ffn_gate_exps.weight"] == ("Q4_K", [256, 256, 4])
    assert kinds["blk.2.ffn_down_exps.weight"][0] == kinds["blk.2.ffn_down_shexp.weight"][0] == "Q6_K"
    assert (kinds["output.weight"][0], kinds["token_embd.weight"][0]) == ("Q6_K", "Q4_K")
    found = prove(GgufTarget(), tmp_path / "out", model, "q4_k_m")
    assert {one.name for one in found.failed} <= {"same next word"}  # near ties: the words are random numbers
