"""Evidence: the part of a passage that the writer sees and every citation points into.

A window holds the sentences with the reader's spans, and neighbours only where those are short: a
small writer easily puts a neighbour's fact in words. It is one contiguous piece of the passage,
whole sentences, list items and table rows where possible, so that `text == passage[start:end]`
always. Length is counted with runs of blanks as one, as the prompt prints them (tables padded to
columns would otherwise fill it with nothing).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llm.sentences import split_sentences

EVIDENCE_CHARACTERS = 420  # of one passage: 100-120 tokens of the writer's vocabulary
NEIGHBOUR_CHARACTERS = 180  # up to which neighbours are added; of 160, 250 and 420 the shortest wrote best
_BLANKS = re.compile(r"[^\S\n]+")
_BREAKS = re.compile(r"[\s，、；,;|]")


@dataclass(frozen=True)
class Evidence:
    """One window: `text` equals the passage from `start` to `end`; `number` is the passage's place, from 1."""

    number: int
    title: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Source:
    """What a window is cut from: a passage, its place among the passages shown, the spans it must hold."""

    number: int
    title: str
    text: str
    spans: tuple[tuple[int, int], ...]


def gather_evidence(
    sources: Sequence[Source], limit: int = EVIDENCE_CHARACTERS, neighbours: int = NEIGHBOUR_CHARACTERS
) -> list[Evidence]:
    """One window a source, in the order given; together about `limit` characters, and never below a third of it each.

    A source after the first shares what the first ones left. Neighbours are added up to `neighbours` characters.
    """
    found: list[Evidence] = []
    left = limit
    for source in sources:
        start, end = window(source.text, source.spans, max(left, limit // 3), neighbours)
        found.append(Evidence(source.number, source.title, source.text[start:end], start, end))
        left -= visible_length(source.text[start:end])
    return found


def window(
    passage_text: str,
    spans: Sequence[tuple[int, int]],
    limit: int = EVIDENCE_CHARACTERS,
    neighbours: int = NEIGHBOUR_CHARACTERS,
) -> tuple[int, int]:
    """Offsets of the window around `spans` (best first), about `limit` characters; neighbours up to `neighbours`.

    All spans are kept while the sentences between the first and the last take less than twice the
    limit (lists need their items); beyond that the later spans give way. A sentence longer than that is cut around
    its span at a blank or a comma. Without spans the window begins where the passage does.
    """
    sentences = split_sentences(passage_text)
    if not sentences:
        return 0, len(passage_text)
    first, last = _sentences_of(sentences, spans[0]) if spans else (0, 0)
    for span in spans[1:]:
        low, high = _sentences_of(sentences, span)
        low, high = min(low, first), max(high, last)
        if _length(passage_text, sentences, low, high) <= 2 * limit:
            first, last = low, high
    if _length(passage_text, sentences, first, last) > 2 * limit:
        return _cut(passage_text, sentences[first][0], sentences[last][1], spans, limit)
    first, last = _grow(passage_text, sentences, first, last, min(limit, neighbours))
    return sentences[first][0], sentences[last][1]


def visible_length(text: str) -> int:
    """Characters of `text` as the prompt prints it, runs of blanks counted once."""
    return len(_BLANKS.sub(" ", text))


def _sentences_of(sentences: Sequence[tuple[int, int]], span: tuple[int, int]) -> tuple[int, int]:
    touched = [i for i, (start, end) in enumerate(sentences) if start < span[1] and end > span[0]]
    if touched:
        return touched[0], touched[-1]
    nearest = min(range(len(sentences)), key=lambda i: abs(sentences[i][0] - span[0]))
    return nearest, nearest


def _length(text: str, sentences: Sequence[tuple[int, int]], first: int, last: int) -> int:
    return visible_length(text[sentences[first][0] : sentences[last][1]])


def _grow(text: str, sentences: Sequence[tuple[int, int]], first: int, last: int, limit: int) -> tuple[int, int]:
    """Add the sentence before, then the one after, in turn, while they fit."""
    before = after = True
    while before or after:
        if before:
            before = first > 0 and _length(text, sentences, first - 1, last) <= limit
            first -= before
        if after:
            after = last + 1 < len(sentences) and _length(text, sentences, first, last + 1) <= limit
            last += after
    return first, last


def _cut(text: str, start: int, end: int, spans: Sequence[tuple[int, int]], limit: int) -> tuple[int, int]:
    """About `limit` characters of one overlong stretch, around the best span; its start is kept when that is near."""
    span_start, span_end = spans[0] if spans else (start, start)
    span_end = min(span_end, span_start + 2 * limit)
    if visible_length(text[start:span_end]) <= 2 * limit:
        return start, _break_after(text, max(span_end, min(end, start + limit)), end)
    margin = max(0, limit - (span_end - span_start)) // 2
    low = max(start, span_start - margin)
    while low > start and not _BREAKS.match(text[low - 1]):
        low -= 1
    return low, _break_after(text, min(end, span_end + margin), end)


def _break_after(text: str, position: int, end: int) -> int:
    while position < end and not _BREAKS.match(text[position]):
        position += 1
    return position
