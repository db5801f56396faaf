"""What an answer rests on, as the screens show it: a source for each number, with its passage and its highlights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Span = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """A passage of a document. `start` is its place in the document; `spans` count characters of `text`."""

    n: int
    document_id: str
    document: str
    path: str
    page: int | None
    heading: str
    text: str
    start: int
    spans: tuple[Span, ...] = ()

    @property
    def key(self) -> str:
        """Tells the sources of one answer apart."""
        return f"{self.n}-{self.start}"

    @property
    def quote(self) -> str:
        """The highlighted words, pieces joined by an ellipsis."""
        return " … ".join(self.text[start:end] for start, end in self.spans)

    @property
    def extent(self) -> Span:
        """What is to be seen first, in characters of the document: the highlighted part, or all of the passage."""
        if not self.spans:
            return self.start, self.start + len(self.text)
        return self.start + self.spans[0][0], self.start + max(end for _, end in self.spans)


def cited_sources(citations: Iterable[Mapping[str, Any]], passages: Sequence[Mapping[str, Any]]) -> list[Source]:
    """The sources of an answer in the order of their first mention, all citations of one number together."""
    by_number: dict[int, list[Mapping[str, Any]]] = {}
    for citation in citations:
        by_number.setdefault(int(citation["n"]), []).append(citation)
    return [_cited(group, passages) for group in by_number.values()]


def found_source(passage: Mapping[str, Any]) -> Source:
    """A passage that was found, with nothing highlighted."""
    return _source(passage, str(passage["text"]), int(passage["start"]), ())


def _cited(group: Sequence[Mapping[str, Any]], passages: Sequence[Mapping[str, Any]]) -> Source:
    first = group[0]
    passage = next((passage for passage in passages if passage["chunk_id"] == first["chunk_id"]), None)
    if passage is None:
        return _source(first, str(first["quote"]), int(first["start"]), ((0, len(first["quote"])),))
    text, start = str(passage["text"]), int(passage["start"])
    spans = (quote_place(text, start, str(citation["quote"]), int(citation["start"])) for citation in group)
    return _source(first, text, start, merged(span for span in spans if span is not None))


def quote_place(text: str, start: int, quote: str, quote_start: int) -> Span | None:
    """Where a quote stands in a passage's text, or None when that is not certain: then nothing is to be marked.

    `start` and `quote_start` are offsets in the document. The words must be exactly there, or stand in the passage
    exactly once.
    """
    inside = quote_start - start
    if quote and inside >= 0 and text[inside : inside + len(quote)] == quote:
        return inside, inside + len(quote)
    if quote and text.count(quote) == 1:
        found = text.index(quote)
        return found, found + len(quote)
    return None


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order, those that overlap or touch as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def _source(place: Mapping[str, Any], text: str, start: int, spans: tuple[Span, ...]) -> Source:
    return Source(
        n=int(place["n"]),
        document_id=str(place["document_id"]),
        document=str(place["document"]),
        path=str(place["source"]),
        page=place["page"],
        heading=str(place["heading"]),
        text=text,
        start=start,
        spans=spans,
    )
