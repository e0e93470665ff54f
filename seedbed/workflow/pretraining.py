"""The course of a model that goes on with documents and source files: continued pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..progress import Progress
from .config import TuneConfig
from .courses import Learned, Losses, TuneJob, by_unit, divided, enough, said_of, session, sources
from .writing import MOST, SHARES, WritingCourse, counted

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..evaluate.figures import Figure, Sample
    from ..models.template import Row
    from ..models.texts import Texts
    from ..train.generate import TextLesson

MOST_LINE = 48
"""Tokens that a completed line may have."""
SAMPLES, SHOWN = 20, 500
"""Completions that are kept, and characters of the text before each."""


class PretrainingCourse(WritingCourse):
    """Texts are split by file, learned in windows, and judged by their loss; source files by completed lines too."""

    def read(self, source: str, config: TuneConfig, progress: Progress) -> tuple[Dataset, dict[str, Any]]:
        from ..data.documents import read_documents

        reading = read_documents(**sources(source, config), progress=progress)
        said = said_of(reading, progress)
        return divided(reading.dataset, config, SHARES, progress), {
            **said, "findings": [one.model_dump() for one in reading.findings]}

    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> TextLesson:
        import numpy as np

        from ..data.documents import codes
        from ..models.folder import open_folder
        from ..models.template import open_template
        from ..models.texts import Texts
        from ..train.generate import TextLesson

        place, most, rng = open_folder(model), job.training.max_tokens, np.random.default_rng(job.config.seed)
        template, learn = open_template(place, most), dataset.part("train")
        if template.start is not None:
            raise UserError(f"{job.config.model} reads one text and writes another: it does not go on with a text.",
                            "Take a causal model: seedbed models recommend --task chat")
        texts = Texts(template.tokenizer, most)
        code = codes(learn)
        if any(code) and texts.fim is None and job.config.fim:
            job.progress.note("The model has no tokens for fill-in-the-middle: source files are learned from left to "
                              "right.")
        rows = [row for text, source_file in zip(learn.texts, code, strict=True)
                for row in texts.windows(text, filled=job.config.fim if source_file else 0, rng=rng)]
        held, _ = _windows(texts, dataset.part("validation"), MOST["validation"], job.config.seed)
        judged, owners = _windows(texts, dataset.part("test"), MOST["test"], job.config.seed)
        enough(len(learn) if rows else 0, len(set(owners)))  # files are what intervals are over
        gaps = sum(_gapped(row, texts) for row in rows)
        job.progress.note(f"{len(learn):,} files to learn from are {len(rows):,} windows of up to {most:,} tokens"
                          + (f", {gaps:,} of them with a gap." if gaps else "."))
        return TextLesson(rows, held, judged, method=job.config.method, **session(job, model))

    def trial(self, job: TuneJob, dataset: Dataset, lesson: TextLesson) -> Losses:
        return by_unit(self._owners(job, dataset, lesson.base, "validation"), *super().trial(job, dataset, lesson))

    def _owners(self, job: TuneJob, dataset: Dataset, model: Path, split: str) -> list[int]:
        """The number of the file that each window of the lesson is of."""
        from ..models.folder import open_folder
        from ..models.template import open_template
        from ..models.texts import Texts

        most = job.training.max_tokens
        texts = Texts(open_template(open_folder(model), most).tokenizer, most)
        return _windows(texts, dataset.part(split), MOST[split], job.config.seed)[1]

    def learn(self, job: TuneJob, dataset: Dataset, lesson: TextLesson, model: Path, adapter: Path,
              progress: Progress) -> Learned:
        import numpy as np

        from ..evaluate import answers
        from ..evaluate.writing import verdict, writing
        from ..train.generate import write

        tuned = write(replace(lesson, progress=progress, adapter=adapter))
        tuned.backbone.save(model)
        tokenizer, owners = tuned.backbone.tokenizer, self._owners(job, dataset, lesson.base, "test")
        said = [""] * (max(owners) + 1)
        for file in range(len(said)):
            mine = [token for row, owner in zip(lesson.judged, owners, strict=True) if owner == file
                    for token, on in zip(row.ids[1:], row.learned[1:], strict=True) if on]
            said[file] = tokenizer.decode(mine, skip_special_tokens=True)

        def by_file(values: Any) -> Any:
            return np.bincount(owners, values, len(said))
        figures = writing(by_file(tuned.before.nats), by_file(tuned.after.nats), by_file(tuned.before.tokens),
                          np.array([len(one.encode()) for one in said]), np.array([len(one.split()) for one in said]))
        assert figures[0].gain is not None
        learned = Learned.of(tuned, figures, verdict(figures[0].gain), counted(lesson.rows), len(said), tuned.shown)
        del tuned  # memory for the models that complete
        lines, samples = _lines(job, dataset.part("test"), lesson.base, model, progress)
        more = "".join(f" {answers.verdict(one)}" for one in lines if one.name == "next_line_similarity")
        return replace(learned, figures=[*figures, *lines], samples=samples, verdict=learned.verdict + more)


def _windows(texts: Texts, part: Dataset, most: int | None, seed: int) -> tuple[list[Row], list[int]]:
    """Windows to judge by, at most so many, drawn from all files alike; and the number of each one's file."""
    import numpy as np

    rng = np.random.default_rng(seed)
    files = sorted(rng.permutation(len(part))[:most].tolist())
    made = [(row, number) for number, file in enumerate(files) for row in texts.windows(part.texts[file])]
    made = [pair for pair in made if pair[0].count]
    if most is not None and len(made) > most:
        made = [made[i] for i in sorted(rng.permutation(len(made))[:most].tolist())]
    numbers = {owner: i for i, owner in enumerate(dict.fromkeys(owner for _, owner in made))}
    return [row for row, _ in made], [numbers[owner] for _, owner in made]


def _gapped(row: Row, texts: Texts) -> bool:
    return texts.fim is not None and texts.fim.prefix in row.ids


def _lines(job: TuneJob, part: Dataset, base: Path, tuned: Path,
           progress: Progress) -> tuple[list[Figure], list[Sample]]:
    """Figures of completed lines of the source files, and some of these lines; none for fewer than two files."""
    from ..data.documents import codes
    from ..engines.writer import Writer
    from ..evaluate.figures import Sample
    from ..evaluate.lines import KINDS, cuts, figures, parses
    from ..models.fim import fim_of
    from ..models.template import open_template

    files = [i for i, code in enumerate(codes(part)) if code]
    if len(files) < 2 or not job.config.answered:
        return [], []
    texts = [part.texts[i] for i in files]
    sound = [part.column("source")[i].endswith(".py") and parses(part.texts[i]) for i in files]
    fills = fim_of(open_template(tuned, job.training.max_tokens).tokenizer)
    places = cuts(texts, job.config.answered, job.config.seed, [kind for kind in KINDS if kind != "gap" or fills])
    before, after = (completed(Writer.open(folder), places, job.training.max_tokens, progress)  # one in memory
                     for folder in (base, tuned))
    samples = [Sample(asked=cut.before[-SHOWN:], reference=cut.reference, before=cut.said(one), after=cut.said(other))
               for cut, one, other in list(zip(places, before, after, strict=True))[:SAMPLES]]
    return figures(places, before, after, sound, seed=job.config.seed), samples


def completed(writer: Any, places: Sequence[Any], most: int, progress: Progress) -> list[str]:
    """What a model writes at each cut.

    Args:
        places: of `evaluate.lines.cuts`.
        most: tokens that are read before (and after) a cut: so many as it was taught with.
    """
    from ..engines.many import continued
    from ..engines.sampling import Sampling

    most = min(most, writer.backbone.max_tokens - MOST_LINE)
    out = [""] * len(places)
    progress.note(f"{len(places)} lines are completed.")
    for kind, stop in (("line", ()), ("rest", ("\n",)), ("gap", ())):
        mine = [i for i, cut in enumerate(places) if cut.kind == kind]
        prompts = [writer.texts.gap(places[i].before, places[i].after, most=most) if kind == "gap" else
                   writer.texts.beginning(places[i].before, most) for i in mine]
        for i, text in zip(mine, continued(writer, prompts, Sampling(max_tokens=MOST_LINE, stop=stop), progress),
                           strict=True):
            out[i] = text
    return out
