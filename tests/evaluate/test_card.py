"""The model card: a header that the hub reads, figures as in the result, words of the user escaped."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from sample_result import make

from seedbed.evaluate.card import model_card
from seedbed.evaluate.result import Result


def parts(result: Result) -> tuple[dict[str, Any], str]:
    text = model_card(result)
    assert text.startswith("---\n")
    header, _, body = text[4:].partition("\n---\n")
    return yaml.safe_load(header), body


def test_the_header_has_what_the_hub_reads() -> None:
    result = make()
    header, _ = parts(result)
    assert header["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert header["license"] == "apache-2.0"
    assert header["datasets"] == ["reviews.tsv"]
    assert header["metrics"] == ["accuracy", "f1"]
    assert header["pipeline_tag"] == "text-classification" and header["language"] == ["en"]
    found = header["model-index"][0]["results"][0]
    assert found["dataset"] == {"name": "reviews.tsv", "type": "reviews.tsv", "split": "test",
                                "revision": result.data_hash}
    scores = result.winner.test
    assert scores
    values = {(m["type"], m.get("args", {}).get("average")): m["value"] for m in found["metrics"]}
    assert values["f1", "macro"] == pytest.approx(scores.macro_f1.value, abs=1e-6)
    assert values["accuracy", None] == pytest.approx(scores.accuracy.value, abs=1e-6)
    assert all("interval" in m["name"] and "379 texts" in m["name"] for m in found["metrics"])


def test_the_body_shows_the_figures_and_how_to_use_it() -> None:
    result = make()
    _, body = parts(result)
    for words in (result.verdict.headline, result.data_hash, "seedbed predict FOLDER", result.command, "| neutral |",
                  "| Macro-F1 | 0.786 | 0.74 to 0.82 | 379 |", *result.verdict.cautions):
        assert words in body
    assert "\u202f" not in body


def test_words_of_the_user_form_neither_markdown_nor_yaml() -> None:
    evil = "a: [b]\n---\n# x | <script>alert(1)</script> `code` ![i](http://x)"
    result = make([evil, "plain"], run=evil, command=f"seedbed run ```{evil}``` x")
    header, body = parts(result)
    assert set(header) >= {"license", "model-index"} and "---" in header["model-index"][0]["name"]
    code = body.index("````sh")
    outside = body[:code] + body[body.index("\n````\n", code):]
    assert "<script" not in outside.replace("\\<script", "") and "![i]" not in outside
    rows = [line for line in body.splitlines() if line.startswith("| a: ")]
    assert len(rows) == 1 and rows[0].replace("\\|", "").count("|") == 7


def test_no_base_model_and_no_known_licence() -> None:
    result = make(bare=True, n=14)
    assert result.winner.model is None
    header, body = parts(result)
    assert "base_model" not in header and header["license"] == "unknown"
    assert "tentative" in body and "## Licences" not in body


def test_a_model_outside_the_catalog_keeps_its_name() -> None:
    result = make()
    mine = [c.model_copy(update={"model": "my-own-model"}) for c in result.candidates]
    header, _ = parts(result.model_copy(update={"candidates": mine, "licences": {"my-own-model": "My licence 2"}}))
    assert header["base_model"] == "my-own-model" and header["license"] == "other"


def test_nothing_scored() -> None:
    result = make(bare=True)
    none = [c.model_copy(update={"selection": None, "test": None}) for c in result.candidates]
    header, body = parts(result.model_copy(update={"candidates": none}))
    assert header["model-index"][0]["results"] == [] and "How good it is" not in body


def test_cross_validation_and_multi_label() -> None:
    header, body = parts(make(["a", "b"], multi_label=True, protocol="cross-validation"))
    assert header["model-index"][0]["results"][0]["dataset"]["split"] == "cross-validation"
    assert "multi-label" in header["tags"] and "any number of these labels" in body and "Every label right in" in body
