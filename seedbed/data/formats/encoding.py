"""Bytes to lines of text: find out the encoding, and decode what does not fit it in the open."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import AnyStr

from ...errors import DataError
from ..tally import LINES_SHOWN, Tally
from .source import Source

BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
SAMPLE = 1 << 17
"""Bytes that are not UTF-8 which the encoding is guessed from."""
MISFIT_LIMIT = 0.01
"""Above this share of lines that do not fit UTF-8 a file is refused, because it is not clear what it is."""
KNOWN_BINARY = {
    b"%PDF": "a PDF document", b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image",
    b"\x7fELF": "a program", b"MZ\x90\x00": "a Windows program", b"ARROW1": "an Arrow file",
    b"\xd0\xcf\x11\xe0": "an old or encrypted Office document", b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle", b"7z\xbc\xaf": "a 7-Zip archive", b"Rar!": "a RAR archive"}
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
WESTERN = re.compile("[A-Za-zÀÂÄÁÃÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÖÕØŒÚÙÛÜàâäáãåæçéèêëíìîïñóòôöõøœúùûüÿß]")
ODD_IN_WORDS = re.compile("[A-Za-z][¿¹³²¼½¾¶¡¢£¥¦¨¯ªº±µþðýÞÐÝŸ¤×÷¬][a-z]")
COMMON_LETTERS = {
    "cp1251": "оеаинтсрвлкмдпу", "koi8_r": "оеаинтсрвлкмдпу", "cp866": "оеаинтсрвлкмдпу",
    "cp1253": "αοιετσνηυρπκμλς", "cp1255": "יוהלאתרבשמנםדקעח", "cp1256": "اليمنوترهبدسعفة"}
"""By encoding, the letters that make up most of a text in its script."""
EAST_ASIAN = ["cp932", "euc_jp", "gb18030", "big5", "cp949"]


@dataclass
class Text:
    """A text source whose encoding is known; lines that do not fit it are counted, the first kept with the reason."""

    source: Source
    encoding: str
    old_mac: bool = False
    """Lines end in a carriage return alone."""
    misfits: int = 0
    first_misfits: list[tuple[int, str]] = field(default_factory=list)

    @property
    def end(self) -> str:
        return "\r" if self.old_mac else "\n"

    def blocks(self) -> Iterator[str]:
        """The text in blocks that end at a line's end. Bytes that fit no encoding become U+FFFD."""
        pieces = map(_decode, whole_lines(self.source.blocks(), self.end.encode())) \
            if self.encoding.startswith("utf-8") else whole_lines(self._decoded(), self.end)
        for number, piece in enumerate(pieces):
            text = piece if number else piece.removeprefix("\ufeff")
            yield text.replace("\r", "\n") if self.old_mac else text

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)(errors="replace")
        try:
            for block in self.source.blocks():
                yield decoder.decode(block)
            yield decoder.decode(b"", True)
        except UnicodeError as problem:  # only where not even a substitute helps, as UTF-16 without its mark
            raise DataError(f"{self.source.name} is not {self.encoding}: {problem}.",
                            "Leave the encoding out to have it found, or name another.") from None

    def lines(self) -> Iterator[str]:
        """Lines with their ends. Only a line feed ends a line, as for grep and editors (a carriage return does
        in a file that has no line feeds)."""
        for block in self.blocks():
            yield from io.StringIO(block, newline="\n")

    def misfit(self, line: int, what: str) -> None:
        self.misfits += 1
        if len(self.first_misfits) < LINES_SHOWN:
            self.first_misfits.append((line, what))

    def refuse_many(self, lines: int, what: str, how: str, hint: str) -> None:
        """Raises:
            DataError: of all `lines` more do not fit than can be mended."""
        if self.misfits > max(1, MISFIT_LIMIT * lines):
            some = ", ".join(str(line) for line, _ in self.first_misfits[:10])
            raise DataError(f"{self.source.name} {what}: {self.misfits:,} of {lines:,} lines {how}, "
                            f"for instance line {some}.", hint)


def whole_lines(blocks: Iterator[AnyStr], end: AnyStr) -> Iterator[AnyStr]:
    """The same in blocks that end at a line's end. The parts of a line longer than a block are joined once."""
    rest: list[AnyStr] = []
    for block in blocks:
        cut = block.rfind(end) + 1
        if cut:
            rest.append(block[:cut])
            yield end[:0].join(rest)
            rest = []
        rest.append(block[cut:])
    if last := end[:0].join(rest):
        yield last


def _decode(data: bytes) -> str:
    """UTF-8; a line that is not UTF-8 is read as Windows-1252, the commonest stray encoding."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        lines = data.splitlines(keepends=True)
        return data.decode("cp1252", "replace") if len(lines) == 1 else "".join(map(_decode, lines))


def open_text(source: Source, tally: Tally) -> Text:
    """Find out the encoding of a source, and say it.

    Raises:
        DataError: it is empty, binary, or a mixture of encodings; or it does not have the encoding that was named.
    """
    head = source.head()
    if not head.strip(b"\x00 \t\r\n\xef\xbb\xbf"):
        raise DataError(f"{source.name} is empty.", "Check that the export finished, and name the right file.")
    named = _canonical(source.options.encoding)
    encoding = named or next((name for bom, name in BOMS if head.startswith(bom)), None) or _utf16_without_bom(head)
    if encoding is None or encoding.startswith("utf-8"):
        refuse_binary(source.name, head)
    text = Text(source, encoding or "utf-8", old_mac=b"\n" not in head and b"\r" in head)
    if text.encoding.startswith("utf-8"):
        _survey(text, sure=encoding is not None)
    elif named:
        _verify(text)
    tally.detect("encoding", text.encoding)
    for place, (line, what) in enumerate(text.first_misfits):
        tally.remark("undecodable", line, what, count=0 if place else text.misfits)
    return text


def refuse_binary(name: str, head: bytes) -> None:
    """Raises:
        DataError: the first bytes are those of a binary file; says which kind when it is a known one."""
    if head.startswith(b"SQLite format 3\x00"):
        raise DataError(f"{name} is a SQLite database, not a table.",
                        f"Name a query: 'sqlite:///{name}?query=SELECT text, label FROM ...'")
    kind = next((kind for magic, kind in KNOWN_BINARY.items() if head.startswith(magic)), None)
    controls = len(CONTROL.findall(head))
    if kind or controls > 0.05 * len(head):
        raise DataError(f"{name} is {kind or 'a binary file'}, not a table of texts.",
                        "Save the data as CSV, JSONL, Parquet or Excel (.xlsx), and name that file.")


def _canonical(encoding: str | None) -> str | None:
    """The encoding as it was named; `utf-8` for every way to write that.

    Raises:
        DataError: there is no such encoding of text.
    """
    try:
        codec = codecs.lookup(encoding or "utf-8")
        if codec._is_text_encoding:
            return "utf-8" if encoding and codec.name == "utf-8" else encoding
    except (LookupError, ValueError):
        pass
    raise DataError(f"There is no encoding {encoding!r}.",
                    "Usual ones: utf-8, cp1252, latin-1, utf-16, cp1251, shift_jis.")


def _utf16_without_bom(head: bytes) -> str | None:
    """Text in Latin letters as UTF-16 has a zero in nearly every second byte."""
    even, odd, half = head[::2].count(0), head[1::2].count(0), len(head) // 2
    if half and odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    if half and even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be"
    return None


def _survey(text: Text, sure: bool) -> None:
    """Count the lines that are not UTF-8, and decide what the file is."""
    number, valid, sample, end = 0, 0, bytearray(), text.end.encode()
    for block in whole_lines(text.source.blocks(), end):
        try:
            block.decode()
            number, valid = number + block.count(end) + (not block.endswith(end)), valid + (not block.isascii())
            continue
        except UnicodeDecodeError:
            lines = block.removesuffix(end).split(end)
        for line in lines:
            number += 1
            try:
                line.decode()
                valid += not line.isascii()
            except UnicodeDecodeError as problem:
                text.misfit(number, f"byte 0x{line[problem.start]:02X} at byte {problem.start + 1}")
                if len(sample) < SAMPLE:
                    sample += _piece(line, problem.start) + b"\n"
    if text.misfits and not valid and not sure:  # no line has UTF-8 beyond ASCII: the whole file is something else
        text.encoding, text.misfits = _guess(bytes(sample)), 0
        text.first_misfits.clear()
        _verify(text)
    else:
        text.refuse_many(number, "mixes encodings", "are not UTF-8",
                         "Convert the parts to UTF-8 before joining them, or name one encoding for the whole file.")


def _piece(line: bytes, start: int) -> bytes:
    """The line, or of a very long one (JSON without line ends) whole words from the first byte that is not UTF-8."""
    if len(line) <= SAMPLE:
        return line
    part = line[start:start + SAMPLE]
    return part[:max(part.rfind(b" "), part.rfind(b'"'))] or part


def _guess(sample: bytes) -> str:
    """The likeliest encoding of lines that are not UTF-8.

    Windows-1252 when it gives plain letters with Western accents inside words. For other scripts, the encoding that
    gives most of the script's commonest letters; charset-normalizer confuses these with their neighbours. It decides
    the rest (Central European, Turkish, East Asian).
    """
    western = sample.decode("cp1252", "replace")
    high = [c for c in western if ord(c) > 127]
    rare = len(high) < 0.35 * sum(c.isalpha() or ord(c) > 127 for c in western)
    central = len(set(high) & set("šžøì")) > 1 or {"õ", "û"} <= set(high)  # no Western language has these together
    if rare and not central and "�" not in western and not ODD_IN_WORDS.search(western) and \
            sum(bool(WESTERN.match(c)) or c in "’‘“”„–—…€£§°«»¿¡·•™®©´\xa0" for c in high) > 0.98 * len(high):
        return "cp1252"
    shares = {name: _share(sample.decode(name, "replace"), letters) for name, letters in COMMON_LETTERS.items()}
    likeliest = max(shares, key=lambda name: shares[name])
    if not rare and shares[likeliest] > 0.55:
        return likeliest
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=["cp1250", "cp1254", "cp1257"] if rare else EAST_ASIAN).best()
    return str(best.encoding) if best else "cp1252"


def _share(text: str, letters: str) -> float:
    """Share of the characters beyond ASCII that are among the letters."""
    high = [c for c in text if ord(c) > 127]
    small = sum(c in letters for c in high)
    large = sum(c in letters for c in "".join(high).lower())  # in capitals: likely, but less
    return max(small, 0.8 * large) / max(1, len(high))


def _verify(text: Text) -> None:
    """Raises:
        DataError: more than a hundredth of the lines do not fit the encoding that the user named."""
    number = 0
    for number, line in enumerate(text.lines(), 1):
        if "�" in line:
            text.misfit(number, f"no {text.encoding} at character {line.index('�') + 1}")
    text.refuse_many(number, f"is not {text.encoding}", "do not fit",
                     "Leave the encoding out to have it found, or name another.")
