"""Read the passages that were found: which one answers, where, whether any does, and what the quote is.

The passage is chosen by search score and the reader's confidence together; refusing depends on confidence alone.
Without a trained reader the nearest sentence stands in, called "unread", and nothing is refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kb.citations import heading_line
from kb.components import Components
from kb.documents import ChunkRecord
from kb.indexing import FoundPassage
from kb.quoting import Quote, readable_quote
from llm.reader import Passage, Polarity, Reading
from llm.sentences import split_sentences

_READER_WEIGHT = 0.1  # of the confidence's logit beside the search score; 0.08 to 0.2 are alike on held-out questions
_SECOND_SHARE = 0.6  # of the best confidence that a second passage needs to be evidence too
_SPAN_MARGIN = 2.0  # logits below the best span within which another one is evidence too
_SENTENCES = 12  # of the best passage compared with the question where there is no reader


@dataclass(frozen=True)
class Believed:
    """A passage that is evidence: its number in the answer and the spans in it, best first."""

    number: int
    title: str
    chunk: ChunkRecord
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Read:
    """What reading gave. `believed` has the chosen passage first and is empty where nothing was found.

    `quotes` holds the best span of every passage, in their order.
    """

    is_answered: bool
    mode: str
    confidence: float | None
    polarity: Polarity
    believed: tuple[Believed, ...]
    quote: Quote
    quotes: tuple[str, ...]

    @property
    def number(self) -> int:
        """Number of the chosen passage."""
        return self.believed[0].number

    @property
    def chunk(self) -> ChunkRecord:
        """The chosen passage."""
        return self.believed[0].chunk

    @property
    def quote_text(self) -> str:
        """The best span of the chosen passage."""
        return self.quotes[self.number - 1]


def read_passages(components: Components, question: str, found: Sequence[FoundPassage]) -> Read:
    """Read what was found, best first."""
    if not found:
        return Read(False, "quote", None, "undecided", (), Quote("", ()), ())
    if components.reader is None:
        return _unread(components, question, found)
    passages = [Passage(heading_line(one.chunk), one.chunk.text) for one in found]
    readings = components.reader.read(question, passages)
    order = sorted(
        (n for n, reading in enumerate(readings) if reading.spans),
        key=lambda n: found[n].hit.score + _READER_WEIGHT * _logit(readings[n].confidence),
        reverse=True,
    )
    confidence = max(reading.confidence for reading in readings)
    quotes = tuple(_best(one.chunk.text, reading) for one, reading in zip(found, readings, strict=True))
    if not order or confidence < components.reader.threshold:
        return Read(False, "quote", confidence, "undecided", (), Quote("", ()), quotes)
    least = max(components.reader.threshold, _SECOND_SHARE * confidence)
    chosen = order[0]
    believed = [n for n in order if n == chosen or readings[n].confidence >= least][:2]
    span = readings[chosen].spans[0]
    quote = readable_quote(found[chosen].chunk.text, (span.start, span.end), question)
    items = quote.pieces if len(quote.pieces) > 1 else ()  # the writer is to see a list as a whole
    return Read(
        is_answered=True,
        mode="quote",
        confidence=confidence,
        polarity=readings[chosen].polarity,
        believed=tuple(
            Believed(
                n + 1,
                heading_line(found[n].chunk),
                found[n].chunk,
                _spans(readings[n]) + (items if n == chosen else ()),
            )
            for n in believed
        ),
        quote=quote,
        quotes=quotes,
    )


def _unread(components: Components, question: str, found: Sequence[FoundPassage]) -> Read:
    chunk = found[0].chunk
    sentences = split_sentences(chunk.text)[:_SENTENCES] or [(0, len(chunk.text))]
    vectors = components.encoder.encode([chunk.text[start:end] for start, end in sentences], "passage")
    asked = components.encoder.encode([question], "query")[0]
    span = sentences[int((vectors @ asked).argmax())]
    quotes = (chunk.text[span[0] : span[1]], *("" for _ in found[1:]))
    believed = (Believed(1, heading_line(chunk), chunk, (span,)),)
    return Read(True, "unread", None, "undecided", believed, readable_quote(chunk.text, span, question), quotes)


def _spans(reading: Reading) -> tuple[tuple[int, int], ...]:
    least = reading.spans[0].score - _SPAN_MARGIN
    return tuple((span.start, span.end) for span in reading.spans if span.score >= least)


def _best(text: str, reading: Reading) -> str:
    return text[reading.spans[0].start : reading.spans[0].end] if reading.spans else ""


def _logit(confidence: float) -> float:
    bounded = min(max(confidence, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))
