from __future__ import annotations

import pytest

from seedbed.data.sift import Given, alike, central, fault, sift
from seedbed.tasks.extract import Extract
from seedbed.tasks.translate import Translate

LONG = "The river rises in the mountains and flows to the northern sea"
FRENCH = "La rivière naît dans les montagnes et coule vers la mer du nord"


@pytest.mark.parametrize(("one", "want"), [
    (Given("fine"), ""), (Given(None), "refused_by_server"), (Given(" \n"), "empty"), (Given("half", True), "cut"),
    (Given("we do not know this " * 5), "repeats_itself"), (Given("no" + "o" * 40), "repeats_itself"),
    (Given("one two three four. " * 3), ""), (Given("I cannot help with that."), "")])
def test_faults(one: Given, want: str) -> None:
    assert fault(one) == want


def test_likeness_and_the_centre() -> None:
    assert alike("a b c", "a b c") == alike("", "") == 1
    assert alike("a b", "c d") == alike("a", "") == 0
    assert alike("The cat", "the cat sat") == pytest.approx(0.8)
    assert central(["x"]) == (0, 1.0)
    place, mean = central(["it is blue", "it is blue", "red"])
    assert place == 0 and mean == pytest.approx(0.5)


def test_every_draw_is_counted_once() -> None:
    given = [[Given("it is blue"), Given("it is blue now"), Given("")], [Given("a"), Given("b"), Given("c", True)],
             [Given(None), Given(""), Given("", True)], [Given("only one is whole"), Given(""), Given("")]]
    kept, dropped = sift(["q"] * 4, given, 0.5)
    assert kept == {0: "it is blue"}
    assert dropped == {"cut": 1, "empty": 5, "no_agreement": 3, "not_the_central": 1, "refused_by_server": 1}
    assert sum(dropped.values()) + len(kept) == 12


def test_another_language_is_wrong_unless_the_task_is_to_cross_them() -> None:
    kept, dropped = sift([LONG] * 3, [[Given(LONG)], [Given(FRENCH)], [Given(LONG)]], 0.5)
    assert sorted(kept) == [0, 2] and dropped == {"wrong_language": 1}
    kept, dropped = sift([LONG] * 3, [[Given(FRENCH)]] * 3, 0.5)
    assert sorted(kept) == [0, 1, 2] and not dropped


def test_a_task_sees_more() -> None:
    extract = Extract.of(["a"], [], schema='{"type": "object", "required": ["name"]}')
    kept, dropped = sift(["q"] * 4, [[Given('{"name": 1}')], [Given("Sure: it is 1")], [Given('{"age": 2}')],
                                     [Given("")]], 0.5, extract.faults)
    assert kept == {0: '{"name": 1}'} and dropped == {"broken_schema": 1, "empty": 1, "not_json": 1}
    french = Translate.of([LONG], [FRENCH], language="French", from_language="English")
    kept, dropped = sift([LONG] * 3, [[Given(LONG)], [Given(FRENCH)], [Given("Der Fluss entspringt in den Bergen und "
                                                                            "fließt in das nördliche Meer")]],
                         0.5, french.faults)
    assert sorted(kept) == [1] and dropped == {"untranslated": 1, "wrong_language": 1}
