"""Reranking: the reader judges more passages than an answer shows, as many as there is time for; the best come first.

A passage is judged by its search score and by the reader's confidence that it answers, added up. The first three are
always read; a further one only where the time it will take, by the pace so far, is left.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from llm.reader import EvidenceReader, Passage, Reading
from retrieval.fusion import distinct_first
from retrieval.lexical import count_terms

SHOWN: Final = 3
"""Passages of an answer."""
CANDIDATES: Final = 8
"""Passages that are searched for, of which the best are shown."""
READER_WEIGHT: Final = 0.4
"""Weight of the confidence (0..1) beside the search score (0..1); chosen on held-out training questions."""


@dataclass(frozen=True)
class Candidate:
    """A passage that was found, with its search score."""

    passage: Passage
    score: float


@dataclass(frozen=True)
class Reranked:
    """`order` has the positions of all candidates, best first: those that were read, then the others as found.

    `readings` are of the first ones, by position; `further_ms` is what reading more than three took.
    """

    order: tuple[int, ...]
    readings: tuple[Reading, ...]
    further_ms: float


def rerank(reader: EvidenceReader, question: str, found: Sequence[Candidate], until: float | None) -> Reranked:
    """Read `found` (search order) until the monotonic time `until`, None for no limit, and put the best first.

    The first three say different things: a near-duplicate of a better passage comes right after them.
    """
    began = time.monotonic()
    readings = reader.read(question, [one.passage for one in found[:SHOWN]])
    first_done = time.monotonic()
    pace = (first_done - began) / max(1, sum(_size(question, one) for one in found[:SHOWN]))
    if until is None:
        readings += reader.read(question, [one.passage for one in found[SHOWN:]])
    else:
        for one in found[SHOWN:]:
            if time.monotonic() + pace * _size(question, one) > until:
                break
            readings += reader.read(question, [one.passage])
    further_ms = 1000 * (time.monotonic() - first_done) if len(readings) > SHOWN else 0.0
    return Reranked(_order(question, found, readings), tuple(readings), further_ms)


def _order(question: str, found: Sequence[Candidate], readings: Sequence[Reading]) -> tuple[int, ...]:
    scores = [
        one.score + READER_WEIGHT * reading.confidence
        for one, reading in zip(found[: len(readings)], readings, strict=True)
    ]
    order = sorted(range(len(scores)), key=lambda n: (-scores[n], n))
    if len(scores) > SHOWN:
        terms = [count_terms(one.passage.text) for one in found[: len(scores)]]
        order = distinct_first(order, terms, count_terms(question).hashes, SHOWN)
    return (*order, *range(len(scores), len(found)))


def _size(question: str, one: Candidate) -> int:
    return len(question) + len(one.passage.text)
