"""Where data comes from: a file (compressed or not), a folder or a URL; and the chunks that readers give."""

from __future__ import annotations

import bz2
import difflib
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ...errors import DataError, NotFound
from ..tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 50_000
"""Rows a chunk, at most."""

MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
COMPRESSED = (".gz", ".gzip", ".bz2", ".xz", ".zst", ".zip")


@dataclass(frozen=True)
class Options:
    """What the user said about the source.

    Args:
        encoding: name of the text encoding; None finds it out.
        delimiter: one character; None finds it out.
        columns: names the user gave for columns; a first row that holds one of them is a header.
        documents: the files of a folder are texts of their own, not examples of the folders' labels.
    """

    encoding: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    documents: bool = False


@dataclass(frozen=True)
class Source:
    """One thing to read.

    Args:
        name: what people are shown; never holds credentials.
        path: the file or folder; None for a URL.
        url: the URL as given; empty for a path. Never shown.
        suffix: lower-case extension of the data inside, with its dot, compression taken off.
        compression: gzip, bzip2, xz, zstd or zip; empty when there is none.
        member: the data file inside a zip.
        options: what the user said about it.
    """

    name: str
    path: Path | None = None
    url: str = ""
    suffix: str = ""
    compression: str = ""
    member: str = ""
    options: Options = Options()

    def blocks(self, size: int = 1 << 20) -> Iterator[bytes]:
        """The bytes of the data, decompressed, in blocks of at most `size`.

        Raises:
            DataError: the file may not be read, or is damaged.
        """
        try:
            with self._open() as file:
                while block := file.read(size):
                    yield block
        except PermissionError:
            raise DataError(f"{self.name} may not be read by this user.", "Change its permissions.") from None
        except RuntimeError as problem:  # zipfile's word for an encrypted member
            raise DataError(f"{self.name} cannot be opened: {problem}",
                            "Unpack it, and name the file inside.") from None
        except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as problem:
            raise DataError(f"{self.name} is damaged: {problem}", "Copy or download the file again.") from None

    def head(self, size: int = 1 << 16) -> bytes:
        """The first bytes of the data, decompressed."""
        return next(self.blocks(size), b"")

    def whole(self) -> IO[bytes]:
        """The bytes as a seekable file: the file itself, or its decompressed content in memory."""
        if self.path is not None and not self.compression:
            return self.path.open("rb")
        return io.BytesIO(b"".join(self.blocks()))

    def _open(self) -> Any:
        assert self.path is not None
        if self.compression == "zip":
            return zipfile.ZipFile(self.path).open(self.member)
        if self.compression == "zstd":
            import pyarrow as pa

            return pa.input_stream(str(self.path), compression="zstd")
        opener: Any = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}.get(self.compression, Path.open)
        return opener(self.path, "rb")


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source.

    Args:
        table: the columns as the source has them.
        lines: [rows] int64, the line where each row starts, from 1 (the row number where there are no lines).
        sources: name of each row's own source; None means the source's name.
    """

    table: pa.Table
    lines: Sequence[int]
    sources: Sequence[str] | None = None


def locate(spec: str | Path, options: Options = Options()) -> Source:
    """The source that a path or URL names.

    Raises:
        NotFound: there is no such file; the hint names files with a similar name.
        DataError: the zip holds no data file, or several; the URL is not one of a database.
    """
    if isinstance(spec, str) and "://" in spec:
        if spec.split("://")[0].lower() in ("http", "https", "ftp", "s3", "gs", "file"):
            raise DataError("Data is read from files and databases, not from the web.",
                            "Download the file, and name it as the source.")
        return Source(_name(spec), url=spec, options=options)
    path = Path(spec).expanduser()
    if not path.exists():
        raise _no_such_file(path)
    source = Source(readable(str(spec)), path, options=options)
    if path.is_dir():
        return source
    if not path.is_file():
        raise DataError(f"{path} is not a file on disk.", "Save the data to a file first: it is read more than once.")
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except PermissionError:
        raise DataError(f"{path} may not be read by this user.", "Change its permissions.") from None
    *_, inner, outer = ["", "", *(s.lower() for s in path.suffixes)]
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return replace(source, compression=name, suffix=inner if outer in COMPRESSED else "")
    return _in_zip(source) if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) else replace(source, suffix=outer)


def _name(url: str) -> str:
    """A URL for people, without the query and who connects."""
    from .sql import database_name, parse

    try:
        return database_name(parse(url)[0])
    except DataError:  # its reader will say what is wrong, or knows another form of URL
        return url.split("://")[0]


def _in_zip(source: Source) -> Source:
    assert source.path is not None
    try:
        with zipfile.ZipFile(source.path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as problem:
        raise DataError(f"{source.name} is damaged: {problem}", "Copy or download the file again.") from None
    if "xl/workbook.xml" in names:
        return replace(source, suffix=".xlsx")
    members = [n for n in names if not n.endswith("/") and not n.startswith("__MACOSX/")
               and not Path(n).name.startswith(".")]
    if len(members) == 1:
        return replace(source, name=f"{source.name}!{members[0]}", compression="zip", member=members[0],
                       suffix=Path(members[0]).suffix.lower())
    if "mimetype" in names or "[Content_Types].xml" in names:  # LibreOffice, Word
        raise DataError(f"{source.name} is an office document, not a table of texts.",
                        "Save the table as Excel (.xlsx) or CSV, and name that file.")
    listed = ", ".join(members[:10]) or "nothing"
    raise DataError(f"{source.name} holds {len(members)} files, and one data file is needed: {listed}.",
                    "Unpack it, and name the file, or the folder when there is one folder a class.")


def _no_such_file(path: Path) -> NotFound:
    if not path.parent.is_dir():
        return NotFound(f"There is no file {path}.", f"The folder {path.parent} is not there either.")
    names = [p.name for p in sorted(path.parent.iterdir())[:10_000]]
    stem = path.name.split(".")[0].lower()
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6) or \
        [name for name in names if name.split(".")[0].lower() == stem][:3]  # the right name with another extension
    return NotFound(f"There is no file {path}.", f"Did you mean {' or '.join(near)}?" if near else
                    f"Look at what the folder holds: ls {path.parent}")


def to_chunks(rows: Iterator[tuple[int, Sequence[Any]]], names: Sequence[str], tally: Tally,
              array: Callable[[list[Any]], Any]) -> Iterator[Chunk]:
    """Rows of cells with their lines as chunks. A row with another number of cells than names is left out."""
    import pyarrow as pa

    while block := list(islice(rows, CHUNK)):
        good = [(line, row) for line, row in block if len(row) == len(names)]
        for line, row in block:
            if len(row) != len(names):
                tally.skip("wrong_columns", line, f"{len(row)} columns instead of {len(names)}")
        columns = zip(*(row for _, row in good), strict=True) if good else [()] * len(names)
        yield Chunk(pa.table({name: array(list(column)) for name, column in zip(names, columns, strict=True)}),
                    [line for line, _ in good])


def to_columns(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows of JSON-like values as a table; a key that a row lacks is None there."""
    import pyarrow as pa

    names = dict.fromkeys(key for row in rows for key in row)
    return pa.table({readable(name): to_array([row.get(name) for row in rows]) for name in names})


def to_array(values: list[Any]) -> Any:
    """JSON-like values as an Arrow array: of their own type where it is one, lists of strings, else text."""
    import pyarrow as pa

    kinds = {type(v) for v in values} - {type(None)}
    if list in kinds and kinds <= {str, list} and not any(
            isinstance(part, dict | list) for v in values if isinstance(v, list) for part in v):
        listed = [v if v is None else [word(p) for p in v if p is not None] if isinstance(v, list) else [v]
                  for v in values]
        return pa.array(listed, pa.list_(pa.string()))
    try:
        if kinds == {str}:
            return pa.array(values, pa.large_string())
        if (len(kinds) <= 1 or kinds == {int, float}) and not kinds & {dict, list}:
            return pa.array(values)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):
        pass
    return pa.array([v if v is None else word(v) for v in values], pa.large_string())


def word(value: Any) -> str:
    """A JSON-like value as a cell of text: whole numbers without `.0`, lists and objects as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return readable(json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list)
                    else str(value))


def readable(text: str) -> str:
    """JSON can hold half of a surrogate pair, a file's name bytes of another encoding: nothing can write these."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
