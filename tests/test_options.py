"""Fields that are parameters, and the check that every door makes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest

from seedbed.errors import UserError
from seedbed.options import check, flag_of, help_of, option


@dataclass(frozen=True)
class Config:
    metric: str | None = option(None, "The figure that chooses.", choices=("macro_f1", "accuracy"))
    rungs: tuple[str, ...] = option((), "Rungs.", choices=("linear", "lora"))
    share: float = option(0.5, "A share.", minimum=0, maximum=1)
    rows: int = option(8, "Rows.", minimum=1)
    sure: bool = option(True, "A switch.", minimum=5)
    free: str = option("", "Anything.")


def test_metadata_is_kept() -> None:
    named = {one.name: one for one in fields(Config)}
    assert help_of(named["share"]) == "A share."
    assert flag_of(named["share"]) == "--share"


def test_defaults_and_bounds_pass() -> None:
    check(Config())
    check(Config("accuracy", ("linear", "lora"), 0, 1))
    check(replace(Config(), share=1))


@pytest.mark.parametrize(("values", "message", "hint"), [
    ({"metric": "acuracy"}, "--metric is 'acuracy'", "Did you mean accuracy? Known: macro_f1, accuracy."),
    ({"metric": "zzz"}, "--metric is 'zzz'", "Known: macro_f1, accuracy."),
    ({"rungs": ("linear", "x")}, "--rungs is 'x'", "Known: linear, lora."),
    ({"share": 1.01}, "--share is 1.01", "at least 0 and at most 1"),
    ({"share": float("nan")}, "--share is nan", "at least 0 and at most 1"),
    ({"share": float("inf")}, "--share is inf", "at least 0 and at most 1"),
    ({"rows": 0}, "--rows is 0", "at least 1"),
])
def test_what_is_wrong_is_named(values: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(UserError) as told:
        check(Config(**values))  # type: ignore[arg-type]
    assert message in told.value.message
    assert hint in told.value.hint
