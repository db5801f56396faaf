"""Words: what counts as a term, how terms are packed and hashed, and BM25.

A text becomes a bag of terms: English words lightly stemmed, Han text as single characters and bigrams in simplified
form, Kana, Hangul and Thai as bigrams (no blanks tell their words apart, or endings stick to them), identifiers and
numbers whole beside their parts, function words left out. Terms travel as 32-bit hashes with
counts; the words themselves are not kept. The lexical half of a passage vector is that bag, feature-hashed with signs;
it holds no idf, so it never goes stale.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.han_variants import TO_SIMPLIFIED
from retrieval.stop_terms import HAN_PARTICLES, HAN_STOP_PHRASES, STOP_WORDS

LEXICAL_DIM: Final = 1152
TERMS_VERSION: Final = 4
"""Raised whenever the same text would give other terms or another lexical half; part of the embedder's model id."""

BM25_K1: Final = 1.2
BM25_B: Final = 0.75
REFERENCE_LENGTH: Final = 128.0
"""Passage length, in terms, at which the hashed half assumes BM25's length factor to be 1."""

_LONGEST_WORD: Final = 64
_HAN: Final = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUNNING: Final = "\u0e01-\u0e3a\u0e40-\u0e4e\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uac00-\ud7a3"
_ATOM: Final = rf"[^\W_{_HAN}{_RUNNING}]+"
_TOKEN: Final = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<running>[{_RUNNING}]+)"
    r"|(?P<language>(?<![^\W_])[A-Za-z](?:\+\+|\#)(?![^\W_]))"
    rf"|(?P<number>\d+(?:[.,:]\d+)+(?![^\W{_HAN}{_RUNNING}]))"
    rf"|(?P<word>{_ATOM}(?:[._\-'’@]{_ATOM}|_+{_ATOM})*)"
)
_SYLLABLE: Final = re.compile("[^\u0e31\u0e34-\u0e3a\u0e47-\u0e4e][\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]*")
"""A character with the Thai marks above and below it."""
_INVISIBLE: Final = (0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF)
_FOLDED: Final = {**TO_SIMPLIFIED, **dict.fromkeys(_INVISIBLE, "")}
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_QUANTITY: Final = re.compile(r"(\d+)([a-z]{1,3})")
_SEPARATOR: Final = re.compile(r"[._\-@]+")
_APOSTROPHE: Final = re.compile(r"['’]")

_UPPERCASE_MEANING: Final = frozenset({"IT", "US"})


def terms(text: str) -> list[str]:
    """Return the terms of `text` in reading order, repeats included; empty for text without letters or digits."""
    found: list[str] = []
    for match in _TOKEN.finditer(unicodedata.normalize("NFKC", text).translate(_FOLDED)):
        token = match.group()
        if match.lastgroup == "han":
            for run in HAN_STOP_PHRASES.sub(" ", token).split():
                found.extend(character for character in run if character not in HAN_PARTICLES)
                found.extend(run[i : i + 2] for i in range(len(run) - 1))
        elif match.lastgroup == "running":
            found.extend(_running_terms(token))
        elif match.lastgroup == "language":
            found.append(token.lower())
        elif match.lastgroup == "number":
            found.append(token.replace(",", "") if _THOUSANDS.fullmatch(token) else token)
        else:
            found.extend(_word_terms(token))
    return found


def _running_terms(run: str) -> list[str]:
    """Bigrams of a run of Kana, Hangul or Thai; a single one is itself, but a single Hiragana is a particle."""
    syllables = _SYLLABLE.findall(run)
    if len(syllables) == 1:
        return [] if "\u3041" <= run <= "\u3096" else syllables
    return ["".join(syllables[i : i + 2]) for i in range(len(syllables) - 1)]


@lru_cache(maxsize=1 << 16)
def _word_terms(word: str) -> tuple[str, ...]:
    """Terms of one word or identifier: the whole, and its parts where it is compound."""
    parts = [_APOSTROPHE.sub("", re.sub(r"['’][sS]$", "", part)) for part in _SEPARATOR.split(word[:_LONGEST_WORD])]
    parts = [part for part in parts if part]
    if not parts:
        return ()
    if len(parts) == 1:
        return tuple(_simple_terms(parts[0]))
    whole = _fold(_APOSTROPHE.sub("", word[:_LONGEST_WORD]))
    if re.fullmatch(r"v\d+(?:\.\d+)+", whole):
        return (whole[1:],)
    dotted = "." in whole
    pieces = [
        term for part in parts if not (dotted and (part.isdecimal() or len(part) == 1)) for term in _simple_terms(part)
    ]
    return (whole, *pieces)


def _simple_terms(word: str) -> list[str]:
    """Terms of a word without inner separators; none for a stop word."""
    folded = _fold(word)
    if folded in STOP_WORDS:
        return [word] if word in _UPPERCASE_MEANING else []
    found = [stem(folded)]
    humps = _CAMEL.split(word)
    if len(humps) > 1 and all(len(hump) > 1 for hump in humps):
        found.extend(stem(_fold(hump)) for hump in humps if _fold(hump) not in STOP_WORDS)
    elif quantity := _QUANTITY.fullmatch(folded):
        found.extend(quantity.groups())
    return found


def _fold(word: str) -> str:
    """Lower case without accents; marks outside the Latin, Greek and Cyrillic scripts stay."""
    if word.isascii():
        return word.lower()
    bare = "".join(mark for mark in unicodedata.normalize("NFD", word.casefold()) if not "\u0300" <= mark <= "\u036f")
    return unicodedata.normalize("NFC", bare)


def stem(word: str) -> str:
    """Return the light English stem of a folded word: plural, -ed, -ing, -ly and final e go; other words stay."""
    if len(word) <= 3 or not (word.isascii() and word.isalpha()):
        return word
    word = _singular(word)
    if word.endswith("ied") and len(word) > 4:
        word = word[:-3] + "y"
    else:
        for suffix in ("ing", "ed"):
            base = word.removesuffix(suffix)
            if base != word and len(base) >= 3 and any(letter in "aeiouy" for letter in base):
                word = base[:-1] if base[-1] == base[-2] and base[-1] not in "lsz" else base
                break
    if word.endswith("ly") and len(word) > 5:
        word = word[:-2]
    return word[:-1] if word.endswith("e") and len(word) >= 4 else word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def hash_term(term: str) -> int:
    """Return the stable 32-bit hash that stands for `term` everywhere after tokenising."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little")


@dataclass(frozen=True)
class TermCounts:
    """Terms of one text: ascending unique hashes with their counts (1..65535)."""

    hashes: NDArray[np.uint32]
    counts: NDArray[np.uint16]

    @property
    def length(self) -> int:
        """Length of the text in terms."""
        return int(self.counts.sum(dtype=np.int64))


def count_terms(text: str) -> TermCounts:
    """Count the terms of `text`."""
    tally: Counter[int] = Counter()
    for term, count in Counter(terms(text)).items():
        tally[hash_term(term)] += count
    ordered = sorted(tally)
    return TermCounts(
        np.array(ordered, dtype=np.uint32),
        np.array([min(tally[key], 0xFFFF) for key in ordered], dtype=np.uint16),
    )


def pack_terms(text: str) -> bytes:
    """Pack the terms of `text`, 6 bytes each: hashes (little-endian uint32, ascending), then counts (uint16)."""
    counted = count_terms(text)
    return counted.hashes.astype("<u4").tobytes() + counted.counts.astype("<u2").tobytes()


def unpack_terms(packed: bytes) -> TermCounts:
    """Return what `pack_terms` packed, without copying; ValueError where the length cannot be right."""
    size, rest = divmod(len(packed), 6)
    if rest:
        raise ValueError(f"packed terms take 6 bytes each, {len(packed)} bytes is no multiple of 6")
    return TermCounts(np.frombuffer(packed, "<u4", size), np.frombuffer(packed, "<u2", size, offset=4 * size))


def _places(hashes: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Dimension and sign of each hash in the lexical half (feature hashing, Weinberger et al. 2009, eq. 1)."""
    mixed = hashes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    dimension = ((mixed >> np.uint64(32)) % np.uint64(LEXICAL_DIM)).astype(np.intp)
    sign = np.where(mixed & np.uint64(1 << 31), 1.0, -1.0)
    return dimension, sign


_NO_TERMS: Final = np.array([hash_term("\x00no terms")], dtype=np.uint32)


def passage_half(counted: TermCounts) -> NDArray[np.float32]:
    """Return the unit lexical half (LEXICAL_DIM,) of a passage: BM25's saturated counts at a fixed reference length.

    A passage without terms, or whose few terms cancel out, gets a reserved term that no text can hold, so that its
    half is a unit vector too.
    """
    half = _unit_half(counted.hashes, saturation(counted.counts, counted.length, REFERENCE_LENGTH))
    return half if half.any() else _unit_half(_NO_TERMS, np.ones(1))


def query_half(counted: TermCounts, idf: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the unit lexical half of a query whose terms weigh `idf`; zeros where nothing weighs anything."""
    return _unit_half(counted.hashes, counted.counts.astype(np.float64) * idf)


def _unit_half(hashes: NDArray[np.uint32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    dimension, sign = _places(hashes)
    half = np.zeros(LEXICAL_DIM)
    np.add.at(half, dimension, sign * weights)
    norm = float(np.sqrt(np.sum(half * half)))
    return (half / norm if norm > 0 else half).astype(np.float32)


def saturation(counts: NDArray[np.uint16], length: int, mean_length: float) -> NDArray[np.float64]:
    """Return BM25's term part without idf (Robertson and Zaragoza 2009, eq. 3.15), in 0..k1 + 1."""
    frequency = counts.astype(np.float64)
    return frequency * (BM25_K1 + 1) / (frequency + BM25_K1 * (1 - BM25_B + BM25_B * length / max(mean_length, 1.0)))


def inverse_document_frequency(total: int, frequencies: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the non-negative BM25 idf of terms that `frequencies` of `total` passages hold."""
    held = np.clip(frequencies, 0, total).astype(np.float64)
    return np.log1p((total - held + 0.5) / (held + 0.5))


def bm25(
    query: TermCounts, idf: NDArray[np.float64], passages: Iterable[TermCounts], mean_length: float
) -> NDArray[np.float64]:
    """Return the BM25 score (similarity, 0 or more) of each passage; `idf` belongs to `query.hashes`."""
    weight = query.counts.astype(np.float64) * idf
    return np.array([_score(query.hashes, weight, passage, mean_length) for passage in passages], dtype=np.float64)


def _score(hashes: NDArray[np.uint32], weight: NDArray[np.float64], passage: TermCounts, mean_length: float) -> float:
    if not len(hashes) or not len(passage.hashes):
        return 0.0
    at = np.minimum(np.searchsorted(passage.hashes, hashes), len(passage.hashes) - 1)
    held = passage.hashes[at] == hashes
    return float(np.sum(weight[held] * saturation(passage.counts[at[held]], passage.length, mean_length)))
