"""Documents and their chunks: plain functions on a session, records out.

Whatever reads takes the groups or the principal it reads for, and the filter is part of the SQL. Replacing and
removing raise the change number and log what goes, so that the indexes of all processes follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Row, Select, delete, func, insert, select
from sqlalchemy.orm import Session

from ingest.records import Chunk as PreparedChunk
from ingest.records import Dropped
from kb.access import Principal, readable_groups
from kb.answers import withdraw
from kb.changes import log_removals, next_change
from kb.errors import NotFound
from kb.models import Chunk, Collection, Document, Job, now

_IDS_AT_ONCE: Final = 500  # bound parameters: SQLite allows 32,766, and shorter lists plan faster


@dataclass(frozen=True)
class DocumentRecord:
    """A document and where the processing of its newest version stands. `chunks` counts what is searchable now."""

    id: str
    collection: str
    source: str
    path: str
    title: str
    media_type: str
    size: int
    sha256: str
    state: str
    stage: str | None
    error: str | None
    language: str | None
    chunks: int
    dropped: tuple[Dropped, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class DocumentPage:
    """A page of documents, and how many there are in all."""

    items: tuple[DocumentRecord, ...]
    total: int


@dataclass(frozen=True)
class ChunkRecord:
    """A passage with what a citation says of its document. `text` is the document's text[start:end]."""

    id: int
    document_id: str
    title: str
    source: str
    path: str
    media_type: str
    ordinal: int
    text: str
    heading: str
    page: int | None
    start: int
    end: int
    tokens: int


@dataclass(frozen=True)
class ChunkPage:
    """A page of a document's chunks in order, and how many there are in all."""

    items: tuple[ChunkRecord, ...]
    total: int


@dataclass(frozen=True)
class EmbeddedChunk:
    """A chunk with its unit vector (float32) and its packed terms."""

    chunk: PreparedChunk
    vector: NDArray[np.float32]
    terms: bytes


@dataclass(frozen=True)
class Version:
    """The content of a document, ready to become the visible one."""

    sha256: str
    size: int
    media_type: str
    title: str
    text: str
    language: str
    dropped: tuple[Dropped, ...]
    chunks: tuple[EmbeddedChunk, ...]


def load_chunks(session: Session, ids: Sequence[int], groups: frozenset[int]) -> list[ChunkRecord]:
    """Return the chunks in the order of `ids`; those that are gone, or in none of the groups, are left out."""
    rows = session.execute(_chunk_columns().where(Chunk.id.in_(ids), Chunk.group_id.in_(groups)))
    found = {row.id: ChunkRecord(*row) for row in rows}
    return [found[chunk_id] for chunk_id in ids if chunk_id in found]


def get_document(session: Session, principal: Principal, document_id: str) -> DocumentRecord:
    """Return one document. Raises NotFound, also for one this principal may not read."""
    row = session.execute(
        _document_columns(readable_groups(session, principal)).where(Document.id == document_id)
    ).first()
    if row is None:
        raise NotFound(f"There is no document {document_id!r}.")
    return _document_record(row)


def list_documents(
    session: Session,
    principal: Principal,
    collection: str | None = None,
    *,
    state: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> DocumentPage:
    """Return a page of the documents this principal may read, by source and path."""
    groups = readable_groups(session, principal, None if collection is None else [collection])
    wanted: list[ColumnElement[bool]] = [Document.group_id.in_(groups)]
    if state is not None:
        wanted.append(Document.state == state)
    rows = session.execute(
        _document_columns(groups)
        .where(*wanted)
        .order_by(Document.source, Document.path, Document.id)
        .limit(limit)
        .offset(offset)
    )
    total = session.scalar(select(func.count()).select_from(Document).where(*wanted)) or 0
    return DocumentPage(tuple(_document_record(row) for row in rows), total)


def document_text(session: Session, principal: Principal, document_id: str) -> str:
    """Return the stored text, which every offset counts in. Raises NotFound."""
    groups = readable_groups(session, principal)
    text = session.scalar(select(Document.text).where(Document.id == document_id, Document.group_id.in_(groups)))
    if text is None:
        raise NotFound(f"There is no document {document_id!r}.")
    return text


def document_chunks(
    session: Session, principal: Principal, document_id: str, *, limit: int = 50, offset: int = 0
) -> ChunkPage:
    """Return a page of a document's chunks in order. Raises NotFound."""
    total = get_document(session, principal, document_id).chunks
    rows = session.execute(
        _chunk_columns().where(Chunk.document_id == document_id).order_by(Chunk.ordinal).limit(limit).offset(offset)
    )
    return ChunkPage(tuple(ChunkRecord(*row) for row in rows), total)


def replace_versions(session: Session, pairs: Sequence[tuple[Document, Version]], embedder_id: str) -> None:
    """Make each version the visible one, in place of the one before. Raises NotReady for vectors of another model."""
    number = next_change(session, embedder_id)
    _remove_chunks(session, number, [document.id for document, _ in pairs if document.chunk_count])
    for document, version in pairs:
        document.sha256, document.size, document.media_type = version.sha256, version.size, version.media_type
        document.title, document.text, document.language = version.title, version.text, version.language
        document.dropped = [asdict(item) for item in version.dropped]
        document.state, document.stage, document.error = "ready", "", ""
        document.chunk_count = len(version.chunks)
        document.updated_at = now()
    session.flush()
    for document, version in pairs:
        session.execute(insert(Chunk), [_chunk_row(document, embedded) for embedded in version.chunks])


def remove_documents(session: Session, ids: Sequence[str]) -> frozenset[str]:
    """Delete documents with their text, chunks, jobs and the answers' quotes of them.

    Returns the hashes of their bytes: after the commit, hand them to `discard_unused`.
    """
    number = next_change(session)
    hashes: set[str] = set()
    for first in range(0, len(ids), _IDS_AT_ONCE):
        some = ids[first : first + _IDS_AT_ONCE]
        hashes.update(session.scalars(select(Document.sha256).where(Document.id.in_(some))))
        hashes.update(session.scalars(select(Job.sha256).where(Job.document_id.in_(some))))
        _remove_chunks(session, number, some)
        session.execute(delete(Job).where(Job.document_id.in_(some)))
        session.execute(delete(Document).where(Document.id.in_(some)))
        withdraw(
            session, some
        )  # last: an answer that is being saved holds the document's row until it can be seen here
    return frozenset(hashes - {""})


def is_referenced(session: Session, sha256: str) -> bool:
    """Whether any document, or a version that waits, has these bytes."""
    document = session.scalar(select(Document.id).where(Document.sha256 == sha256).limit(1))
    return document is not None or session.scalar(select(Job.id).where(Job.sha256 == sha256).limit(1)) is not None


def _remove_chunks(session: Session, number: int, documents: Sequence[str]) -> None:
    gone = session.scalars(select(Chunk.id).where(Chunk.document_id.in_(documents))).all()
    if gone:
        session.execute(delete(Chunk).where(Chunk.document_id.in_(documents)))
        log_removals(session, number, gone)


def _chunk_row(document: Document, embedded: EmbeddedChunk) -> dict[str, Any]:
    chunk = embedded.chunk
    return {
        "document_id": document.id,
        "group_id": document.group_id,
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        "heading": chunk.heading,
        "page": chunk.page,
        "start": chunk.start,
        "end": chunk.end,
        "tokens": chunk.tokens,
        "terms": embedded.terms,
        "vector": embedded.vector.astype("<f4").tobytes(),
    }


def _chunk_columns() -> Select[*tuple[Any, ...]]:
    return select(
        Chunk.id,
        Chunk.document_id,
        Document.title,
        Document.source,
        Document.path,
        Document.media_type,
        Chunk.ordinal,
        Chunk.text,
        Chunk.heading,
        Chunk.page,
        Chunk.start,
        Chunk.end,
        Chunk.tokens,
    ).join(Document, Document.id == Chunk.document_id)


def _document_columns(groups: frozenset[int]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Document.id,
            Collection.name.label("collection"),
            Document.source,
            Document.path,
            Document.title,
            Document.media_type,
            Document.size,
            Document.sha256,
            Document.state,
            Document.stage,
            Document.error,
            Document.language,
            Document.chunk_count.label("chunks"),
            Document.dropped,
            Document.created_at,
            Document.updated_at,
        )
        .join(Collection, Collection.id == Document.collection_id)
        .where(Document.group_id.in_(groups))
    )


def _document_record(row: Row[*tuple[Any, ...]]) -> DocumentRecord:
    fields = dict(row._mapping)
    for name in ("stage", "error", "language"):
        fields[name] = fields[name] or None
    fields["dropped"] = tuple(Dropped(**item) for item in fields["dropped"])
    return DocumentRecord(**fields)
