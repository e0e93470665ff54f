"""A copy of a file without personal data: placeholders such as [EMAIL] in every column, in constant memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from ..progress import SILENT, Progress
from ..records import Record
from .formats import chunks
from .formats.source import locate
from .health import Finding
from .personal import redact
from .tally import Tally
from .write import Writer

if TYPE_CHECKING:
    import pyarrow as pa


class Redacted(Record):
    """What a redaction did. `read == written + sum(skipped.values())`."""

    source: str
    out: str
    read: int
    written: int
    skipped: dict[str, int]
    """Rows that could not be read, by reason."""
    rows: int
    """Rows in which something was replaced."""
    replaced: dict[str, int]
    """Placeholders written, by kind of personal data."""
    findings: list[Finding]
    """What the reader has to say: why rows were skipped, where."""


def redact_file(source: str | Path, out: Path, *, numbered: bool = False, force: bool = False,
                progress: Progress = SILENT) -> Redacted:
    """Write a copy in which personal data is replaced in every column, the column's name telling what it may be.

    Args:
        source: whatever `read` reads.
        out: `.csv`, `.tsv` or `.jsonl`.
        numbered: `[EMAIL-1]`, `[EMAIL-2]`: the same address has the same number, so that groups stay groups.
        force: replace `out` when it is there already.

    Raises:
        UserError: the source cannot be read, or `out` cannot be written.
    """
    tally, counts = Tally(), Counter[str]()
    numbers: dict[str, int] | None = {} if numbered else None
    written = touched = 0
    work = f"Redacting {source}"
    progress.start(work, unit="rows")
    with Writer(out, force=force, but_not=source) as file:
        for chunk in chunks(locate(source), tally):
            columns, changed = _without(chunk.table, counts, numbers)
            file.write(columns)
            written, touched = written + len(chunk.table), touched + changed
            progress.advance(work, len(chunk.table))
        if not written:
            raise DataError(f"{source} has no row that can be written.", "Look at it with: seedbed data check FILE")
    progress.done(work)
    return Redacted(source=str(source), out=str(out), read=written + sum(tally.skipped.values()), written=written,
                    skipped=dict(tally.skipped), rows=touched, replaced=dict(counts.most_common()),
                    findings=tally.findings())


def _without(table: pa.Table, counts: Counter[str],
             numbers: dict[str, int] | None) -> tuple[dict[str, list[Any]], int]:
    """The columns without personal data, and in how many rows something was replaced."""
    columns: dict[str, list[Any]] = {}
    changed: set[int] = set()
    for name in table.column_names:
        before = table.column(name).to_pylist()
        columns[name] = [_clean(name, value, counts, numbers) for value in before]
        changed |= {row for row, value in enumerate(columns[name]) if value is not before[row]}
    return columns, len(changed)


def _clean(name: str, value: Any, counts: Counter[str], numbers: dict[str, int] | None) -> Any:
    """The value, the very same object when there was nothing to replace."""
    if isinstance(value, list):
        parts = [_clean(name, part, counts, numbers) for part in value]
        return value if all(a is b for a, b in zip(parts, value, strict=True)) else parts
    if isinstance(value, dict):
        fields = {key: _clean(key, part, counts, numbers) for key, part in value.items()}
        return value if all(fields[key] is value[key] for key in value) else fields
    if value is None or isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        return value
    text = str(int(value) if isinstance(value, float) else value)  # gaps make floats of a column of whole numbers
    heading = f"{name.replace('_', ' ')}: "  # a bare number in a column `phone` is one
    clean = redact(heading + text, counts, numbers)
    clean = clean[len(heading):] if clean.startswith(heading) else redact(text, counts, numbers)
    return value if clean == text else clean
