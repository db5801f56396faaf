"""One version of a document on its way in: parse, prepare, embed, and commit it whole.

Used for files of a folder and for uploads alike. Nothing of a version is visible before `commit_versions`, and a
version that fails becomes a `failed` row with its sentence while the version before it stays searchable.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from ingest.pipeline import prepare
from ingest.records import Measure, ParseFailure, Prepared, passage_text
from ingest.sandbox import ParseServer
from kb.changes import lock_changes
from kb.database import Database
from kb.documents import EmbeddedChunk, Version, is_referenced, replace_versions
from kb.models import Document, Group, now
from kb.originals import Originals, Staged
from kb.settings import Settings
from llm.encoder import Encoder
from llm.sentences import split_sentences
from retrieval.embedder import Embedder
from retrieval.lexical import pack_terms

Outcome = Literal["added", "updated", "unchanged"]
LONGEST_PATH: Final = 2000  # bytes of source and path together; PostgreSQL indexes no more


class IngestParts(Protocol):
    """What ingestion needs of the running program."""

    @property
    def settings(self) -> Settings:
        """Limits and folders."""

    @property
    def database(self) -> Database:
        """Where everything goes."""

    @property
    def encoder(self) -> Encoder:
        """Counts tokens."""

    @property
    def embedder(self) -> Embedder:
        """Makes vectors."""

    @property
    def parser(self) -> ParseServer:
        """Reads files in a cage."""


@dataclass(frozen=True)
class Identity:
    """What makes a document the same one: `source` is the ingested root, or `upload`."""

    collection: str
    source: str
    path: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Draft:
    """A parsed version that waits to be embedded."""

    identity: Identity
    staged: Staged
    media_type: str
    prepared: Prepared


@dataclass(frozen=True)
class Failure:
    """Why a version failed, a sentence, and at which stage; its bytes where they could be read."""

    reason: str
    stage: str
    staged: Staged | None
    media_type: str


@dataclass(frozen=True)
class EncoderMeasure:
    """How long text is for the encoder, and where its sentences end: what chunking asks."""

    encoder: Encoder

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, special ones not counted."""
        return self.encoder.count_tokens(text)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Character offsets of each token."""
        return self.encoder.token_offsets(text)

    def split_sentences(self, text: str) -> list[tuple[int, int]]:
        """Character offsets of each sentence."""
        return split_sentences(text)


def originals_of(parts: IngestParts) -> Originals:
    """The store of original bytes."""
    return Originals(parts.settings.originals_folder)


def draft_version(parts: IngestParts, identity: Identity, staged: Staged, media_type: str) -> Draft:
    """Parse staged bytes and cut them into chunks. Raises ParseFailure with a sentence for the user."""
    parsed = parts.parser.parse(staged.path, media_type, name=identity.name)
    measure: Measure = EncoderMeasure(parts.encoder)
    prepared = prepare(parsed, measure)
    if not prepared.chunks:
        raise ParseFailure(f"{identity.name} holds no text worth finding", "empty")
    return Draft(identity, staged, media_type, prepared)


def embed_drafts(parts: IngestParts, drafts: Sequence[Draft], beat: Callable[[int, int], None]) -> list[Version]:
    """Embed the passages of all drafts together, those of like length in one batch.

    `beat` is called after each batch with the chunks and tokens in it; it may raise to stop.
    """
    order = sorted(
        (
            (chunk.tokens, number, place)
            for number, draft in enumerate(drafts)
            for place, chunk in enumerate(draft.prepared.chunks)
        ),
    )
    texts = [
        [passage_text(draft.prepared.title, chunk.heading, chunk.text) for chunk in draft.prepared.chunks]
        for draft in drafts
    ]
    vectors: list[list[NDArray[np.float32] | None]] = [[None] * len(some) for some in texts]
    size = parts.settings.embed_batch
    for first in range(0, len(order), size):
        batch = order[first : first + size]
        rows = parts.embedder.embed_passages([texts[number][place] for _, number, place in batch])
        for row, (_, number, place) in zip(rows, batch, strict=True):
            vectors[number][place] = row
        beat(len(batch), sum(tokens for tokens, _, _ in batch))
    return [_version(draft, some, rows) for draft, some, rows in zip(drafts, texts, vectors, strict=True)]


def _version(draft: Draft, texts: Sequence[str], vectors: Sequence[NDArray[np.float32] | None]) -> Version:
    embedded = []
    for chunk, text, vector in zip(draft.prepared.chunks, texts, vectors, strict=True):
        assert vector is not None, "every chunk is in exactly one batch"
        embedded.append(EmbeddedChunk(chunk, vector, pack_terms(text)))
    return Version(
        sha256=draft.staged.sha256,
        size=draft.staged.size,
        media_type=draft.media_type,
        title=draft.prepared.title,
        text=draft.prepared.text,
        language=draft.prepared.language,
        dropped=draft.prepared.dropped,
        chunks=tuple(embedded),
    )


def find_documents(session: Session, group: Group, identities: Sequence[Identity]) -> dict[Identity, Document]:
    """The rows of these identities of one collection, as far as there are any."""
    wanted = {(identity.source, identity.path): identity for identity in identities}
    rows = session.scalars(
        select(Document).where(
            Document.collection_id == group.collection_id,
            Document.source.in_({source for source, _ in wanted}),
            Document.path.in_({path for _, path in wanted}),
        )
    )
    return {wanted[row.source, row.path]: row for row in rows if (row.source, row.path) in wanted}


def new_document(session: Session, group: Group, identity: Identity, state: str) -> Document:
    """Add a row for an identity that has none. Call it with the line of writers locked."""
    document = Document(
        id=uuid4().hex,
        collection_id=group.collection_id,
        group_id=group.id,
        source=identity.source,
        path=identity.path,
        title=identity.name,
        state=state,
        sha256="",
        chunk_count=0,
        dropped=[],
        text="",
    )
    session.add(document)
    return document


def commit_versions(
    session: Session, parts: IngestParts, group: Group, pairs: Sequence[tuple[Draft, Version]]
) -> tuple[list[Outcome], frozenset[str]]:
    """Make versions the visible ones, or find that another process just did.

    Returns the outcome of each and the hashes of bytes that may be unused now (for `discard_unused`, after the commit).
    """
    lock_changes(session)
    stored = find_documents(session, group, [draft.identity for draft, _ in pairs])
    outcomes: list[Outcome] = []
    unused: set[str] = set()
    staged: list[Staged] = []
    news: list[tuple[Document, Version]] = []
    for draft, version in pairs:
        document = stored.get(draft.identity)
        if document is not None and document.state == "ready" and document.sha256 == version.sha256:
            outcomes.append("unchanged")
            continue
        outcomes.append("updated" if document is not None and document.chunk_count else "added")
        if document is None:
            document = new_document(session, group, draft.identity, "processing")
        if document.sha256 != version.sha256:
            unused.add(document.sha256)
        staged.append(draft.staged)
        news.append((document, version))
    if news:
        originals_of(parts).keep(staged)
        replace_versions(session, news, parts.embedder.model_id)
    return outcomes, frozenset(unused)


def record_failure(session: Session, parts: IngestParts, group: Group, identity: Identity, failure: Failure) -> str:
    """Note that the newest version of a document failed; keep its bytes where there is no older version.

    Returns the hash of bytes that may be unused now.
    """
    lock_changes(session)
    document = find_documents(session, group, [identity]).get(identity) or new_document(
        session, group, identity, "failed"
    )
    document.state, document.stage, document.error = "failed", failure.stage, failure.reason
    document.updated_at = now()
    staged = failure.staged
    if document.chunk_count or staged is None:
        return ""
    before = document.sha256
    document.sha256, document.size, document.media_type = staged.sha256, staged.size, failure.media_type
    originals_of(parts).keep([staged])
    return before if before != staged.sha256 else ""


def discard_unused(parts: IngestParts, hashes: frozenset[str]) -> None:
    """Delete the bytes that no document and no waiting version has any more."""
    if not hashes - {""}:
        return
    originals = originals_of(parts)
    with parts.database.write() as session:
        lock_changes(session)
        for sha256 in sorted(hashes - {""}):
            if not is_referenced(session, sha256):
                originals.discard(sha256)
