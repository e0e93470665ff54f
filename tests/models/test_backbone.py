from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import transformers
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from seedbed.models import backbone as backbone_module
from seedbed.models.backbone import DESCRIPTION, Backbone, is_causal, is_encoder
from seedbed.models.batch import by_length


def opened(family: str, **options: object) -> Backbone:
    return Backbone.open(tiny.model(family), dtype=torch.float32, **options)  # type: ignore[arg-type]


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@torch.no_grad()
def reference(family: str, text: str, most: int) -> Tensor:
    """[width]: one text through plain transformers, nothing of ours."""
    folder = tiny.model(family)
    body = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"][:most] or [0]
    if family == "bert" and len(ids) == most:
        ids[-1] = 3  # [SEP] stays at the end of a cut text
    hidden = body(input_ids=torch.tensor([ids])).last_hidden_state[0]
    return torch.nn.functional.normalize(hidden.mean(0), dim=0) if family == "bert" else hidden[-1]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_embed_equals_one_by_one_with_plain_transformers(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone_module, "TOKENS_PER_BATCH", 64)  # several batches, with padding in them
    model = opened(family)
    most = 48 if family == "bert" else 128
    assert model.max_tokens == most
    seen: list[int] = []
    found = model.embed(tiny.TEXTS, seen.append)
    assert sum(seen) == len(tiny.TEXTS)
    assert len(seen) > 2
    assert max(seen) > 1
    assert found.shape == (len(tiny.TEXTS), 32)
    for text, vector in zip(tiny.TEXTS, found, strict=True):
        assert far(vector, reference(family, text, most)) < 1e-5, text


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_padding_never_changes_a_vector(family: str, pooling: str) -> None:
    model = opened(family, pooling=pooling)
    rows = model.tokens(["great box"])
    alone = model(model.batch(rows))[0]
    for longer in (3, 20, 90):
        together = model.batch([rows[0], [5] * longer])
        assert int(together.lengths[0]) == len(rows[0])
        assert far(model(together)[0], alone) < 1e-5


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_order_is_kept(family: str) -> None:
    model = opened(family)
    texts = tiny.sentences(80)[0]
    order = list(range(80))
    random.Random(0).shuffle(order)
    assert far(model.embed([texts[i] for i in order]), model.embed(texts)[order]) < 1e-5


def test_pooling_kinds() -> None:
    model = opened("bert")
    hidden = torch.arange(24.0).view(2, 3, 4)
    lengths = torch.tensor([3, 2])
    expected = {"last": [hidden[0, 2], hidden[1, 1]], "cls": [hidden[0, 0], hidden[1, 0]],
                "mean": [hidden[0].mean(0), hidden[1, :2].mean(0)]}
    for normalized in (False, True):
        for kind, wanted in expected.items():
            model.pooling, model.normalized = kind, normalized
            found = model.pool(hidden, lengths)
            rows = torch.stack([w / w.norm() if normalized else w for w in wanted])
            assert torch.allclose(found, rows), kind
            assert found.dtype == torch.float32


@pytest.mark.parametrize(("flags", "expected"), [
    ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
    ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, "last"),
    ({"pooling_mode_mean_tokens": True}, "mean")])
def test_what_a_sentence_transformers_folder_says_is_done(flags: dict[str, bool], expected: str,
                                                          tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.model("bert"), tmp_path / "model"))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 9}))
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:2]))  # no Normalize
    model = Backbone.open(folder)
    assert (model.pooling, model.normalized, model.max_tokens) == (expected, False, 9)
    assert float(model.embed(["great box"]).norm()) != pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_long_texts_are_cut_and_short_ones_are_not(family: str) -> None:
    model = opened(family, max_tokens=10)
    lengths = [len(row) for row in model.tokens(tiny.TEXTS)]
    full = [len(row) for row in opened(family).tokens(tiny.TEXTS)]
    assert lengths == [min(10, n) for n in full]
    assert min(lengths) >= 1
    assert sum(n > 10 for n in full) >= 2
    assert opened(family, max_tokens=10_000).max_tokens == 128  # no more than the positions the model has


@pytest.mark.parametrize(("config", "encoder", "causal"), [
    ("BertConfig", True, False), ("RobertaConfig", True, False), ("XLMRobertaConfig", True, False),
    ("DebertaV2Config", True, False), ("MPNetConfig", True, False), ("AlbertConfig", True, False),
    ("DistilBertConfig", True, False), ("ElectraConfig", True, False), ("ModernBertConfig", True, False),
    ("CamembertConfig", True, False), ("LlamaConfig", False, True), ("Qwen2Config", False, True),
    ("MistralConfig", False, True), ("Gemma3TextConfig", False, True), ("FalconConfig", False, True),
    ("T5Config", False, False)])
def test_who_sees_what(config: str, encoder: bool, causal: bool) -> None:
    made = getattr(transformers, config)()
    assert (is_encoder(made), is_causal(made)) == (encoder, causal)


def test_a_decoder_told_to_look_both_ways_is_not_causal() -> None:
    assert not is_causal(transformers.Gemma3TextConfig(use_bidirectional_attention=True))


def test_nothing_to_embed() -> None:
    assert opened("llama").embed([]).shape == (0, 32)


def test_embed_leaves_the_mode_as_it_was() -> None:
    model = opened("bert")
    assert not model.training
    before = model.embed(["great"])
    model.train()
    assert torch.equal(model.embed(["great"]), before)  # no dropout
    assert model.training
    assert model.body.training


OPEN = """
import sys, numpy, torch
from pathlib import Path
from seedbed.models.backbone import Backbone
sys.path.insert(0, sys.argv[1])
import tiny
torch.set_num_threads(1)
for family in tiny.FAMILIES:
    model = Backbone.open(Path(sys.argv[2]) / family, dtype=torch.float32)
    numpy.save(Path(sys.argv[2]) / f"{family}.npy", model.embed(tiny.TEXTS).numpy())
"""


def test_what_was_saved_opens_in_a_fresh_process(tmp_path: Path) -> None:
    before = {}
    for family in tiny.FAMILIES:
        model = opened(family, max_tokens=20, pooling="cls" if family == "bert" else None)
        before[family] = model.embed(tiny.TEXTS)
        model.save(tmp_path / family)
        assert torch.equal(model.embed(tiny.TEXTS), before[family])  # saving changed nothing here
        assert json.loads((tmp_path / family / DESCRIPTION).read_text()) == {
            "pooling": model.pooling, "normalized": family == "bert", "max_tokens": 20}
    done = subprocess.run([sys.executable, "-c", OPEN, str(Path(tiny.__file__).parent), str(tmp_path)],
                          capture_output=True, text=True, env={"OMP_NUM_THREADS": "1", "SEEDBED_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "Loading weights" not in done.stderr  # rooms never print
    for family, vectors in before.items():
        assert np.array_equal(np.load(tmp_path / f"{family}.npy"), vectors.numpy()), family


@pytest.mark.parametrize("first", range(tiny.LAYERS))
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_boundary_and_replay_equal_the_straight_pass(family: str, first: int) -> None:
    """Gemma 3 alternates windowed and full layers, so a layer must keep its place in the list."""
    model = opened(family)
    batch = model.batch(model.tokens([t for t in tiny.TEXTS if t]))
    assert int(batch.lengths.max()) > 40  # longer than the window of 8
    straight = model(batch)
    layers = list(model.layers)
    stored = model.boundary(batch, first)
    assert stored.shape == (*batch.ids.shape, 32)
    with model.replaying(stored, first):
        assert far(model(batch), straight) < 1e-6
        below = [p for layer in model.layers[:first] for p in layer.parameters()]
        assert below == []
    assert list(model.layers) == layers
    assert torch.equal(model(batch), straight)


def test_replay_ends_when_the_pass_fails() -> None:
    model = opened("llama")
    layers = list(model.layers)
    with pytest.raises(KeyboardInterrupt), model.replaying(torch.zeros(1, 1, 32), 2):
        raise KeyboardInterrupt
    assert list(model.layers) == layers
    assert not model.layers[2]._forward_pre_hooks


@pytest.mark.parametrize("tokens", [1, 30, 100, 10_000])
def test_by_length_holds_every_place_once_within_the_bound(tokens: int) -> None:
    pick = random.Random(tokens)
    lengths = [pick.randrange(1, 60) for _ in range(200)]
    batches = by_length(lengths, tokens)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= tokens for b in batches)
    assert max(lengths[i] for i in batches[0]) == max(lengths)
    assert by_length([], tokens) == []


@pytest.mark.parametrize(("dtype", "longest", "padded"), [
    (torch.float32, 9, 9), (torch.bfloat16, 9, 16), (torch.bfloat16, 16, 16), (torch.bfloat16, 17, 24)])
def test_in_bf16_batches_have_few_lengths(dtype: torch.dtype, longest: int, padded: int) -> None:
    model = Backbone.open(tiny.model("llama"), dtype=dtype, max_tokens=24)  # never longer than the model's own limit
    batch = model.batch([[1] * longest, [1] * 3])
    assert tuple(batch.ids.shape) == (2, padded)
    assert batch.lengths.tolist() == [longest, 3]
    alone = model(model.batch([[1] * 3]))
    assert torch.allclose(model(batch)[1:], alone, atol=0.05)
