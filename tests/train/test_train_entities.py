"""Taggers learn, are stopped and go on, and are opened by transformers in another process."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from seedbed.data.marks import Span
from seedbed.engines.tagger import Tagger
from seedbed.errors import CorruptFile, NotFound, UserError
from seedbed.progress import Progress
from seedbed.tasks.entities import Entities
from seedbed.tasks.spotting import f1
from seedbed.train import entities
from seedbed.train.boundary import Boundary
from seedbed.train.config import TextConfig
from seedbed.train.entities import EntityLesson, Marker

QUICK = TextConfig(epochs=4, learning_rate=1e-2, batch_texts=4, train_layers=4, rank=8, alpha=16.0, max_tokens=32,
                   patience=9)


def rows(count: int, seed: int) -> tuple[list[str], list[list[Span]]]:
    """A word of praise, or two, and one of blame among others; texts longer than the windows of 32 tokens."""
    pick, texts, spans = random.Random(seed), [], []
    for _ in range(count):
        parts, marks, at = [], [], 0
        for _ in range(pick.randrange(4, 30)):
            word = pick.choice(tiny.OTHER)
            if pick.random() < 0.25:
                label = pick.choice(("BAD", "GOOD"))
                word = "slow" if label == "BAD" else pick.choice(("great", "great fast"))
                marks.append(Span(at, at + len(word), label))
            parts.append(word)
            at += len(word) + 1
        texts.append(" ".join(parts))
        spans.append(marks)
    return texts, spans


def lesson(family: str, config: TextConfig = QUICK, count: int = 40, **options: Any) -> EntityLesson:
    return EntityLesson(Entities(("BAD", "GOOD")), *rows(count, 0), *rows(10, 1), config=config,
                        model=tiny.model(family), **options)


def weights(marker: Marker) -> list[torch.Tensor]:
    return [*marker.tagger.backbone.body.parameters(), marker.tagger.weight, marker.tagger.bias]


OPEN = """
import json, sys, torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
model, tokenizer = (kind.from_pretrained(sys.argv[1]) for kind in (AutoModelForTokenClassification, AutoTokenizer))
text = sys.argv[2]
with torch.no_grad():
    logits = model(**tokenizer(text, return_tensors="pt")).logits[0].tolist()
print(json.dumps([model.config.id2label, logits]))
"""


@pytest.mark.parametrize(("method", "family"), [(entities.lora, "llama"), (entities.whole, "bert")])
def test_it_learns_and_transformers_opens_what_it_saves(method: Any, family: str, tmp_path: Path) -> None:
    one = lesson(family, QUICK if family == "llama" else dataclasses.replace(QUICK, epochs=2, learning_rate=1e-3))
    marker, (texts, spans) = method(one), rows(12, 2)
    if family == "llama":  # random layers of an encoder mix the words up, which takes many more steps to undo
        assert f1(spans, marker.tagger.spans(texts)) > 0.9
        [found] = marker.tagger.spans([" ".join(texts)])  # many windows
        assert len(found) == pytest.approx(sum(map(len, spans)), rel=0.2)
        assert found[-1].start > 0.9 * sum(map(len, texts))
    else:
        marker.tagger.bias -= torch.tensor([9.0, 0, 0, 0, 0])  # it then finds some everywhere
    assert marker.trained.history[0]["train_loss"] > marker.trained.history[-1]["train_loss"]
    assert marker.misfits.total == sum(map(len, [*one.spans, *one.held_spans]))
    assert (marker.trained_parameters < marker.parameters / 2) == (method is entities.lora)
    marker.tagger.save(tmp_path)
    again = Tagger.open(tmp_path)
    assert again.tag(texts) == marker.tagger.tag(texts)
    assert again.tag(["", " "]) == [[], []] and again.tag([]) == []
    marks = [(text, one) for text, found in zip(texts, again.tag(texts), strict=True) for one in found]
    assert marks and all(text[one.start:one.end] == one.text and 0 < one.confidence <= 1 for text, one in marks)

    told = subprocess.run([sys.executable, "-c", OPEN, str(tmp_path), texts[0][:60]], capture_output=True, text=True,
                          check=True).stdout
    names, logits = json.loads(told)
    assert list(names.values()) == ["O", "B-BAD", "I-BAD", "B-GOOD", "I-GOOD"]
    ids = again.backbone.tokenizer(texts[0][:60])["input_ids"]
    with torch.no_grad():
        mine = again.backbone(again.backbone.batch([ids]), pool=False)[0] @ again.weight.T + again.bias
    assert np.allclose(mine, logits, rtol=1e-4, atol=1e-4)


def test_a_resumed_tagger_ends_as_an_undisturbed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(QUICK, epochs=2)
    straight = entities.lora(lesson("llama", config, 16, folder=tmp_path / "a"))
    calls, real = [0], Boundary.pass_through

    def stopping(self: Boundary, places: Any, *more: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == 8:  # the scale and the forecast took five
            raise KeyboardInterrupt
        return real(self, places, *more, **named)
    monkeypatch.setattr(Boundary, "pass_through", stopping)
    with pytest.raises(KeyboardInterrupt):
        entities.lora(lesson("llama", config, 16, folder=tmp_path / "b"))
    assert (tmp_path / "b" / "checkpoint" / "state.json").is_file()
    resumed = entities.lora(lesson("llama", config, 16, folder=tmp_path / "b"))
    assert all(torch.equal(a, b) for a, b in zip(weights(straight), weights(resumed), strict=True))


class Notes(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_what_a_model_cannot_do_is_said_before_it_is_trained() -> None:
    with pytest.raises(UserError, match="gemma3_text cannot be saved as a tagger"):
        entities.lora(lesson("gemma3"))
    said, one = Notes(), lesson("llama", dataclasses.replace(QUICK, epochs=1), 8)
    row = next(row for row in one.spans if row)
    row[0] = dataclasses.replace(row[0], start=row[0].start + 1)
    marker = entities.lora(dataclasses.replace(one, progress=said))
    assert any("without the words after it" in note for note in said.said)
    assert marker.misfits.count == 1 and marker.misfits.lost == 0
    assert any(f"1 of {marker.misfits.total} spans begin or end inside a token" in note for note in said.said)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no tagger"):
        Tagger.open(tmp_path)
    (tmp_path / "tagger.json").write_text('{"format": 2}')
    with pytest.raises(CorruptFile, match="newer"):
        Tagger.open(tmp_path)
