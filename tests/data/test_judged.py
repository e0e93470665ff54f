from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedbed.data.conversations import judgements, read_conversations
from seedbed.data.judged import Judged, JudgedAnswers
from seedbed.data.read import Reading
from seedbed.data.split import split
from seedbed.errors import DataError

ASKED, SAID, ELSE = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"},
                     {"role": "assistant", "content": "go away"})
EARLIER = {"role": "assistant", "content": "hm?"}


def read(path: Path, rows: list[Any]) -> Reading:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = read_conversations(path, judged=True)
    assert reading.read == reading.kept + sum(reading.skipped.values())
    return reading


PAIRS = [
    {"prompt": "hi", "chosen": "hello", "rejected": "go away"},
    {"question": "hi", "chosen": "hello", "rejected": "go away"},
    {"prompt": [ASKED], "chosen": [SAID], "rejected": [ELSE]},
    {"prompt": "hi", "chosen": [ASKED, SAID], "rejected": [ASKED, ELSE]},
    {"chosen": [ASKED, SAID], "rejected": [ASKED, ELSE]},
    {"messages": [ASKED], "chosen": SAID, "rejected": ELSE},
    {"conversations": [{"from": "human", "value": "hi"}], "chosen": {"from": "gpt", "value": "hello"},
     "rejected": {"from": "gpt", "value": "go away"}},
    {"input": {"messages": [ASKED]}, "preferred_output": [SAID], "non_preferred_output": [ELSE]}]


@pytest.mark.parametrize("row", PAIRS)
def test_every_form_of_pair_says_the_same(row: dict[str, Any], tmp_path: Path) -> None:
    reading = read(tmp_path / "a.jsonl", [row])
    [made] = judgements(reading.dataset)
    assert made.good and made.bad
    assert (list(made.good.messages), list(made.bad.messages)) == ([ASKED, SAID], [ASKED, ELSE])
    assert reading.dataset.texts == ["hi"] and Judged.from_json(made.to_json()) == made


def test_only_the_answers_are_learned_whatever_stands_before(tmp_path: Path) -> None:
    talk = [ASKED, EARLIER, {"role": "user", "content": "so?"}]
    rows = [{"chosen": [*talk, SAID], "rejected": [*talk, ELSE], "system": "be kind"},
            {"prompt": talk, "chosen": "hello", "rejected": "go away", "system": "be kind"}]
    made = judgements(read(tmp_path / "a.jsonl", rows[:1]).dataset)
    assert made == judgements(read(tmp_path / "b.jsonl", rows[1:]).dataset)
    assert made[0].good and made[0].good.messages == (
        {"role": "system", "content": "be kind"}, ASKED, {**EARLIER, "weight": 0}, talk[2], SAID)
    assert made[0].asked == "be kind\nhi\nhm?\nso?"
    [alone] = judgements(read(tmp_path / "c.jsonl", [
        {"prompt": talk, "completion": "hello", "label": "0", "system": "be kind"}]).dataset)
    assert alone.good is None and alone.bad == made[0].good and alone.asked == made[0].asked


def test_answers_alone_are_good_or_bad(tmp_path: Path) -> None:
    rows: list[Any] = [{"prompt": "hi", "completion": "hello", "label": label} for label in (True, False, True)]
    rows += [{"prompt": "hi", "completion": "", "label": True}, {"prompt": "hi", "completion": "x", "label": None}]
    reading = read(tmp_path / "a.jsonl", rows)
    assert [list(one.sides) for one in judgements(reading.dataset)] == [["good"], ["bad"], ["good"]]
    assert reading.detected["form"] == "prompt, completion and label"
    [finding] = reading.findings
    assert (finding.count, finding.lines) == (2, [4, 5])
    assert finding.examples[1] == "line 5: no label says whether the answer is good"
    table = tmp_path / "a.csv"
    table.write_text("prompt,completion,label\nhi,hello,1\nhi,go away,0\n")
    made = judgements(read_conversations(table, judged=True).dataset)
    assert [list(one.sides) for one in made] == [["good"], ["bad"]]


def test_what_says_nothing_of_what_is_better_is_counted(tmp_path: Path) -> None:
    rows = [PAIRS[0], {"prompt": "hi", "chosen": "a", "rejected": " a\n"},
            {"prompt": "hi", "chosen": "", "rejected": "a"},
            {"prompt": "hi", "chosen": [SAID], "rejected": [SAID, ASKED, SAID]},
            {"prompt": "hi", "chosen": [{"role": "user", "content": "a"}, SAID], "rejected": "b"}, {"prompt": "hi"},
            {"prompt": "hi", "chosen": "a\0", "rejected": "b"}]
    reading = read(tmp_path / "a.jsonl", rows)
    assert reading.skipped == {"same_answers": 1, "no_conversation": 4, "nul_bytes": 1}
    said = {one.code: one.examples for one in reading.findings}
    assert said["no_conversation"][:3] == ["line 3: a turn of the assistant is empty",
                                           "line 4: an answer is empty, or the beginning of the other",
                                           "line 5: the two answers follow different prompts"]
    with pytest.raises(DataError, match=r"Not one of the 1 rows .* the chosen answer is the rejected one"):
        read(tmp_path / "b.jsonl", rows[1:2])


def test_what_is_not_judged_is_told(tmp_path: Path) -> None:
    for row in ({"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": "b", "label": "billing"}):
        with pytest.raises(DataError, match="which are no form of judged answers") as told:
            read(tmp_path / "a.jsonl", [row])
        assert "prompt and chosen and rejected" in told.value.hint
    (tmp_path / "b.jsonl").write_text(json.dumps(PAIRS[0]) + "\n")
    with pytest.raises(JudgedAnswers, match="all of them would be learned") as refused:
        read_conversations(tmp_path / "b.jsonl")
    assert "--task prefer" in refused.value.hint
    assert read_conversations(tmp_path / "b.jsonl", ask="prompt", answer="chosen").kept == 1


def test_rows_of_one_prompt_stay_in_one_split(tmp_path: Path) -> None:
    rows = [{"prompt": f"question {i % 12}", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(60)]
    data = split(read(tmp_path / "a.jsonl", rows).dataset)
    pairs = list(zip(data.texts, data.column("split"), strict=True))
    by = {text: {s for t, s in pairs if t == text} for text in data.texts}
    assert len(by) == 12 and all(len(splits) == 1 for splits in by.values())
    assert {s for splits in by.values() for s in splits} == {"train", "validation", "test"}
