"""`seedbed train` with judged answers: found out, learned, stopped, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from made_tables import lasting

from seedbed.data.freeze import open_splits
from seedbed.errors import DataError, Interrupted, UserError
from seedbed.train.boundary import Boundary
from seedbed.train.config import TextConfig
from seedbed.workflow import TuneConfig, finetune
from seedbed.workflow.tune import resume
from seedbed.workflow.view import view

CONFIG = TuneConfig(model="tiny-llama")
QUICK = TextConfig(epochs=3, train_layers=2, rank=4, batch_texts=16, learning_rate=1e-2, max_tokens=48,
                   checkpoint_seconds=0)
THINGS = ("box", "paper", "label", "great", "fast", "broken", "slow", "monday")


def pairs(count: int = 120) -> list[dict[str, Any]]:
    return [{"prompt": f"the {THINGS[i % 8]} and the {THINGS[i // 8 % 8]} came {i}", "chosen": "it was a lovely blue",
             "rejected": f"it was {THINGS[(i + 3) % 8]}"} for i in range(count)]


def alone(count: int = 80) -> list[dict[str, Any]]:
    return [{"prompt": one["prompt"], "completion": one["chosen" if i % 3 else "rejected"], "label": bool(i % 3)}
            for i, one in enumerate(pairs(count))]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_pairs_are_found_out_and_what_is_preferred_is_learned(tiny_ladder: Path, tmp_path: Path) -> None:
    done = finetune(write(tmp_path / "asked.jsonl", pairs()), CONFIG, QUICK, out=tmp_path / "out")
    result, rows = done.result, open_splits(tmp_path / "out")
    assert (result.task, result.form) == ("prefer", "prompt, chosen and rejected")
    assert "--task prefer" in result.command
    assert sum(result.rows.values()) == len(rows) == 120
    assert result.judged == result.rows["test"] >= 8
    assert [one.name for one in result.figures] == ["preferred", "gained", "preferred_whole", "margin", "good_loss",
                                                    "bad_loss"]
    gained = result.figure("gained")
    assert gained.after.value > 0.9 and gained.after.low > 0.5
    assert gained.after.n == result.judged  # no two to one prompt
    assert result.verdict.startswith(("It has learned to prefer", "It leans the right way"))
    assert result.predicted_memory and (tmp_path / "out" / "adapter").is_dir()
    seen = view(tmp_path / "asked.jsonl", model="tiny-llama", rows=2)
    assert [name for name, _ in seen.shown] == ["asked.jsonl line 1, the good answer",
                                                "asked.jsonl line 1, the bad answer"]


def test_kto_learns_from_pairs_too(tiny_ladder: Path, tmp_path: Path) -> None:
    done = finetune(write(tmp_path / "asked.jsonl", pairs(80)), TuneConfig(model="tiny-llama", prefer="kto"), QUICK,
                    out=tmp_path / "out")
    assert done.result.figure("gained").after.value > 0.9 and done.result.config["prefer"] == "kto"


def test_a_stopped_run_of_answers_alone_goes_on_to_the_same_figures(tiny_ladder: Path, tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "asked.jsonl", alone())
    straight = finetune(file, CONFIG, QUICK, out=tmp_path / "a").result
    assert [one.name for one in straight.figures] == ["preferred", "gained", "preferred_whole", "good_reward",
                                                      "bad_reward", "good_loss", "bad_loss"]
    assert straight.figure("gained").after.value > 0.9
    calls, real = [0], Boundary.pass_through

    def stopping(self: Boundary, places: Any, *more: Any, **named: Any) -> Any:
        calls[0] += torch.is_grad_enabled()
        if torch.is_grad_enabled() and calls[0] == 24:
            raise KeyboardInterrupt
        return real(self, places, *more, **named)
    monkeypatch.setattr(Boundary, "pass_through", stopping)
    with pytest.raises(Interrupted, match="what was done is kept"):
        finetune(file, CONFIG, QUICK, out=tmp_path / "b")
    again = resume(tmp_path / "b").result
    both = [lasting(json.loads(one.model_dump_json())) for one in (straight, again)]
    for one in both:
        one["run"] = one["command"] = one["config"] = None
    assert both[0] == both[1]


def test_what_cannot_be_learned_from_is_told_before_anything_is_written(tiny_ladder: Path, tmp_path: Path) -> None:
    file, kto = write(tmp_path / "pairs.jsonl", pairs(40)), write(tmp_path / "kto.jsonl", alone(40))
    by_dpo = TuneConfig(model="tiny-llama", prefer="dpo")
    cut = TextConfig(max_tokens=28)
    for source, config, training, words in (
            (kto, by_dpo, QUICK, "DPO learns from pairs, and some rows judge one answer alone"),
            (write(tmp_path / "a.jsonl", [{**one, "label": True} for one in alone(40)]), CONFIG, QUICK,
             r"All \d+ answers of the train rows are good"),
            (write(tmp_path / "b.jsonl", [{"prompt": one["prompt"], "completion": "x"} for one in alone(9)]), by_dpo,
             QUICK, "no form of judged answers"),
            (write(tmp_path / "c.jsonl", [{**one, "chosen": "it was it was it was" * 9 + " great",
                                           "rejected": "it was it was it was" * 9 + " slow"} for one in pairs(40)]),
             CONFIG, cut, r"c.jsonl line \d+: both answers are the same as the model reads them")):
        with pytest.raises(DataError, match=words):
            finetune(source, config, training, out=tmp_path / "out")
    with pytest.raises(UserError, match="--ask and --answer name one answer a row"):
        finetune(file, TuneConfig(model="tiny-llama", prefer="dpo", ask="prompt", answer="chosen"), QUICK,
                 out=tmp_path / "out")
    with pytest.raises(UserError, match="--prefer was given together with --task summarize"):
        finetune(file, TuneConfig(model="tiny-llama", prefer="dpo", task="summarize"), QUICK, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
