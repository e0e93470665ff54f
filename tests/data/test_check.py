"""The data check: planted problems come out with their counts, lines and a fix; personal data never does."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from seedbed.data.check import check
from seedbed.data.duplicates import find
from seedbed.data.health import Finding, Health
from seedbed.data.read import read
from seedbed.errors import CorruptFile, NotFound

GOOD = ["The battery died after two days and the shop did not answer", "Fast delivery, well packed, would buy again",
        "It broke when it fell from the table onto the carpet", "My daughter loves it and uses it every single day",
        "The colour is nothing like the picture on your page", "Works as described, the manual could be longer",
        "Too loud for the bedroom, we put it into the kitchen", "Best purchase of the year, thank you so much",
        "The screws were missing and nobody could send new ones", "Simple to set up, done within five minutes"]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, names)
        out.writeheader()
        out.writerows(rows)
    return path


def varied(count: int, label: str = "", **more: Any) -> list[dict[str, Any]]:
    """Rows whose texts are far from each other."""
    t = ("garden", "music", "harbour", "winter", "engine", "paper", "bicycle", "mountain", "kitchen", "window",
         "river", "market", "doctor", "camera")
    return [{"text": f"{t[i % 14]} {t[(i * 5 + i // 14) % 14]} {i * 7919} opinion {t[(i * 3 + 1) % 14]} "
                     f"{i * 104729 % 9973}", "label": label or ("good", "bad")[i % 2], **more} for i in range(count)]


def checked(path: Path, **options: Any) -> Health:
    return check(read(path, text="text", label="label", split=options.pop("split", None)), **options)


def one(health: Health, code: str) -> Finding:
    found = [f for f in health.findings if f.code == code]
    assert len(found) == 1, [f.code for f in health.findings]
    return found[0]


def codes(health: Health) -> set[str]:
    return {f.code for f in health.findings}


def test_good_data_has_nothing_to_report(tmp_path: Path) -> None:
    rows = [{"text": text, "label": ("bad", "good")[i % 2]} for i, text in enumerate(GOOD)] + varied(20)
    health = checked(written(tmp_path / "a.csv", rows))
    assert codes(health) <= {"label_errors_skipped"}
    assert health.read == health.kept == 30
    assert health.labels == {"bad": 15, "good": 15}
    assert health.detected["text column"] == "text"


def test_counts_add_up_and_the_readers_findings_are_kept(tmp_path: Path) -> None:
    rows = [*varied(20), {"text": "", "label": "good"}, {"text": "no label here", "label": ""}]
    health = checked(written(tmp_path / "a.csv", rows))
    assert health.read == 22 == health.kept + sum(health.skipped.values())
    assert one(health, "empty_text").lines == [22]
    assert one(health, "missing_label").lines == [23]


def test_every_finding_is_two_sentences_with_a_severity_in_order(tmp_path: Path) -> None:
    rows = [*varied(30), *varied(3), {"text": "mail a@b.com", "label": "Good"}, {"text": "?!", "label": "n/a"}]
    health = checked(written(tmp_path / "a.csv", rows))
    order = ["error", "warning", "info"]
    places = [order.index(f.severity) for f in health.findings]
    assert places == sorted(places)
    for f in health.findings:
        assert f.message.endswith(".") and f.fix.endswith(".")
        assert "\n" not in f.message + f.fix
        assert len(f.lines) <= 20 and len(f.examples) <= 5


def test_labels_written_in_several_ways(tmp_path: Path) -> None:
    rows = varied(20, "order status") + varied(40, "refund")[20:] + [
        {"text": f"something else number {i * 31} {w}", "label": label} for i, (w, label) in enumerate(
            [("sun", "Order Status"), ("moon", "order_status"), ("star", "refunds"), ("cloud", "REFUND")])]
    health = checked(written(tmp_path / "a.csv", rows))
    variants = [f for f in health.findings if f.code == "label_variants"]
    assert [f.count for f in variants] == [2, 2]
    assert variants[0].lines == [42, 43]
    assert "“order status” (20)" in variants[0].message
    assert variants[0].fix.startswith("Rename “Order Status” and “order_status” to “order status”")
    assert "to “refund”" in variants[1].fix


def test_a_plural_without_its_singular_is_no_variant(tmp_path: Path) -> None:
    rows = varied(10, "sales") + varied(20, "news")[10:] + varied(30, "boss")[20:]
    assert "label_variants" not in codes(checked(written(tmp_path / "a.csv", rows)))


def test_rare_single_and_blank_labels(tmp_path: Path) -> None:
    rows = varied(20, "good") + varied(25, "odd")[20:] + varied(26, "lonely")[25:] + varied(40, "unknown")[26:]
    health = checked(written(tmp_path / "a.csv", rows))
    rare = one(health, "rare_label")
    assert (rare.count, rare.lines) == (5, [22, 23, 24, 25, 26])
    alone = one(health, "single_example")
    assert (alone.severity, alone.count, alone.lines) == ("error", 1, [27])
    blank = one(health, "placeholder_label")
    assert blank.count == 14 and blank.lines[0] == 28


def test_one_label_and_texts_for_labels(tmp_path: Path) -> None:
    assert one(checked(written(tmp_path / "a.csv", varied(20, "same"))), "one_label").severity == "error"
    rows = [{"text": row["text"], "label": f"free text {i}"} for i, row in enumerate(varied(60))]
    wordy = checked(written(tmp_path / "b.csv", rows))
    assert one(wordy, "label_not_a_class").severity == "error"
    assert "single_example" not in codes(wordy)  # one cause, one finding
    rows = [{"text": row["text"], "label": i} for i, row in enumerate(varied(8))]
    assert codes(checked(written(tmp_path / "c.csv", rows))) >= {"label_not_a_class"}
    rows = varied(8, "a") + varied(16, "b")[8:] + varied(24, "A")[23:]
    renamed = codes(checked(written(tmp_path / "d.csv", rows)))
    assert "label_variants" in renamed and "single_example" not in renamed


def test_class_imbalance(tmp_path: Path) -> None:
    rows = varied(100, "common") + varied(110, "seldom")[100:]
    assert "10 times fewer" in one(checked(written(tmp_path / "a.csv", rows)), "class_imbalance").message
    rows = varied(50, "common") + varied(60, "seldom")[50:]
    assert "class_imbalance" not in codes(checked(written(tmp_path / "b.csv", rows)))


def test_duplicates_and_conflicts(tmp_path: Path) -> None:
    rows = [*({"text": t, "label": "good"} for t in GOOD),  # lines 2 to 11
            {"text": GOOD[0].upper() + "!", "label": "good"},  # 12 repeats 2
            {"text": GOOD[1], "label": "bad"},  # 13 repeats 3, and contradicts it
            {"text": GOOD[2].replace("carpet", "carpets"), "label": "good"},  # 14 is like 4
            {"text": GOOD[3].replace("daughter", "daughters"), "label": "bad"},  # 15 is like 5, with another label
            *varied(20)]
    health = checked(written(tmp_path / "a.csv", rows))
    exact = one(health, "exact_duplicate")
    assert (exact.count, exact.lines) == (2, [12, 13])
    assert exact.examples[0].startswith("line 12 repeats line 2: “THE BATTERY")
    near = one(health, "near_duplicate")
    assert (near.count, near.lines) == (2, [14, 15])
    conflict = one(health, "conflicting_label")
    assert (conflict.count, conflict.lines) == (2, [3, 13])
    assert "“good” in line 3 and “bad” in line 13" in conflict.examples[0]
    assert one(health, "near_conflict").lines == [5, 15]


def test_several_labels_conflict_only_when_the_sets_differ(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": r["text"], "label": [r["label"], "extra"] if i % 3 else []} for i, r in enumerate(varied(30))]
    rows += [{"text": GOOD[0], "label": ["good", "bad"]}, {"text": GOOD[0], "label": ["bad", "good"]},
             {"text": GOOD[1], "label": ["good", "bad"]}, {"text": GOOD[1], "label": ["good"]}]
    path.write_text("\n".join(map(json.dumps, rows)))
    health = checked(path)
    assert one(health, "conflicting_label").lines == [33, 34]
    assert sum(health.labels.values()) == 2 * 20 + 2 + 2 + 2 + 1
    unlabelled = one(health, "missing_label")
    assert (unlabelled.severity, unlabelled.count) == ("info", 10)


def test_leaks_between_given_splits(tmp_path: Path) -> None:
    rows = [*varied(24, split="train"), *(r | {"split": "test"} for r in varied(34)[24:]),
            {"text": GOOD[0], "label": "good", "split": "train"},  # line 36
            {"text": GOOD[0], "label": "good", "split": "test"},  # 37 leaks
            {"text": GOOD[1], "label": "good", "split": "test"},  # 38
            {"text": GOOD[1] + " soon", "label": "good", "split": "train"},  # 39: it is 38 that leaks
            {"text": GOOD[2], "label": "good", "split": "validation"},  # 40
            {"text": GOOD[2], "label": "good", "split": "validation"},  # 41: twice in one split is no leak
            {"text": GOOD[3], "label": "never trained", "split": "test"}]  # 42
    health = checked(written(tmp_path / "a.csv", rows), split="split")
    leak = one(health, "leakage")
    assert (leak.severity, leak.count, leak.lines) == ("error", 1, [37])
    assert "line 37 (test) has the same text as line 36 (train)" in leak.examples[0]
    near = one(health, "near_leakage")
    assert (near.severity, near.lines) == ("warning", [38])
    unknown = one(health, "unknown_label")
    assert (unknown.severity, unknown.lines) == ("error", [42])
    assert health.splits == {"train": 26, "validation": 2, "test": 13}


def test_leaks_between_files_and_torn_groups(tmp_path: Path) -> None:
    train = [{**row, "who": f"user {i % 6}"} for i, row in enumerate(varied(24))]
    test = [{**row, "who": f"guest {i}"} for i, row in enumerate(varied(30)[24:])] + [
        {"text": train[5]["text"], "label": "good", "who": "user 1"}]
    paths = {"train": written(tmp_path / "train.csv", train), "test": written(tmp_path / "test.csv", test)}
    reading = read(paths, text="text", label="label", group="who")
    health = check(reading)
    leak = one(health, "leakage")
    assert leak.examples[0].startswith("test.csv line 8 (test) has the same text as train.csv line 7 (train)")
    torn = one(health, "group_leakage")
    assert torn.count == 5  # four rows of user 1 in training, one in test


def test_no_splits_no_leaks(tmp_path: Path) -> None:
    rows = varied(10) * 2
    assert not codes(checked(written(tmp_path / "a.csv", rows))) & {"leakage", "near_leakage", "unknown_label"}


def test_personal_data_is_counted_by_kind_and_never_shown(tmp_path: Path) -> None:
    secrets = ["jane.doe@example.com", "GB82 WEST 1234 5698 7654 32", "12345678Z", "4111 1111 1111 1111"]
    rows = [
        *varied(20),
        {"text": f"my mail is {secrets[0]}, really {secrets[0]}", "label": "good"},
        {"text": f"please refund to {secrets[1]} soon, {secrets[0]}", "label": "good"},
        {"text": f"please refund to {secrets[1]} soon, {secrets[0]}", "label": "bad"},
        {"text": f"id {secrets[2]}", "label": secrets[3]}]
    health = checked(written(tmp_path / "a.csv", rows))
    found = {f.examples[0].split("[")[1].split("]")[0]: f for f in health.findings if f.code == "personal_data"}
    assert set(found) == {"EMAIL", "IBAN", "ES_DNI"}
    assert (found["EMAIL"].count, found["EMAIL"].lines) == (3, [22, 23, 24])
    assert "(4 in all)" in found["EMAIL"].message
    assert found["IBAN"].lines == [23, 24]
    everything = "".join(f.model_dump_json() for f in health.findings)
    assert not [secret for secret in secrets if secret in everything]


def test_texts_without_words(tmp_path: Path) -> None:
    rows = [*varied(20), *({"text": text, "label": "good"} for text in ("?!...", "😀", "好"))]
    assert one(checked(written(tmp_path / "a.csv", rows)), "no_words").lines == [22, 23]


def test_languages_are_told(tmp_path: Path) -> None:
    spanish = ["La batería se agotó en dos días y nadie contesta", "Llegó muy rápido y estaba bien embalado todo",
               "El color no se parece en nada a la fotografía", "Mi hija lo usa todos los días y le encanta"]
    rows = [{"text": t, "label": ("good", "bad")[i % 2]} for i, t in enumerate([*GOOD, *spanish, "ok", "42"])]
    found = one(checked(written(tmp_path / "a.csv", rows)), "languages")
    assert "en (71 %) and es (29 %)" in found.message
    assert "--languages en,es" in found.fix


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """A folder with a tokenizer of one token a letter and two special ones, whose own files say at most 60."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {c: i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz")} | {"?": 26, "[A]": 27, "[Z]": 28}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                                  pre_tokenizers.Split("", "isolated")])
    made.post_processor = processors.TemplateProcessing("[A] $A [Z]", special_tokens=[("[A]", 27), ("[Z]", 28)])
    made.enable_truncation(5)
    made.enable_padding(length=80)
    folder = tmp_path / "model"
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 60}')
    return folder


def test_tokens_and_what_would_be_cut(tmp_path: Path, tokenizer: Path) -> None:
    rows = [{"text": f"{chr(97 + i)}bcd" * 5, "label": ("good", "bad")[i % 2]} for i in range(20)]
    rows += [{"text": "x" * 80, "label": "good"}, {"text": "y" * 100, "label": "bad"}]
    path = written(tmp_path / "a.csv", rows)
    health = checked(path, tokenizer=tokenizer)
    assert health.tokens["median"] == 22
    assert health.tokens["max"] == 102
    assert (health.tokens["limit"], health.tokens["cut_rows"], health.tokens["cut_tokens"]) == (60, 2, 22 + 42)
    cut = one(health, "too_long")
    assert (cut.severity, cut.count, cut.lines) == ("warning", 2, [22, 23])
    assert cut.examples == ["line 22: 82 tokens", "line 23: 102 tokens"]
    assert "choose a model that reads 128 tokens" in cut.fix
    narrow = checked(path, tokenizer=tokenizer / "tokenizer.json", max_tokens=10)
    assert narrow.tokens["cut_rows"] == 22
    assert "too_long" not in codes(checked(path, tokenizer=tokenizer, max_tokens=200))


def test_tokens_per_word_by_language(tmp_path: Path, tokenizer: Path) -> None:
    rows = [{"text": t, "label": ("good", "bad")[i % 2]} for i, t in enumerate(GOOD)]
    health = checked(written(tmp_path / "a.csv", rows), tokenizer=tokenizer)
    assert set(health.tokens_per_word) == {"en"}
    letters = sum(not c.isspace() for t in GOOD for c in t)
    assert health.tokens_per_word["en"] == pytest.approx(letters / sum(len(t.split()) for t in GOOD))
    assert "en (4." in one(health, "costly_language").message


def test_a_wrong_tokenizer_is_said_at_once(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", varied(10))
    with pytest.raises(NotFound, match=r"no tokenizer\.json"):
        checked(path, tokenizer=tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CorruptFile, match="is not a tokenizer"):
        checked(path, tokenizer=tmp_path)


def test_doubtful_labels_come_with_lines(tmp_path: Path) -> None:
    words = {"sport": "goal match team league striker", "food": "recipe oven butter sauce garlic"}
    rows = []
    for i in range(200):
        label = ("sport", "food")[i % 2]
        mine = words[label].split()
        rows.append({"text": f"{mine[i % 5]} {mine[i // 5 % 5]} {mine[i // 25 % 5]} note {i * 7919}", "label": label})
    rows[100]["label"] = "food"
    found = one(checked(written(tmp_path / "a.csv", rows)), "label_error")
    assert found.lines[0] == 102
    assert "line 102 is labelled “food”, reads like “sport”" in found.examples[0]


def test_duplicates_found_before_are_taken(tmp_path: Path) -> None:
    reading = read(written(tmp_path / "a.csv", varied(20) + varied(5)), text="text", label="label")
    assert check(reading, duplicates=find(reading.dataset.texts)) == check(reading)


@pytest.mark.real
def test_the_patient_reviews(reviews: dict[str, Path], minilm_folder: Path) -> None:
    reading = read(reviews, text="review", label="rating")
    health = check(reading, tokenizer=minilm_folder)
    assert health.read == 979 == health.kept + sum(health.skipped.values())
    assert health.labels == {"positive": 633, "negative": 256, "neutral": 90}
    assert health.splits == {"train": 600, "test": 379}
    assert one(health, "leakage").count == 1  # a review that stands in both of the published files
    assert (health.tokens["median"], health.tokens["limit"]) == (120, 256)
    assert list(health.tokens_per_word) == ["en"] and 1.2 < health.tokens_per_word["en"] < 1.5
    assert 10 <= one(health, "label_error").count <= 80
