"""`seedbed compress`, from a model and texts to a smaller model and what it costs."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import wordy
from test_workflow_tune import CONFIG, QUICK
from test_workflow_tune import write as write_rows
from tiny import exactly  # noqa: F401

from seedbed.compress.config import CompressConfig
from seedbed.compress.result import RESULT, Compressed
from seedbed.engines.transformer import TransformerHead
from seedbed.errors import QualityFloor, UserError
from seedbed.export.bundle import open_bundle, write
from seedbed.models.backbone import Backbone
from seedbed.records import Estimate
from seedbed.tasks.classify import Classify
from seedbed.workflow import finetune
from seedbed.workflow.compressing import shrink

WORDS = CompressConfig(how=("vocabulary",))


def texts(folder: Path, chats: bool = False) -> Path:
    """Sixty different texts of a few words."""
    pick = random.Random(0)
    words = ["the", "model", "learns", "rows", "of", "a", "file", "and", "judges", "test", "budget", "labels"]
    file = folder / "texts.jsonl"
    said = [" ".join(pick.choices(words, k=12)) for _ in range(60)]
    rows = [{"prompt": one[:20], "completion": one[20:]} if chats else {"text": one} for one in said]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback"])
@pytest.mark.parametrize("chats", [False, True])
def test_a_model_that_writes(kind: str, chats: bool, tmp_path: Path) -> None:
    done = shrink(wordy.model(kind), WORDS, out=tmp_path / "small", texts=texts(tmp_path, chats))
    assert done.kind == "writer"
    assert done.rows["calibration"] + done.rows["judged"] == 60
    assert done.steps[0].after == len(done.steps[0].kept) < 0.75 * done.steps[0].before
    assert done.parameters["after"] == done.steps[0].parameters < done.parameters["before"]
    assert done.size["after"] < done.size["before"]
    lead, = done.figures  # the same words again: every token is there, so their number is the same
    assert lead.name == "bits_per_byte" and lead.after.n == done.rows["judged"]
    assert lead.gain is not None and lead.gain.low > 0  # words that are gone share no more of the probability
    assert Compressed.model_validate_json((tmp_path / "small" / RESULT).read_text()) == done
    assert not list(tmp_path.glob(".*"))


def test_words_that_the_texts_lack_are_measured(tmp_path: Path) -> None:
    file = texts(tmp_path)
    rows = file.read_text().splitlines()
    rare = ["checkpoint", "interval", "tokenizer", "conversation", "adapter", "distillation", "encoder", "language"]
    rows += [json.dumps({"text": f"{word} {word} the {word} of number {i}"}) for i, word in enumerate(rare * 4)]
    file.write_text("\n".join(rows))
    done = shrink(wordy.model("byte_level"), WORDS, out=tmp_path / "few", texts=file)
    more = shrink(wordy.model("byte_level"), replace(WORDS, words=10**6), out=tmp_path / "all", texts=file)
    assert more.steps[0].after == len(wordy.tokenizer("byte_level"))
    assert [one.name for one in more.figures] == ["bits_per_byte"]
    assert done.parameters["after"] < more.parameters["after"] < more.parameters["before"]  # rows without a word go


def test_an_encoder(tmp_path: Path) -> None:
    done = shrink(wordy.model("word_piece"), WORDS, out=tmp_path / "small", texts=texts(tmp_path))
    assert done.kind == "encoder" and done.figures[0].name == "cosine"
    assert done.figures[0].after.value == pytest.approx(1, abs=1e-6)
    some = ["the model learns", "rows of a file"]
    assert np.array_equal(Backbone.open(tmp_path / "small").embed(some), Backbone.open(
        wordy.model("word_piece")).embed(some))


def classifier(folder: Path, kind: str = "word_piece", multi_label: bool = False) -> Path:
    """A bundle whose head is drawn."""
    chance = np.random.default_rng(0)
    head = TransformerHead(Backbone.open(wordy.model(kind)), chance.normal(size=(3, 32)), chance.normal(size=3))
    task = Classify(("a", "b", "c"), multi_label)
    write(folder, classifier=head, task=task, name="reviews", data_hash="ab" * 32, card="# A card\n",
          scores={"macro_f1": Estimate(value=0.9, low=0.8, high=0.95, n=60)}, sample_texts=["the model", "a file"],
          temperature=1.5, text_column="text", licences={"data": "CC0-1.0"})
    return folder


@pytest.mark.parametrize("kind", ["word_piece", "byte_level"])
def test_a_classifier_answers_to_the_last_digit_as_before(kind: str, tmp_path: Path) -> None:
    bundle, file = classifier(tmp_path / "bundle", kind), texts(tmp_path)
    done = shrink(bundle, WORDS, out=tmp_path / "small", texts=file)
    assert done.kind == "classifier" and done.figures[0].name == "agreement"
    assert done.figures[0].after.value == 1
    n = done.rows["judged"]
    assert any(note.startswith(f"Logits: {n} of {n} texts to the last digit as before") for note in done.notes)
    said = [json.loads(line)["text"] for line in file.read_text().splitlines()]
    before, after = open_bundle(bundle), open_bundle(tmp_path / "small", verify=True)
    assert before.predict(said) == [one.model_copy(update={"sure": mine.sure}) for one, mine in zip(
        after.predict(said), before.predict(said), strict=True)]
    assert np.array_equal(before.classifier.logits(said), after.classifier.logits(said))
    assert after.classifier.size < before.classifier.size
    assert set(after.manifest.scores) == {"agreement"} and after.manifest.temperature == 1.5
    assert "## Compressed" in (tmp_path / "small" / "README.md").read_text()


@pytest.mark.parametrize("multi_label", [False, True])
def test_labels_judge_a_classifier(multi_label: bool, tmp_path: Path) -> None:
    bundle, file = classifier(tmp_path / "bundle", multi_label=multi_label), texts(tmp_path)
    rows = [json.loads(line)["text"] for line in file.read_text().splitlines()]
    truth = [one.label for one in open_bundle(bundle).predict(rows)]
    file.write_text("".join(json.dumps({"text": text, "label": label}) + "\n"
                            for text, label in zip(rows, truth, strict=True)))
    done = shrink(bundle, replace(WORDS, text="text", label="label"), out=tmp_path / "small", texts=file)
    assert [one.name for one in done.figures] == ["accuracy", "agreement"]
    assert done.figures[0].before.value == done.figures[0].after.value == 1


def test_nothing_is_written_where_it_is_refused(tmp_path: Path) -> None:
    file, out = texts(tmp_path), tmp_path / "small"
    with pytest.raises(UserError, match="no texts of its own"):
        shrink(wordy.model("byte_level"), WORDS, out=out)
    with pytest.raises(UserError, match="names nothing"):
        shrink(wordy.model("byte_level"), CompressConfig(how=()), out=out, texts=file)
    with pytest.raises(UserError, match="no model card"):
        shrink("nowhere", WORDS, out=out, texts=file)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(UserError, match="is there already"):
        shrink(wordy.model("byte_level"), WORDS, out=tmp_path / "taken", texts=file)
    assert {one.name for one in tmp_path.iterdir()} == {"texts.jsonl", "taken"}


def test_a_tiny_vocabulary_stays_whole(tmp_path: Path) -> None:
    """What its data needs is nearly all: nothing goes wrong, and little is gained."""
    done = shrink(tiny.model("llama"), WORDS, out=tmp_path / "small", texts=texts(tmp_path))
    assert done.steps[0].after >= 256
    assert done.parameters["after"] <= done.parameters["before"]


def test_too_great_a_loss_is_refused(tmp_path: Path) -> None:
    from seedbed.evaluate.figures import Figure
    from seedbed.workflow.compressing import _hold

    def figure(low: float, high: float) -> Figure:
        one = Estimate(value=1, low=1, high=1, n=9)
        return Figure(name="bits_per_byte", title="bits a byte", more=False, before=one, after=one,
                      gain=Estimate(value=(low + high) / 2, low=low, high=high, n=9))
    _hold(figure(-0.3, -0.1), 0.3)
    _hold(figure(-0.3, -0.1), None)
    with pytest.raises(QualityFloor, match=r"no more than 0\.2 is not proven"):
        _hold(figure(-0.3, -0.1), 0.2)  # it lost that or less, as far as one number tells; the interval does not


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_everything_at_once_opens_in_plain_transformers(family: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    kind = {"llama": "llama3", "gemma3": "byte_fallback"}[family]
    config = CompressConfig(how=("vocabulary", "layers", "heads", "mlp"), keep=0.5, calibrated=8)
    done = shrink(wordy.model(kind), config, out=tmp_path / "small", texts=texts(tmp_path))
    assert [step.how for step in done.steps] == ["layers", "heads", "mlp", "vocabulary"]
    assert [step.after / step.before for step in done.steps[:3]] == [0.5] * 3
    left = [step.parameters for step in done.steps]
    assert done.parameters["before"] > left[0] > left[1] > left[2] > left[3] == done.parameters["after"]
    small = AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    assert sum(one.numel() for one in small.parameters()) == done.parameters["after"]
    assert done.figures[0].after.n == done.rows["judged"]


def test_a_classifier_with_fewer_layers(tmp_path: Path) -> None:
    bundle, file = classifier(tmp_path / "bundle"), texts(tmp_path)
    done = shrink(bundle, CompressConfig(how=("layers", "mlp"), keep=0.5), out=tmp_path / "small", texts=file)
    assert [(step.before, step.after) for step in done.steps] == [(4, 2), (64, 32)]
    small = open_bundle(tmp_path / "small", verify=True)
    assert len(small.classifier.backbone.layers) == 2  # type: ignore[attr-defined]
    scores = small.manifest.scores["agreement"]
    assert scores == done.figures[0].after and scores.n == done.rows["judged"]


def test_families_that_are_not_known_are_refused_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="family bert have heads"):
        shrink(wordy.model("word_piece"), CompressConfig(how=("heads",)), out=tmp_path / "small",
               texts=texts(tmp_path))
    with pytest.raises(UserError, match="family phi3"):
        shrink(tiny.model("phi3"), CompressConfig(how=("layers",)), out=tmp_path / "small", texts=texts(tmp_path))
    assert [one.name for one in tmp_path.iterdir()] == ["texts.jsonl"]


def test_a_model_with_fewer_layers_is_healed_by_the_whole_one(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "asked.jsonl")
    whole, small = tiny.model("llama"), tmp_path / "small"
    config = CompressConfig(how=("layers",), keep=0.5, calibrated=16)
    shrink(whole, config, out=small, texts=rows)
    tuned = finetune(rows, replace(CONFIG, model=str(small), teacher=str(whole), answered=0),
                     replace(QUICK, teacher_share=1.0), out=tmp_path / "run")
    assert tuned.result.model == str(small)
    gain = tuned.result.figure("divergence").gain
    assert gain is not None and gain.low > 0
    readme = (tuned.folder.bundle / "README.md").read_text()
    assert "Made from `small`" in readme and str(tmp_path) not in readme.split("## How to make it again")[0]
    again = shrink(tuned.folder.path, WORDS, out=tmp_path / "fewer")  # the run's own rows
    assert again.texts == f"the rows of {tuned.folder.path}"
    assert again.rows["judged"] == tuned.result.rows["test"]
    assert again.parameters["after"] <= again.parameters["before"]
