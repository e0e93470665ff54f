"""Recommending: every card is chosen or ruled out, never both, and each reason holds."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, get_args

import pytest

from seedbed.catalog.cards import Card, Domain, Task, card, cards
from seedbed.catalog.memory import Step, to_run, to_train
from seedbed.catalog.recommend import OPEN, READING_PACE, SLOW_EPOCH, Recommendation, recommend
from seedbed.catalog.speed import Speed
from seedbed.errors import UserError
from seedbed.settings import settings

GB = 10**9
FAST = Speed(processor="test", cores=2, features=(), fp32_gflops=279, bf16_gflops=1900, memory_gb_s=18,
             measured="now")
SLOW = FAST.model_copy(update={"fp32_gflops": 5.0, "bf16_gflops": None, "memory_gb_s": 2.0})


def _names(found: Recommendation) -> tuple[list[str], list[str]]:
    return [c.card for c in found.chosen], [r.card for r in found.ruled_out]


@pytest.mark.parametrize(("task", "domain", "speed"),
                         itertools.product(get_args(Task), get_args(Domain), (None, FAST)))
def test_chosen_and_ruled_out_are_all_cards(task: str, domain: str, speed: Speed | None) -> None:
    for memory, languages, licence, train in itertools.product((GB, 8 * GB, 64 * GB), ((), ("en", "pt")),
                                                               (None, "open", "commercial"), (True, False)):
        found = recommend(task, memory=memory, languages=languages, licence=licence, speed=speed, domain=domain,
                          train=train)
        chosen, out = _names(found)
        assert sorted(chosen + out) == sorted(cards()), "each card once"
        assert all(r.why and all(r.why) for r in found.ruled_out)
        for choice in found.chosen:
            one = card(choice.card)
            assert choice.why and task in one.tasks and choice.run_bytes <= memory
            assert choice.run_bytes == to_run(one, choice.precision, context=1024)
            assert (choice.train_bytes is not None) == train and (choice.train_bytes or 0) <= memory
            assert set(languages) <= set(one.languages) or "mul" in one.languages
            assert licence != "open" or one.licence in OPEN
            assert licence != "commercial" or one.commercial
            assert one.domain in ("general", domain)


def test_more_memory_rules_out_fewer() -> None:
    counts = [len(recommend("classify", memory=m * GB, speed=FAST).chosen) for m in (1, 2, 4, 8, 16, 64)]
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_the_largest_that_is_not_slow_comes_first() -> None:
    found = recommend("classify", memory=16 * GB, languages=["en"], speed=FAST).chosen
    found = [c for c in found if c.trained_here]  # these come first
    slow = [(c.epoch_seconds or 0) > SLOW_EPOCH for c in found]
    assert slow == sorted(slow)
    sizes = [card(c.card).count or 0 for c, late in zip(found, slow, strict=True) if not late]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) > 3


def test_reasons_are_figures() -> None:
    out = {r.card: " ".join(r.why) for r in recommend("chat", memory=4 * GB, languages=["pt"], licence="open",
                                                      speed=FAST).ruled_out}
    assert "not made to chat" in out["all-minilm-l6-v2"]
    assert "4.0 GB may be used" in out["qwen2-7b-instruct"] and "to run even at int4" in out["qwen2-7b-instruct"]
    assert "does not cover pt: only en" in out["smollm2-135m-instruct"]
    assert "state no languages" in out["mistral-7b-instruct-v0.3"]
    assert "not an open one" in out["llama-3.2-1b-instruct"]
    assert "made for medical text" in out["biomistral-7b"]


def test_a_slow_machine_rules_out_by_pace() -> None:
    found = recommend("chat", memory=64 * GB, speed=SLOW, train=False)
    out = {r.card: " ".join(r.why) for r in found.ruled_out}
    assert "tokens a second here even at int4" in out["qwen2-7b-instruct"]
    assert all((c.decode_tokens_s or 0) >= READING_PACE for c in found.chosen)
    assert any(c.precision != "bf16" for c in found.chosen), "coarser weights where finer ones are too slow"


def test_training_that_does_not_fit_is_a_reason_and_can_be_left_out() -> None:
    memory = to_train(card("llama-3.2-3b-instruct"), "qlora", "bf16", Step(512), labels=2) - 1
    out = {r.card: r.why for r in recommend("classify", memory=memory).ruled_out}
    assert "to train even with qlora" in " ".join(out["llama-3.2-3b-instruct"])
    assert "llama-3.2-3b-instruct" in _names(recommend("classify", memory=memory, train=False))[0]


def test_cautions_name_what_a_person_must_do() -> None:
    found = {c.card: " ".join(c.cautions) for c in recommend("classify", memory=64 * GB, languages=["de"],
                                                             domain="medical", train=False).chosen}
    assert "gated" in found["llama-3.2-1b-instruct"] and "Built with Llama" in found["llama-3.2-1b-instruct"]
    assert "without naming de" in found["gemma-3-270m-it"]
    assert "pickle" in found["biomistral-7b"] and found["qwen2-0.5b-instruct"] == ""
    english = {c.card: " ".join(c.cautions) for c in recommend("classify", memory=64 * GB, languages=["en"],
                                                               domain="medical", train=False).chosen}
    assert "by hand from https://physionet.org" in english["me-llama-13b-chat"]


def test_a_folder_that_is_damaged_or_not_ours_rules_nothing_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MODELS", str(home / "models"))
    settings.cache_clear()
    (home / "models" / "smollm2-135m-instruct").mkdir(parents=True)
    found = {c.card: c.fetched for c in recommend("classify", memory=8 * GB).chosen}
    assert found["smollm2-135m-instruct"] is False


def test_what_a_run_does_not_do_is_said() -> None:
    one = card("llama-3.2-1b-instruct")
    for method, step, told in (("lora", Step(), []), ("lora", Step(512), ["--batch-tokens 512"]),
                               ("qlora", Step(512), ["does not train it with qlora"])):
        memory = to_train(one, method, "bf16", step, labels=2)  # type: ignore[arg-type]
        found = {c.card: c for c in recommend("classify", memory=memory).chosen}[one.id]
        assert (found.method, found.step_tokens, found.train_bytes) == (method, step.tokens, memory)
        assert [c for c in found.cautions if "train" in c] == [c for c in found.cautions if any(t in c for t in told)]
    fp32 = {c.card: c for c in recommend("classify", memory=64 * GB,
                                         speed=FAST.model_copy(update={"bf16_gflops": None})).chosen}
    assert fp32["all-minilm-l6-v2"].train_precision == "fp32"
    assert "does not train it" in " ".join(fp32["flan-t5-small"].cautions), "no candidate is an encoder-decoder"
    writes = {c.card: c for c in recommend("summarize", memory=64 * GB, speed=FAST).chosen}["flan-t5-small"]
    assert writes.trained_here and "does not train it" not in " ".join(writes.cautions)
    trained = [c.trained_here for c in fp32.values()]
    assert trained == sorted(trained, reverse=True) and not fp32["flan-t5-small"].trained_here


def test_a_users_card_without_a_shape_is_counted(home: Path) -> None:
    (home / "cards").mkdir()
    (home / "cards" / "mine.yaml").write_text("id: mine\ntitle: Mine\nlicence: MIT\ncommercial: true\n"
                                              "languages: [en]\ntasks: [classify]\ngood_for: x\nbad_for: y\n")
    found = recommend("classify", memory=8 * GB)
    assert "does not state the shape" in " ".join({r.card: r.why for r in found.ruled_out}["mine"])
    assert len(found.chosen) + len(found.ruled_out) == len(cards())


@pytest.mark.parametrize("wrong", [{"task": "fly"}, {"domain": "cooking"}, {"memory": 0}, {"memory": -1}])
def test_wrong_questions(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        recommend(**{"task": "classify", "memory": GB, **wrong})


def test_a_licence_by_name_and_untidy_languages() -> None:
    found = recommend("chat", memory=64 * GB, languages=[" EN ", "", "en"], licence="mit", train=False)
    assert found.languages == ("en",)
    assert found.chosen == [] and all("licence is MIT" not in " ".join(r.why) for r in found.ruled_out)
    assert {c.card for c in recommend("chat", memory=64 * GB, licence="mit", train=False).chosen} == {
        "deepseek-r1-distill-qwen-1.5b", "deepseek-r1-distill-qwen-7b", "deepseek-r1-distill-llama-8b"}


def test_the_record_survives_json() -> None:
    found = recommend("embed", memory=2 * GB, speed=FAST)
    assert Recommendation.model_validate_json(found.model_dump_json()) == found
    assert isinstance(card("all-minilm-l6-v2"), Card) and found.chosen[0].card == "all-minilm-l6-v2"
