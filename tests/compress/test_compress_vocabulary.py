"""A model with fewer words scores those that it has as before, whatever its family."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from wordy import KINDS, MINE, OTHERS, model

from seedbed.compress.vocabulary import prove, save_tokenizer, trim, values_of
from seedbed.compress.whole import Whole
from seedbed.errors import QualityFloor, UserError


def trimmed(kind: str, folder: Path, tied: bool = True, least: int = 0) -> tuple[Whole, Whole, list[int]]:
    """The model as it is, the smaller one opened from its folder, and the kept tokens."""
    before, whole = Whole.open(model(kind, tied)), Whole.open(model(kind, tied))
    kept = trim(whole, whole.tokenizer(MINE)["input_ids"], least)
    whole.save(folder)
    save_tokenizer(folder, kept)
    return before, Whole.open(folder), kept


def scores(one: Whole, text: str) -> Any:
    ids = torch.tensor([one.tokenizer(text)["input_ids"]])
    more = {"decoder_input_ids": ids} if one.model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        out = one.model(input_ids=ids, **more)
    return out.last_hidden_state if "last_hidden_state" in out else out.logits


@pytest.mark.parametrize(("kind", "tied"), [*((kind, True) for kind in KINDS), ("byte_level", False),
                                            ("unigram", False)])
def test_kept_words_have_the_very_same_scores(kind: str, tied: bool, tmp_path: Path) -> None:
    before, after, kept = trimmed(kind, tmp_path / "small", tied)
    had, tables = before.model.config.vocab_size, 1 if tied or kind == "word_piece" else 2
    assert after.model.config.vocab_size == len(kept) == len(after.tokenizer) < 0.75 * had
    assert before.parameters - after.parameters == tables * (had - len(kept)) * before.model.get_input_embeddings(
        ).weight.shape[1]
    for text in filter(None, MINE):
        whole, small = scores(before, text), scores(after, text)
        if kind != "word_piece":
            assert small.shape[-1] == len(kept)
            whole = whole[..., kept]
        assert torch.equal(whole, small)
    assert prove(before.tokenizer, after.tokenizer, kept, MINE, kind != "word_piece") == 0
    assert prove(before.tokenizer, after.tokenizer, kept, [*MINE, *OTHERS], kind != "word_piece") >= 2


@pytest.mark.parametrize("kind", ["byte_level", "unigram"])
def test_settings_name_the_new_ids(kind: str, tmp_path: Path) -> None:
    before, after, kept = trimmed(kind, tmp_path / "small")
    names = before.tokenizer.convert_ids_to_tokens
    for one in (after.model.config, after.model.generation_config):
        ends = one.eos_token_id if isinstance(one.eos_token_id, list) else [one.eos_token_id]
        assert ends[0] == after.tokenizer.eos_token_id == kept.index(before.tokenizer.eos_token_id)
        assert one.pad_token_id == after.tokenizer.pad_token_id == kept.index(before.tokenizer.pad_token_id)
    said, had = after.model.generation_config, before.model.generation_config
    assert after.tokenizer.convert_ids_to_tokens(said.eos_token_id) == names(had.eos_token_id)
    assert after.tokenizer.convert_ids_to_tokens(said.suppress_tokens) == [
        names(id) for id in had.suppress_tokens if id in kept]


def test_more_words_than_needed_are_the_commonest(tmp_path: Path) -> None:
    few = trim(Whole.open(model("byte_level")), [[]])
    kept = trim(Whole.open(model("byte_level")), [[]], len(few) + 50)
    assert len(kept) == len(few) + 50
    assert set(few) < set(kept)
    assert max(set(kept) - set(few)) < min(set(range(1000)) - set(kept))  # merges are learned the commonest first


def test_nothing_is_lost_where_all_words_are_asked_for() -> None:
    whole = Whole.open(model("unigram"))
    before = values_of(whole.tokenizer)
    kept = trim(whole, [[]], 10**9)
    assert kept == list(range(len(whole.tokenizer)))
    assert values_of(whole.tokenizer) == before


@pytest.mark.slow
def test_a_plain_process_opens_it(tmp_path: Path) -> None:
    trimmed("byte_level", tmp_path / "small")
    code = ("import sys, transformers as t; f = sys.argv[1]; m = t.AutoModelForCausalLM.from_pretrained(f); "
            "k = t.AutoTokenizer.from_pretrained(f); i = k('The model learns', return_tensors='pt')['input_ids']; "
            "print(m(i).logits.shape[-1] == len(k), k.decode(i[0]))")
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path / "small")], capture_output=True, text=True,
                         check=True)
    assert out.stdout.strip() == "True The model learns"


def test_a_tokenizer_that_reads_otherwise_is_refused(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    before, _, kept = trimmed("byte_level", tmp_path / "small")
    path = tmp_path / "small" / "tokenizer.json"
    values = json.loads(path.read_text())
    values["model"]["merges"] = values["model"]["merges"][::-1]
    path.write_text(json.dumps(values))
    with pytest.raises(QualityFloor, match="otherwise"):
        prove(before.tokenizer, Whole.open(tmp_path / "small").tokenizer, kept, MINE, True)
    values["decoder"] = None
    path.write_text(json.dumps(values))
    with pytest.raises(QualityFloor, match="does not come back"):
        prove(before.tokenizer, PreTrainedTokenizerFast(tokenizer_file=str(path)), kept, OTHERS, True)


def test_a_weight_of_the_vocabularys_size_that_is_none_of_words_is_refused() -> None:
    whole = Whole.open(model("byte_level"))
    whole.model.register_buffer("odd", torch.zeros(whole.model.config.vocab_size))
    with pytest.raises(UserError, match="odd of this qwen2"):
        trim(whole, [[1]])
