"""Fewer words: rows of the embedding and of the head that the user's texts never need are left out.

Each kept token has the very scores that it had; those that are gone share no more of the probability.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import QualityFloor, UserError
from ..models.fim import KNOWN
from .tokens import UNUSED, Values, closure, rebuild
from .whole import Whole

TABLES = ("embed_tokens.weight", "shared.weight", "predictions.bias", "predictions.decoder.bias", "final_logits_bias")
"""Ends of the names of weights for words that are neither the embedding nor the head."""
STALE = ("vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
         "added_tokens.json")
"""Files of the whole vocabulary, which some classes of transformers would read first."""
PROBES = ("", " ", "Naïve café: “quoted” 100 % of 3.5 €, e.g. #1!", "日本語のテキスト、中文文本和한국어",
          "Привет, мир! مرحبا שלום", "\U0001f469\u200d\U0001f467 \U0001f1f5\U0001f1f9 ✓ ∑∞ ħ", "a\u0301 \x07\ufffd",
          "if (x != 0) {\n\treturn a[i] ** 2;  // done\r\n}", "zzxqj WXYZ 0987654321")
"""Texts of all kinds, none of which anybody's data must hold: a smaller tokenizer still writes each of them."""


def trim(whole: Whole, rows: Iterable[Sequence[int]], least: int = 0) -> list[int]:
    """Keep the tokens of some rows and what they need. The model is changed; the tokenizer is, once it is saved.

    Args:
        rows: token ids of what the model must read as before.
        least: so many tokens are kept at least; what is more than needed are the commonest ones.

    Returns:
        Ascending ids of the kept tokens: where each new one was.

    Raises:
        UserError: the tokenizer is of a kind that is not known here, or the model's shape leaves in doubt which of
            its weights belong to words.
    """
    values, config = values_of(whole.tokenizer), whole.model.config
    wanted = {id for row in rows for id in row} | _said(whole) | _named(values, whole.tokenizer)
    kept = closure(values, wanted)
    if len(kept) < least:
        kept = closure(values, [*kept, *_commonest(values, set(kept))[:least - len(kept)]])
    words = int(whole.model.get_input_embeddings().weight.shape[0])
    if kept[-1] >= words:
        raise UserError(f"The tokenizer has a token {kept[-1]:,}, and the model has {words:,} words.",
                        "The folder's tokenizer is not the model's: mend that first.")
    for table, place in _tables(whole.model, words):
        table.data = table.data.index_select(place, torch.tensor(kept))
    new = {id: at for at, id in enumerate(kept)}
    for each in (config, getattr(whole.model, "generation_config", None)):
        if each is not None:
            _renumber(each, new)
    config.vocab_size = len(kept)
    return kept


def values_of(tokenizer: Any) -> Values:
    """What its `tokenizer.json` holds."""
    return dict(json.loads(tokenizer.backend_tokenizer.to_str()))


def _named(values: Values, tokenizer: Any) -> set[int]:
    """Added tokens that a chat template, the filling of gaps or the tokenizer itself has a use for."""
    from ..models.template import Template

    template = Template(tokenizer, 1 << 20)
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rendered = [template.ids(talk[:1]), template.ids([*talk, talk[0]])] if template.chats else []
    if template.chats and not template.folds:
        rendered.append(template.ids([{"role": "system", "content": "c"}, talk[0]]))
    source = str(tokenizer.chat_template or "")
    return {id for row in rendered for id in row} | set(tokenizer.all_special_ids) | {
        token["id"] for token in values["added_tokens"] if token["content"] in KNOWN or token["content"] in source}


def _said(whole: Whole) -> set[int]:
    """Ids that the model's settings name."""
    found = set[int]()
    for each in (whole.model.config, getattr(whole.model, "generation_config", None)):
        for name, value in ({} if each is None else each.to_dict()).items():
            if name.endswith(("_token_id", "_token_ids")):
                found.update(one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int))
    return found


def _renumber(settings: Any, new: dict[int, int]) -> None:
    """Give ids in a model's settings their new numbers; words that were forbidden and are gone need no ban."""
    for name, value in settings.to_dict().items():
        if name.endswith(("_token_id", "_token_ids")) and value is not None:
            many = value if isinstance(value, list) else [value]
            moved = [new.get(one, one) if one >= 0 else one for one in many]
            setattr(settings, name, moved if isinstance(value, list) else moved[0])
        elif name in ("suppress_tokens", "begin_suppress_tokens") and value:
            setattr(settings, name, [new[one] for one in value if one in new])
        elif name == "bad_words_ids" and value:
            setattr(settings, name, [[new[one] for one in some] for some in value if set(some) <= new.keys()])


def _tables(model: Any, words: int) -> list[tuple[torch.Tensor, int]]:
    """Every weight that has a row (or a column) for each word, and which of its dimensions that is. Tied ones once.

    Raises:
        UserError: a weight has that size and does not belong to words as far as is known here.
    """
    config, head = model.config, model.get_output_embeddings()
    if config.get_text_config() is not config:
        raise UserError(f"This {config.model_type} reads more than text, and its words are not trimmed.",
                        "Leave vocabulary out of --how.")
    known = {id(model.get_input_embeddings().weight), *(() if head is None else map(id, head.parameters()))}
    found = dict[int, tuple[torch.Tensor, int]]()
    for name, one in (*model.named_parameters(), *model.named_buffers()):
        places = [at for at, length in enumerate(one.shape) if length == words]
        if not places:
            continue
        if len(places) > 1 or not (id(one) in known or name.endswith(TABLES)):
            raise UserError(f"Whether {name} of this {config.model_type} belongs to words is in doubt: it is as "
                            f"large as the vocabulary of {words:,}.", "Leave vocabulary out of --how.")
        found[id(one)] = one, places[0]
    return list(found.values())


def _commonest(values: Values, kept: set[int]) -> list[int]:
    """Tokens that are not kept, the commonest first: vocabularies are written in that order, or with a score."""
    added = {token["id"] for token in values["added_tokens"]}
    vocabulary = values["model"]["vocab"]
    order = sorted(range(len(vocabulary)), key=lambda id: -vocabulary[id][1]) if isinstance(vocabulary, list) else [
        id for word, id in sorted(vocabulary.items(), key=lambda pair: pair[1]) if not UNUSED.search(word)]
    return [id for id in order if id not in kept and id not in added]


def save_tokenizer(folder: Path, kept: list[int]) -> None:
    """Write the smaller tokenizer over the whole one that was saved there."""
    path, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(rebuild(values, kept), ensure_ascii=False), encoding="utf-8")
    said = json.loads(settings.read_text(encoding="utf-8"))
    new = {str(id): str(at) for at, id in enumerate(kept)}
    if "added_tokens_decoder" in said:
        said["added_tokens_decoder"] = {
            new[id]: token for id, token in said["added_tokens_decoder"].items() if id in new}
        settings.write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")
    for name in STALE:
        (folder / name).unlink(missing_ok=True)


def prove(before: Any, after: Any, kept: list[int], texts: Sequence[str], writes: bool) -> int:
    """Prove that a smaller tokenizer reads and writes texts as the whole one does.

    Args:
        before, after: tokenizers of transformers.
        texts: the user's.
        writes: the model writes, so that any text must come back from its tokens as it did before.

    Returns:
        How many of the texts it cuts into other tokens, since some of theirs are gone.

    Raises:
        QualityFloor: a text whose tokens are all there is read otherwise, or one no longer comes back.
    """
    new, other = {id: at for at, id in enumerate(kept)}, 0
    hint = "This is a defect of Seedbed for this tokenizer: report it, and leave vocabulary out of --how meanwhile."
    for text in (*texts, *PROBES):
        whole, small = (one(text)["input_ids"] for one in (before, after))
        if new.keys() >= set(whole):
            if [new[id] for id in whole] != small:
                raise QualityFloor(f"The smaller tokenizer reads {text[:60]!r} otherwise, whose tokens it all has. "
                                   "Nothing was written.", hint)
        elif writes and before.decode(whole) != after.decode(small):
            raise QualityFloor(f"{text[:60]!r} does not come back from the smaller tokenizer. Nothing was written.",
                               "Take --words for more tokens, or leave vocabulary out of --how.")
        else:
            other += text not in PROBES
    return other

