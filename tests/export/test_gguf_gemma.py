"""Gemma in GGUF files: windows, paces of positions, norms, tokenizer and template; each, broken, is found out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_writer import GEMMA, gemma, made, prove, refuses, write

from seedbed.export.gguf_gemma import Gemma3
from seedbed.export.modelfile import pieces
from seedbed.export.targets.gguf import FILE, MODELFILE, GgufTarget
from seedbed.models.template import open_template

pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")
FAR = {"sliding_window": 32, "max_position_embeddings": 512}
"""A window that is a tenth of the longest text of a certificate."""
PACES = {"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
         "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("gemma"), "gemma3", gemma, **FAR)


@pytest.mark.parametrize(("family", "more"), [
    ("gemma3", {}), ("gemma3", {"rope_parameters": PACES}), ("gemma3", {"tie_word_embeddings": False}),
    ("gemma3", {"layer_types": ["sliding_attention"] * 4}), ("gemma3", {"layer_types": ["full_attention"] * 4}),
    ("gemma2", {})])
def test_llama_cpp_answers_as_gemma(family: str, more: dict[str, Any], tmp_path: Path) -> None:
    model = made(tmp_path / "model", family, gemma, **FAR | more)
    found = prove(GgufTarget(), write(GgufTarget(), model, tmp_path / "out", "f16"), model, "f16")
    assert not found.failed, [one.told for one in found.failed]
    assert [(one.name, one.n) for one in found.checks] == [
        ("prompts with other tokens", 3), ("texts with other tokens", 5), ("ends at which it does not stop", 2),
        ("divergence, short text", 16), ("divergence, medium text", 64), ("divergence, long text", 320),
        ("same next word", 400), ("divergence of single steps", 6)]
    assert 0 < (found.figure("divergence, long text") or 0) < 1e-5


def test_a_text_reaches_past_a_window_that_is_longer_than_the_others(tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma 3's own windows have 512 tokens and more: the texts of 320 would not see them."""
    model = made(tmp_path / "model", "gemma3", sliding_window=512, max_position_embeddings=1024)
    found = prove(GgufTarget(), write(GgufTarget(), model, tmp_path / "out", "f16"), model, "f16")
    assert not found.failed and {one.name: one.n for one in found.checks}["divergence, far text"] == 64
    changed("add_sliding_window", 1024)(monkeypatch)
    failed = prove(GgufTarget(), write(GgufTarget(), model, tmp_path / "wrong", "f16"), model, "f16").failed
    assert [one.name for one in failed] == ["divergence, far text"]


def changed(name: str, value: Any) -> Callable[[Any], Any]:
    """A fact of the file that is another one."""
    def change(patch: Any) -> None:
        import gguf
        true = getattr(gguf.GGUFWriter, name)
        patch.setattr(gguf.GGUFWriter, name, lambda self, _: true(self, value))
    return change


@pytest.mark.parametrize(("change", "short"), [
    (lambda patch: patch.setattr(Gemma3, "turned", lambda self, name, values, config: values), True),
    (changed("add_sliding_window", 512), False), (changed("add_sliding_window", 33), False),
    (changed("add_sliding_window_pattern", 4), True),
    (changed("add_rope_freq_base_swa", 1e6), True), (changed("add_rope_freq_base", 1e4), True),
    (changed("add_head_count_kv", 4), None)], ids=[
        "norms without one", "no window", "a window of one more", "another order of layers",
        "near layers at the far pace", "far layers at the near pace", "other heads"])
def test_a_file_that_says_otherwise_is_found_out(model: Path, change: Any, short: bool | None, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    from seedbed.errors import CorruptFile

    change(monkeypatch)
    folder = write(GgufTarget(), model, tmp_path / "out", "f16")
    if short is None:  # the weights do not fit what it says
        with pytest.raises(CorruptFile, match="cannot open"):
            prove(GgufTarget(), folder, model, "f16")
        return
    found = {one.name for one in prove(GgufTarget(), folder, model, "f16").failed}
    assert "divergence, long text" in found
    assert ("divergence, short text" in found) == short  # a window is not seen by what is shorter


@pytest.mark.parametrize(("family", "more", "told"), [
    ("gemma3", {"query_pre_attn_scalar": 8}, "scales its queries by 8, and llama.cpp by 16"),
    ("gemma3", {"num_hidden_layers": 62, "layer_types": ["full_attention"] * 62},
     "scales its queries by 16, and llama.cpp by 8"),
    ("gemma3", {"layer_types": ["full_attention", "sliding_attention"] * 2}, "do not alternate"),
    ("gemma3", {"final_logit_softcapping": 30.0}, "bounds its logits"),
    ("gemma3", {"attention_bias": True}, "has biases"),
    ("gemma3", {"use_bidirectional_attention": True}, "looks ahead"),
    ("gemma3", {"hidden_activation": "gelu"}, "The activation gelu"),
    ("gemma3", {"rope_parameters": PACES | {"sliding_attention": PACES["full_attention"]}}, "the kind linear"),
    ("gemma2", {"final_logit_softcapping": None}, "does not bound its logits, and llama.cpp does")])
def test_what_its_graph_has_otherwise_is_refused(family: str, more: dict[str, Any], told: str,
                                                 tmp_path: Path) -> None:
    refuses(GgufTarget(), made(tmp_path / "model", family, **more), "f16", told)


def test_its_tokenizer_is_read_as_it_is(model: Path, tmp_path: Path) -> None:
    """Runs of spaces and of line ends, bytes where there is no word, `<bos>` before a text, no space."""
    from gguf import GGUFReader
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    folder = write(GgufTarget(), model, tmp_path / "out", "f16")
    with GgufTarget().opened(folder, model) as form:
        for text in ("the   box", " a\n\n\n\n\n\nb", "a \n \n\n  b    ", "今👍", "<end_of_turn> the box", ""):
            assert form.runtime.tokens(text, special=False) == tokenizer(text, split_special_tokens=True)["input_ids"]
        assert form.runtime.ends(1) and form.runtime.ends(6) and not form.runtime.ends(5)
    fields = GGUFReader(folder / FILE).fields
    kinds, words = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("token_type", "tokens"))
    assert [kinds[words.index(word)] for word in ("\u2581\u2581", "\n\n", "<0x0A>")] == [1, 4, 6]
    assert fields["tokenizer.ggml.add_space_prefix"].contents() is False


def test_the_modelfile_lets_the_system_open_the_first_question(model: Path, tmp_path: Path) -> None:
    text = (write(GgufTarget(), model, tmp_path / "out", "f16") / MODELFILE).read_text()
    assert text.startswith(
        'FROM ./model.gguf\nTEMPLATE """{{ $opened := false }}{{ range .Messages }}{{ if eq .Role "system" }}'
        '<start_of_turn>user\n{{ .Content }}\n\n{{ $opened = true }}{{ else if eq .Role "user" }}{{ if not $opened }}'
        '<start_of_turn>user\n{{ end }}{{ $opened = false }}{{ .Content }}<end_of_turn>\n{{ else if')
    assert "<bos>" not in text  # llama.cpp puts it before each text
    assert 'PARAMETER stop "<end_of_turn>"' in text


def test_a_template_without_a_system_folds_it(tmp_path: Path) -> None:
    """Gemma 2 refuses what the system says; seedbed puts it before the first question, and so does the Modelfile."""
    def strict(model: Any, tokenizer: Any) -> Any:
        made = gemma(model, tokenizer)
        made.chat_template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + GEMMA
        return made
    template = open_template(made(tmp_path / "model", "gemma2", strict), 99)
    found = pieces(template)
    assert template.folds and found and found.folded and found.begin == "<bos>"
    asked, end = "<start_of_turn>user\n", "<end_of_turn>\n"
    assert found.around == {"system": (asked, "\n\n"), "user": (asked, end),
                            "assistant": ("<start_of_turn>model\n", end)}
