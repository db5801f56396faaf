"""What goes over the wire: bodies that come in (unknown fields are refused) and records that go out.

Records are read from the attributes of the core's own dataclasses, field by field; nothing else of them leaves.
Offsets `start` and `end` count characters of the text that `/v1/documents/{id}/text` returns.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_QUESTION = 4_000  # characters: far more than a question, far less than a document
MAX_TURNS = 50
MAX_TURN = 20_000
PAGE_DEFAULT = 30
PAGE_MAX = 100

CollectionName = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
QuestionText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUESTION, strip_whitespace=True)]


class Incoming(BaseModel):
    """A request body; a field that is not known is a mistake, not a wish."""

    model_config = ConfigDict(extra="forbid")


class Outgoing(BaseModel):
    """A response body, filled from the attributes of a record."""

    model_config = ConfigDict(from_attributes=True)


class TurnIn(Incoming):
    """One earlier message of the conversation, oldest first."""

    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(max_length=MAX_TURN)]


class QueryIn(Incoming):
    """A question, and how it is to be answered."""

    question: QuestionText
    collections: Annotated[list[CollectionName], Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Names of the collections to look in; all of them when left out."
    )
    history: Annotated[list[TurnIn], Field(max_length=MAX_TURNS)] = Field(default_factory=list)
    mode: Literal["quote", "write"] = Field(
        default="write", description="`quote` gives the exact span of a document, `write` a sentence built from it."
    )
    budget_ms: Annotated[int, Field(ge=0, le=600_000)] | None = Field(
        default=None, description="Time for the answer in milliseconds; 0 for no limit, the server's own when left out."
    )
    stream: bool | None = Field(
        default=None, description="Server-sent events; when left out, the Accept header decides."
    )


class SearchIn(Incoming):
    """A search without an answer."""

    question: QuestionText
    collections: Annotated[list[CollectionName], Field(min_length=1, max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=50)] = 3


class CitationOut(Outgoing):
    """Where a part of the answer stands: `quote` is the text of the document from `start` to `end`."""

    n: int = Field(description="The number in the answer, as in [1].")
    document_id: str
    document: str = Field(description="Title of the document.")
    source: str = Field(description="Path of the document as it was ingested.")
    page: int | None
    heading: str
    chunk_id: int
    start: int
    end: int
    quote: str


class PassageOut(CitationOut):
    """A passage that was found, with its whole text; the `quote` in it is the best span, or empty."""

    text: str
    score: float = Field(description="Higher is better; comparable within one answer only.")


class TimingsOut(Outgoing):
    """Milliseconds each stage took; null where it did not run."""

    embed: float | None = None
    search: float | None = None
    read: float | None = None
    rerank: float | None = None
    write: float | None = None
    first_token: float | None = None
    total: float


class AnswerOut(Outgoing):
    """An answer with everything it rests on."""

    id: str
    question: str
    answer: str
    answered: bool = Field(description="False when the documents do not hold the answer.")
    mode: str
    language: str
    confidence: float | None
    quote: str
    citations: list[CitationOut]
    passages: list[PassageOut]
    model: str
    index_generation: int
    timings_ms: TimingsOut


class SearchOut(Outgoing):
    """Passages, best first."""

    passages: list[PassageOut]
    index_generation: int
    timings_ms: TimingsOut


class CollectionIn(Incoming):
    """A collection to be made."""

    name: CollectionName


class CollectionOut(Outgoing):
    """A collection and how much it holds."""

    name: str
    documents: int
    created_at: datetime


class CollectionsOut(BaseModel):
    """All collections the caller may read."""

    items: list[CollectionOut]


class DroppedOut(Outgoing):
    """Something a document held that was left out, and why."""

    what: str
    reason: str


class DocumentOut(Outgoing):
    """A document and where its processing stands."""

    id: str
    collection: str
    source: str
    path: str
    title: str
    media_type: str
    size: int = Field(description="Bytes.")
    sha256: str
    state: Literal["queued", "processing", "ready", "failed"]
    stage: str | None = Field(description="What is being done, or where it failed.")
    error: str | None = Field(description="Why it failed, as a sentence.")
    language: str | None
    chunks: int
    created_at: datetime
    updated_at: datetime


class DocumentDetailOut(DocumentOut):
    """A document with what was dropped from it."""

    dropped: list[DroppedOut]


class DocumentsOut(BaseModel):
    """One page of documents, and how many there are in all."""

    items: list[DocumentOut]
    total: int
    limit: int
    offset: int


class AcceptedOut(BaseModel):
    """An upload that is stored and waits to be processed."""

    id: str
    state: str
    unchanged: bool = Field(description="True when the very same bytes were there already.")


class TextOut(BaseModel):
    """The stored text of a document; every offset the API gives counts characters of it."""

    id: str
    title: str
    text: str


class ChunkOut(Outgoing):
    """A chunk: the unit that is searched."""

    id: int
    ordinal: int
    text: str
    heading: str
    page: int | None
    start: int
    end: int
    tokens: int


class ChunksOut(BaseModel):
    """One page of a document's chunks, in order."""

    items: list[ChunkOut]
    total: int
    limit: int
    offset: int


class HealthOut(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str


class ReadyOut(BaseModel):
    """The system can answer; each part with its state."""

    ready: bool
    parts: dict[str, str]


class SourcesOut(Outgoing):
    """Event `sources`: the passages that were found, best first."""

    passages: list[PassageOut]


class EvidenceOut(Outgoing):
    """Event `evidence`: where the answer stands; no citations when the passages do not hold it."""

    confidence: float | None
    citations: list[CitationOut]


class TokenOut(Outgoing):
    """Event `token`: the next piece of the answer."""

    text: str
