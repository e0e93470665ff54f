"""Tiny models to take parts from, and texts to see by which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny
import torch

from seedbed.compress.calibration import Calibration
from seedbed.compress.whole import Whole
from seedbed.models.template import Row

TEXTS = tiny.sentences(12)[0]


def opened(family: str, texts: list[str] = TEXTS) -> tuple[Whole, Calibration]:
    """A tiny model, and texts that it is calibrated by."""
    whole = Whole.open(tiny.model(family))
    rows = [Row(list(ids), [True] * len(ids)) for ids in whole.tokenizer(texts)["input_ids"]]
    return whole, Calibration(whole, rows, family != "bert")


@torch.inference_mode()
def output(model: Any, ids: list[int]) -> torch.Tensor:
    """What the body gives for a text. [tokens, width]"""
    out: torch.Tensor = model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    return out


def again(whole: Whole, folder: Path) -> Any:
    """The model as plain transformers opens it from a folder."""
    from transformers import AutoModel, AutoModelForCausalLM

    whole.save(folder)
    kind = AutoModel if whole.model.config.model_type == "bert" else AutoModelForCausalLM
    return kind.from_pretrained(folder)
