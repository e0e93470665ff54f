"""Rows that are longer than --max-tokens: counted, told and kept or left out before anything is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import DataError, UserError
from .courses import Course, TuneJob
from .pretraining import PretrainingCourse
from .writing import WritingCourse

if TYPE_CHECKING:
    from ..data.dataset import Dataset


def fitting(job: TuneJob, course: Course[Any], dataset: Dataset, said: dict[str, Any]) -> Dataset:
    """The rows that `--long-rows` keeps. Those left out are counted in `said["skipped"]`, and told.

    Only of tasks that write: documents and marked texts are read in windows, and texts to embed lose their end.

    Raises:
        DataError: a row is too long where `refuse` was asked, or no row to learn from is left. Both name a row.
    """
    from ..data.conversations import judgements
    from ..models.folder import open_folder
    from ..models.template import open_template

    if not isinstance(course, WritingCourse) or isinstance(course, PretrainingCourse):
        return dataset
    most, how = job.training.max_tokens, job.config.long_rows
    template = open_template(open_folder(course.model(job)), most)
    owners = [at for at, one in enumerate(judgements(dataset)) for _ in one.sides] if course.judged else \
        range(len(dataset))
    long, lost = dict[int, list[int]](), dict[int, str]()
    for owner, (where, one) in zip(owners, course.reader(job.config, dataset)(dataset), strict=True):
        if 2 * len(one.to_json().encode()) < most:  # a token holds a byte at the least, and a template adds some
            continue
        try:
            row = template.row(one)
        except UserError:  # the lesson says it
            continue
        if not row.cut:
            continue
        place = where.rsplit(", the ", 1)[0] if course.judged else where  # of both answers
        if how == "refuse":
            raise DataError(f"{where} has {len(row.ids) + row.cut:,} tokens, and --max-tokens is {most:,}.",
                            "Raise --max-tokens, leave the row out, or let --long-rows cut or drop such rows.")
        if how == "drop" or not row.count or long.get(owner) == row.ids:  # of a pair both would be the same
            lost[owner] = place
        long[owner] = row.ids
    if not long:
        return dataset
    kept = dataset.take([at for at in range(len(dataset)) if at not in lost])
    if not len(kept.part("train")):
        why = "not one token would be learned: " + (f"it is longer than --max-tokens {most:,}" if how == "drop" else
                                                    f"the answer begins after token {most:,}, where the text is cut")
        if course.judged:
            why = "both answers are the same as the model reads them, or neither is read at all"
        raise DataError(f"{next(iter(lost.values()))}: {why}; so it is with every other row to learn from.",
                        "Raise --max-tokens, or shorten the rows.")
    told = [f"{len(long):,} of {len(dataset):,} rows are longer than --max-tokens {most:,}."]
    if lost:
        said["skipped"] = {**said["skipped"], "too_long": len(lost)}
        told.append(f"{len(lost):,} of them are left out" + ("" if how == "drop" else ", as nothing of their answers "
                    "would be learned") + f" ({'; '.join(list(lost.values())[:3])}).")
    if len(long) > len(lost):
        told.append(f"The end of {len(long) - len(lost):,} is cut, with the mark that ends an answer.")
    job.progress.note(" ".join(told))
    return kept
