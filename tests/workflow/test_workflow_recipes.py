"""YAML in, options out: our own, and what other programs' configs become, line by line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from made_tables import QUICK as FEW
from made_tables import Table

from seedbed import run
from seedbed.cli import main
from seedbed.errors import DataError, NotFound, UserError
from seedbed.train.config import TextConfig, TrainConfig
from seedbed.workflow import recipes
from seedbed.workflow.config import RunConfig, TuneConfig, check
from seedbed.workflow.recipes import Recipe

LLAMAFACTORY = """
### model
model_name_or_path: HuggingFaceTB/SmolLM2-135M-Instruct
trust_remote_code: true
### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
use_dora: true
### dataset
dataset: tickets
dataset_dir: rows
template: smollm
cutoff_len: 512
max_samples: 1000
overwrite_cache: true
### train
output_dir: saves/tickets
logging_steps: 10
per_device_train_batch_size: 2
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 2.5
lr_scheduler_type: constant
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
"""
AXOLOTL = """
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
load_in_8bit: false
adapter: lora
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
datasets:
  - path: rows.jsonl
    type: chat_template
    field_messages: conversations
    message_property_mappings:
      role: from
      content: value
val_set_size: 0.05
sequence_len: 1024
micro_batch_size: 4
num_epochs: 3
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 2e-4
wandb_project:
flash_attention: true
early_stopping_patience: 3
sample_packing: true
lora_target_modules: [q_proj]
"""


def read(folder: Path, text: str, *rows: str) -> Recipe:
    for name in rows:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text('{"instruction": "a", "output": "b"}\n')
    (folder / "config.yaml").write_text(text)
    return recipes.read(folder / "config.yaml", TuneConfig, TextConfig)


def info(folder: Path, **about: object) -> None:
    (folder / "rows").mkdir(exist_ok=True)
    (folder / "rows" / "dataset_info.json").write_text(json.dumps({"tickets": about}))


def says(found: Recipe, key: str) -> list[tuple[str, str]]:
    return [(one.kind, one.says) for one in found.lines if one.key == key]


def test_llamafactory(tmp_path: Path) -> None:
    info(tmp_path, file_name="t.json", columns={"prompt": "asked", "response": "said"})
    found = read(tmp_path, LLAMAFACTORY, "rows/t.json")
    assert (found.program, found.source, found.out) == (
        "LLaMA-Factory", str(tmp_path / "rows" / "t.json"), Path("saves/tickets"))
    assert found.main == {"model": "smollm2-135m-instruct", "method": "lora", "ask": "asked", "answer": "said"}
    assert found.training == {
        "epochs": 3, "learning_rate": 1e-4, "warmup": 0.1, "schedule": "wsd", "batch_texts": 2, "accumulate": 8,
        "max_tokens": 512, "adapter": "dora", "rank": 8, "alpha": 16.0, "train_layers": 30}
    assert {one.key for one in found.lines} == set(LLAMAFACTORY_KEYS), "every line is spoken of"
    assert Counter(one.kind for one in found.lines) == {"taken": 17, "idle": 8, "lacking": 1}
    assert says(found, "max_samples") == [("lacking", "all rows are taken")]
    assert says(found, "lora_rank") == [("taken", "--alpha 16.0 (twice the rank, as there)"), ("taken", "--rank 8")]
    assert [one.number for one in found.lines if one.key == "cutoff_len"] == [16]
    found.refuse()
    with pytest.raises(UserError) as told:
        recipes.read(tmp_path / "config.yaml", RunConfig, TrainConfig).refuse()
    assert told.value.hint.startswith("seedbed train --config")


LLAMAFACTORY_KEYS = [line.split(":")[0] for line in LLAMAFACTORY.splitlines() if ":" in line]


def test_axolotl(tmp_path: Path) -> None:
    found = read(tmp_path, AXOLOTL, "rows.jsonl")
    assert (found.program, found.source) == ("Axolotl", str(tmp_path / "rows.jsonl"))
    assert found.main == {"model": "smollm2-135m-instruct", "method": "lora"}
    assert found.training == {"epochs": 3, "learning_rate": 2e-4, "schedule": "cosine", "patience": 3, "rank": 32,
                              "batch_texts": 4, "max_tokens": 1024, "alpha": 16.0, "train_layers": 30,
                              "adapter_dropout": 0.05, "packing": True}
    assert Counter(one.kind for one in found.lines) == {"taken": 15, "idle": 4, "lacking": 1}
    found.refuse()
    four = read(tmp_path, AXOLOTL.replace("adapter: lora\n", "adapter: qlora\nload_in_4bit: true\n"), "rows.jsonl")
    assert four.main["method"] == "qlora" and says(four, "load_in_4bit") == [("idle", "see adapter")]
    eight = read(tmp_path, AXOLOTL.replace("load_in_8bit: false", "load_in_8bit: true"), "rows.jsonl")
    assert eight.main["method"] == "lora" and [kind for kind, _ in says(eight, "load_in_8bit")] == ["lacking"]
    whole = read(tmp_path, AXOLOTL.replace("adapter: lora\n", "adapter:\n"), "rows.jsonl")
    assert whole.main["method"] == "full"


def test_plain_texts_and_judged_answers_are_tasks_here(tmp_path: Path) -> None:
    info(tmp_path, file_name="t.json", columns={"prompt": "text"})
    theirs = read(tmp_path, LLAMAFACTORY.replace("stage: sft", "stage: pt"), "rows/t.json")
    assert theirs.main["task"] == "pretrain" and says(theirs, "stage") == [("taken", "--task pretrain")]
    for rows in ("datasets: [{path: rows.jsonl, type: completion}]", "pretraining_dataset: rows.jsonl"):
        found = read(tmp_path, f"base_model: HuggingFaceTB/SmolLM2-135M-Instruct\n{rows}", "rows.jsonl")
        found.refuse()
        assert (found.source, found.main["task"]) == (str(tmp_path / "rows.jsonl"), "pretrain")
        assert check(TuneConfig(**found.main), TextConfig(**found.training))[0].task == "pretrain"
    for loss in ("dpo", "orpo", "kto"):
        main = read(tmp_path, AXOLOTL + f"rl: {loss}\nrl_beta: 0.2", "rows.jsonl").main
        assert main["prefer"] == loss and check(TuneConfig(**main), TextConfig())[0].task == "prefer"


@pytest.mark.parametrize(("task", "option"), [("embed", "batch_pairs"), ("entities", "max_tokens"),
                                              ("prefer", "beta"), ("pretrain", "rank")])
def test_every_task_is_configured_and_explained(task: str, option: str, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(f"source: rows.jsonl\ntask: {task}\nsearch: 3 trials\n{option}: 24\n")
    assert main(["train", "--config", str(file), "--explain"]) == 0
    flag = option.replace("_", "-")
    assert capsys.readouterr().out.splitlines()[-1].startswith(
        f"the same as: seedbed train rows.jsonl --task {task} --search '3 trials' --{flag} 24")


@pytest.mark.parametrize(("old", "new", "message"), [
    ("stage: sft", "stage: rm", "line 6, stage: the stage rm is not there"),
    ("finetuning_type: lora", "finetuning_type: oft", "line 8, finetuning_type: adapters of the kind oft"),
    ("lora_rank: 8", "lora_rnak: 8", "line 9, lora_rnak: nothing is known of it"),
    ("dataset: tickets", "dataset: letters", "line 13, dataset: letters is not in"),
    ("template: smollm", "train_on_prompt: true", "line 15, train_on_prompt: questions would be learned too"),
    ("SmolLM2-135M-Instruct", "SmolLM9", "line 3, model_name_or_path: There is no model card"),
    ("cutoff_len: 512", "cutoff_len: long", "line 16: --max-tokens is 'long'"),
    ("lora_rank: 8", "lora_rank: 0", "line 9: --rank is 0, which is out of bounds"),
    ("warmup_ratio: 0.1", "warmup_ratio: much", "line 27, warmup_ratio: 'much' is no value"),
    ("bf16: true", "cutoff_len: 9", "line 28: 'cutoff_len' was said in line 16 already")])
def test_llamafactory_lines_that_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    info(tmp_path, file_name="t.json")
    with pytest.raises(UserError) as told:
        read(tmp_path, LLAMAFACTORY.replace(old, new), "rows/t.json").refuse()
    assert message in told.value.message


@pytest.mark.parametrize(("old", "new", "message"), [
    ("type: chat_template", "type: stepwise_supervised", "rows of the type stepwise_supervised are not known"),
    ("content: value", "content: words", "the turns are in conversations as from, words"),
    ("path: rows.jsonl", "path: tatsu-lab/alpaca", "the rows tatsu-lab/alpaca are not on this machine"),
    ("adapter: lora", "adapter: vera", "adapters of the kind vera are not there"),
    ("flash_attention: true", "rl: ebft", "the loss ebft is not there"),
    ("flash_attention: true", "reward_model: true", "a model that judges")])
def test_axolotl_lines_that_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError) as told:
        read(tmp_path, AXOLOTL.replace(old, new), "rows.jsonl").refuse()
    assert message in told.value.message


@pytest.mark.parametrize(("about", "message"), [
    ({"hf_hub_url": "a/b"}, "tickets is not a file on this machine"),
    ({"file_name": "gone.json"}, "the rows gone.json are not on this machine"),
    ({"file_name": "t.json", "columns": {"images": "images"}}, "it has images"),
    ({"file_name": "t.json", "formatting": "sharegpt", "columns": {"messages": "talk"}}, "the turns are in talk"),
    ({"file_name": "t.json", "formatting": "sharegpt", "tags": {"user_tag": "customer"}}, "customer"),
    ({"file_name": "t.json", "columns": {"prompt": "a", "query": "b", "response": "c"}}, "not named as in Alpaca")])
def test_a_dataset_info_that_cannot_be_meant(tmp_path: Path, about: dict[str, object], message: str) -> None:
    info(tmp_path, **about)
    with pytest.raises(UserError) as told:
        read(tmp_path, LLAMAFACTORY, "rows/t.json").refuse()
    assert message in told.value.message
    read(tmp_path, LLAMAFACTORY, "rows/t.json").refuse({"source"})  # the command line names another file


def test_ours_flat_or_in_blocks_and_wrong_lines_are_named(tmp_path: Path) -> None:
    flat = read(tmp_path, "source: rows.jsonl\nmodel: smollm2-135m-instruct\nepochs: '3'\nlearning_rate: 1e-4\n",
                "rows.jsonl")
    blocks = read(tmp_path, "source: rows.jsonl\ntrain:\n  model: smollm2-135m-instruct\ntraining: {epochs: 3, "
                            "learning_rate: 1.0e-4}\n")
    assert flat.main == blocks.main == {"model": "smollm2-135m-instruct"}
    assert flat.training == blocks.training == {"epochs": 3, "learning_rate": 1e-4}
    assert flat.source == blocks.source == str(tmp_path / "rows.jsonl")
    for text, message, hint in (
            ("epochs: 3\n\nlerning_rate: 1", "line 3: 'lerning_rate' is no option", "Did you mean learning_rate?"),
            ("training:\n  epochs: 3\n  ranks: 2", "line 3: 'ranks' is no option", "Did you mean rank?"),
            ("epochs: many", "line 1: --epochs is 'many'", "Give a value of the type int"),
            ("schedule: cosin", "line 1: --schedule is 'cosin'", "Did you mean cosine?"),
            ("run:\n  text: a", "line 1: the block 'run' is of another verb", "seedbed run --config"),
            ("a: [1", "is not YAML", "Mend"), ("- a", "holds no names", "name: value"), ("", "holds no names", "")):
        with pytest.raises((UserError, DataError)) as told:
            read(tmp_path, text)
        assert message in told.value.message and hint in told.value.hint
    with pytest.raises(NotFound):
        recipes.read(tmp_path / "none.yaml", TuneConfig, TextConfig)


def test_a_run_is_repeated_from_its_own_config_and_flags_win(tiny_ladder: Path, make_table: Table, tmp_path: Path,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    config = RunConfig(candidates=("tfidf",), learning_curve=False, test=make_table(30, "test.csv", seed=5))
    done = run(make_table(120), config, FEW, out=tmp_path / "one")
    again = recipes.read(done.folder.config, RunConfig, TrainConfig)
    assert RunConfig(**again.main) == config and TrainConfig(**again.training) == FEW
    assert main(["run", "--config", str(done.folder.config), "--out", str(tmp_path / "two"), "--seed", "3",
                 "--quiet"]) == 0
    said = recipes.read(tmp_path / "two" / "config.yaml", RunConfig, TrainConfig)
    assert {**said.main, "seed": 0} == again.main and said.main["seed"] == 3 and said.source == again.source
    capsys.readouterr()


def test_explain_trains_nothing_and_says_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "theirs.yaml"
    file.write_text(AXOLOTL.replace("SmolLM2-135M-Instruct", "Unknown"))
    assert main(["train", "mine.jsonl", "--config", str(file), "--explain", "--epochs", "1", "--model",
                 "smollm2-135m-instruct"]) == 0
    shown = capsys.readouterr().out
    assert "is Axolotl's: 12 taken over, 4 not needed here, 1 that differ here, 2 refused." in shown
    assert "given on the command line" in shown and "--rank 32" in shown
    assert shown.splitlines()[-1].startswith(
        "the same as: seedbed train mine.jsonl --model smollm2-135m-instruct --epochs 1 --learning-rate 0.0002")
    assert main(["train", "--config", str(file)]) == 2
    assert "line 2, base_model: There is no model card" in capsys.readouterr().err
    assert main(["train", "--explain"]) == 2
    assert not (tmp_path / "runs").exists()
