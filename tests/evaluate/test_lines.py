"""Completed lines: where files are cut, what is judged, and intervals over files."""

from __future__ import annotations

import pytest

from seedbed.evaluate.lines import EACH, Cut, cuts, figures, parses

FILE = ("import os\n\n\ndef box(label):\n    if label:\n        return label + 1\n\n    return 'blue'\n\n\n"
        "class Paper:\n    ok = 1\n")


def test_cuts_leave_the_file_whole_and_are_fixed_by_the_seed() -> None:
    texts = [FILE, FILE.replace("box", "bag") * 3, "x = 1\n"]
    found = cuts(texts, 60, 0, ("line", "rest", "gap"))
    assert {cut.file for cut in found} == {0, 1} and sum(cut.file == 1 for cut in found) == EACH
    assert {cut.kind for cut in found} == {"line", "rest", "gap"}
    assert found == cuts(texts, 60, 0, ("line", "rest", "gap"))
    assert found != cuts(texts, 60, 1, ("line", "rest", "gap"))
    for cut in found:
        text = texts[cut.file]
        assert text.startswith(cut.before) and text.endswith(cut.after) and cut.reference
        if cut.kind == "line":  # the line before is whole, and the next one that says something is asked for
            assert not cut.before.endswith(("\n", " ")) and text[len(cut.before)] == "\n"
            assert text[len(cut.before):].lstrip().startswith(cut.reference)
        else:
            assert cut.before + cut.reference + cut.after == text and "\n" not in cut.reference
    assert len(cuts(texts * 20, 6, 0, ("line",))) <= 6


def test_what_is_judged_of_an_answer() -> None:
    line = Cut(0, "line", "a = 1", "\nc = 3\n", "b = 2")
    assert line.said("\n\n    b = 2  \nmore") == "    b = 2" and line.whole("\nb = 2\nx") == "a = 1\nb = 2\nc = 3\n"
    rest = Cut(0, "rest", "a =", "\nb = 2\n", " 1")
    assert rest.said(" 1\nmore") == " 1" and rest.whole(" 1\nmore") == "a = 1\nb = 2\n"
    gap = Cut(0, "gap", "a =", "\nb = 2\n", " 1")
    assert gap.said(" 1\nmore") == " 1\nmore"  # a model that knows what follows is to stop by itself


def test_figures_are_over_files_and_parse_what_can_be_parsed() -> None:
    places = [Cut(0, "line", "a = 1", "\n", "b = 2"), Cut(0, "line", "b = 1", "\n", "cd = 2"),
              Cut(1, "rest", "x", "\n", " = 1"), Cut(2, "line", "a", "\n", "b"), Cut(2, "rest", "y", "\n", " = 2")]
    before, after = ["\nb = 3", "\n(", " = 2", "\nx", " ="], ["\nb = 2", "\ncd = 2", " = 1", "\nb", " = 2"]
    found = {one.name: one for one in figures(places, before, after, [True, True, False])}
    assert list(found) == ["next_line_exact", "next_line_similarity", "rest_of_line_exact", "rest_of_line_similarity",
                           "parses"]
    lead = found["next_line_similarity"]
    assert lead.after.value == 1 and lead.after.n == 2  # files 0 and 2
    assert lead.before.value == pytest.approx((4 / 5 + 0 + 0) / 3)
    assert lead.gain and lead.gain.value == pytest.approx(1 - lead.before.value) and lead.gain.low < lead.gain.value
    assert found["rest_of_line_exact"].before.value == 0 and found["rest_of_line_exact"].after.value == 1
    assert (found["parses"].before.value, found["parses"].before.n) == (2 / 3, 2) and found["parses"].after.value == 1
    assert parses(FILE) and not parses("def x(:") and not parses("\0")
