"""How documents come in and go out: accept an upload, process it, ingest folders, delete.

An upload is acknowledged once its bytes are fsynced and its row waits in the queue; the worker in `kb.jobs` processes
it. Deleting removes rows, text, vectors, the answers' quotes and the bytes, and every running process drops it from
its index before its next search.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ingest.detect import media_type_of, unsupported_reason
from ingest.records import ParseFailure
from kb import collections
from kb.access import Principal, require_owner, writable_group
from kb.changes import lock_changes
from kb.documents import get_document, remove_documents
from kb.errors import Busy, InvalidInput, UnsupportedType
from kb.folders import FileNote, Progress, Summary, ingest_paths
from kb.models import UPLOAD, Collection, Document, Group, Job, now
from kb.originals import Staged
from kb.processing import (
    LONGEST_PATH,
    Failure,
    Identity,
    IngestParts,
    commit_versions,
    discard_unused,
    draft_version,
    embed_drafts,
    find_documents,
    new_document,
    originals_of,
    record_failure,
)

__all__ = [
    "Accepted",
    "ClaimedJob",
    "FileNote",
    "Progress",
    "Summary",
    "Upload",
    "accept",
    "delete_collection",
    "delete_document",
    "ingest_paths",
    "process",
]


@dataclass(frozen=True)
class Upload:
    """A file that somebody sends: `path` is its name, possibly with folders."""

    collection: str
    path: str
    stream: BinaryIO


@dataclass(frozen=True)
class Accepted:
    """An upload that is safe: the document's id and state. `unchanged`: the very same bytes were there already."""

    id: str
    state: str
    unchanged: bool


@dataclass(frozen=True)
class ClaimedJob:
    """A waiting version that one worker owns for now."""

    id: int
    owner: str
    document_id: str
    sha256: str
    size: int
    media_type: str
    attempts: int


def accept(parts: IngestParts, principal: Principal, upload: Upload) -> Accepted:
    """Store an upload durably and queue it.

    Raises UnsupportedType, InvalidInput (no usable name, empty), TooLarge, NotFound (collection), Busy (queue full).
    """
    path = _upload_path(upload.path)
    media_type = media_type_of(path)
    if media_type is None:
        raise UnsupportedType(f"{unsupported_reason(path)}.")
    identity = Identity(upload.collection, UPLOAD, path)
    staged = originals_of(parts).stage(upload.stream, parts.settings.max_upload_mb << 20)
    try:
        if not staged.size:
            raise InvalidInput(f"{identity.name} is empty.")
        with parts.database.write() as session:
            lock_changes(session)
            if upload.collection == collections.DEFAULT_COLLECTION:
                collections.ensure_collection(session, principal, upload.collection)
            group = writable_group(session, principal, upload.collection)
            accepted, unused = _queue(session, parts, group, identity, staged, media_type)
    finally:
        staged.drop()
    discard_unused(parts, frozenset({unused}))
    return accepted


def process(parts: IngestParts, job: ClaimedJob, beat: Callable[[], None]) -> bool:
    """Turn a claimed upload into the visible version of its document, or into a failed one.

    False where the job was taken away meanwhile (deleted, or replaced by a newer upload): then nothing happened.
    `beat` is called between steps and may raise to stop.
    """
    originals = originals_of(parts)
    staged = Staged(originals.path(job.sha256), job.sha256, job.size)
    identity = _start(parts, job, "parse")
    if identity is None:
        return False
    beat()
    try:
        draft = draft_version(parts, identity, staged, job.media_type)
        if _start(parts, job, "embed") is None:
            return False
        versions = embed_drafts(parts, [draft], lambda _chunks, _tokens: beat())
    except ParseFailure as failure:
        return fail(parts, job, str(failure))
    with parts.database.write() as session:
        lock_changes(session)
        row = _owned(session, job)
        if row is None:
            return False
        group = session.get_one(Group, session.get_one(Document, job.document_id).group_id)
        _, unused = commit_versions(session, parts, group, [(draft, versions[0])])
        session.delete(row)
    discard_unused(parts, unused)
    return True


def fail(parts: IngestParts, job: ClaimedJob, reason: str) -> bool:
    """Record that a claimed upload failed; False where the job was taken away meanwhile."""
    staged = Staged(originals_of(parts).path(job.sha256), job.sha256, job.size)
    with parts.database.write() as session:
        lock_changes(session)
        row = _owned(session, job)
        if row is None:
            return False
        document = session.get_one(Document, job.document_id)
        group = session.get_one(Group, document.group_id)
        failure = Failure(reason, document.stage, staged, job.media_type)
        unused = record_failure(session, parts, group, _identity(session, document), failure)
        session.delete(row)
    discard_unused(parts, frozenset({unused, job.sha256}))
    return True


def delete_document(parts: IngestParts, principal: Principal, document_id: str) -> None:
    """Delete a document for good. Raises NotFound."""
    require_owner(principal)
    with parts.database.write() as session:
        lock_changes(session)
        get_document(session, principal, document_id)
        hashes = remove_documents(session, [document_id])
    discard_unused(parts, hashes)


def delete_collection(parts: IngestParts, principal: Principal, name: str) -> None:
    """Delete a collection and all its documents for good. Raises NotFound."""
    with parts.database.write() as session:
        hashes = collections.delete_collection(session, principal, name)
    discard_unused(parts, hashes)


def _queue(
    session: Session, parts: IngestParts, group: Group, identity: Identity, staged: Staged, media_type: str
) -> tuple[Accepted, str]:
    """Make the rows of an accepted upload; also return the hash of bytes that may be unused now."""
    document = find_documents(session, group, [identity]).get(identity)
    waiting = None if document is None else session.scalars(select(Job).where(Job.document_id == document.id)).first()
    if document is not None:
        if waiting is not None and waiting.sha256 == staged.sha256:
            return Accepted(document.id, document.state, unchanged=True), ""
        if waiting is None and document.state == "ready" and document.sha256 == staged.sha256:
            return Accepted(document.id, document.state, unchanged=True), ""
    if waiting is None and (session.scalar(select(func.count()).select_from(Job)) or 0) >= parts.settings.queue_limit:
        raise Busy("Too many uploads are waiting; send this one again in a minute.")
    unused = "" if waiting is None else waiting.sha256
    if waiting is not None:
        session.delete(waiting)
        session.flush()
    originals_of(parts).keep([staged])
    if document is None:
        document = new_document(session, group, identity, "queued")
    if not document.chunk_count:
        unused = unused or document.sha256
        document.sha256, document.size, document.media_type = staged.sha256, staged.size, media_type
    document.state, document.stage, document.error, document.updated_at = "queued", "", "", now()
    session.flush()
    session.add(Job(document_id=document.id, sha256=staged.sha256, size=staged.size, media_type=media_type))
    return Accepted(document.id, "queued", unchanged=False), unused


def _start(parts: IngestParts, job: ClaimedJob, stage: str) -> Identity | None:
    """Note the stage a job has reached; None where it is not this worker's any more."""
    with parts.database.write() as session:
        if _owned(session, job) is None:
            return None
        document = session.get_one(Document, job.document_id)
        document.state, document.stage, document.updated_at = "processing", stage, now()
        return _identity(session, document)


def _owned(session: Session, job: ClaimedJob) -> Job | None:
    return session.scalars(select(Job).where(Job.id == job.id, Job.owner == job.owner).with_for_update()).first()


def _identity(session: Session, document: Document) -> Identity:
    name = session.get_one(Collection, document.collection_id).name
    return Identity(name, document.source, document.path)


def _upload_path(given: str) -> str:
    """The path an upload is stored under: relative, without dots or control characters. Raises InvalidInput."""
    cleaned = "".join(character for character in given.replace("\\", "/") if character.isprintable())
    parts = [part for part in PurePosixPath(cleaned).parts if part not in ("/", "..", ".")]
    path = "/".join(parts)
    if not path or len(path.encode("utf-8", "replace")) > LONGEST_PATH - len(UPLOAD):
        raise InvalidInput(f"{given[:100]!r} cannot name a document.")
    return path
