"""Finds a piece of source text in the stored text of its document.

Parsing changes text: markup goes, blanks move, forms are normalised. Both sides are compared in NFKC and lower case,
letters and digits alone; what does not stand there whole is placed by its longest common run, if that is long enough.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from llm.sentences import split_sentences

ENOUGH = 0.6  # of the evidence that the longest common run must cover


@dataclass(frozen=True)
class Place:
    """Characters [start, end) of a document's stored text, and the sentences in it as such offsets."""

    document_id: str
    start: int
    end: int
    sentences: tuple[tuple[int, int], ...]

    def is_found_by(self, document_id: str, start: int, end: int) -> bool:
        """Whether a passage holds half of this place, or lies inside it."""
        if document_id != self.document_id:
            return False
        overlap = min(end, self.end) - max(start, self.start)
        return overlap > 0 and (2 * overlap >= self.end - self.start or overlap == end - start)

    def is_cited_by(self, document_id: str, start: int, end: int) -> bool:
        """Whether a cited span lies in one of the sentences, or covers one."""
        return document_id == self.document_id and any(
            (low <= start and end <= high) or (start <= low and high <= end) for low, high in self.sentences
        )


@dataclass(frozen=True)
class _Skeleton:
    """Letters and digits of a text, each with the offset of the character it came from."""

    letters: str
    offsets: tuple[int, ...]


def _skeleton(text: str) -> _Skeleton:
    letters: list[str] = []
    offsets: list[int] = []
    for at, character in enumerate(text):
        for folded in unicodedata.normalize("NFKC", character).lower():
            if folded.isalnum():
                letters.append(folded)
                offsets.append(at)
    return _Skeleton("".join(letters), tuple(offsets))


def locate(evidence: str, document_id: str, text: str) -> Place | None:
    """Where `evidence` stands in `text`; None where less than most of it does."""
    wanted, stored = _skeleton(evidence), _skeleton(text)
    if not wanted.letters:
        return None
    first, length = stored.letters.find(wanted.letters), len(wanted.letters)
    if first < 0:
        matcher = SequenceMatcher(None, stored.letters, wanted.letters, autojunk=False)
        match = matcher.find_longest_match()
        if match.size < ENOUGH * len(wanted.letters):
            return None
        first, length = match.a, match.size
    start, end = stored.offsets[first], stored.offsets[first + length - 1] + 1
    sentences = tuple((start + low, start + high) for low, high in split_sentences(text[start:end]))
    return Place(document_id, start, end, sentences)


def locate_all(pieces: Sequence[str], document_id: str, text: str) -> list[Place]:
    """The places of those pieces that can be found."""
    return [place for piece in pieces if (place := locate(piece, document_id, text)) is not None]
