"""Which tokens are learned, for the shapes of templates that families have."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
from transformers import AutoTokenizer

from seedbed.data.turns import Conversation, pair
from seedbed.errors import DataError
from seedbed.models.template import Row, Template, rows_of

CHATML = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
          "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
SHAPES = {
    "qwen2": CHATML,
    "smollm2": "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}" + CHATML,
    "llama3": "<bos>{% for m in messages %}<h>{{ m.role }}</h>\n\n{{ m.content | trim }}<|im_end|>{% endfor %}"
              "{% if add_generation_prompt %}<h>assistant</h>\n\n{% endif %}",
    "gemma3": "<bos>{% for m in messages %}<t>{{ 'model' if m.role == 'assistant' else m.role }}\n"
              "{{ m.content | trim }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<t>model\n{% endif %}",
    "mistral": "<bos>{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
               "{% else %} {{ m.content }}<|im_end|>{% endif %}{% endfor %}",
    "falcon": "{% for m in messages %}{% if not loop.first %}\n{% endif %}{{ m.role | capitalize }}: {{ m.content }}"
              "{% if m.role == 'assistant' %}<|im_end|>{% endif %}{% endfor %}"
              "{% if add_generation_prompt %}\nAssistant:{% endif %}",
    "deepseek": "<bos>{% for m in messages %}{% if m.role == 'user' %}<U>{{ m.content }}{% else %}"
                "<A>{{ m.content.split('</think>')[-1] }}<|im_end|>{% endif %}{% endfor %}"
                "{% if add_generation_prompt %}<A><think>\n{% endif %}",
    "marked": "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
              "<|im_end|>{% endgeneration %}\n{% else %}{{ m.content }}\n{% endif %}{% endfor %}"
              "{% if add_generation_prompt %}assistant: {% endif %}",
}


def template(shape: str | None, max_tokens: int = 512) -> Template:
    tokenizer = AutoTokenizer.from_pretrained(tiny.model("llama"))
    tokenizer.chat_template = SHAPES.get(shape or "")
    tokenizer.eos_token = "<|im_end|>"
    return Template(tokenizer, max_tokens)


def learned(made: Template, row: Row) -> list[str]:
    """The runs of learned tokens, as text."""
    runs, before = list[list[int]](), False
    for token, on in zip(row.ids, row.learned, strict=True):
        if on and not before:
            runs.append([])
        if on:
            runs[-1].append(token)
        before = on
    return [made.tokenizer.decode(run) for run in runs]


TALK = Conversation((
    {"role": "user", "content": "Is it fine?"}, {"role": "assistant", "content": "Yes \U0001f44d it is"},
    {"role": "user", "content": "And now"}, {"role": "assistant", "content": "no"}))
SAID = ["Yes \U0001f44d it is<|im_end|>", "no<|im_end|>"]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_assistants_words_and_the_mark_of_their_end_are_learned(shape: str) -> None:
    made = template(shape)
    assert [run.strip() for run in learned(made, made.row(TALK))] == SAID
    assert made.row(TALK).ids.count(made.tokenizer.convert_tokens_to_ids("<bos>")) == SHAPES[shape].count("<bos>")


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "deepseek"])
def test_serving_opens_with_the_text_before_the_learned_words(shape: str) -> None:
    """DeepSeek's opens a thought, which training does not show: `doctor` says so."""
    made = template(shape)
    row = made.row(TALK)
    last = max(i for i, on in enumerate(row.learned) if not on and any(row.learned[i:]))
    assert made.tokenizer.decode(row.ids[: last + 1]) == made.prompt(TALK.messages[:-1])


def test_earlier_reasoning_that_a_template_leaves_out_is_not_learned() -> None:
    made = template("deepseek")
    thought = Conversation((TALK.messages[0], {"role": "assistant", "content": "<think>hm</think>Yes"},
                            *TALK.messages[2:]))
    assert learned(made, made.row(thought)) == ["Yes<|im_end|>", "no<|im_end|>"]


def test_a_turn_that_a_template_drops_is_an_error_that_names_it() -> None:
    made = template("qwen2")
    made.tokenizer.chat_template = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    with pytest.raises(DataError, match="leaves out turn 2, which the assistant says"):
        made.row(pair("hi", "hello"))


def test_a_tool_call_that_a_template_does_not_write_is_an_error() -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}
    one = Conversation((TALK.messages[0], {"role": "assistant", "content": "", "tool_calls": [call]}))
    with pytest.raises(DataError, match="does not write the tool call of turn 2"):
        template("qwen2").row(one)
    writes = template("qwen2")
    shown = "{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}"
    writes.tokenizer.chat_template = CHATML.replace("{{ m.content }}", shown)
    [said] = learned(writes, writes.row(one))
    assert said == '{"name": "weather", "arguments": {"city": "Rome"}}<|im_end|>'


def test_a_template_that_refuses_is_told_in_its_own_words() -> None:
    made = template("qwen2")
    made.tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(DataError, match="refuses the conversation: System role not supported"):
        made.row(TALK)


def test_texts_and_models_without_a_template() -> None:
    made = template(None)
    text = made.row(Conversation(text="the box came"))
    assert learned(made, text) == [made.tokenizer.decode(text.ids[1:])]  # nothing stands before the first
    assert text.ids[-1] == made.tokenizer.eos_token_id and text.count == len(text.ids) - 1
    asked = made.row(pair("the box", "blue"))
    assert learned(made, asked) == ["blue<|im_end|>"]
    assert made.prompt([{"role": "user", "content": "the box"}]) == "the box\n"


def test_what_is_cut_is_counted_and_a_row_without_learned_tokens_is_named() -> None:
    long = pair("slow " * 30, "yes")
    whole = template("qwen2").row(long)
    short = template("qwen2", 20)
    row = short.row(long)
    assert (len(row.ids), row.cut, row.count) == (20, len(whole.ids) - 20, 0)
    with pytest.raises(DataError, match=r"a.jsonl line 7: not one token .*: the answer begins after token 60"):
        rows_of(template("qwen2", 60), [pair("a", "b"), long], ["a.jsonl line 1", "a.jsonl line 7"])


@pytest.mark.real
def test_the_real_template_of_smollm2(smollm2_folder: Path) -> None:
    from seedbed.models.folder import open_folder
    made = Template(AutoTokenizer.from_pretrained(open_folder(smollm2_folder)), 512)
    row = made.row(TALK)
    assert learned(made, row) == SAID
    assert made.tokenizer.decode(row.ids).startswith("<|im_start|>system\nYou are a helpful AI assistant named")

