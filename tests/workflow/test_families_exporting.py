"""`seedbed export` of families that llama.cpp has in its own way: learned here, written, proven, and they answer."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
from test_workflow_tune import QUICK, write

from seedbed.cli import main
from seedbed.export.manifest import Manifest
from seedbed.workflow import finetune
from seedbed.workflow.config import TuneConfig

pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2_moe", "gemma3", "falcon", "bloom"])
def test_a_run_of_the_family_is_exported_and_answers_alike(family: str, tmp_path: Path,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    """Also at four bits, with rows that say which columns matter."""
    finetune(write(tmp_path / "asked.jsonl"), TuneConfig(model=str(tiny.model(family))), QUICK, out=tmp_path / "out")
    assert main(["export", str(tmp_path / "out"), "--to", "gguf:f16,gguf:q4_k_m", "--quiet"]) == 0
    made = Manifest.open(tmp_path / "out" / "bundle").engines
    assert [one.name for one in made] == ["reference", "gguf-f16", "gguf-q4_k_m"]
    exact = made[1].certificate
    rise = next(one for one in exact.checks if one.name.startswith("rise of the loss")) if exact else None
    assert rise and rise.n == 12 and abs(rise.found) < 0.005
    capsys.readouterr()
    said = {}
    for engine in ("reference", "gguf-f16"):
        assert main(["generate", str(tmp_path / "out"), "the box and the slow came 901", "--max-tokens", "12",
                     "--engine", engine, "--quiet"]) == 0
        said[engine] = capsys.readouterr().out
    assert said["reference"] == said["gguf-f16"] != "\n"
