from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from torch.nn import functional as F

from seedbed.engines.sampling import Sampling
from seedbed.engines.writer import Writer
from seedbed.errors import UserError
from seedbed.models import grid
from seedbed.models.backbone import Backbone
from seedbed.models.paired import Paired
from seedbed.models.template import Row
from seedbed.train.boundary import Boundary
from seedbed.train.config import TextConfig
from seedbed.train.generate import TextLesson, write
from seedbed.train.student import Tuned
from seedbed.train.trainable import Adapted

QUICK = TextConfig(epochs=4, learning_rate=1e-2, batch_texts=8, train_layers=2, rank=4, max_tokens=32)


def rows(family: str, count: int, seed: int = 0) -> list[Row]:
    """The colour of a thing is asked, and the answer follows from the thing."""
    model = Backbone.open(tiny.model(family), max_tokens=32)
    out = []
    for i in range(count):
        thing, colour = (("box", "blue"), ("paper", "slow"), ("label", "great"))[(i + seed) % 3]
        asked, answered = model.tokens([f"the {thing} was", f" {colour} and {colour}"])
        ids = [*asked, *answered]
        if family in tiny.PAIRED:
            answered = [model.root.config.decoder_start_token_id, *answered]
            ids = Paired(asked, answered)
        out.append(Row(ids, [at >= len(asked) + (family in tiny.PAIRED) for at in range(len(ids))]))
    return out


def lesson(family: str, config: TextConfig = QUICK, **options: Any) -> TextLesson:
    return TextLesson(rows(family, 36), rows(family, 9, 1), rows(family, 12, 2), config=config,
                      model=tiny.model(family), **options)


def straight(folder: Path, some: list[Row]) -> np.ndarray[Any, Any]:
    """Summed cross-entropy of the learned tokens by the model's own forward pass, a row at a time."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
    paired = isinstance(some[0].ids, Paired)
    model = (AutoModelForSeq2SeqLM if paired else AutoModelForCausalLM).from_pretrained(folder, dtype=torch.float32)
    out = []
    with torch.no_grad():
        for row in some:
            ids = torch.tensor(row.ids)
            if isinstance(row.ids, Paired):  # as transformers trains: it puts the decoder's first token there itself
                said = ids[row.ids.source + 1:]
                out.append(float(model(input_ids=ids[None, :row.ids.source], labels=said[None]).loss) * len(said))
                continue
            each = F.cross_entropy(model(ids[None]).logits[0, :-1], ids[1:], reduction="none")
            out.append(float(each[torch.tensor(row.learned[1:])].sum()))
    return np.array(out)


@pytest.mark.parametrize("family", tiny.WRITERS)
def test_it_learns_and_is_judged_as_the_model_itself_would(family: str, tmp_path: Path) -> None:
    one = lesson(family)
    tuned = write(dataclasses.replace(one, adapter=tmp_path / "adapter"))
    assert np.allclose(tuned.before.nats, straight(tiny.model(family), one.judged), rtol=1e-4)
    assert tuned.before.tokens.tolist() == [row.count for row in one.judged]
    assert tuned.after.mean < tuned.before.mean - 0.5
    tuned.backbone.save(tmp_path / "model")
    assert np.allclose(tuned.after.nats, straight(tmp_path / "model", one.judged), rtol=1e-3)
    assert tuned.trained_parameters < tuned.parameters
    assert tuned.predicted_seconds > 0


OPEN = """
import sys, torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
torch.set_num_threads(1)
for place, base in zip(sys.argv[1::2], sys.argv[2::2]):
    ids = torch.arange(5, 25)[None]
    paired = AutoConfig.from_pretrained(base).is_encoder_decoder
    kind, more = (AutoModelForSeq2SeqLM, {"decoder_input_ids": ids}) if paired else (AutoModelForCausalLM, {})
    tuned = PeftModel.from_pretrained(kind.from_pretrained(base, dtype=torch.float32), place + "/adapter")
    whole = kind.from_pretrained(place + "/model", dtype=torch.float32)
    with torch.no_grad():
        text = whole.generate(ids, max_new_tokens=8, do_sample=False, attention_mask=torch.ones_like(ids))
        torch.save((tuned(ids, **more).logits, whole(ids, **more).logits, text[0, 1 if paired else 20:]),
                   place + "/said")
"""


def test_adapter_and_merged_model_open_in_a_fresh_process_and_say_the_same(tmp_path: Path) -> None:
    """By transformers and PEFT alone, for each family."""
    words, said = [], {}
    ids = torch.arange(5, 25)[None]
    for family in tiny.WRITERS:
        tuned = write(lesson(family, dataclasses.replace(QUICK, epochs=1), adapter=tmp_path / family / "adapter"))
        tuned.backbone.save(tmp_path / family / "model")
        writer = Writer(tuned.backbone)
        with torch.no_grad():
            more = {"decoder_input_ids": ids} if family in tiny.PAIRED else {}
            said[family] = tuned.backbone.root(input_ids=ids, **more).logits, list(
                writer._tokens(ids[0].tolist(), Sampling(), 8))
        words += [str(tmp_path / family), str(tiny.model(family))]
    subprocess.run([sys.executable, "-c", OPEN, *words], check=True, capture_output=True)
    for family, (mine, written) in said.items():
        adapted, merged, text = torch.load(tmp_path / family / "said")
        size = float(merged.abs().max())
        assert float((adapted - merged).abs().max()) < 1e-4 * size, family
        assert float((mine - merged).abs().max()) < 1e-4 * size, family
        assert text.tolist()[: len(written)] == written, family


@pytest.mark.parametrize("kind", ["rslora", "dora"])
def test_other_adapters_are_merged_and_are_what_peft_says_they_are(kind: str, tmp_path: Path) -> None:
    one = lesson("llama", dataclasses.replace(QUICK, adapter=kind, learning_rate=5e-3))
    tuned = write(dataclasses.replace(one, adapter=tmp_path / "adapter"))
    assert tuned.after.mean < tuned.before.mean - 0.5
    said = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (said["use_rslora"], said["use_dora"]) == (kind == "rslora", kind == "dora")
    tuned.backbone.save(tmp_path / "model")
    assert np.allclose(tuned.after.nats, straight(tmp_path / "model", one.judged), rtol=1e-3)
    plain = write(lesson("llama"))
    assert (tuned.trained_parameters > plain.trained_parameters) == (kind == "dora")  # a length for each row


@pytest.mark.parametrize("family", [
    f if f in ("llama", "gemma3", "t5") else pytest.param(f, marks=pytest.mark.slow)
    for f in tiny.WRITERS if f != "qwen2_moe"])  # its experts are no linear layers
def test_weights_at_4_bits_are_trained_on_and_merged(family: str, tmp_path: Path) -> None:
    one = lesson(family, method="qlora", adapter=tmp_path / "adapter")
    tuned = write(one)
    assert not np.allclose(tuned.before.nats, straight(tiny.model(family), one.judged), rtol=1e-6)  # it is rounded
    assert tuned.after.mean < tuned.before.mean - 0.5
    tuned.backbone.save(tmp_path / "model")
    assert "quantization_config" not in json.loads((tmp_path / "model" / "config.json").read_text())
    assert np.allclose(tuned.after.nats, straight(tmp_path / "model", one.judged), rtol=1e-3)
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 4


def test_only_learned_tokens_count() -> None:
    """Another question, the same answer: where nothing of a question is learned, its own words cost nothing."""
    one = lesson("llama")
    plain = dataclasses.replace(one, judged=[Row(row.ids, [True] * len(row.ids)) for row in one.judged])
    few, many = write(one), write(plain)
    assert (few.before.tokens < many.before.tokens).all() and (few.before.nats < many.before.nats).all()
    assert few.trained.history[-1]["validation_loss"] == many.trained.history[-1]["validation_loss"]


@pytest.mark.parametrize("family", ["llama", "flan_t5"])
def test_whole_layers_are_tuned_and_the_vocabulary_is_not(family: str, tmp_path: Path) -> None:
    before = Backbone.open(tiny.model(family), vocabulary=True)
    one = lesson(family, dataclasses.replace(QUICK, learning_rate=3e-3), method="full")
    tuned = write(one)
    assert tuned.after.mean < tuned.before.mean - 0.3
    pairs = zip(before.root.named_parameters(), tuned.backbone.root.parameters(), strict=True)
    changed = {name for (name, old), new in pairs if not torch.equal(old, new)}
    assert not any(table in name for name in changed for table in ("embed", "lm_head", "shared", "attention_bias"))
    assert changed and not any(f"{layer}.0." in name for name in changed for layer in ("layers", "block"))
    assert not any(name.startswith(("layers.1.", "encoder.block.1.")) for name in changed)
    tuned.backbone.save(tmp_path / "model")
    assert np.allclose(tuned.after.nats, straight(tmp_path / "model", one.judged), rtol=1e-3)


@pytest.mark.parametrize("family", ["llama", "bloom"])
def test_weights_that_are_rounded_in_every_pass_are_saved_as_such(family: str, tmp_path: Path) -> None:
    one = lesson(family, dataclasses.replace(QUICK, learning_rate=3e-3), method="qat")
    tuned = write(one)
    assert tuned.after.mean < tuned.before.mean - 0.3
    assert grid.lies_on(tuned.backbone.root)  # all layers, not only those that were trained
    tuned.backbone.save(tmp_path / "model")
    assert np.allclose(tuned.after.nats, straight(tmp_path / "model", one.judged), rtol=1e-3)
    whole = write(dataclasses.replace(one, method="full"))
    assert not grid.lies_on(whole.backbone.root) and whole.before.mean != tuned.before.mean


@pytest.mark.parametrize("family", ["llama", "t5"])  # T5 drops activations in training
def test_a_stopped_training_goes_on_as_an_undisturbed_one(family: str, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = write(lesson(family, folder=tmp_path / "a"))
    calls, real = [0], Boundary.pass_through

    def stopping(self: Boundary, places: Any, *more: Any, **named: Any) -> Any:
        calls[0] += torch.is_grad_enabled()
        if torch.is_grad_enabled() and calls[0] == 10:  # four steps of the forecast, then the sixth of the loop
            raise KeyboardInterrupt
        return real(self, places, *more, **named)
    monkeypatch.setattr(Boundary, "pass_through", stopping)
    with pytest.raises(KeyboardInterrupt):
        write(lesson(family, folder=tmp_path / "b"))
    resumed = write(lesson(family, folder=tmp_path / "b"))
    assert steps(resumed) == steps(undisturbed)
    assert np.array_equal(resumed.after.nats, undisturbed.after.nats)


def steps(tuned: Tuned) -> list[dict[str, float]]:
    return [{**one, "seconds": 0} for one in tuned.trained.history]


PACKABLE = ("llama", "qwen2", "mistral", "gemma3", "qwen2_moe", "phi3", "gemma2")


@pytest.mark.parametrize("family", tiny.WRITERS)
def test_packed_texts_cost_what_they_cost_alone(family: str) -> None:
    """Their activations too, and the gradients of what is trained; a family that cannot is refused."""
    one = lesson(family, dataclasses.replace(QUICK, packing=True))
    lengths = [9, 3, 4, 2, 9, 1]
    ids = [list(range(3 + i, 3 + i + length)) for i, length in enumerate(lengths)]
    if family not in PACKABLE:
        assert not Backbone.open(tiny.model(family), vocabulary=True).packs()
        with pytest.raises(UserError, match="do not stay apart"):
            write(one)
        return
    model = Backbone.open(tiny.model(family), vocabulary=True, max_tokens=32)
    body = Adapted(model, ids, one)
    for name, parameter in body.parameters.items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    found = []
    for packing in (False, True):
        body.boundary.packing = packing
        out = body.vectors(range(6), pool=False)
        real = torch.cat([out[i, :length] for i, length in enumerate(lengths)])
        found.append((real, *torch.autograd.grad((real ** 2).mean(), list(body.parameters.values()),
                                                 allow_unused=True)))
    for apart, packed in zip(*found, strict=True):
        assert (apart is None) == (packed is None)
        assert apart is None or torch.allclose(apart, packed, atol=1e-4)
    assert torch.allclose(body.vectors(range(6)), model.pool(out, torch.tensor(lengths)), atol=1e-4)


def test_a_packed_training_learns() -> None:
    tuned = write(lesson("llama", dataclasses.replace(QUICK, packing=True)))
    assert tuned.after.mean < tuned.before.mean - 0.5


@pytest.mark.parametrize(("family", "method"), [("llama", "lora"), ("llama", "full"), ("gemma3", "full"),
                                                ("bloom", "lora"), ("lfm2", "lora")])
def test_activations_that_are_computed_again_are_the_same(family: str, method: str) -> None:
    kept, again = (write(lesson(family, dataclasses.replace(QUICK, epochs=1, checkpointing=on), method=method))
                   for on in (False, True))
    assert [one["train_loss"] for one in again.trained.history] == pytest.approx(
        [one["train_loss"] for one in kept.trained.history], abs=1e-5)
    assert np.allclose(kept.after.nats, again.after.nats, atol=1e-4)
    assert not again.backbone.body.is_activation_checkpointing


def test_noise_on_the_embeddings_is_drawn_in_steps_alone() -> None:
    plain, noisy, same = (write(lesson("llama", dataclasses.replace(QUICK, epochs=2, neftune=alpha)))
                          for alpha in (0.0, 5.0, 5.0))
    assert np.array_equal(plain.before.nats, noisy.before.nats)
    assert steps(noisy) == steps(same) != steps(plain)
    assert not noisy.backbone._hooks and noisy.after.mean < noisy.before.mean


def test_adapters_with_dropout_learn() -> None:
    tuned = write(lesson("llama", dataclasses.replace(QUICK, adapter_dropout=0.2)))
    assert tuned.after.mean < tuned.before.mean - 0.3


def test_smoothed_labels_teach_and_are_not_what_is_judged() -> None:
    plain, smooth = (write(lesson("llama", dataclasses.replace(QUICK, label_smoothing=s))) for s in (0.0, 0.3))
    assert np.array_equal(plain.before.nats, smooth.before.nats)
    assert plain.after.mean < smooth.after.mean < smooth.before.mean - 0.3
    assert smooth.trained.history[0]["train_loss"] > plain.trained.history[0]["train_loss"]


def test_without_validation_rows_the_last_weights_stand() -> None:
    tuned = write(dataclasses.replace(lesson("llama"), held=[]))
    assert tuned.trained.best_step == tuned.trained.steps > 0


@pytest.mark.real
def test_the_real_model_learns_a_way_to_answer(smollm2_folder: Path) -> None:
    from transformers import AutoTokenizer

    from seedbed.data.turns import pair
    from seedbed.models.folder import open_folder
    from seedbed.models.template import Template

    template = Template(AutoTokenizer.from_pretrained(open_folder(smollm2_folder)), 64)
    things = ["apple", "river", "stone", "bread", "cloud", "horse", "paper", "glass", "wheel", "candle", "garden",
              "hammer", "island", "jacket", "kettle", "ladder"]
    made = [template.row(pair(f"Say {thing}.", f"{thing.upper()} it is, sir!")) for thing in things]
    tuned = write(TextLesson(made[:10], made[10:12], made[12:], model=smollm2_folder, config=TextConfig(
        epochs=3, batch_texts=5, train_layers=4, learning_rate=2e-3, max_tokens=64)))
    assert tuned.after.mean < tuned.before.mean / 2
