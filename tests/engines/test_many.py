from __future__ import annotations

import pytest
import tiny

from seedbed.engines.many import answers
from seedbed.engines.sampling import Sampling
from seedbed.engines.writer import Writer
from seedbed.errors import UserError

TEXTS = ("great", "the box came on monday with a paper label inside and it was blue", "slow slow", "a fast box",
         "It was a lovely, fast box!")


@pytest.mark.parametrize("family", tiny.WRITERS)
def test_a_row_is_answered_as_if_it_were_alone(family: str) -> None:
    writer = Writer.open(tiny.model(family))
    asked = [[{"role": "user", "content": text}] for text in TEXTS]
    few = Sampling(max_tokens=12)
    assert answers(writer, asked, few) == ["".join(writer.answer(one, few)) for one in asked]


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_some_end_before_others_and_stops_are_not_written(family: str) -> None:
    writer = Writer.open(tiny.model(family))
    asked = [[{"role": "user", "content": text}] for text in TEXTS]
    whole = answers(writer, asked, Sampling(max_tokens=12))
    stop = tuple(text[4:6] for text in whole[:2])
    assert answers(writer, asked, Sampling(max_tokens=12, stop=stop)) == [
        "".join(writer.answer(one, Sampling(max_tokens=12, stop=stop))) for one in asked]


def test_draws_are_fixed_by_the_seed_and_do_not_depend_on_the_company() -> None:
    writer = Writer.open(tiny.model("llama"))
    asked = [[{"role": "user", "content": text}] for text in TEXTS]
    warm = Sampling(max_tokens=8, temperature=1.0, seed=3)
    made = answers(writer, asked, warm)
    assert answers(writer, asked, warm) == made != answers(writer, asked, Sampling(max_tokens=8, temperature=1.0))
    assert answers(writer, asked[:2], warm) == made[:2]


def test_none_and_too_long() -> None:
    writer = Writer.open(tiny.model("llama"))
    assert answers(writer, []) == []
    with pytest.raises(UserError, match="takes 128"):
        answers(writer, [[{"role": "user", "content": "slow " * 200}]])
