"""Ingest files and folders from the disk: what `kb ingest` does.

Hashing, staging, parsing and chunking run in threads ahead of the encoder, which is the limit; passages of many files
are embedded together and each group of files is committed at once. Running it twice, or in two processes at once,
stores every file once.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import select

from ingest.records import Found, ParseFailure
from ingest.walk import walk
from kb.access import LOCAL, Principal, writable_group
from kb.changes import change_state, check_embedder
from kb.collections import DEFAULT_COLLECTION, ensure_collection
from kb.documents import remove_documents
from kb.errors import TooLarge
from kb.models import Document
from kb.originals import Staged, hash_file, too_large
from kb.processing import (
    LONGEST_PATH,
    Draft,
    Failure,
    Identity,
    IngestParts,
    commit_versions,
    discard_unused,
    draft_version,
    embed_drafts,
    originals_of,
    record_failure,
)

_AHEAD: Final = 64  # files that may be parsed while others are embedded; bounds memory
_THREADS: Final = 2  # enough to keep the parser's process and the disk busy beside the encoder
_GROUP: Final = 128  # most chunks, but for one long file, embedded and committed together: what a crash may cost
_PRUNE: Final = 200  # documents removed in one transaction

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileNote:
    """A file, and the sentence that says why it was skipped or failed."""

    path: str
    reason: str


@dataclass(frozen=True)
class Progress:
    """How far an ingest is: files done of those found, and what was embedded so far. `path` is the file just done."""

    done: int
    total: int
    chunks: int
    tokens: int
    path: str | None = None


@dataclass(frozen=True)
class Summary:
    """What an ingest did. `gone` are stored documents without a file now; `pruned` counts those of them removed."""

    collection: str
    added: int
    updated: int
    unchanged: int
    skipped: tuple[FileNote, ...]
    failed: tuple[FileNote, ...]
    gone: tuple[str, ...]
    pruned: int
    chunks: int
    tokens: int
    seconds: float
    embed_seconds: float


@dataclass(frozen=True)
class _Known:
    """What is stored of a file already."""

    id: str
    sha256: str
    state: str


@dataclass(frozen=True)
class _Read:
    """What became of one file before embedding; exactly one of unchanged, draft and reason."""

    found: Found
    identity: Identity
    unchanged: bool = False
    draft: Draft | None = None
    staged: Staged | None = None
    reason: str = ""
    empty: bool = False


@dataclass
class _Tally:
    """The counts of a run while it goes on."""

    total: int
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    chunks: int = 0
    tokens: int = 0
    embed_seconds: float = 0.0
    skipped: list[FileNote] = field(default_factory=list)
    failed: list[FileNote] = field(default_factory=list)
    emptied: set[Identity] = field(default_factory=set)

    @property
    def done(self) -> int:
        return self.added + self.updated + self.unchanged + len(self.skipped) + len(self.failed)


def ingest_paths(
    parts: IngestParts,
    paths: Sequence[Path],
    collection: str = DEFAULT_COLLECTION,
    *,
    prune: bool = False,
    progress: Callable[[Progress], None] | None = None,
    principal: Principal = LOCAL,
) -> Summary:
    """Bring a collection up to date with files and folders; one bad file stops nothing.

    Raises InvalidInput for a bad collection name, NotReady when the database holds vectors of another model.
    """
    started = time.monotonic()
    with parts.database.write() as session:
        check_embedder(change_state(session).embedder_id, parts.embedder.model_id)
        ensure_collection(session, principal, collection)
        writable_group(session, principal, collection)
    walked = walk(paths)
    run = _Run(parts, principal, collection, frozenset(walked.roots), progress, _Tally(len(walked.found)))
    known = run.known({found.root for found in walked.found} | set(walked.roots))
    run.tally.failed.extend(FileNote(str(item.path), item.reason) for item in walked.failed)
    run.tally.skipped.extend(FileNote(str(item.path), item.reason) for item in walked.skipped)
    run.tally.total += run.tally.done
    run.ingest(walked.found, known)
    present = {run.identity(found) for found in walked.found} - run.tally.emptied
    unreadable = tuple(str(item.path) for item in walked.failed)
    roots = {_source(root) for root in walked.roots}
    gone = {
        identity: stored
        for identity, stored in known.items()
        if (identity in run.tally.emptied or (identity.source in roots and identity not in present))
        and not _under(identity, unreadable)
    }
    pruned = run.remove([stored.id for stored in gone.values()]) if prune else 0
    tally = run.tally
    return Summary(
        collection=collection,
        added=tally.added,
        updated=tally.updated,
        unchanged=tally.unchanged,
        skipped=tuple(tally.skipped),
        failed=tuple(tally.failed),
        gone=tuple(sorted(f"{identity.source}/{identity.path}" for identity in gone)),
        pruned=pruned,
        chunks=tally.chunks,
        tokens=tally.tokens,
        seconds=time.monotonic() - started,
        embed_seconds=tally.embed_seconds,
    )


@dataclass(frozen=True)
class _Run:
    """One ingest from walk to summary."""

    parts: IngestParts
    principal: Principal
    collection: str
    roots: frozenset[Path]
    progress: Callable[[Progress], None] | None
    tally: _Tally

    def identity(self, found: Found) -> Identity:
        return Identity(self.collection, _source(found.root), _storable(found.relative))

    def known(self, roots: set[Path]) -> dict[Identity, _Known]:
        """What is stored under these roots, by identity."""
        with self.parts.database.read() as session:
            group = writable_group(session, self.principal, self.collection)
            rows = session.execute(
                select(Document.source, Document.path, Document.id, Document.sha256, Document.state).where(
                    Document.collection_id == group.collection_id,
                    Document.source.in_([_source(root) for root in roots]),
                )
            ).all()
        return {Identity(self.collection, row.source, row.path): _Known(row.id, row.sha256, row.state) for row in rows}

    def ingest(self, files: Sequence[Found], known: Mapping[Identity, _Known]) -> None:
        """Read ahead in threads; embed and commit groups of files here."""
        waiting: list[Draft] = []
        for read in self._read_ahead(files, known):
            if read is None or read.draft is None:
                if read is not None:
                    self._note(read)
            else:
                waiting.append(read.draft)
            if waiting and (read is None or sum(len(draft.prepared.chunks) for draft in waiting) >= _GROUP):
                self._store(waiting)
                waiting = []
        if waiting:
            self._store(waiting)

    def remove(self, ids: Sequence[str]) -> int:
        """Delete documents whose files are gone."""
        for first in range(0, len(ids), _PRUNE):
            with self.parts.database.write() as session:
                hashes = remove_documents(session, ids[first : first + _PRUNE])
            discard_unused(self.parts, hashes)
        return len(ids)

    def _read_ahead(self, files: Sequence[Found], known: Mapping[Identity, _Known]) -> Iterator[_Read | None]:
        """Yield each file once it is read; None before waiting for the next one, so that the encoder need not idle."""
        left = iter(files)
        pending: deque[Future[_Read]] = deque()
        executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="kb-read")
        try:
            while True:
                while len(pending) < _AHEAD and (found := next(left, None)) is not None:
                    pending.append(executor.submit(self._read, found, known.get(self.identity(found))))
                if not pending:
                    return
                finished = [future for future in pending if future.done()]
                if not finished:
                    yield None
                    finished = list(wait(pending, return_when=FIRST_COMPLETED).done)
                for future in finished:
                    pending.remove(future)
                    yield future.result()
        finally:
            executor.shutdown(cancel_futures=True)
            for future in pending:
                if not future.cancelled() and future.exception() is None and (staged := future.result().staged):
                    staged.drop()

    def _read(self, found: Found, known: _Known | None) -> _Read:
        identity = self.identity(found)
        originals = originals_of(self.parts)
        limit = self.parts.settings.max_upload_mb << 20
        staged: Staged | None = None
        if len(f"{identity.source}{identity.path}".encode()) > LONGEST_PATH:
            return _Read(found, identity, reason=f"Its path is longer than {LONGEST_PATH} bytes.")
        if found.size > limit:
            return _Read(found, identity, reason=too_large(limit))
        try:
            if known is not None and known.state == "ready" and hash_file(found.absolute) == known.sha256:
                if originals.path(known.sha256).exists():
                    return _Read(found, identity, unchanged=True)
            with found.absolute.open("rb") as stream:
                staged = originals.stage(stream, limit)
            draft = draft_version(self.parts, identity, staged, found.media_type)
            return _Read(found, identity, draft=draft, staged=staged)
        except ParseFailure as failure:
            empty = failure.outcome == "empty" and found.root in self.roots
            return _Read(found, identity, staged=staged, reason=str(failure), empty=empty)
        except OSError as error:
            return _Read(
                found, identity, staged=staged, reason=f"It cannot be read or kept: {error.strerror or error}."
            )
        except TooLarge as error:  # it grew since the walk
            return _Read(found, identity, staged=staged, reason=error.message)
        except (ValueError, LookupError, RecursionError) as error:
            _log.exception("%s could not be cut into passages", found.absolute)
            return _Read(found, identity, staged=staged, reason=f"It cannot be cut into passages: {error}.")

    def _note(self, read: _Read) -> None:
        """Record a file that needs no embedding."""
        path = str(read.found.absolute)
        if read.unchanged:
            self.tally.unchanged += 1
        elif read.empty:
            self.tally.skipped.append(FileNote(path, read.reason))
            self.tally.emptied.add(read.identity)
        else:
            self._fail(read.identity, Failure(read.reason, "parse", read.staged, read.found.media_type))
        if read.staged is not None:
            read.staged.drop()
        self._report(path)

    def _fail(self, identity: Identity, failure: Failure) -> None:
        """Record a file that failed, in the summary and as a row."""
        self.tally.failed.append(FileNote(f"{identity.source}/{identity.path}", failure.reason))
        if len(f"{identity.source}{identity.path}".encode()) > LONGEST_PATH:
            return
        with self.parts.database.write() as session:
            group = writable_group(session, self.principal, self.collection)
            unused = record_failure(session, self.parts, group, identity, failure)
        discard_unused(self.parts, frozenset({unused}))

    def _store(self, drafts: Sequence[Draft]) -> None:
        """Embed a group of files and commit it."""
        drafts = self._unstored(drafts)
        if not drafts:
            return
        started = time.monotonic()
        try:
            versions = embed_drafts(self.parts, drafts, self._embedded)
        except ValueError as error:  # a text the encoder makes nothing of: find out whose it is
            if len(drafts) == 1:
                draft = drafts[0]
                self._fail(
                    draft.identity, Failure(f"It cannot be embedded: {error}.", "embed", draft.staged, draft.media_type)
                )
                draft.staged.drop()
                self._report(f"{draft.identity.source}/{draft.identity.path}")
            else:
                for draft in drafts:
                    self._store([draft])
            return
        self.tally.embed_seconds += time.monotonic() - started
        with self.parts.database.write() as session:
            group = writable_group(session, self.principal, self.collection)
            outcomes, unused = commit_versions(session, self.parts, group, list(zip(drafts, versions, strict=True)))
        discard_unused(self.parts, unused)
        for draft, outcome in zip(drafts, outcomes, strict=True):
            self._count(draft, outcome)

    def _unstored(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Leave out what another process stored meanwhile."""
        with self.parts.database.read() as session:
            group = writable_group(session, self.principal, self.collection)
            rows = session.execute(
                select(Document.source, Document.path, Document.sha256).where(
                    Document.collection_id == group.collection_id,
                    Document.path.in_([draft.identity.path for draft in drafts]),
                    Document.state == "ready",
                )
            )
            stored = {(row.source, row.path, row.sha256) for row in rows}
        left = []
        for draft in drafts:
            if (draft.identity.source, draft.identity.path, draft.staged.sha256) in stored:
                self._count(draft, "unchanged")
            else:
                left.append(draft)
        return left

    def _count(self, draft: Draft, outcome: str) -> None:
        draft.staged.drop()
        setattr(self.tally, outcome, getattr(self.tally, outcome) + 1)
        self._report(f"{draft.identity.source}/{draft.identity.path}")

    def _embedded(self, chunks: int, tokens: int) -> None:
        self.tally.chunks += chunks
        self.tally.tokens += tokens
        self._report(None)

    def _report(self, path: str | None) -> None:
        if self.progress is not None:
            tally = self.tally
            self.progress(Progress(tally.done, tally.total, tally.chunks, tally.tokens, path))


def _source(root: Path) -> str:
    return _storable(str(root))


def _storable(path: str) -> str:
    """A path as text that a database takes: bytes of a name that are no UTF-8 become question marks."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _under(identity: Identity, unreadable: Sequence[str]) -> bool:
    """Whether a document's file lies in what could not be read, so that nobody knows whether it is gone."""
    path = f"{identity.source}/{identity.path}"
    return any(path == place or path.startswith(f"{place}/") for place in unreadable)
