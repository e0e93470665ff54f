"""`seedbed compress RUN --how ... --search`: of many plans, each in every form, the smallest that is proven."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..compress.config import CompressConfig
from ..errors import CorruptFile, NoResources, QualityFloor, UserError
from ..evaluate.frontier import Frontier, Point, Prefer, chosen, in_turn
from ..progress import SILENT, Progress
from .compressing import Shrinking
from .exporting import bundle_of, remember
from .forms import Apart, Form, Subject
from .plans import Plan, ladder
from .smaller import FloorConfig, attempt, subject_of, tell

if TYPE_CHECKING:
    from ..export.certificate import Certificate

SPARE = 2.0
"""A plan or form that loses so many times the floor on rows that were learned from is not followed."""


@dataclass
class Search:
    """What was tried so far.

    Args:
        first: the model as it is, and the rows.
        work: what takes parts away.
        place: a folder for the smaller models.
        beside: one for forms of the model as it is.
        floor, confidence: of the proof.
        points: the original, and each that was tried.
    """

    first: Subject
    work: Shrinking
    place: Path
    beside: Path
    floor: float
    confidence: float
    progress: Progress
    points: list[Point]
    proofs: dict[str, Certificate] = field(default_factory=dict)
    made: dict[str, tuple[Plan, Form[Any]]] = field(default_factory=dict)
    """Plan and form of those that may be taken; their files are there."""
    lost: dict[Plan, Apart] = field(default_factory=dict)
    alone: dict[str, Apart] = field(default_factory=dict)
    """What each form of the model as it is loses, but of those that are refused."""
    seen: dict[str, Plan] = field(default_factory=lambda: {"[]": Plan()})
    """Plans by what they take away."""

    def folder(self, plan: Plan) -> Path:
        """Of a plan's bundle."""
        return self.place / plan.name.replace(", ", "+").replace(" ", "-") if plan.parts else self.beside

    def part(self, plan: Plan, form: Form[Any]) -> Path:
        """Where a form is written."""
        return self.folder(plan) / f".{form.name}"

    def holds(self, plan: Plan) -> bool:
        """Whether a plan loses little enough to go on from it."""
        return plan in self.lost and self.lost[plan].lost <= SPARE * self.floor

    def begin(self) -> None:
        """Try every form of the model as it is."""
        self.beside.mkdir()
        self.lost[Plan()] = Apart(0.0, 0.0)
        for form in self.first.forms:
            found = self._try(Plan(), self.first, form)
            if found is not None:
                self.alone[form.name] = found

    def follow(self, plan: Plan) -> None:
        """Take a plan's parts away, and try those forms of it that may keep the floor."""
        folder = self.folder(plan)
        try:
            done = self.work.take(plan.parts, folder)
            gone = json.dumps([[step.how, step.kept] for step in done.steps if step.after != step.before])
            if (same := self.seen.setdefault(gone, plan)) != plan:  # as where a tenth of two layers goes: none
                shutil.rmtree(folder)
                if same in self.lost:
                    self.lost[plan] = self.lost[same]
                return
            subject = self.first.smaller(folder)
            self.lost[plan] = subject.apart(None, folder)
        except NoResources:
            raise
        except (QualityFloor, UserError, CorruptFile) as problem:
            shutil.rmtree(folder, ignore_errors=True)
            self._left_out(plan.name, problem.message)
            return
        if self.holds(plan):
            for form in subject.forms:
                self._follow(plan, subject, form)
        else:
            self._left_out(plan.name, f"it loses {self.lost[plan].lost:.3g} on rows that it has learned from")
        if plan not in [one for one, _ in self.made.values()]:
            shutil.rmtree(folder)

    def _follow(self, plan: Plan, subject: Subject, form: Form[Any]) -> None:
        """Try a form of a plan, where there is hope."""
        name = plan.named(form.name)
        if form.name not in self.alone:
            self._left_out(name, f"{form.name} of the model as it is was refused")
        elif (told := self.lost[plan].lost + self.alone[form.name].lost) > SPARE * self.floor:
            self._left_out(name, f"plan and form lose {told:.3g} together on rows that were learned from")
        else:
            self._try(plan, subject, form)

    def _left_out(self, name: str, reason: str) -> None:
        self.points.append(Point(name=name, sequence=name, status="refused", reason=reason))

    def _try(self, plan: Plan, subject: Subject, form: Form[Any]) -> Apart | None:
        """Make, prove and measure a form; what it loses on learned rows. Its files stay while it may be taken."""
        part, name = self.part(plan, form), plan.named(form.name)
        point, proof = attempt(subject, form, part)
        found = None if proof is None or proof.bound is None else subject.apart(form, part)
        self.points.append(point.model_copy(update={
            "name": name, "sequence": name, "apart": found.apart if found else None}))
        if proof is not None and proof.bound is not None:
            self.proofs[name] = proof
            if proof.bound(self.confidence) <= self.floor:
                self.made[name] = plan, form
            else:
                shutil.rmtree(part)
        return found

    def take(self, name: str, bundle: Path, out: Path) -> Path:
        """Give what was chosen its place, a form of the model as it is in the bundle, another in a bundle of its own;
        which it is."""
        from ..export.artefact import commit

        plan, form = self.made[name]
        inner = self.folder(plan) if plan.parts else bundle
        probes = (self.first.smaller(inner) if plan.parts else self.first).probes
        commit(inner, self.part(plan, form), form.name, form.target.name,
               self.proofs[name].held_to(self.floor, self.confidence), form.tools, probes)
        if not plan.parts:
            return bundle
        for left in inner.glob(".*"):
            shutil.rmtree(left)
        inner.rename(out)
        return out


def search(source: str | Path, config: CompressConfig, floor: FloorConfig | None = None, *, out: str | Path,
           progress: Progress = SILENT) -> Frontier:
    """Try plans of what is taken away, each in every form, and keep the one that is proven and costs the least.

    Rows that the model has learned from, but that have no say in what is taken away (`forms.set_apart`), tell which
    plans are followed, and in which order they are tested; the rows of the proof have no say in that
    (`evaluate.frontier.in_turn`).

    Args:
        source: a run folder of `seedbed run`, or of `seedbed train` whose model writes.
        config: what may be taken away (`how`), and the least share that is tried (`keep`).
        floor: the floor, and what is to be least.
        out: a folder to be: the bundle of the smaller model with the form that was taken. A form of the model as it
            is joins the run's own bundle instead, and nothing is written here.

    Raises:
        As `smaller.smaller` and `compressing.shrink`.
    """
    from ..export.beside import beside
    from ..options import check

    floor, out = floor or FloorConfig(), Path(out).absolute()
    check(floor)
    folder = bundle_of(Path(source))
    first = subject_of(source, folder, replace(floor, seed=config.seed), progress, spare=True)
    work = Shrinking(folder.parent, config, out, None, progress, spare=True)
    most = first.floor if floor.floor is None else floor.floor
    prefer, task = cast(Prefer, floor.prefer), "try plans"
    out.parent.mkdir(parents=True, exist_ok=True)
    with beside(out) as place, beside(folder / "plans") as forms:
        one = Search(first, work, place, forms, most, floor.confidence, progress, [first.original()])
        progress.start(task, None, "plans")
        one.begin()
        progress.advance(task)
        for plan in ladder(config.how, config.keep, one.holds):
            progress.note(f"Plan: {plan.name}")
            one.follow(plan)
            progress.advance(task)
        bounds = {name: proof.bound for name, proof in one.proofs.items() if proof.bound}
        points = in_turn(one.points, bounds, most, floor.confidence, prefer)
        best, where = chosen(points, prefer), None
        if best is not None:
            where = one.take(best, folder, out)
            remember(folder)
    progress.done(task)
    found = Frontier(floor=most, confidence=floor.confidence, prefer=prefer, metric=first.metric, n=first.n,
                     points=points, chosen=best, folder=None if where in (None, folder) else str(where))
    tell(folder.parent, found)
    return found
