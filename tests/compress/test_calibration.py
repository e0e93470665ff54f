from __future__ import annotations

import pytest
import torch
from compress.pruned import TEXTS, opened

from seedbed.compress.calibration import Calibration, computing
from seedbed.compress.families import can_be, share
from seedbed.models.template import Row


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_the_loss_is_that_of_transformers(family: str) -> None:
    whole, calibration = opened(family)
    nats, tokens = 0.0, 0
    for text in TEXTS:
        ids = torch.tensor([whole.tokenizer(text)["input_ids"]])
        nats += float(whole.model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert calibration.texts == len(TEXTS) and len(calibration.batches) < len(TEXTS)
    assert calibration.loss() == pytest.approx(nats / tokens, rel=1e-5)


def test_only_what_is_learned_counts() -> None:
    whole, _ = opened("llama")
    ids = whole.tokenizer(TEXTS[0])["input_ids"]
    rows = [Row(ids, [at == 3 for at in range(len(ids))]), Row(ids, [False] * len(ids))]
    calibration = Calibration(whole, rows, True)
    assert calibration.texts == 1  # of the other nothing is learned
    logits = whole.model(input_ids=torch.tensor([ids])).logits[0]
    assert calibration.loss() == pytest.approx(float(-logits[2].log_softmax(-1)[ids[3]]), rel=1e-5)


def test_an_encoder_is_judged_by_how_far_it_moved() -> None:
    whole, calibration = opened("bert")
    assert calibration.loss() == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        whole.model.encoder.layer[-1].output.dense.weight.mul_(-1)
    assert calibration.loss() > 0.01


def test_weights_come_back_to_the_bit() -> None:
    whole, _ = opened("qwen2")
    whole.model.to(torch.bfloat16)
    before = {name: one.clone() for name, one in whole.model.state_dict().items()}
    with computing(whole):
        assert whole.model.dtype == torch.float32
    assert all(torch.equal(one, before[name]) for name, one in whole.model.state_dict().items())


def test_shares_and_what_a_config_takes() -> None:
    assert [share(30, keep) for keep in (0.01, 0.5, 0.8, 1)] == [1, 15, 24, 30]
    assert [share(1536, keep, 32) for keep in (0.001, 0.51, 0.9)] == [32, 768, 1376]
    assert share(100, 0.5, 32) == 50  # it was no multiple before
    whole, _ = opened("llama")
    assert can_be(whole.model.config, num_attention_heads=2, head_dim=8)
    assert not can_be(whole.model.config, num_attention_heads=3, head_dim=8)
