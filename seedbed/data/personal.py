"""Personal data in texts: found, counted, masked.

Numbers count only when their checksum or format is right (python-stdnum). Where a check digit alone would flag one
number in ten (a Dutch BSN, a Polish PESEL, a British NHS number ...), a word that names the number must stand just
before it as well. Names of people and addresses of houses are not looked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class Kind:
    """One kind of personal data.

    Args:
        name: stable code; the placeholder in a redacted text is this in capitals: `[EMAIL]`.
        title: for people, with its article.
        written: regular expressions of forms that count when `valid` says so.
        bare: regular expressions of forms that count when, besides, one of `words` stands before them.
        words: regular expression of the words that name such a number.
        valid: whether the matched text is such a number.
    """

    name: str
    title: str
    written: tuple[str, ...]
    valid: Callable[[str], bool] = bool
    bare: tuple[str, ...] = ()
    words: str = ""

    @property
    def placeholder(self) -> str:
        return f"[{self.name.upper()}]"


@dataclass(frozen=True)
class Found:
    """Personal data of one kind at characters [start, end) of a text."""

    kind: Kind
    start: int
    end: int


def _standard(module: str) -> Callable[[str], bool]:
    """The check of a number that python-stdnum knows, imported when it is first used."""
    return lambda text: bool(import_module(f"stdnum.{module}").is_valid(text))


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


_CARD_BRANDS = re.compile(
    r"4(\d{12}|\d{15}|\d{18})|(5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(0[0-5]|[689]\d)\d{11}|(6011|65\d\d|64[4-9]\d|35\d\d)\d{12}|62\d{14,17}|(50|5[6-9]|6[0379])\d{10,17}")


def _card(text: str) -> bool:
    digits = _digits(text)
    return bool(_CARD_BRANDS.fullmatch(digits)) and len(set(digits)) > 1 and _standard("luhn")(digits)


def _email(text: str) -> bool:
    return not text.lower().endswith((".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".js", ".css"))  # icon@2x.png


_DATE = re.compile(r"(?<!\d)([0-3]?\d[-. ][01]?\d[-. ](19|20)\d\d|(19|20)\d\d[-. ][01]?\d[-. ][0-3]?\d)(?!\d)")


def _phone(text: str) -> bool:
    padded = text.startswith("00") and text.isdigit() and len(text) < 12  # an id with zeros before it
    return 7 <= len(_digits(text)) <= 15 and not _DATE.search(text) and len(set(_digits(text))) > 2 and not padded


def _aadhaar(text: str) -> bool:
    years = re.fullmatch(r"(20\d\d\D){2}20\d\d", text)
    return not years and _standard("in_.aadhaar")(text)


_PHONE_WORDS = (r"phone|telephone|tel|mobile|cell|call|sms|fax|whatsapp|tél|téléphone|appelez|"
                r"teléfono|telefono|móvil|celular|llam\w*|telefone|telemóvel|ligue|telefon\w*|tlf|handy|mobil\w*|"
                r"rufnummer|anruf\w*|cellulare|chiam\w*|gsm|komórk\w*|电话|手机")

KINDS: tuple[Kind, ...] = (
    Kind("email", "an e-mail address",
         (r"[A-Za-z0-9À-ɏ_.%+-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}",), _email),
    Kind("iban", "a bank account (IBAN)", (r"[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?",),
         _standard("iban")),
    Kind("it_codice_fiscale", "an Italian codice fiscale", (r"[A-Za-z]{6}\d\d[A-Za-z]\d\d[A-Za-z]\d{3}[A-Za-z]",),
         _standard("it.codicefiscale")),
    Kind("cn_resident_id", "a Chinese resident id", (r"\d{17}[\dXx]",), _standard("cn.ric")),
    Kind("card", "a payment card number",
         (r"\d{4}(?P<s>[ -]?)\d{4}(?P=s)\d{4}(?P=s)\d{1,7}", r"3\d{3}(?P<s>[ -]?)\d{6}(?P=s)\d{4,5}", r"\d{12,19}"),
         _card),
    Kind("fr_nir", "a French NIR", (r"[12] ?\d\d ?\d\d ?(?:\d\d|2[ABab]) ?\d{3} ?\d{3} ?\d\d",), _standard("fr.nir")),
    Kind("ch_ahv", "a Swiss AHV number", (r"756\.?\d{4}\.?\d{4}\.?\d\d",), _standard("ch.ssn")),
    Kind("mx_curp", "a Mexican CURP", (r"[A-Za-z]{4}\d{6}[HMhm][A-Za-z]{5}[A-Za-z0-9]\d",), _standard("mx.curp")),
    Kind("es_dni", "a Spanish DNI", (r"\d{8}-?[A-Za-z]", r"\d\d\.\d{3}\.\d{3}-?[A-Za-z]"),
         lambda text: _standard("es.dni")(text.replace(".", ""))),
    Kind("es_nie", "a Spanish NIE", (r"[XYZxyz]-?\d{7}-?[A-Za-z]",), _standard("es.nie")),
    Kind("fi_hetu", "a Finnish personal code", (r"\d{6}[-+A-Fa-fU-Yu-y]\d{3}[0-9A-Ya-y]",), _standard("fi.hetu")),
    Kind("br_cpf", "a Brazilian CPF", (r"\d{3}\.\d{3}\.\d{3}-\d\d",), _standard("br.cpf"), (r"\d{9}-?\d\d",), "cpf"),
    Kind("be_nn", "a Belgian national number", (r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d",), _standard("be.nn"), (r"\d{11}",),
         r"nn|niss|rijksregister\w*|registre national"),
    Kind("se_personnummer", "a Swedish personnummer", (r"(?:19|20)?\d{6}[-+]\d{4}",), _standard("se.personnummer")),
    Kind("us_ssn", "a US social security number", (r"\d{3}-\d\d-\d{4}",),
         lambda text: _standard("us.ssn")(_digits(text)),
         (r"\d{3} ?\d\d ?\d{4}",), r"ssn|social security(?: number)?"),
    Kind("in_aadhaar", "an Indian Aadhaar", (r"[2-9]\d{3}(?P<s>[ -])\d{4}(?P=s)\d{4}",), _aadhaar,
         (r"\d{12}",), r"aadhaar|aadhar|uidai|uid"),
    Kind("nl_bsn", "a Dutch BSN", (r"\d{4}\.\d\d\.\d{3}",), _standard("nl.bsn"), (r"\d{8,9}",),
         r"bsn|burgerservicenummer|sofi\w*"),
    Kind("pl_pesel", "a Polish PESEL", (), _standard("pl.pesel"), (r"\d{11}",), "pesel"),
    Kind("pt_nif", "a Portuguese NIF", (), _standard("pt.nif"), (r"\d{3}[ .-]?\d{3}[ .-]?\d{3}",),
         r"nif|contribuinte|número fiscal"),
    Kind("gb_nhs", "a British NHS number", (), _standard("gb.nhs"), (r"\d{3}[ .-]?\d{3}[ .-]?\d{4}",),
         r"nhs(?: number| no)?"),
    Kind("de_steuer_id", "a German Steuer-ID", (), _standard("de.idnr"), (r"\d\d ?\d{3} ?\d{3} ?\d{3}",),
         r"steuer-?id\w*|steuerliche identifikationsnummer|steueridentifikationsnummer|identifikationsnummer|idnr|"
         r"tin|steuernummer"),
    Kind("phone", "a phone number",
         (r"(?:\+|00 ?)[1-9]\d{0,2}(?:[ .-]?\(?\d{1,5}\)?){2,6}", r"\([2-9]\d\d\) ?\d{3}[ .-]\d{4}",
          r"[2-9]\d\d(?P<s>[.-])\d{3}(?P=s)\d{4}", r"0\d(?:(?P<s>[ .-])\d\d)(?:(?P=s)\d\d){3}",
          r"0[1-9]\d{1,3}[ -]\d{3,4}[ -]?\d{3,5}"), _phone,
         (r"[(]?\d{2,5}[)]?(?:(?: ?[/.-] ?| )?\d{2,5}){1,5}",), _PHONE_WORDS),
)
"""In the order in which a text is searched: what an earlier kind claims, a later one does not see."""

_BEFORE, _AFTER = r"(?<![0-9A-Za-zÀ-ɏ_@])(?<!\d[.,])", r"(?![0-9A-Za-zÀ-ɏ_])(?![.,]\d)"  # 电话 may touch its number
_GAP = r"(?:[\s:#.=º°]|is|n|no|nr|at|me|us|on|number|nummer|es|é|ist|est){0,6}"
_WORTH_A_LOOK = r"@|(?:[0-9][ .()-]{0,2}){6}|[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}"
"""A cheap test: without an at sign, six digits close together or the start of a codice fiscale there is nothing."""
_LOOK = re.compile(_WORTH_A_LOOK)


@cache
def _patterns() -> tuple[tuple[Kind, tuple[re.Pattern[str], ...]], ...]:
    return tuple((kind, (
        *(re.compile(f"{_BEFORE}(?P<it>{form}){_AFTER}") for form in kind.written),
        *(re.compile(rf"(?<![A-Za-zÀ-ɏ])(?:{kind.words}){_GAP}(?<!\d)(?P<it>{form}){_AFTER}", re.IGNORECASE)
          for form in kind.bare))) for kind in KINDS)


def find(text: str) -> list[Found]:
    """The personal data in a text, in order, without overlaps."""
    found: list[Found] = []
    taken = bytearray(len(text))  # 1 where a character belongs to one that was found
    has_digit = bool(re.search("[0-9]", text))
    for kind, forms in _patterns():
        if (kind.name == "email" and "@" not in text) or (kind.name != "email" and not has_digit):
            continue
        for form in forms:
            for match in form.finditer(text):
                start, end = match.span("it")
                end = _longest_valid(kind, text, start, end)
                if end and not any(taken[start:end]):
                    found.append(Found(kind, start, end))
                    taken[start:end] = b"\1" * (end - start)
    return sorted(found, key=lambda f: f.start)


def _longest_valid(kind: Kind, text: str, start: int, end: int) -> int:
    """Where the valid number ends, 0 for none: an IBAN's pattern may have swallowed the words that follow it."""
    while end > start:
        if kind.valid(text[start:end]):
            return end
        if kind.name != "iban" or (space := text.rfind(" ", start, end)) < 0:
            return 0
        end = space
    return 0


def redact(text: str, counts: Counter[str] | None = None, numbers: dict[str, int] | None = None) -> str:
    """The text with placeholders such as `[EMAIL]` for personal data.

    Args:
        counts: gains one for each, by kind.
        numbers: when given, placeholders are numbered, `[EMAIL-1]`: the same address has the same number everywhere.
    """
    if not _LOOK.search(text):
        return text
    pieces, at = [], 0
    for one in find(text):
        placeholder = one.kind.placeholder
        if numbers is not None:
            plain = "".join(c for c in text[one.start:one.end].casefold() if c.isalnum() or c == "@")
            placeholder = f"{placeholder[:-1]}-{numbers.setdefault(plain, len(numbers) + 1)}]"
        pieces += [text[at:one.start], placeholder]
        at = one.end
        if counts is not None:
            counts[one.kind.name] += 1
    return "".join([*pieces, text[at:]])


def worth_a_look(texts: pa.Array) -> NDArray[np.int64]:
    """Rows in which `find` may find something; in all others it would find nothing."""
    return np.asarray(pc.indices_nonzero(pc.match_substring_regex(texts, pattern=_WORTH_A_LOOK)), np.int64)


def excerpt(text: str, at: int = 0, width: int = 80) -> str:
    """About `width` characters of the text from around position `at`, on one line, personal data masked."""
    near = max(0, at - 1000)  # a number must be seen whole to be masked, so the margin is wide
    window, at = text[near:at + 1000], at - near
    masked = redact(window)
    start = max(0, len(redact(window[:at])) - width // 2)
    cut = " ".join(masked[start:start + width].split())
    whole_end = start + width >= len(masked) and near + len(window) >= len(text)
    return ("… " if start + near else "") + cut + ("" if whole_end else " …")
