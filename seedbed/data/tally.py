"""What a reader leaves out or mends, counted by reason with line numbers, so that counts always add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .health import Finding

LINES_SHOWN, EXAMPLES_SHOWN = 20, 5
Severity = Literal["error", "warning", "info"]

REASONS: dict[str, tuple[Severity, str, str]] = {
    # Rows that are left out.
    "unreadable_row": ("error", "{n} could not be parsed.", "Correct the lines shown, or delete them."),
    "wrong_columns": ("error", "{n} had another number of columns than the header.",
                      "Put double quotes around texts that contain the delimiter, or name the right delimiter."),
    "unbalanced_quote": ("error", "{n} opened a double quote that is never closed; only that line was left out.",
                         "Close the quote, or write \"\" for a quote inside a quoted text."),
    "huge_cell": ("error", "{n} had a text or label of more than 4 million characters.",
                  "Split the long document into rows, or look for a missing quote or line end before it."),
    "nul_bytes": ("error", "{n} had NUL bytes in the text or label: part of a binary file, or damaged.",
                  "Export the data again, or delete those lines."),
    "binary_file": ("error", "{n} held binary data instead of text.", "Remove them, or save them as plain text."),
    "empty_text": ("warning", "{n} had no text.", "Fill in the text, or delete the row."),
    "missing_label": ("warning", "{n} had no label.", "Label them, or leave them out; they teach nothing."),
    "no_conversation": ("error", "{n} held nothing to learn to write.",
                        "A row needs a question and an answer of the assistant; the examples say what is wrong."),
    "huge_file": ("warning", "{n} were too large for something that a person wrote.",
                  "Split them, or leave them out."),
    "minified_file": ("warning", "{n} had lines of thousands of characters: minified, or data.", "Leave them out."),
    "generated_file": ("warning", "{n} said that a program wrote them.", "Leave them out, or delete that line."),
    "not_accepted": ("info", "{n} had been rejected or skipped by their annotator.",
                     "Nothing to do; label them again if they should count."),
    "bad_span": ("error", "{n} had spans that cannot be read.",
                 "Write a span as [start, end, \"LABEL\"] or {\"start\": 0, \"end\": 5, \"label\": \"LABEL\"}."),
    "span_outside": ("error", "{n} had a span that ends beyond the text, or before it starts.",
                     "Export again: the text was changed after it was labelled, or offsets count bytes."),
    "span_mismatch": ("error", "{n} had a span whose offsets do not give the words that it quotes.",
                      "Export again: the text was changed after it was labelled, or offsets count bytes."),
    "same_answers": ("warning", "{n} had one answer as chosen and as rejected.",
                     "Leave them out, or correct them; they do not say what is better."),
    "no_pair": ("error", "{n} held no pair of a question and a document.",
                "Fill in both, or delete the row; the examples say what is missing."),
    "repeated_pair": ("info", "{n} repeated a pair and were left out.", "Nothing to do: each pair is learned once."),
    # Rows that are kept.
    "empty_span": ("warning", "{n} without a character, or of spaces alone, were left out.", "Delete them."),
    "trimmed_span": ("info", "{n} began or ended in spaces, which were taken off.", "Nothing to do."),
    "overlapping_span": ("warning", "{n} lay over longer or equal ones and were left out: a character has one label.",
                         "Decide for one of them, or label the inner ones in a file of their own."),
    "utf16_offsets": ("info", "{n} counted some characters twice, as JavaScript does, and were turned.",
                      "Nothing to do."),
    "other_annotations": ("warning", "{n} beside the first of their text were not read.",
                          "Settle which one is right and mark it as the ground truth."),
    "undecodable": ("warning", "{n} did not fit the file's encoding and were read with a substitute.",
                    "Save the file as UTF-8 with one program and check the lines shown."),
    "stray_quotes": ("info", "{n} had quotes inside a text that were not doubled; the text was kept as written.",
                     "Nothing to do, unless the lines shown look wrong."),
    "stray_returns": ("info", "{n} had a carriage return outside quotes; it was read as a space.",
                      "Put double quotes around texts of several lines."),
    "html_entities": ("info", "{n} had HTML entities such as &amp; in the text; it was left as it is.",
                      "Unescape them if the model will see plain text in use."),
    "ignored_files": ("info", "{n} in the folder were not text files and were not read.",
                      "Rename them to .txt if they are examples."),
    "other_files": ("info", "{n} that are neither documents nor source files were not read.",
                    "Save them as text if they shall be learned."),
    "vendored_folders": ("info", "{n} of what others wrote or programs made were not read.",
                         "Name such a folder itself if it shall be learned."),
    "licence_files": ("info", "Found {n} on the licence of these texts.",
                      "Read them: the model that learns from the texts may fall under them."),
}
"""By code: severity, message and what to do. `{n}` becomes the count, such as `3 rows`."""

UNITS = {"undecodable": "line", "other_annotations": "annotation", "vendored_folders": "folder",
         **dict.fromkeys(("empty_span", "trimmed_span", "overlapping_span", "utf16_offsets"), "span"),
         **dict.fromkeys(("binary_file", "ignored_files", "huge_file", "minified_file", "generated_file",
                          "other_files", "licence_files"), "file")}


@dataclass
class Tally:
    """Filled by a reader while it reads.

    Args:
        detected: what was found out or guessed, in words for people.
        skipped: rows left out, by reason.
        kept: things worth saying about rows that were kept, by code.
        lines: the first lines by code, at most 20.
        examples: by code, what exactly was wrong, at most 5. Never a piece of the data: it may be personal.
    """

    detected: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, code: str, line: int, example: str = "") -> None:
        """A row that starts at that line is left out."""
        self._count(self.skipped, code, line, example)

    def remark(self, code: str, line: int, example: str = "", count: int = 1) -> None:
        """Something to say about a row that is kept."""
        self._count(self.kept, code, line, example, count)

    def _count(self, counts: dict[str, int], code: str, line: int, example: str, count: int = 1) -> None:
        counts[code] = counts.get(code, 0) + count
        lines, examples = self.lines.setdefault(code, []), self.examples.setdefault(code, [])
        if len(lines) < LINES_SHOWN:
            lines.append(line)
        if example and len(examples) < EXAMPLES_SHOWN:
            examples.append(f"line {line}: {example}")

    def detect(self, what: str, value: str) -> None:
        """Note what was found out; with several sources, each different value once."""
        known = self.detected.get(what)
        if known is None:
            self.detected[what] = value
        elif value not in known.split(" and "):
            self.detected[what] = f"{known} and {value}"

    def findings(self) -> list[Finding]:
        """One finding a code, the skipped rows first."""
        found = []
        for code, count in (*self.skipped.items(), *self.kept.items()):
            severity, message, fix = REASONS[code]
            unit = UNITS.get(code, "row")
            found.append(Finding(code=code, severity=severity, count=count, fix=fix, lines=self.lines[code],
                                 message=message.format(n=f"{count:,} {unit}{'' if count == 1 else 's'}"),
                                 examples=self.examples[code]))
        return found
