"""`seedbed verify RUN --anew`: what comes from what it names is the same, and what does not is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_tables import use_tiny
from safetensors.numpy import load_file, save_file
from test_workflow_tune import CONFIG, QUICK
from test_workflow_tune import write as write_rows

from seedbed.cli import main
from seedbed.settings import settings
from seedbed.workflow import finetune

pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deriving")


@pytest.fixture(scope="module")
def tuned(home: Path, tiny_models: Path) -> Path:
    """A run whose model writes, with LoRA, exported as GGUF."""
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch, home / "home", tiny_models)
        finetune(write_rows(home / "asked.jsonl", 60), CONFIG, QUICK, out=home / "out")
        assert main(["export", str(home / "out"), "--to", "gguf:f16,gguf:q8_0", "--quiet"]) == 0
    settings.cache_clear()
    return home / "out"


@pytest.fixture
def run(tuned: Path, home: Path, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, where its base is at hand."""
    use_tiny(monkeypatch, home / "home", tiny_models)
    return Path(shutil.copytree(tuned, tmp_path / "out"))


def links(run: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, tuple[str, str]]:
    capsys.readouterr()
    assert main(["verify", str(run), "--anew", "--json", "--quiet"]) == code
    return {one["name"]: (one["made"], one["said"]) for one in json.loads(capsys.readouterr().out)}


def test_every_step_gives_the_same(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = links(run, capsys)
    assert list(found) == ["data", "base", "adapter", "reference", "gguf-f16", "gguf-q8_0"]
    assert {made for made, _ in found.values()} == {"same"}, found
    assert "byte by byte" in found["gguf-f16"][1] and "to the last digit" in found["reference"][1]


def test_a_model_that_is_not_base_and_adapter_is_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run / "bundle" / "model" / "model.safetensors"
    values = load_file(file)
    name = next(name for name in values if name.endswith("q_proj.weight"))
    values[name] = values[name] + np.float32(0.01)
    save_file(values, file, {"format": "pt"})
    found = links(run, capsys, 3)
    assert found["reference"][0] == "differs" and "off by 0.01" in found["reference"][1]
    assert found["gguf-f16"][0] == "near" and "model.gguf" in found["gguf-f16"][1]


def test_other_rows_and_another_adapter_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (run / "adapter" / "adapter_model.safetensors").open("ab") as file:
        file.write(b"\0")
    with (run / "data.parquet").open("ab") as file:
        file.write(b"\0")
    found = links(run, capsys, 3)
    assert found["data"][0] == found["adapter"][0] == "differs" and found["base"][0] == "same"
    assert found["reference"][0] == "not made"


def test_a_bundle_alone_says_what_it_lacks(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = Path(shutil.copytree(run / "bundle", tmp_path / "alone" / "bundle"))
    found = links(alone, capsys)
    assert found["data"][0] == found["adapter"][0] == found["reference"][0] == "not made"
    assert found["base"][0] == "same" and found["gguf-f16"][0] == "same"
