"""Plans go from little to much, and a part that lost too much is not taken further."""

from __future__ import annotations

from seedbed.workflow.plans import Plan, ladder


def names(how: tuple[str, ...], least: float, lost: set[str]) -> list[str]:
    return [plan.name for plan in ladder(how, least, lambda plan: plan.name not in lost)]


def test_words_go_first_and_each_other_part_on_top_until_it_loses_too_much() -> None:
    tried = names(("mlp", "layers", "vocabulary"), 0.7, {"vocabulary, mlp 0.8"})
    assert tried == ["vocabulary", "vocabulary, layers 0.9", "vocabulary, layers 0.8", "vocabulary, layers 0.7",
                     "vocabulary, mlp 0.9", "vocabulary, mlp 0.8", "vocabulary, layers 0.7, mlp 0.9"]


def test_where_the_words_cannot_go_the_rest_is_tried_without() -> None:
    assert names(("vocabulary", "mlp"), 0.9, {"vocabulary"}) == ["vocabulary", "mlp 0.9"]
    assert names(("layers", "mlp"), 0.8, {"layers 0.9"}) == ["layers 0.9", "mlp 0.9", "mlp 0.8"]


def test_a_plan_is_named_by_its_parts_and_form() -> None:
    assert Plan().named("onnx-int8") == "onnx-int8"
    assert Plan().and_("vocabulary", 1).and_("layers", 0.9).named("onnx-int8") == "vocabulary, layers 0.9, onnx-int8"
    assert [how for how, _ in Plan().and_("vocabulary", 1).and_("layers", 0.9).parts] == ["layers", "vocabulary"]
