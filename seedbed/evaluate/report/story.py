"""The sentences of the report: what each part says in plain words, and what to do."""

from __future__ import annotations

import shlex

from ...records import TENTATIVE_BELOW
from ..result import Abstention, Result, Scores, Speed
from . import wording as w

HELD = {"test": "held-out", "validation": "validation", "cross-validation": "cross-validated"}


def found(result: Result) -> Scores | None:
    """The winner's scores that the report leads with: on the test split, else those of the choice."""
    return result.winner.test or result.winner.selection


def basis(scores: Scores) -> str:
    """Which texts the figures come from."""
    return {"test": "texts that were held out: no candidate was trained, tuned or chosen on them",
            "validation": "validation texts, which also served to choose, so expect a little less in use",
            "cross-validation": "cross-validation: every text was judged by a model that had not seen it, but the "
                                "same figures served to choose, so expect a little less in use"}[scores.split]


def multi(result: Result) -> bool:
    return bool(result.task.get("multi_label"))


def actions(result: Result) -> list[str]:
    """What to do with the model, in the order of doing."""
    done = []
    severe = [f for f in result.health.findings if f.severity == "error"]
    if severe:
        done.append(f"Mend the data first: {w.plural(sum(f.count for f in severe), 'row')} with an error, listed "
                    "under the data's health. Then run it again.")
    rest = result.abstention
    if rest and rest.threshold is None:
        done.append("Let a person check every answer that matters: no threshold is proven to bring its errors down "
                    f"to {w.percent(rest.target_error)}.")
    elif rest and rest.threshold is not None and rest.error is None:
        done.append("Let a person read every text: it was sure enough of none.")
    elif rest and rest.threshold and rest.error:
        done.append(f"Let it answer where it is at least {w.percent(rest.threshold)} sure. {_then(rest)} Let a "
                    "person read the rest.")
    elif rest and rest.error:
        done.append(f"Let it answer every text: it errs in {w.estimate(rest.error, 'accuracy')}.")
    if result.curve:
        done.append(result.curve.verdict)
    scores = found(result)
    few = [c for c in scores.per_class if 0 < c.support < TENTATIVE_BELOW] if scores else []
    if few:
        rarest = min(few, key=lambda c: (c.support, c.label))
        others = w.plural(len(few) - 1, "other class rests", "other classes rest")
        more = f" {others} on fewer than {TENTATIVE_BELOW} too." if len(few) > 1 else ""
        done.append(f"Label more texts of “{w.tidy(rarest.label, 60)}”: it was judged on only "
                    f"{w.plural(rarest.support, 'text')}.{more}")
    return done


def _then(rest: Abstention) -> str:
    """What the threshold gives on the test texts, all of which it may have left to a person."""
    if not rest.coverage or not rest.error:
        return "It then answers none of the held-out texts."
    return (f"On held-out texts it then answers {w.estimate(rest.coverage, 'accuracy')} and errs in "
            f"{w.estimate(rest.error, 'accuracy')} of these.")


def cautions(result: Result) -> list[str]:
    """What to know before relying on it: the verdict's cautions, and small numbers if it does not name them."""
    known = list(result.verdict.cautions)
    scores = found(result)
    if scores and scores.n < TENTATIVE_BELOW and not any("tentative" in line.lower() for line in known):
        known.insert(0, f"Tentative: all figures rest on {w.plural(scores.n, 'text')}, fewer than {TENTATIVE_BELOW}.")
    return known


def commands(bundle: str) -> list[str]:
    """Lines that put the model in the folder `bundle` to use."""
    bundle = shlex.quote(bundle)
    return [f'seedbed predict {bundle} "A text of yours"', f"seedbed serve {bundle}"]


def latency(speed: Speed) -> str:
    """How long one text takes, with the interval of the median and the calls behind it."""
    return (f"95{w.THIN}% interval {w.milliseconds(speed.median_low_ms)} to {w.milliseconds(speed.median_high_ms)}, "
            f"95 of 100 within {w.milliseconds(speed.p95_ms)}, {w.plural(speed.calls, 'text')} timed one by one")


def classes(scores: Scores) -> str:
    """The weakest and the strongest class, among those with enough texts to tell where there are two."""
    judged = [c for c in scores.per_class if c.support]
    if len(judged) < 2:
        return "Too few classes were judged to compare them."
    enough = [c for c in judged if c.support >= TENTATIVE_BELOW]
    ordered = sorted(enough if len(enough) > 1 else judged, key=lambda c: (c.f1.value, c.label))
    low, high = ordered[0], ordered[-1]
    few = len(scores.per_class) - len(ordered)
    rest = f" {w.plural(few, 'class has', 'classes have')} fewer than {TENTATIVE_BELOW} texts, too few to tell."
    return (f"Weakest is “{w.tidy(low.label, 60)}”: of the texts that are it, it finds "
            f"{w.estimate(low.recall, 'recall')}. "
            f"Strongest is “{w.tidy(high.label, 60)}”: it finds {w.estimate(high.recall, 'recall')}."
            f"{rest if few else ''}")


def confusion(scores: Scores) -> str:
    """The commonest mix-up."""
    from .charts import top_confusions

    mixed = top_confusions(scores, 1)
    if not mixed:
        return f"Nothing was mixed up in {w.plural(scores.n, 'text')}."
    right, said, n, of = mixed[0]
    return (f"Its commonest mix-up: “{w.tidy(right, 60)}” called “{w.tidy(said, 60)}”, {w.count(n)} of "
            f"{w.plural(of, 'text')}.")


def calibration(result: Result) -> str:
    """Whether its confidence can be taken at its word."""
    found = result.winner.calibration
    if not found:
        return ""
    after = found.ece_after
    honest = "can be taken at its word" if after.value < 0.05 else (
        "is roughly right" if after.value < 0.1 else "is not to be taken at its word")
    fitted = "on validation" if result.winner.test else "on these same texts, which flatters it a little"
    return (f"How sure it says it is {honest}: on average it is off by {w.estimate(after, 'accuracy')}. Before the "
            f"temperature of {w.number(found.temperature, 2)}, fitted {fitted}, it was off by "
            f"{w.estimate(found.ece_before, 'accuracy')}.")


def coverage(result: Result) -> str:
    """What refusing to answer buys."""
    rest = result.abstention
    if rest is None:
        return "The fewer texts it answers, the fewer errors it makes: it leaves out those it is least sure of."
    if rest.threshold is None:
        return rest.reason or (f"No threshold is proven on validation to bring its errors down to the target of "
                               f"{w.percent(rest.target_error)}.")
    when = "it may answer every text" if rest.threshold == 0 else \
        f"it should answer only when at least {w.percent(rest.threshold)} sure"
    return f"For a target of {w.percent(rest.target_error)} errors {when}. {_then(rest)}"


def slices(result: Result) -> str:
    """Where it is weaker."""
    worse = [s for s in result.slices if s.worse]
    if not worse:
        return "In no part of the texts is it clearly worse than in the rest."
    metric = found_metric(result)
    named = "; ".join(f"{w.tidy(s.dimension)} “{w.tidy(s.value, 60)}”, {w.estimate(s.score, metric)}"
                      for s in worse[:3])
    more = f"; and {len(worse) - 3} more" if len(worse) > 3 else ""
    return f"It is clearly worse than in the rest for {named}{more}."


def found_metric(result: Result) -> str:
    scores = found(result)
    return scores.metric if scores else str(result.task.get("metric", "macro_f1"))


def health(result: Result) -> str:
    """The counts of the data, which must add up."""
    data = result.health
    out = sum(data.skipped.values())
    if data.read != data.kept + out:
        return (f"The counts do not add up: {w.count(data.read)} read, {w.count(data.kept)} kept, {w.count(out)} "
                "left out. Trust no figure here before this is cleared up.")
    if not out:
        return f"{w.plural(data.read, 'row')} read, every one kept."
    why = ", ".join(f"{w.count(n)} {w.tidy(reason)}"
                    for reason, n in sorted(data.skipped.items(), key=lambda item: (-item[1], item[0])))
    return (f"{w.plural(data.read, 'row')} read = {w.count(data.kept)} kept + {w.count(out)} left out ({why}).")
