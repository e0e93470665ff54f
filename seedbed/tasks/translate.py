"""Say the same in another language."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..data.health import Finding
from ..data.language import UNKNOWN, guess
from ..data.notes import Notes, plural
from ..data.turns import Turn
from .metrics import Metric
from .metrics.grams import bleu, chrf
from .metrics.words import words
from .write import Write

LANGUAGES = dict(re.findall(r"(\w+):(\w+)", """
af:Afrikaans am:Amharic ar:Arabic az:Azerbaijani be:Belarusian bg:Bulgarian bn:Bengali br:Breton bs:Bosnian ca:Catalan
cs:Czech cy:Welsh da:Danish de:German el:Greek en:English eo:Esperanto es:Spanish et:Estonian eu:Basque fa:Persian
fi:Finnish fo:Faroese fr:French ga:Irish gl:Galician gu:Gujarati he:Hebrew hi:Hindi hr:Croatian hu:Hungarian
hy:Armenian id:Indonesian is:Icelandic it:Italian ja:Japanese ka:Georgian kk:Kazakh km:Khmer kn:Kannada ko:Korean
ky:Kyrgyz la:Latin lb:Luxembourgish lo:Lao lt:Lithuanian lv:Latvian mg:Malagasy mk:Macedonian ml:Malayalam
mn:Mongolian mr:Marathi ms:Malay mt:Maltese my:Burmese nb:Norwegian ne:Nepali nl:Dutch nn:Nynorsk no:Norwegian
oc:Occitan pa:Punjabi pl:Polish pt:Portuguese ro:Romanian ru:Russian si:Sinhala sk:Slovak sl:Slovenian sq:Albanian
sr:Serbian sv:Swedish sw:Swahili ta:Tamil te:Telugu th:Thai tr:Turkish ug:Uyghur uk:Ukrainian ur:Urdu uz:Uzbek
vi:Vietnamese xh:Xhosa zh:Chinese zu:Zulu"""))
"""English names by ISO 639-1 code."""
CONFUSED = ({"nb", "nn", "no", "da"}, {"bs", "hr", "sr"}, {"id", "ms"}, {"gl", "pt", "es"}, {"cs", "sk"},
            {"xh", "zu"}, {"bg", "mk"}, {"oc", "ca"}, {"af", "nl"})
"""Languages that a guess from one sentence takes for each other."""
TRIED = 500
"""Training rows from which a language is told."""


def code_of(language: str) -> str:
    """ISO 639-1 code of a name or code; empty where it is not known."""
    said = language.strip().lower()
    return said if said in LANGUAGES else next((code for code, name in LANGUAGES.items() if name.lower() == said), "")


def _commonest(texts: Sequence[str]) -> str:
    found = Counter(one for one in guess(texts[:TRIED]) if one != UNKNOWN).most_common(1)
    return found[0][0] if found else ""


@dataclass(frozen=True)
class Translate(Write):
    """
    Args:
        language: what to translate into, as its English name or ISO 639-1 code.
        from_language: what to translate from; empty leaves it out of the prompt.
    """

    language: str = ""
    from_language: str = ""

    name = "translate"
    better = "The better translation keeps the whole meaning and adds nothing, in words that a native would use."

    @classmethod
    def of(cls, inputs: Sequence[str], answers: Sequence[str], **given: str) -> Write:
        """Languages that are not given are guessed from the training rows."""
        told = {name: given.get(name) or _commonest(texts) for name, texts in
                (("language", answers), ("from_language", inputs))}
        return super().of(inputs, answers, **{**given, **told})

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return chrf(), chrf(2), bleu(code_of(self.language))

    def prompt(self, text: str) -> list[Turn]:
        into, out_of = (LANGUAGES.get(code_of(one), one) for one in (self.language, self.from_language))
        asked = "Translate this" + (f" from {out_of}" if out_of else "") + (f" to {into}" if into else "")
        return [{"role": "user", "content": f"{asked}.\n\n{text}"}]

    def baseline(self, inputs: Sequence[str], asked: Sequence[str], answered: Sequence[str]) -> list[str]:
        """A copy of the source: names, numbers and words of both languages are right without translating."""
        return list(inputs)

    def faults(self, inputs: Sequence[str], answers: Sequence[str]) -> list[str]:
        return [fault for fault, _ in self._faults(inputs, answers)]

    def _faults(self, inputs: Sequence[str], answers: Sequence[str]) -> list[tuple[str, str]]:
        """What is wrong with each answer, and the language it looks like."""
        code = code_of(self.language)
        like = {code, UNKNOWN}.union(*(group for group in CONFUSED if code in group))
        return [("untranslated" if len(words(text)) > 1 and words(text) == words(answer)
                 else "wrong_language" if code and looks not in like else "", looks)
                for text, answer, looks in zip(inputs, answers, guess(answers), strict=True)]

    def findings(self, inputs: Sequence[str], answers: Sequence[str], notes: Notes) -> list[Finding]:
        found = self._faults(inputs, answers)
        copied, wrong = ([i for i, (fault, _) in enumerate(found) if fault == name]
                         for name in ("untranslated", "wrong_language"))
        into = LANGUAGES.get(code_of(self.language), self.language)
        return [
            *super().findings(inputs, answers, notes),
            *notes.make("untranslated", "warning", copied,
                        f"{plural(len(copied), 'translation is', 'translations are')} equal to the source.",
                        "Translate them, or delete the rows."),
            *notes.make("wrong_language", "warning", wrong,
                        f"{plural(len(wrong), 'translation does', 'translations do')} not look like {into}.",
                        "Look at the lines shown; a guess can be wrong where a text is short.",
                        examples=[f"{notes.where(i)}: looks like {LANGUAGES.get(found[i][1], found[i][1])}: "
                                  f"{notes.quote(i)}" for i in wrong[:5]])]
