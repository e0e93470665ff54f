"""Every card is whole and agrees with itself; a user's own cards are read as strictly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from seedbed.catalog.architecture import Architecture, parameters
from seedbed.catalog.cards import BUILT_IN, Card, card, cards
from seedbed.catalog.hub import ADDRESS as HUB
from seedbed.catalog.wheel import ADDRESS as WHEEL
from seedbed.errors import DataError, NotFound

MISSION = ("qwen2-0.5b-instruct", "qwen2-1.5b-instruct", "qwen2-7b-instruct", "smollm2-135m-instruct",
           "smollm2-360m-instruct", "smollm2-1.7b-instruct", "deepseek-r1-distill-qwen-1.5b",
           "deepseek-r1-distill-qwen-7b", "deepseek-r1-distill-llama-8b", "mobilellama-1.4b-chat", "gemma-3-270m-it",
           "gemma-3-1b-it", "gemma-3-4b-it", "llama-3-8b-instruct", "llama-3.2-1b-instruct", "llama-3.2-3b-instruct",
           "mistral-7b-instruct-v0.3", "falcon-7b-instruct", "all-minilm-l6-v2", "flan-t5-small", "biomistral-7b",
           "me-llama-13b-chat", "finbert")
ALL = sorted(cards())


def test_every_system_of_the_mission_has_a_card() -> None:
    assert set(MISSION) <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_card_is_whole(name: str) -> None:
    one = card(name)
    assert (BUILT_IN / f"{name}.yaml").is_file() and one.id == name
    assert one.good_for and one.bad_for and one.home.startswith("https://")
    assert one.sources or one.gated, "what cannot be fetched says why"
    assert one.licence or one.licence_note
    for source in one.sources:
        pattern = {"hub": HUB, "pypi": WHEEL}[source.kind]
        found = pattern.fullmatch(source.place)
        assert found, source.address
        if source.kind == "hub":
            assert re.fullmatch(r"[0-9a-f]{40}", found["revision"]), "a revision that cannot move"
        else:
            assert source.sha256, "every file of a wheel is known"


@pytest.mark.parametrize("name", [n for n in ALL if cards()[n].parameters and cards()[n].architecture])
def test_stated_parameters_agree_with_the_config(name: str) -> None:
    one = card(name)
    assert one.architecture is not None and one.parameters is not None
    assert parameters(one.architecture).total == pytest.approx(one.parameters, rel=0.02)


SMALL: dict[str, dict[str, Any]] = {
    "llama": {"layers": 3, "hidden": 64, "intermediate": 96, "heads": 4, "kv_heads": 2, "head_dim": 16},
    "mistral": {"layers": 2, "hidden": 64, "intermediate": 96, "heads": 4, "kv_heads": 2, "head_dim": 16},
    "qwen2": {"layers": 2, "hidden": 64, "intermediate": 96, "heads": 4, "kv_heads": 2, "head_dim": 16},
    "gemma3": {"layers": 2, "hidden": 64, "intermediate": 96, "heads": 4, "kv_heads": 1, "head_dim": 32},
    "falcon": {"layers": 2, "hidden": 64, "intermediate": 256, "heads": 4, "kv_heads": 1, "head_dim": 16},
    "bert": {"layers": 2, "hidden": 64, "intermediate": 96, "heads": 4, "kv_heads": 4, "head_dim": 16,
             "positions": 40},
    "t5": {"layers": 2, "decoder_layers": 3, "hidden": 64, "intermediate": 96, "heads": 3, "kv_heads": 3,
           "head_dim": 16},
}


# A bare encoder has no head to tie. T5's class always ties at first and unties when a checkpoint brings a head, as
# FLAN-T5's does: its published count holds that case.
@pytest.mark.parametrize(("family", "tied"), [(f, t) for f in SMALL for t in (True, False)
                                              if t or f not in ("bert", "t5")])
def test_the_count_is_that_of_the_real_class(family: str, tied: bool) -> None:
    import transformers as t

    shape = Architecture(model_class="-", family=family, vocabulary=100, tied_embeddings=tied, **SMALL[family])
    common = {"vocab_size": 100, "hidden_size": shape.hidden, "num_hidden_layers": shape.layers,
              "num_attention_heads": shape.heads, "tie_word_embeddings": tied}
    gated = {**common, "intermediate_size": shape.intermediate, "num_key_value_heads": shape.kv_heads,
             "head_dim": shape.head_dim}
    if family == "llama":
        model = t.LlamaForCausalLM(t.LlamaConfig(**gated))
    elif family == "mistral":
        model = t.MistralForCausalLM(t.MistralConfig(**gated))
    elif family == "qwen2":
        model = t.Qwen2ForCausalLM(t.Qwen2Config(**gated))
    elif family == "gemma3":
        model = t.Gemma3ForCausalLM(t.Gemma3TextConfig(**gated))
    elif family == "falcon":
        model = t.FalconForCausalLM(t.FalconConfig(**common, multi_query=True, parallel_attn=True, bias=False,
                                                   new_decoder_architecture=False))
    elif family == "bert":
        model = t.BertModel(t.BertConfig(**common, intermediate_size=96, max_position_embeddings=40))
    else:
        model = t.T5ForConditionalGeneration(t.T5Config(
            vocab_size=100, d_model=64, d_ff=96, d_kv=16, num_heads=3, num_layers=2, num_decoder_layers=3,
            feed_forward_proj="gated-gelu", tie_word_embeddings=tied))
    assert parameters(shape).total == sum(p.numel() for p in model.parameters())


def test_a_card_is_found_by_its_hub_name_and_in_any_case() -> None:
    assert card("HuggingFaceTB/SmolLM2-135M-Instruct") is card(" SmolLM2-135M-Instruct ")


@pytest.mark.parametrize(("wanted", "near"), [("smollm2-135m", "smollm2-135m-instruct"),
                                              ("minilm", "all-minilm-l6-v2")])
def test_a_near_miss_is_suggested(wanted: str, near: str) -> None:
    with pytest.raises(NotFound, match=re.escape(wanted)) as caught:
        card(wanted)
    assert near in caught.value.hint


@pytest.mark.parametrize("wanted", ["", "zzzzzz"])
def test_nothing_near_says_how_to_list(wanted: str) -> None:
    with pytest.raises(NotFound) as caught:
        card(wanted)
    assert "seedbed models" in caught.value.hint


USERS = """id: mine
title: Mine
licence: null
commercial: null
languages: []
tasks: [classify]
good_for: a test
bad_for: all else
"""


def _write(home: Path, text: str | bytes) -> None:
    (home / "cards").mkdir()
    (home / "cards" / "mine.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_users_own_card_is_found(home: Path) -> None:
    _write(home, USERS)
    assert card("mine").title == "Mine" and len(cards()) == len(ALL) + 1


def test_another_ending_and_a_folder_by_that_name(home: Path) -> None:
    _write(home, USERS)
    (home / "cards" / "mine.yaml").rename(home / "cards" / "mine.yml")
    assert card("mine").title == "Mine"
    (home / "cards" / "other.yaml").mkdir()
    with pytest.raises(DataError, match=r"other\.yaml cannot be read"):
        cards()


@pytest.mark.parametrize(("text", "told"), [
    (USERS + "surprise: 1\n", "surprise"),
    (USERS.replace("[classify]", "[fly]"), "tasks.0"),
    (USERS.replace("[classify]", "[]"), "tasks"),
    (USERS.replace("id: mine", "id: Has Space"), "id"),
    (USERS.replace("id: mine", "id: finbert"), "finbert"),
    (USERS + "context: -4\n", "context"),
    ("id: [", ", line "),
    ("- a list\n", "mine.yaml"),
    ("", "mine.yaml"),
    (b"\xff\xfe\x00", "mine.yaml"),
    (USERS + "sources: [{address: 'folder:/x', format: gguf, stored: int4, sha256: {a: b}}]\n", "sha256"),
    (USERS + f"sources: [{{address: 'folder:/x', format: gguf, stored: int4, sha256: {{../a: {'0' * 64}}}}}]\n",
     "sha256"),
])
def test_a_wrong_card_says_where(home: Path, text: str | bytes, told: str) -> None:
    _write(home, text)
    with pytest.raises(DataError) as caught:
        cards()
    assert "mine.yaml" in caught.value.message and told in caught.value.message and caught.value.hint


def test_a_card_without_a_count_gets_it_from_the_shape() -> None:
    assert card("mobilellama-1.4b-chat").parameters is None
    assert card("mobilellama-1.4b-chat").count == 1_364_297_728
    assert Card.model_validate({**card("mobilellama-1.4b-chat").model_dump(), "architecture": None}).count is None
