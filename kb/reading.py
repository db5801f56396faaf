"""Read the passages that were found: which ones are shown, which one answers and where, and what the quote is.

Passages are ranked by search score and the reader's confidence together; refusing depends on confidence alone.
Without a trained reader the nearest sentence stands in, called "unread", and nothing is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kb.citations import heading_line
from kb.components import Components
from kb.documents import ChunkRecord
from kb.indexing import FoundPassage
from kb.quoting import Quote, readable_quote
from kb.reranking import SHOWN, Candidate, rerank
from llm.reader import Passage, Polarity, Reading
from llm.sentences import split_sentences

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
class ShownPassage:
    """A passage of the answer with its best span, empty where it has none."""

    found: FoundPassage
    quote: str


@dataclass(frozen=True)
class Read:
    """What reading gave. `believed` has the chosen passage first and is empty where nothing was found.

    `passages` are the best three of those found, best first; `further_ms` is what reading more than three took.
    """

    is_answered: bool
    mode: str
    confidence: float | None
    polarity: Polarity
    believed: tuple[Believed, ...]
    quote: Quote
    passages: tuple[ShownPassage, ...]
    further_ms: float = 0.0

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
        return self.passages[self.number - 1].quote


def read_passages(components: Components, question: str, found: Sequence[FoundPassage], until: float | None) -> Read:
    """Read what was found (search order), more than three while the monotonic time `until` allows; None is no limit."""
    if not found:
        return Read(False, "quote", None, "undecided", (), Quote("", ()), ())
    if components.reader is None:
        return _unread(components, question, found[:SHOWN])
    candidates = [Candidate(Passage(heading_line(one.chunk), one.chunk.text), one.hit.score) for one in found]
    ranked = rerank(components.reader, question, candidates, until)
    best = ranked.order[:SHOWN]
    shown = [_Shown(n, found[at], ranked.readings[at]) for n, at in enumerate(best, start=1)]
    answering = [one for one in shown if one.reading.spans]
    confidence = max(one.reading.confidence for one in shown)
    passages = tuple(ShownPassage(one.found, one.best) for one in shown)
    if not answering or confidence < components.reader.threshold:
        return Read(False, "quote", confidence, "undecided", (), Quote("", ()), passages, ranked.further_ms)
    least = max(components.reader.threshold, _SECOND_SHARE * confidence)
    chosen = answering[0]
    believed = [one for one in answering if one is chosen or one.reading.confidence >= least][:2]
    span = chosen.reading.spans[0]
    quote = readable_quote(chosen.chunk.text, (span.start, span.end), question)
    items = quote.pieces if len(quote.pieces) > 1 else ()  # the writer is to see a list as a whole
    return Read(
        is_answered=True,
        mode="quote",
        confidence=confidence,
        polarity=chosen.reading.polarity,
        believed=tuple(
            Believed(
                one.number,
                heading_line(one.chunk),
                one.chunk,
                _spans(one.reading) + (items if one is chosen else ()),
            )
            for one in believed
        ),
        quote=quote,
        passages=passages,
        further_ms=ranked.further_ms,
    )


@dataclass(frozen=True)
class _Shown:
    number: int
    found: FoundPassage
    reading: Reading

    @property
    def chunk(self) -> ChunkRecord:
        return self.found.chunk

    @property
    def best(self) -> str:
        """The text of the best span."""
        spans = self.reading.spans
        return self.chunk.text[spans[0].start : spans[0].end] if spans else ""


def _unread(components: Components, question: str, found: Sequence[FoundPassage]) -> Read:
    chunk = found[0].chunk
    sentences = split_sentences(chunk.text)[:_SENTENCES] or [(0, len(chunk.text))]
    vectors = components.encoder.encode([chunk.text[start:end] for start, end in sentences], "passage")
    asked = components.encoder.encode([question], "query")[0]
    span = sentences[int((vectors @ asked).argmax())]
    passages = tuple(ShownPassage(one, chunk.text[span[0] : span[1]] if one is found[0] else "") for one in found)
    believed = (Believed(1, heading_line(chunk), chunk, (span,)),)
    return Read(True, "unread", None, "undecided", believed, readable_quote(chunk.text, span, question), passages)


def _spans(reading: Reading) -> tuple[tuple[int, int], ...]:
    least = reading.spans[0].score - _SPAN_MARGIN
    return tuple((span.start, span.end) for span in reading.spans if span.score >= least)
