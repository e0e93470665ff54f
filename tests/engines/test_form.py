from __future__ import annotations

import json
from typing import Any

import pytest
import tiny
import torch
from jsonschema import validate

from seedbed.engines.many import answers
from seedbed.engines.sampling import Sampling
from seedbed.engines.writer import Writer
from seedbed.errors import UserError
from seedbed.tasks.extract import Extract

SCHEMA: dict[str, Any] = {
    "type": "object", "required": ["kind", "price", "tags"], "additionalProperties": False,
    "properties": {"kind": {"enum": ["box", "naïve 好"]}, "price": {"type": "integer", "minimum": 0, "maximum": 999},
                   "tags": {"type": "array", "items": {"enum": ["blue", "fast"]}, "maxItems": 2},
                   "note": {"type": "string", "maxLength": 6}}}
TEXT = json.dumps(SCHEMA)
WARM = [Sampling(max_tokens=300, temperature=1.5, seed=seed, schema=TEXT) for seed in range(8)]
TEXTS = ("great", "the box came on monday with a paper label inside", "slow slow")


@pytest.mark.parametrize("family", ["llama", "gemma3", "t5"])
def test_whatever_is_drawn_keeps_to_the_schema(family: str) -> None:
    writer = Writer.open(tiny.model(family))
    for how in WARM:
        value = json.loads("".join(writer.go_on("the box", how)))
        validate(value, SCHEMA)
        assert list(value) == [name for name in SCHEMA["properties"] if name in value]


def test_rows_written_together_keep_to_it_each() -> None:
    writer = Writer.open(tiny.model("llama"))
    asked = [[{"role": "user", "content": text}] for text in TEXTS * 2]
    made = [json.loads(one) for one in answers(writer, asked, WARM[0])]
    for value in made:
        validate(value, SCHEMA)
    assert len(set(map(str, made))) > 1  # a random model draws many things
    cold = Sampling(max_tokens=30, schema=TEXT)
    assert answers(writer, asked[:3], cold) == ["".join(writer.answer(one, cold)) for one in asked[:3]]


def test_words_that_must_follow_cost_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, passes = Writer.open(tiny.model("llama")), list[int]()
    forward = writer.backbone.root.forward

    def counted(*args: Any, **given: Any) -> Any:
        passes.append(given["input_ids"].shape[1])
        return forward(*args, **given)
    monkeypatch.setattr(writer.backbone.root, "forward", counted)
    schema = {"type": "object", "properties": {"a long name of a key": {"enum": ["xbox", "ybox"]}},
              "required": ["a long name of a key"], "additionalProperties": False}
    strict = Extract(json.dumps(schema), "spaced").form
    made = "".join(writer.go_on("the box", Sampling(schema=strict)))
    assert made in ('{"a long name of a key": "xbox"}', '{"a long name of a key": "ybox"}')
    assert len(passes) <= 3 and passes[0] > 20  # the prompt and all up to the choice in one
    passes.clear()
    validate(json.loads("".join(writer.go_on("the box", Sampling(schema=json.dumps(schema))))), schema)
    assert 3 < len(passes) < 16  # white space is a choice


def test_scores_decide_where_the_schema_leaves_a_choice() -> None:
    writer = Writer.open(tiny.model("llama"))
    words = writer.tokenizer
    for wanted in ("box", "fast"):
        scores = torch.zeros(len(words) + 64)  # a head that is wider than the vocabulary
        scores[words(wanted, add_special_tokens=False)["input_ids"]] = 7
        scores[-1] = 9
        drawing, said = writer.drawing(Sampling(schema='{"enum": ["box", "fast"]}')), list[int]()
        while not drawing.ended:
            said += drawing.forced() or [drawing.next(scores)]
        assert words.decode(said, skip_special_tokens=True) == f'"{wanted}"'


def test_what_cannot_be_held_to_is_told() -> None:
    writer = Writer.open(tiny.model("llama"))
    with pytest.raises(UserError, match=r"cannot be held to this schema word by word: .*not"):
        list(writer.go_on("x", Sampling(schema='{"not": {"type": "string"}}')))
    with pytest.raises(UserError, match="cannot be held to this schema"):
        writer.form('{"type": "object", "required": ["a"], "properties": {"a": false}}')
    assert writer.form(TEXT) is writer.form(TEXT)
