"""A model folder of the user's own, as a card: its shape, where its files are, and what no card is made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny

from seedbed.catalog import fetch
from seedbed.catalog.architecture import parameters
from seedbed.catalog.cards import card
from seedbed.catalog.folders import FolderCard, folder_card
from seedbed.errors import CorruptFile, NotFound, UserError


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral", "gemma3", "bert", "t5", "flan_t5"])
def test_its_shape_tells_how_many_parameters_it_has(family: str) -> None:
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    folder = tiny.model(family)
    one = card(str(folder))
    assert isinstance(one, FolderCard) and one.architecture is not None
    kind = AutoModel if family == "bert" else AutoModelForSeq2SeqLM if "t5" in family else AutoModelForCausalLM
    count = sum(p.numel() for p in kind.from_pretrained(folder).parameters())
    if "t5" in family:  # the formula knows 32 buckets of positions a head, and one table where the config ties
        assert one.architecture.decoder_layers == 3 and one.architecture.layers == 4
    else:
        assert one.count == parameters(one.architecture).total == count
    assert one.architecture.generates == (family != "bert")


def test_windows_are_those_of_the_config() -> None:
    shapes = {family: card(str(tiny.model(family))).architecture for family in ("llama", "mistral", "gemma3")}
    assert {name: (one.sliding_window, one.full_attention_every) for name, one in shapes.items() if one} == {
        "llama": (None, None), "mistral": (8, None), "gemma3": (8, 2)}


def test_nothing_is_copied() -> None:
    folder = tiny.model("llama")
    one = card(str(folder))
    assert fetch.pull(one) == fetch.local(one) == fetch.verify(one) == folder
    assert fetch.record(one) is None
    other = card(str(tiny.model("qwen2")))
    assert fetch.base_hash(one) == fetch.base_hash(card(str(folder))) != fetch.base_hash(other)
    assert fetch.pull_writer(str(folder)) == folder
    assert card(one.id) == one


@pytest.mark.parametrize("inner", ["model", "bundle/model", "bundle/model/body", "model/body"])
def test_a_run_or_a_bundle_holds_its_model(inner: str, tmp_path: Path) -> None:
    shutil.copytree(tiny.model("bert"), tmp_path / "run" / inner)
    (tmp_path / "run" / inner / "README.md").write_text("---\nlicense: mit\nlanguage: [en]\n---\n# A model\n")
    one = card(str(tmp_path / "run"))
    assert fetch.pull(one) == tmp_path / "run" / inner
    assert (one.title, one.licence, one.id) == ("run", "mit", str(tmp_path / "run"))


def test_a_family_that_is_not_known_has_no_shape(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba", "hidden_size": 8}))
    assert card(str(tmp_path)).architecture is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert card(str(tmp_path)).architecture is None
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf" / "a.gguf").touch()
    assert card(str(tmp_path / "gguf")).architecture is None


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    assert folder_card(tmp_path) is None
    with pytest.raises(NotFound, match="a folder without a model"):
        card(str(tmp_path))
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(CorruptFile, match=r"config\.json"):
            card(str(tmp_path))
    with pytest.raises(NotFound, match="no model card"):
        card(str(tmp_path / "nowhere"))


def test_a_card_comes_before_a_folder_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "smollm2-135m-instruct").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not isinstance(card("smollm2-135m-instruct"), FolderCard)


def test_a_model_that_writes_is_found_wherever_it_lies(tmp_path: Path) -> None:
    """In a run, in its bundle, by itself; and in a run of an earlier version, which had no bundle."""
    model, old = tmp_path / "run" / "bundle" / "model", tmp_path / "old" / "model"
    for folder in (model, old):
        folder.mkdir(parents=True)
    for place in (tmp_path / "run", tmp_path / "run" / "bundle", model):
        assert fetch.writer_folder(str(place)) == model
    assert fetch.writer_folder(str(tmp_path / "old")) == old


@pytest.mark.parametrize(("file", "hint"), [
    ("engine.json", 'seedbed predict {run}/bundle "..."'), ("tagger.json", 'seedbed predict {run} "..."'),
    ("modules.json", "SentenceTransformer('{run}/bundle/model')")])
def test_a_model_that_reads_is_not_asked_to_write(file: str, hint: str, tmp_path: Path) -> None:
    model = tmp_path / "bundle" / "model"
    model.mkdir(parents=True)
    (model / file).touch()
    with pytest.raises(UserError, match="holds a model that reads and does not write") as told:
        fetch.writer_folder(str(tmp_path))
    assert told.value.hint == f"Use it with: {hint.format(run=tmp_path)}"
