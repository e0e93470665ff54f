"""Tiny models of true architecture that chat and stop, for export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny
import torch

TEMPLATE = ("{% for message in messages %}{% if loop.first and message['role'] != 'system' %}{{ '<s>system\nBe kind."
            "</s>\n' }}{% endif %}{{ '<s>' + message['role'] + '\n' + message['content'] + '</s>\n' }}{% endfor %}{%"
            " if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}")
FACTS = {"name": "tiny", "licence": "Apache-2.0", "data_hash": "abc"}
Change = Callable[[Any, Any], Any]


def made(folder: Path, family: str = "llama", change: Change | None = None, **more: Any) -> Path:
    """A tiny model of that family that chats and stops at `<eos>` and `</s>`.

    Args:
        change: does something to the model and its tokenizer, or gives another tokenizer.
        more: values of its config.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny.model(family))
    config = AutoConfig.from_pretrained(tiny.model(family), **more)
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    tokenizer.chat_template = TEMPLATE
    model.generation_config.eos_token_id = [0, tokenizer.convert_tokens_to_ids("</s>")]
    if change:
        tokenizer = change(model, tokenizer) or tokenizer
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tuned(model: Any, tokenizer: Any) -> None:
    """A change to the weights, as a training makes."""
    with torch.no_grad():
        weight = model.model.layers[-1].mlp.down_proj.weight
        weight += 0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
