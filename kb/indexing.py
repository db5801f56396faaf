"""The search index of this process, kept equal to the database.

Before each search one cheap read compares the change number; what any process committed since is applied first. A
follower thread does the same a few times a second, so that a search seldom finds work waiting, and builds the next
generation when that pays: one process at a time, under a file lock, while the others go on.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from filelock import FileLock, Timeout
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from kb.changes import ChangeState, change_state, check_embedder, removed_since
from kb.database import Database
from kb.documents import ChunkRecord, load_chunks
from kb.errors import KbError
from kb.models import Chunk, Removal
from retrieval.search import Entry, Hit, IndexStats, SearchIndex, SearchTimings

POLL_S: Final = 0.25
BUILDER_LOCK: Final = "builder.lock"
_AT_ONCE: Final = 2_000  # rows read together: 12 MB of vectors
_TRIES: Final = 5  # searches until one is not overtaken by a commit

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundPassage:
    """A passage with the scores that found it."""

    chunk: ChunkRecord
    hit: Hit


@dataclass(frozen=True)
class Found:
    """Passages of one state of the database, best first."""

    passages: tuple[FoundPassage, ...]
    timings: SearchTimings
    generation: int


class LiveIndex:
    """Search over what the database holds now. Open it, perhaps `start` its follower, `close` it at the end."""

    def __init__(self, database: Database, index: SearchIndex, embedder_id: str, folder: Path) -> None:
        self._database = database
        self._index = index
        self._embedder_id = embedder_id
        self._folder = folder
        self._applying = threading.Lock()
        self._seen = -1
        self._last_id = 0
        self._stopping = threading.Event()
        self._follower: threading.Thread | None = None

    def open(self) -> None:
        """Load the newest verified generation and bring it up to date.

        A missing or damaged one costs only time: everything comes from the database. Raises NotReady where the
        vectors there come from another model.
        """
        with self._database.read() as session:
            check_embedder(change_state(session).embedder_id, self._embedder_id)
        with self._applying:
            self._index.load()
            for reason in self._index.refused:
                _log.warning("the index on disk is not used and will be built again: %s", reason)
            self._seen = -1
        self.sync()

    def start(self) -> None:
        """Follow the database in a thread and build generations when it pays."""
        if self._follower is None:
            self._follower = threading.Thread(target=self._follow, name="kb-index", daemon=True)
            self._follower.start()

    def close(self) -> None:
        """Stop following; a build that runs is waited for."""
        self._stopping.set()
        if self._follower is not None:
            self._follower.join()
            self._follower = None

    @property
    def generation(self) -> int:
        """Number of the generation on disk that is in use; 0 while there is none."""
        return self._index.generation

    def stats(self) -> IndexStats:
        """How large the index is and how much of it waits for a build."""
        return self._index.stats()

    def sync(self) -> int:
        """Apply what was committed since the last time; when nothing was, this is one read of one row.

        Returns the change number that the index is now at, or beyond.
        """
        with self._database.read() as session:
            state = change_state(session)
            if self._is_current(state):
                return state.number
        with self._applying, self._database.read() as session:
            state = change_state(session)
            if self._is_current(state):
                return state.number
            check_embedder(state.embedder_id, self._embedder_id)
            if self._seen < state.log_floor:
                self._compare_all(session)
            else:
                self._apply_log(session)
            self._seen = state.number
            return state.number

    def find(self, query: str, k: int, groups: frozenset[int]) -> Found:
        """Search and load the passages, both from the same state of the data.

        The groups are applied in the index and again in SQL. Where a commit meanwhile took passages away, the search
        is done again, so that a document that is being replaced is found in one version or the other.
        """
        for _ in range(_TRIES):
            number = self.sync()
            result = self._index.search(query, k, groups)
            with self._database.read() as session:
                chunks = load_chunks(session, [hit.id for hit in result.hits], groups)
                overtaken = removed_since(session, number)
            if not overtaken:
                break
        by_id = {chunk.id: chunk for chunk in chunks}
        passages = tuple(FoundPassage(by_id[hit.id], hit) for hit in result.hits if hit.id in by_id)
        return Found(passages, result.timings, self.generation)

    def build(self, *, even_if_not_due: bool = False) -> bool:
        """Write the next generation unless another process is at it; True where one was built or taken over."""
        if not (even_if_not_due or self._index.stats().rebuild_due):
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / BUILDER_LOCK, timeout=0):
                self.sync()
                self._index.load()  # another process may just have built what we are about to
                if even_if_not_due or self._index.stats().rebuild_due:
                    self._index.build()
        except Timeout:
            return False
        return True

    def _follow(self) -> None:
        while not self._stopping.wait(POLL_S):
            try:
                self.sync()
                self.build()
            except (KbError, OSError, ValueError) as error:
                _log.warning("the index could not follow the database: %s", error)
                self._stopping.wait(5)

    def _is_current(self, state: ChangeState) -> bool:
        return state.number == self._seen and state.embedder_id in ("", self._embedder_id)

    def _apply_log(self, session: Session) -> None:
        """Apply the removals logged and the rows added since the last time."""
        removed = session.scalars(select(Removal.chunk_id).where(Removal.number > self._seen)).all()
        self._add(session, session.scalars(_ids().where(Chunk.id > self._last_id)).all())
        self._index.remove(removed)

    def _compare_all(self, session: Session) -> None:
        """Make the index hold exactly the rows of the database."""
        stored = session.scalars(_ids()).all()
        held = self._index.ids()
        self._add(session, [chunk_id for chunk_id in stored if chunk_id not in held])
        self._index.remove(held.difference(stored))
        self._last_id = max(self._last_id, stored[-1] if stored else 0)

    def _add(self, session: Session, ids: Sequence[int]) -> None:
        """Read rows and hand them to the index in blocks."""
        for first in range(0, len(ids), _AT_ONCE):
            block = ids[first : first + _AT_ONCE]
            rows = session.execute(
                select(Chunk.id, Chunk.group_id, Chunk.vector, Chunk.terms)
                .where(Chunk.id.in_(block))
                .order_by(Chunk.id)
            )
            self._index.add([Entry(row.id, row.group_id, np.frombuffer(row.vector, "<f4"), row.terms) for row in rows])
            self._last_id = max(self._last_id, block[-1])


def _ids() -> Select[int]:
    return select(Chunk.id).order_by(Chunk.id)
