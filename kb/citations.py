"""Citations: exact places in stored documents, as answers and their passages show them.

Offsets count characters of the document's stored text; `quote` is that text from `start` to `end`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kb.documents import ChunkRecord
from kb.indexing import FoundPassage


@dataclass(frozen=True)
class Citation:
    """A span of a document. `n` is the passage's number in the answer, `document` its title, `source` its path."""

    n: int
    document_id: str
    document: str
    source: str
    page: int | None
    heading: str
    chunk_id: int
    start: int
    end: int
    quote: str


@dataclass(frozen=True)
class AnswerPassage(Citation):
    """A passage that was found: `start` and `end` span its whole text, `quote` is the best span in it, or empty."""

    text: str
    score: float


def cite(n: int, chunk: ChunkRecord, start: int, end: int) -> Citation:
    """Cite characters [start, end) of the chunk's text."""
    return Citation(
        n=n,
        document_id=chunk.document_id,
        document=chunk.title,
        source=chunk.path,
        page=chunk.page,
        heading=chunk.heading,
        chunk_id=chunk.id,
        start=chunk.start + start,
        end=chunk.start + end,
        quote=chunk.text[start:end],
    )


def show(n: int, found: FoundPassage, quote: str = "") -> AnswerPassage:
    """A found passage as answers list it."""
    chunk = found.chunk
    return AnswerPassage(
        n=n,
        document_id=chunk.document_id,
        document=chunk.title,
        source=chunk.path,
        page=chunk.page,
        heading=chunk.heading,
        chunk_id=chunk.id,
        start=chunk.start,
        end=chunk.end,
        quote=quote,
        text=chunk.text,
        score=found.hit.score,
    )


def without_repeats(citations: Iterable[Citation]) -> tuple[Citation, ...]:
    """Leave out a citation that lies inside another one of the same passage; the order of first mention stays."""
    kept: list[Citation] = []
    for citation in citations:
        if any(_inside(citation, other) for other in kept):
            continue
        kept = [other for other in kept if not _inside(other, citation)] + [citation]
    return tuple(kept)


def _inside(inner: Citation, outer: Citation) -> bool:
    return inner.chunk_id == outer.chunk_id and outer.start <= inner.start and inner.end <= outer.end


def heading_line(chunk: ChunkRecord) -> str:
    """Title and heading path in one line, as reader and writer see it."""
    return " > ".join(part for part in (chunk.title, chunk.heading) if part)
