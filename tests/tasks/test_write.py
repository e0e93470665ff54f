"""Tasks that write: how rows are asked, baselines, and what the data check finds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from seedbed.data.notes import Notes
from seedbed.data.turns import pair
from seedbed.errors import DataError, UserError
from seedbed.tasks.metrics.words import rouge_l
from seedbed.tasks.schema import arranged, brief, broken, checked, derive
from seedbed.tasks.summarize import sentences
from seedbed.tasks.translate import Translate
from seedbed.tasks.write import WRITING, of_dict, question_and_answer

INVOICES = [(f"Invoice INV-{1000 + i} of {name} to Acme. Total: {10 + i} EUR, paid by {how}.",
             {"number": f"INV-{1000 + i}", "seller": name, "total": 10 + i, "paid": how, "by": {"city": None}})
            for i, (name, how) in enumerate([("Ann Bo", "card"), ("Cy Du", "cash"), ("Ed Fox", "card")] * 10)]
DOCUMENTS = [text for text, _ in INVOICES]
RECORDS = [json.dumps(value) for _, value in INVOICES]


def found(task: Any, inputs: list[str], answers: list[str]) -> dict[str, tuple[int, list[int]]]:
    notes = Notes(answers, np.arange(1, len(answers) + 1), [])
    return {one.code: (one.count, one.lines) for one in task.findings(inputs, answers, notes)}


def test_every_task_is_made_of_rows_and_comes_back_from_its_dict() -> None:
    for name in WRITING:
        task = WRITING.get(name).of(DOCUMENTS, RECORDS)
        assert of_dict(json.loads(json.dumps(task.to_dict()))) == task
        assert task.name == name and task.metric == task.metrics[0].name
        counts = task.scores(RECORDS, RECORDS, DOCUMENTS)
        assert list(counts) == [one.name for one in task.metrics]
        for one in task.metrics:
            assert len(counts[one.name]) == len(RECORDS)
            assert one.of(counts[one.name].sum(axis=0)) == pytest.approx(one.most)
        made = task.baseline(DOCUMENTS[:3], DOCUMENTS, RECORDS)
        assert len(made) == 3 and all(isinstance(one, str) for one in made)


def test_an_option_that_a_task_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match=r"The task chat takes no schema"):
        WRITING.get("chat").of([], [], schema="{}")


def test_only_bare_pairs_are_instructed() -> None:
    task = WRITING.get("summarize")(words="20")
    bare, led = pair("A document.", "Short."), pair("A document.", "Short.", system="Be brief.")
    said = task.instruct(bare).messages
    assert said[0]["content"] == "Summarize this text in about 20 words.\n\nA document."
    assert said[1] == bare.messages[1]
    assert task.instruct(led) is led
    assert WRITING.get("chat")().instruct(bare) == bare
    assert question_and_answer(led) == ("A document.", "Short.")


def test_summaries_begin_as_their_documents_do_best() -> None:
    texts = [f"The firm number {i} grew fast. Its head is glad! It will hire {i}. Rain fell." for i in range(20)]
    task = WRITING.get("summarize").of(texts, [" ".join(sentences(text)[:2]) for text in texts])
    assert task.to_dict()["words"] == "10"
    made = task.baseline(texts[:4], texts[4:], [" ".join(sentences(text)[:2]) for text in texts[4:]])
    assert made == [" ".join(sentences(text)[:2]) for text in texts[:4]]
    assert rouge_l(made[0], " ".join(sentences(texts[0])[:2])) == 1
    assert sentences("他走了。她来了！\n完") == ["他走了。", "她来了！", "完"]


def test_summaries_that_are_none() -> None:
    texts = ["A long document. It goes on."] * 3
    assert found(WRITING.get("summarize")(), texts, ["A long document.", texts[0] + " And on.", "Brief."]) == {
        "long_summary": (1, [2]), "copied_summary": (1, [1])}


def test_translations_know_their_languages() -> None:
    english = ["The weather is very nice here today.", "I would like to have a cup of coffee, please.",
               "Where is the nearest railway station?"]
    german = ["Das Wetter ist heute hier sehr schön.", "Ich hätte gerne eine Tasse Kaffee, bitte.",
              "Wo ist der nächste Bahnhof?"]
    task = WRITING.get("translate").of(english, german)
    assert isinstance(task, Translate) and (task.language, task.from_language) == ("de", "en")
    assert task.prompt("Hi.")[0]["content"] == "Translate this from English to German.\n\nHi."
    assert Translate(language="Portuguese").prompt("Hi.")[0]["content"] == "Translate this to Portuguese.\n\nHi."
    assert task.baseline(english, [], []) == english
    assert found(task, [*english, english[0]], [german[0], english[1], english[0], english[0]]) == {
        "same_answer": (2, [3, 4]), "untranslated": (2, [2, 4]), "wrong_language": (1, [3])}


def test_nearest_questions_answer() -> None:
    asked = ["What is the capital of France?", "How do I reset my password?", "大阪在哪里？"]
    chat = WRITING.get("chat")()
    assert chat.baseline(["reset the password how", "capital of France", "大阪"], asked, ["a", "b", "c"]) == [
        "b", "a", "c"]
    assert chat.baseline(["x"], ["", " "], ["a", "b"]) == ["a"]


def test_completions() -> None:
    task = WRITING.get("complete")()
    counts = task.scores(["  x = 1\ny = 3", "b"], ["\nx = 1\ny = 2", "c"], ["", ""])
    assert counts["first_line"].tolist() == [[1, 1], [0, 1]]
    assert found(task, ["def f():", "a"], ["def f():\n    pass", "b"]) == {"repeats_question": (1, [1])}
    assert found(task, ["a", "b", "c"], ["x", "y", " \n"]) == {"empty_answer": (1, [3])}


def test_a_schema_is_derived_and_told_in_few_words() -> None:
    task = WRITING.get("extract").of(DOCUMENTS, RECORDS)
    schema = json.loads(task.to_dict()["schema"])
    assert schema["required"] == ["number", "seller", "total", "paid", "by"] and not schema["additionalProperties"]
    assert schema["properties"]["paid"] == {"type": "string", "enum": ["card", "cash"]}
    assert brief(schema).startswith('{"number": string, "seller": "Ann Bo"|')
    assert brief(schema).endswith('"total": integer, "paid": "card"|"cash", "by": {"city": null}}')
    assert all(not broken(task.to_dict()["schema"], value) for _, value in INVOICES)
    odd = derive([{"a": 1, "b": [{"c": "x"}]}, {"a": 2.5}, {"a": None, "b": []}])
    assert brief(odd) == '{"a": null|number, "b"?: [{"c": string}]}'
    assert brief({"$ref": "#/x"}) == '{"$ref":"#/x"}'
    assert brief({"anyOf": [{"const": 1}, {"type": "array"}]}) == "1|[any]"


def test_a_schema_takes_the_order_of_the_answers() -> None:
    given = {"type": "object", "required": ["a"], "properties": {
        "a": {"type": "integer"}, "never": {}, "b": {"type": "array", "items": {"properties": {"x": {}, "y": {}}}}}}
    values = [{"b": [{"y": 1}, {"x": 2, "y": 3}], "a": 1}, {"a": 2}, "no object"]
    made = json.loads(arranged(json.dumps(given), values))
    assert made == given
    assert list(made["properties"]) == ["b", "a", "never"]
    assert list(made["properties"]["b"]["items"]["properties"]) == ["y", "x"]
    task = WRITING.get("extract").of(["x"], ['{"b": [], "a": 3}'], schema=json.dumps(given))
    assert brief(json.loads(task.to_dict()["schema"])).startswith('{"b"?: ')


@pytest.mark.parametrize(("answers", "layout"), [
    (['{"a": 1, "b": "é"}', ' {"a": 2}\n', "no JSON"], "spaced"), (['{"a": "\\u00e9", "b": 2}'], "spaced"),
    (['{"a":1,"b":[1,2]}'], "compact"), (['{"a": 1}', '{"a":1}'], ""), (['{\n "a": 1\n}'], "")])
def test_the_layout_of_all_answers_is_held_to(answers: list[str], layout: str) -> None:
    task = WRITING.get("extract").of(["x"] * len(answers), answers)
    assert task.to_dict()["layout"] == layout and of_dict(task.to_dict()) == task
    options = json.loads(task.form).get("x-guidance", {})
    assert (options.get("item_separator"), options.get("key_separator")) == {
        "spaced": (", ", ": "), "compact": (",", ":"), "": (None, None)}[layout]
    assert {**json.loads(task.form), "x-guidance": 0} == {**json.loads(task.to_dict()["schema"]), "x-guidance": 0}


@pytest.mark.parametrize("given, said", [
    ("{", "no JSON schema"), ('{"type": "thing"}', "no JSON schema"), ("3", "no JSON schema"),
    ('{"properties": {"a": {"$ref": "https://example.org/a.json"}}}', "outside of it")])
def test_a_schema_that_is_none(given: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        checked(given)
    with pytest.raises(DataError, match="no schema can be derived"):
        WRITING.get("extract").of(["a"], ["no JSON"])


def test_fields_are_found_without_a_model() -> None:
    task = WRITING.get("extract").of(DOCUMENTS, RECORDS)
    new = "Invoice INV-7777 of Cy Du to Zed. Total: 55 EUR, paid by cash."
    assert json.loads(task.baseline([new], DOCUMENTS, RECORDS)[0]) == {
        "number": "INV-7777", "seller": "Cy Du", "total": 55, "paid": "cash", "by": {"city": None}}
    lists = [json.dumps({"tags": tags}) for tags in (["red", "blue"], ["red"], ["green"], [])] * 3
    texts = ["red and blue", "red", "green", "none"] * 3
    assert json.loads(task.baseline(["a blue and green one"], texts, lists)[0]) in (
        {"tags": ["green", "blue"]}, {"tags": ["blue", "green"]})


def test_extractions_that_cannot_be_learned_from() -> None:
    task = WRITING.get("extract").of(DOCUMENTS, RECORDS)
    wrong = [json.dumps({**INVOICES[0][1], "total": "ten"}), "number: 3", RECORDS[2], RECORDS[0]]
    assert found(task, [*DOCUMENTS[:3], DOCUMENTS[7]], wrong) == {
        "not_json": (1, [2]), "broken_schema": (1, [1]), "not_in_text": (2, [1, 4])}
