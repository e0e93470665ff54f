from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from seedbed.data.turns import Conversation
from seedbed.engines.drawing import draw
from seedbed.engines.sampling import Sampling
from seedbed.engines.writer import Writer
from seedbed.errors import UserError


@pytest.mark.parametrize("family", (*tiny.DECODERS, *tiny.PAIRED))
def test_it_writes_what_transformers_generates(family: str) -> None:
    writer = Writer.open(tiny.model(family))
    tokenizer = writer.backbone.tokenizer
    paired = family in tiny.PAIRED
    kind = AutoModelForSeq2SeqLM if paired else AutoModelForCausalLM
    model = kind.from_pretrained(tiny.model(family), dtype=torch.float32)
    for text in ("the box came", "great and lovely fast box on monday with a paper label inside"):  # past the window
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        want = model.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=list(writer.ends),
                              attention_mask=torch.ones_like(ids), pad_token_id=0)[0, 1 if paired else ids.shape[1]:]
        made = "".join(writer.go_on(text, Sampling(max_tokens=24)))
        assert made == tokenizer.decode(want, skip_special_tokens=True)


class Said(Writer):
    """Writes given tokens, to see how pieces are cut."""

    def __init__(self, writer: Writer, tokens: list[int]) -> None:
        self.__dict__ |= vars(writer)
        self.tokens = tokens

    def _tokens(self, ids: Any, sampling: Sampling, most: int) -> Any:
        yield from self.tokens[:most]


def pieces(text: str, **sampling: Any) -> list[str]:
    writer = Writer.open(tiny.model("llama"))
    tokens = writer.backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    return list(Said(writer, tokens).go_on("x", Sampling(**sampling)))


def test_pieces_are_whole_characters() -> None:
    made = pieces("naïve 好 👍 the end")
    assert "".join(made) == "naïve 好 👍 the end"
    assert len(made) > 5 and not any("\ufffd" in piece for piece in made)


@pytest.mark.parametrize(("stop", "want"), [
    (("monday",), "the box came on "), (("mond", "box"), "the "), (("zebra",), "the box came on monday"),
    (("the",), ""), (("",), "the box came on monday")])
def test_it_ends_at_a_stop_text_and_shows_nothing_of_it(stop: tuple[str, ...], want: str) -> None:
    made = pieces("the box came on monday", stop=stop)
    assert "".join(made) == want


def test_adraw_is_fixed_by_its_seed_and_narrowed_by_top_p() -> None:
    scores = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))

    def drawn(seed: int, **sampling: Any) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return [draw(scores, Sampling(**sampling), generator) for _ in range(2000)]
    assert set(drawn(0)) == {0}
    free = drawn(1, temperature=1.0)
    assert free == drawn(1, temperature=1.0) != drawn(2, temperature=1.0)
    assert free.count(0) / 2000 == pytest.approx(0.5, abs=0.05)
    assert set(free) == {0, 1, 2, 3}
    assert set(drawn(1, temperature=1.0, top_p=0.6)) == {0, 1}  # the second is needed to hold 60 %
    assert set(drawn(1, temperature=1.0, top_p=0.4)) == {0}


def test_without_a_chat_template_turns_follow_each_other_as_in_training() -> None:
    writer = Writer.open(tiny.model("llama"))
    asked = [{"role": "user", "content": "the box"}]
    row = writer.template.row(Conversation((*asked, {"role": "assistant", "content": "blue"})))
    shown = writer.backbone.tokenizer.decode([i for i, on in zip(row.ids, row.learned, strict=True) if not on])
    assert shown == writer.template.prompt(asked) == "the box\n"
    few = Sampling(max_tokens=5)
    assert list(writer.answer(asked, few)) == list(writer.go_on("the box\n", few))


def test_what_cannot_be_answered_is_told() -> None:
    writer = Writer.open(tiny.model("llama"))
    with pytest.raises(UserError, match=r"has \d+ tokens and the model takes 128"):
        list(writer.go_on("slow " * 200))
    with pytest.raises(UserError, match="out of bounds"):
        list(writer.go_on("x", Sampling(temperature=-1)))


def test_an_encoder_does_not_write() -> None:
    with pytest.raises(UserError, match="reads and does not write"):
        Writer.open(tiny.model("bert"))


@pytest.mark.real
def test_the_real_model_answers(smollm2_folder: Path) -> None:
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    made = "".join(Writer.open(smollm2_folder).answer(asked, Sampling(max_tokens=12)))
    assert "Paris" in made
