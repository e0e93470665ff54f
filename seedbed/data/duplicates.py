"""Exact and near duplicates of a million short texts in seconds, vectorised.

Two texts are exact duplicates when they are equal after `normalise`. They are near duplicates when the Jaccard
similarity of their sets of character 4-grams is at least the threshold: the candidates come from MinHash with
locality-sensitive hashing (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3), and
the true similarity of every candidate pair is computed before it counts.

Near duplicates are chained: where A is like B and B like C, all three are one cluster although A may differ from C,
because a split that must not separate near duplicates has to keep all three together. A chain that would swallow
more than `largest` of the rows is cut at its weakest links.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..progress import SILENT, Progress

Ints = NDArray[np.int64]

SHINGLE = 4
"""Characters in a shingle. Three saturate in long texts, five punish one changed word of a short text too much."""
BANDS, BAND_ROWS = 16, 5
"""A pair of similarity s is a candidate with probability 1 - (1 - s^5)^16: 99.8 % at 0.8, 1.6 % at 0.25."""
FEWEST_WORDS = 5
"""Below this many words a text is a duplicate only of an equal one: `very good` and `not good` are not alike."""
LONGEST = 20_000
"""Characters of a text that near duplicates are judged by."""
NEIGHBOURS = 4
"""How far apart in a sorted band two rows may be and still be compared."""
LARGEST = 0.1

_SEPARATORS = r"""[\s\pZ\pC.,;:!?¿¡'"`´“”„‘’«»…·、。「」_*~\-‐-―]+"""
_WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]|" \
        r"[^\s\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+"


@dataclass(frozen=True)
class Duplicates:
    """Which rows repeat which.

    Args:
        exact: [rows] position of the first row with the same normalised text.
        near: [rows] position of the first row of the near-duplicate cluster; rows of one `exact` group share it.
        cut: clusters that were larger than allowed and were cut at their weakest links.
    """

    exact: Ints
    near: Ints
    cut: int = 0


def normalise(texts: Sequence[str] | pa.ChunkedArray) -> pa.Array:
    """Texts as they are compared: NFKC, lower case, runs of white space and plain punctuation as one space.

    Symbols that carry meaning stay (`:)` loses its colon but keeps its bracket; emoji, `+`, `#`, `%` stay). A text
    of nothing but punctuation stays as it is, without white space around it.
    """
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else pa.array(texts, pa.large_string())
    array = pc.fill_null(array.cast(pa.large_string()), "")
    plain = pc.utf8_lower(pc.utf8_normalize(array, form="NFKC"))
    plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(plain, pattern=_SEPARATORS, replacement=" "))
    return pc.if_else(pc.equal(plain, ""), pc.utf8_trim_whitespace(array), plain)


def words(texts: pa.Array | Sequence[str]) -> Ints:
    """Words of each text [rows]; in scripts without spaces each character counts as one."""
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    return np.asarray(pc.count_substring_regex(array, pattern=_WORD), np.int64)


def find(texts: Sequence[str] | pa.ChunkedArray, *, threshold: float = 0.8, seed: int = 0, largest: float = LARGEST,
         progress: Progress = SILENT) -> Duplicates:
    """Exact and near duplicates.

    Args:
        texts: one a row; an empty text is a duplicate of nothing.
        threshold: least Jaccard similarity of character 4-grams, in (0, 1]; 1 finds exact duplicates only.
        seed: of the hash functions.
        largest: share of the rows that one chained cluster may hold (at least 100 rows are always allowed).
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}, not in (0, 1]")
    work = "duplicates"
    progress.start(work, 2 + BANDS, "passes")
    plain = normalise(texts)
    lonely = np.asarray(pc.equal(plain, ""), bool)
    encoded = pc.dictionary_encode(plain)
    unique, text_of = encoded.dictionary, np.asarray(encoded.indices, np.int64)  # [texts], [rows]
    progress.advance(work)

    group, cut = np.arange(len(unique)), 0
    judged = np.flatnonzero(words(unique) >= FEWEST_WORDS) if threshold < 1 else np.array([], np.int64)
    if len(judged) > 1:
        short = pc.utf8_slice_codeunits(unique.take(pa.array(judged)), 0, LONGEST)
        rows_of = np.bincount(text_of, minlength=len(unique))[judged]
        most = max(100, int(largest * len(text_of)))
        linked, cut = _link(short, rows_of, threshold, most, np.random.default_rng(seed), progress, work)
        group[judged] = judged[linked]
    progress.done(work)
    return Duplicates(_first(text_of, lonely), _first(group[text_of], lonely), cut)


def _first(group: Ints, lonely: NDArray[np.bool_]) -> Ints:
    """Groups renamed to the position of their first row; a lonely row is its own group."""
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    return np.where(lonely, np.arange(len(group)), first[place])


def _link(texts: pa.Array, rows_of: Ints, threshold: float, most: int, random: np.random.Generator,
          progress: Progress, work: str) -> tuple[Ints, int]:
    """For each text the position of a text that stands for its cluster, and how many clusters were cut."""
    signatures = _signatures(texts, random)
    progress.advance(work)
    left, right, weight = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    member = np.arange(len(texts))
    for band in range(BANDS):
        for pairs in _candidates(signatures[band * BAND_ROWS:(band + 1) * BAND_ROWS]):
            pairs = pairs[:, member[pairs[0]] != member[pairs[1]]]
            pairs = pairs[:, _estimates(signatures, pairs) >= threshold - 0.1]  # 2.2 standard errors
            true = _jaccard(texts, pairs)
            alike = true >= threshold
            if alike.any():
                left, right = np.append(left, pairs[0][alike]), np.append(right, pairs[1][alike])
                weight = np.append(weight, true[alike])
                member = components(len(texts), left, right)
        progress.advance(work)
    return _bounded(member, rows_of, most, left, right, weight)


def _hashes(texts: pa.Array) -> tuple[NDArray[np.uint32], Ints]:
    """A hash of every shingle of those texts in a row, and how many shingles each has [texts].

    Every text must have at least `SHINGLE` characters.
    """
    lengths = np.asarray(pc.utf8_length(texts), np.int64)
    codes = np.frombuffer("".join(texts.to_pylist()).encode("utf-32-le"), np.uint32)
    ends = np.cumsum(lengths)
    inside = np.ones(len(codes), bool)
    for back in range(1, SHINGLE):
        inside[ends - back] = False  # a shingle that starts here would run into the next text
    count = len(codes) - SHINGLE + 1
    hashes = codes[:count].copy()
    for offset in range(1, SHINGLE):
        hashes *= np.uint32(0x01000193)
        hashes ^= codes[offset:count + offset]
        hashes ^= hashes >> np.uint32(15)
        hashes *= np.uint32(0x85EBCA6B)
    hashes ^= hashes >> np.uint32(13)
    hashes *= np.uint32(0xC2B2AE35)
    hashes ^= hashes >> np.uint32(16)
    return hashes[inside[:count]], lengths - SHINGLE + 1


def _signatures(texts: pa.Array, random: np.random.Generator) -> NDArray[np.uint32]:
    """MinHash signatures [hashes, texts]: the least value of each hash function over a text's shingles."""
    factors = random.integers(0, 2**32, BANDS * BAND_ROWS, dtype=np.uint32) | np.uint32(1)
    signatures = np.empty((len(factors), len(texts)), np.uint32)
    lengths = np.asarray(pc.utf8_length(texts), np.int64)
    for start, stop in _chunks(lengths, 500_000):  # small enough for the processor's cache
        hashes, counts = _hashes(texts[start:stop])
        starts = np.cumsum(counts) - counts
        product = np.empty_like(hashes)
        for k, factor in enumerate(factors):
            np.multiply(hashes, factor, out=product)
            signatures[k, start:stop] = np.minimum.reduceat(product, starts)
    return signatures


def _jaccard(texts: pa.Array, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """The true similarity of each pair [2, pairs]: shared shingles over all their different shingles."""
    similar = np.empty(pairs.shape[1])
    lengths = np.asarray(pc.utf8_length(texts), np.int64)[pairs].sum(axis=0)
    for start, stop in _chunks(lengths, 2_000_000):
        used, place = np.unique(pairs[:, start:stop], return_inverse=True)
        hashes, counts = _hashes(texts.take(pa.array(used)))
        # The set of each text: (text, hash) in one number, sorted, repeats dropped.
        sets = np.sort((np.repeat(np.arange(len(used), dtype=np.uint64), counts) << np.uint64(32)) | hashes)
        sets = sets[np.append(True, sets[1:] != sets[:-1])]  # np.unique takes 30 times as long here
        sizes = np.bincount((sets >> np.uint64(32)).astype(np.int64), minlength=len(used))
        begins = np.cumsum(sizes) - sizes
        place = place.reshape(2, -1)
        members = [_ranges(begins[side], sizes[side]) for side in place]
        tagged = np.sort(np.concatenate([
            (np.repeat(np.arange(stop - start, dtype=np.uint64), sizes[side]) << np.uint64(32))
            | (sets[rows] & np.uint64(0xFFFFFFFF)) for side, rows in zip(place, members, strict=True)]))
        shared = tagged[1:][tagged[1:] == tagged[:-1]] >> np.uint64(32)
        both = np.bincount(shared.astype(np.int64), minlength=stop - start)
        similar[start:stop] = both / (sizes[place[0]] + sizes[place[1]] - both)
    return similar


def _ranges(begins: Ints, sizes: Ints) -> Ints:
    """begins[0], begins[0]+1 ... for sizes[0] numbers, then the next."""
    return np.repeat(begins - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))


def _chunks(lengths: Ints, characters: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows of about that many characters, at least one row each."""
    total = np.cumsum(lengths)
    start = 0
    while start < len(lengths):
        before = int(total[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + characters, "right")))
        yield start, stop
        start = stop


def _candidates(band: NDArray[np.uint32]) -> Iterator[NDArray[np.int64]]:
    """Pairs [2, pairs] of texts that agree on a whole band [rows, texts]: next neighbours first, then farther."""
    key = np.zeros(band.shape[1], np.uint64)
    for row in band:
        key = (key ^ row) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    order = np.argsort(key, kind="stable")
    key = key[order]
    again = np.flatnonzero(key[1:] == key[:-1])
    if not len(again):
        return
    yield np.stack([order[again], order[again + 1]])
    far = [(order[:-d][same], order[d:][same]) for d in range(2, min(NEIGHBOURS, len(key) - 1) + 1)
           if (same := key[d:] == key[:-d]).any()]
    if far:
        yield np.stack([np.concatenate(side) for side in zip(*far, strict=True)])


def _estimates(signatures: NDArray[np.uint32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Similarity of each pair as its signatures tell it: the share of hash functions that agree."""
    equal = np.zeros(pairs.shape[1], np.int64)
    for row in signatures:
        equal += row[pairs[0]] == row[pairs[1]]
    return equal / len(signatures)


def components(count: int, left: Ints, right: Ints) -> Ints:
    """The component of each of `count` nodes under those links."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links: Any = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def _bounded(member: Ints, rows_of: Ints, most: int, left: Ints, right: Ints,
             weight: NDArray[np.float64]) -> tuple[Ints, int]:
    """Members renamed to one text of each cluster; a cluster of more than `most` rows loses its weakest links."""
    cut = 0
    for level in (0.85, 0.9, 0.95, 1.01):
        big = np.bincount(member, weights=rows_of) > most
        big &= np.bincount(member) > 1  # one text, however often it repeats, is no chain
        if not big.any():
            break
        cut = cut or int(big.sum())
        keep = ~big[member[left]] | (weight >= level)
        left, right, weight = left[keep], right[keep], weight[keep]
        member = components(len(member), left, right)
    return np.unique(member, return_index=True)[1][member], cut
