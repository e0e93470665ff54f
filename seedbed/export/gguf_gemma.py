"""Gemma in GGUF files: windows that layers look back through, norms around zero, heads of a width of their own."""

from __future__ import annotations

from typing import Any

from ..tasks.classify import Floats
from .gguf_family import Family, add_rope, head_of, rope_of

SLIDING, FULL = "sliding_attention", "full_attention"


class Gemma3(Family):
    """Gemma 3 that reads text. Layers with a window turn heads at another pace than those without."""

    name = "gemma3"
    activation = "gelu_pytorch_tanh"
    windowed = True
    wide = 62
    """Layers of its largest model: llama.cpp scales the queries of that otherwise."""
    kinds: tuple[str | None, str | None] = (SLIDING, FULL)
    """Kinds of layers whose positions are told apart."""

    def refusal(self, config: Any) -> str | None:
        """What its graph has fixed: scale of the queries, order of the layers, no biases."""
        scale, fixed = config.query_pre_attn_scalar, head_of(config)
        if config.num_hidden_layers == self.wide:
            fixed = config.hidden_size // config.num_attention_heads
        near, far = (rope_of(config, kind)["rope_type"] for kind in self.kinds)
        odd = near if near != "default" else far if far not in self.ropes else None
        return next((said for wrong, said in (
            (odd, f"Positions of the kind {odd} are not exported to GGUF here."),
            (config.hidden_activation != self.activation,
             f"The activation {config.hidden_activation} is not what llama.cpp computes for {config.model_type}."),
            (scale != fixed, f"This model scales its queries by {scale}, and llama.cpp by {fixed}."),
            (config.attention_bias, "Its attention has biases, which llama.cpp does not add."),
            (self.period(config) is None, "Its layers with a window and those without do not alternate as llama.cpp "
                                          "has them: every so many-th sees all."),
            (self.capped(config), self.capped(config))) if wrong), None)

    def capped(self, config: Any) -> str | None:
        """What is wrong with how it bounds its logits."""
        bound = config.final_logit_softcapping or config.attn_logit_softcapping
        return "It bounds its logits, which not every llama.cpp does for this family." if bound else None

    def period(self, config: Any) -> int | None:
        """Of so many layers the last sees all, the others look back through the window; None for other orders."""
        kinds = list(config.layer_types)
        period = kinds.index(FULL) + 1 if FULL in kinds else len(kinds) + 1
        want = [SLIDING if (at + 1) % period else FULL for at in range(len(kinds))]
        return period if kinds == want else None

    def describe(self, out: Any, config: Any) -> None:
        """The window and the layers that have it."""
        super().describe(out, config)
        if SLIDING in config.layer_types:
            out.add_sliding_window(config.sliding_window)
            out.add_sliding_window_pattern(self.period(config))

    def place(self, out: Any, config: Any) -> None:
        """Two paces."""
        add_rope(out, rope_of(config, FULL), head_of(config))
        out.add_rope_freq_base_swa(float(rope_of(config, SLIDING)["rope_theta"]))

    def turned(self, name: str, values: Floats, config: Any) -> Floats:
        """A norm multiplies by one more than its weight."""
        return values + 1 if name.endswith("norm.weight") else values


class Gemma2(Gemma3):
    """Gemma 2: one pace of positions, and bounds for the logits and for what attention makes of them."""

    name = "gemma2"
    wide = 46
    kinds = (None, None)

    def capped(self, config: Any) -> str | None:
        """Its graph always bounds."""
        return None if config.final_logit_softcapping and config.attn_logit_softcapping else (
            "It does not bound its logits, and llama.cpp does.")

    def place(self, out: Any, config: Any) -> None:
        """One pace, and the bounds."""
        Family.place(self, out, config)
        out.add_attn_logit_softcapping(float(config.attn_logit_softcapping))
        out.add_final_logit_softcapping(float(config.final_logit_softcapping))
