from __future__ import annotations

import numpy as np
import pytest
import tiny
from transformers import AutoTokenizer

from seedbed.errors import UserError
from seedbed.models.windows import windows

TEXTS = [*tiny.TEXTS, " ", "the box came on monday " * 20, "x" * 90]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("most", [8, 16, 33, 500])
@pytest.mark.parametrize("family", ["bert", "llama", "gemma3"])
def test_every_token_counts_once_where_it_sees_most(family: str, most: int, causal: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.model(family))
    whole = tokenizer(TEXTS, add_special_tokens=False, return_offsets_mapping=True)
    for number, cut in enumerate(windows(tokenizer, TEXTS, most, causal)):
        ids = whole["input_ids"][number]
        assert cut.offsets == [tuple(one) for one in whole["offset_mapping"][number]]
        assert sorted(np.concatenate([one.tokens for one in cut.windows])) == list(range(len(ids)))
        for one in cut.windows:
            assert len(one.ids) <= most
            assert [one.ids[at] for at in one.places] == [ids[at] for at in one.tokens]
        special = tokenizer.num_special_tokens_to_add(False)
        assert (len(cut.windows) == 1) == (len(ids) + special <= most)
        if len(cut.windows) > 1 and most > 8:
            least = int((most - special) * 0.25)  # tokens that two windows share
            before = [one.places.min() - (special > 0) for one in cut.windows[1:]]
            assert min(before) >= (least if causal else least // 2)


def test_a_tokenizer_without_places_is_refused() -> None:
    class Slow:
        is_fast = False
    with pytest.raises(UserError, match="does not say where"):
        windows(Slow(), ["a"], 16)
    assert windows(AutoTokenizer.from_pretrained(tiny.model("bert")), [], 16) == []
