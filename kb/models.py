"""The tables. The database is the truth: chunks and their vectors are rows, an index on disk is only a cache of them.

Special: chunk and group ids grow and are never used twice, since indexes in other processes know rows by them alone.
Every transaction that adds or removes chunks raises `Change.number` first; its row lock puts them in a line.
"""

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import DateTime, TypeDecorator

BigId = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows itself only in a column of exactly the type INTEGER."""

State = Literal["queued", "processing", "ready", "failed"]
"""What happens to the newest version of a document. An older version stays searchable until a newer one is ready."""

UPLOAD = "upload"
"""The source of documents that came through the API instead of from a folder."""


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone; SQLite would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ANN401
        """Store in UTC; a time without a zone is a mistake."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"the time {value} has no zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ANN401
        """Return in UTC, with the zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The metadata of all tables."""


class Collection(Base):
    """A named set of documents that is asked together."""

    __tablename__ = "collections"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


class Group(Base):
    """Who may read: the unit of permission, known to retrieval by its number. A collection has one, `default`."""

    __tablename__ = "groups"
    __table_args__ = (UniqueConstraint("collection_id", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200), default="default")


class Document(Base):
    """One file. Its identity is collection, source (the ingested root, or `upload`) and path relative to it.

    `sha256`, `size`, `media_type`, `title`, `language`, `text` and `dropped` belong to the version that is
    searchable, or, before there is one, to the version that is coming. `sha256` is
    empty where the bytes could not be read.
    """

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("collection_id", "source", "path"), Index("ix_documents_sha256", "sha256"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"))
    group_id: Mapped[int] = mapped_column(ForeignKey("groups.id"), index=True)
    source: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text, default="")
    media_type: Mapped[str] = mapped_column(String(200), default="")
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")
    state: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str] = mapped_column(String(16), default="")
    error: Mapped[str] = mapped_column(Text, default="")
    language: Mapped[str] = mapped_column(String(16), default="")
    chunk_count: Mapped[int] = mapped_column(Integer, default=0)
    dropped: Mapped[list[dict[str, str | int]]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcTime, default=now, onupdate=now)
    text: Mapped[str] = mapped_column(Text, default="", deferred=True, deferred_raiseload=True)


class Chunk(Base):
    """A passage: `text` is `Document.text[start:end]`. `vector` is little-endian float32, `terms` what BM25 needs."""

    __tablename__ = "chunks"
    __table_args__ = (Index("ix_chunks_document_id", "document_id", "ordinal"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    group_id: Mapped[int] = mapped_column(ForeignKey("groups.id"))
    ordinal: Mapped[int] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text)
    heading: Mapped[str] = mapped_column(Text, default="")
    page: Mapped[int | None] = mapped_column(Integer, default=None)
    start: Mapped[int] = mapped_column(Integer)
    end: Mapped[int] = mapped_column(Integer)
    tokens: Mapped[int] = mapped_column(Integer)
    terms: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


class Change(Base):
    """One row: the number of the last transaction that touched chunks, and which model their vectors come from.

    Removals are logged for every number above `log_floor`; whoever is further behind compares all ids instead.
    """

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, default=0)
    log_floor: Mapped[int] = mapped_column(BigInteger, default=0)
    embedder_id: Mapped[str] = mapped_column(String(200), default="")


class Removal(Base):
    """A chunk that is gone, and the change that removed it."""

    __tablename__ = "removals"

    chunk_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, index=True)


class Job(Base):
    """A version of a document that waits to be processed. `owner` works on it until `lease_until` (UTC)."""

    __tablename__ = "jobs"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), unique=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(200))
    owner: Mapped[str] = mapped_column(String(64), default="")
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime, default=None, index=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


class Answer(Base):
    """An answer as it was served: `body` is the JSON object, the other columns are what lists and reports ask for."""

    __tablename__ = "answers"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    principal_id: Mapped[str] = mapped_column(String(64), index=True)
    question: Mapped[str] = mapped_column(Text)
    answered: Mapped[bool]
    mode: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(16))
    confidence: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now, index=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


class AnswerSource(Base):
    """A document an answer shows text of: when it is deleted, that text goes from the answer too."""

    __tablename__ = "answer_sources"

    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    document_id: Mapped[str] = mapped_column(String(32), primary_key=True, index=True)
