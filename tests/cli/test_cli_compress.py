"""The verb `compress`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wordy
from tiny import exactly  # noqa: F401

from seedbed.cli import main

WORDS = "the model learns rows of a file and judges test budget labels"


def texts(folder: Path) -> str:
    file = folder / "texts.jsonl"
    words = WORDS.split()
    file.write_text("".join(json.dumps({"text": " ".join((words * 2)[at % 11:at % 11 + 9]) + f" {at}"}) + "\n"
                            for at in range(50)))
    return str(file)


def test_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small"
    words = ["compress", str(wordy.model("byte_level")), "--texts", texts(tmp_path), "--out", str(out), "--how",
             "layers,vocabulary", "--keep", "0.5", "--calibrated", "8", "--quiet"]
    assert main(words) == 0
    said, told = capsys.readouterr().out, json.loads((out / "compression.json").read_text())
    assert "2 of 4 layers stay; those that go are" in said
    assert f"{told['steps'][1]['after']:,} of 1,005 words of the vocabulary stay." in said
    assert f"{told['parameters']['before']:,} parameters before, {told['parameters']['after']:,} after" in said
    assert f"bits a byte ({told['rows']['judged']}" in said and f"model: {out}" in said
    assert main(words) == 2  # the folder is taken
    assert "is there already" in capsys.readouterr().err


def test_json_is_what_the_folder_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small"
    words = ["compress", str(wordy.model("word_piece")), "--how", "vocabulary", "--texts", texts(tmp_path)]
    assert main([*words, "--out", str(out), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "compression.json").read_text())


def test_refusals_have_their_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compress", str(wordy.model("word_piece")), "--texts", texts(tmp_path), "--out", str(tmp_path / "small")]
    assert main([*words, "--how", "wings"]) == 2
    assert "wings" in capsys.readouterr().err
    assert main([*words, "--how", "layers", "--keep", "0.25", "--calibrated", "4", "--floor", "0.01", "--quiet"]) == 3
    assert "that it is no more than 0.01 is not proven. Nothing was written." in capsys.readouterr().err
    assert main([*words[:-2], "--how", "layers"]) == 2
    assert "--how writes a new model, and no folder is named." in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["texts.jsonl"]
