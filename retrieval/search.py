"""The search index: one 1536-dim search for candidates, exact rescoring, the best passages without repeats.

The database is the truth and this is a cache of it: rows live in an immutable generation on disk (graph and vectors)
and in a small exact buffer of newer ones; removals are tombstones. `build` writes the next generation while queries run
and swaps it in. A query works on one snapshot from beginning to end; writers take turns.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.candidates import generation_candidates, nearest_rows
from retrieval.embedder import SEMANTIC_DIM, HybridEmbedder, QueryWeights
from retrieval.fusion import distinct_first, fuse
from retrieval.generation import (
    Generation,
    UnusableGeneration,
    generation_numbers,
    open_generation,
    remove_outdated,
    write_generation,
)
from retrieval.lexical import TermCounts, bm25, count_terms
from retrieval.rows import Entry, check_entry
from retrieval.snapshot import Snapshot
from retrieval.term_statistics import Scope
from retrieval.vector_index import GraphShape

__all__ = ["Entry", "GraphShape", "Hit", "IndexStats", "SearchIndex", "SearchKnobs", "SearchResult", "SearchTimings"]


@dataclass(frozen=True)
class SearchKnobs:
    """What can be tuned; the defaults were chosen on training questions (docs/decisions.md)."""

    candidates: int = 100
    lexical_weight: float = 0.3
    """Share of BM25 in the final score, 0..1."""
    query_lexical_share: float = 0.3
    """Share of the lexical half in the query vector that finds the candidates, 0..1."""
    distinct: int = 3
    most_hits: int = 50
    shape: GraphShape = field(default_factory=GraphShape)
    graph_from: int = 20_000
    """Rows from which a generation gets a graph; scanning fewer takes less than 10 ms and misses nothing."""
    scan_up_to: int = 4_000
    """Allowed rows up to which a filter is scanned exactly even though there is a graph."""
    rebuild_share: float = 0.25
    """Share of removed or buffered rows that makes a rebuild worth while."""
    rebuild_rows: int = 2_000
    """Removed or buffered rows below which a rebuild never is."""
    build_threads: int = 1
    keep_generations: int = 2


@dataclass(frozen=True)
class Hit:
    """A passage found. All scores are similarities.

    `score` is what hits are ranked by (0..1, comparable within one query only), `vector` the 1536-dim inner product,
    `semantic` the cosine of the meaning, `lexical` the BM25 score.
    """

    id: int
    score: float
    vector: float
    semantic: float
    lexical: float


@dataclass(frozen=True)
class SearchTimings:
    """Milliseconds spent on embedding the query and on the rest."""

    embed_ms: float = 0.0
    search_ms: float = 0.0


@dataclass(frozen=True)
class SearchResult:
    """Hits, best first, and where the time went."""

    hits: tuple[Hit, ...]
    timings: SearchTimings


@dataclass(frozen=True)
class IndexStats:
    """State of the index; `rebuild_due` says that a build would pay."""

    generation: int
    live: int
    buffered: int
    removed: int
    has_graph: bool
    rebuild_due: bool


@dataclass(frozen=True)
class _Candidates:
    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    terms: list[TermCounts]


class SearchIndex:
    """All passages of one KB_HOME, searchable by group; every method may be called from any thread."""

    def __init__(self, folder: Path, embedder: HybridEmbedder, knobs: SearchKnobs | None = None) -> None:
        self._folder = folder
        self._embedder = embedder
        self.knobs = knobs or SearchKnobs()
        self._writing = threading.Lock()
        self._building = threading.Lock()
        self._snapshot = Snapshot.empty(embedder.dim)
        self.refused: tuple[str, ...] = ()
        """Why generations on disk were not used at the last `load`, one sentence each."""

    @property
    def generation(self) -> int:
        """Number of the generation in use; 0 while there is none."""
        current = self._snapshot.generation
        return current.number if current else 0

    def stats(self) -> IndexStats:
        """Return the state of the index."""
        now, knobs = self._snapshot, self.knobs
        alive, buffered = int(np.count_nonzero(now.alive)), int(np.count_nonzero(now.buffer.alive))
        removed = len(now.alive) - alive + now.buffer.size - buffered
        waiting = buffered + removed
        due = waiting > max(knobs.rebuild_rows, knobs.rebuild_share * (alive + buffered))
        has_graph = now.generation is not None and now.generation.graph is not None
        return IndexStats(self.generation, alive + buffered, buffered, removed, has_graph, due)

    def ids(self) -> frozenset[int]:
        """Return the ids of all live rows."""
        return frozenset(self._snapshot.live_ids().tolist())

    def add(self, entries: Sequence[Entry]) -> None:
        """Make new rows searchable at once.

        Ids are never reused, so an id that is live already is the same row and stays as it is. ValueError where a
        vector is not a finite unit vector of this index's dimension, or terms are damaged; then nothing is added.
        """
        for entry in entries:
            check_entry(entry, self._embedder.dim)
        with self._writing:
            self._snapshot = self._snapshot.with_entries(entries)

    def remove(self, ids: Iterable[int]) -> None:
        """Take rows out of every query that begins, or ends, after this call; unknown ids are ignored."""
        with self._writing:
            self._snapshot = self._snapshot.without(ids)

    def load(self) -> frozenset[int] | None:
        """Open the newest usable generation on disk and return the ids of all rows that are live then.

        Damaged, incomplete or foreign generations are passed over, with the reason in `refused`; None where none is
        usable. Rows this index already holds stay as they are; it learns rows it did not know only while it is empty,
        since another process may have written rows into a generation that are gone by now.
        """
        refused: list[str] = []
        for number in generation_numbers(self._folder):
            if number <= self.generation:  # what is in memory was verified and is as new
                self.refused = tuple(refused)
                return self.ids()
            try:
                opened = self._open(number)
            except UnusableGeneration as error:
                refused.append(str(error))
                continue
            with self._writing:
                self._snapshot = self._snapshot.onto(opened)
            self.refused = tuple(refused)
            return self.ids()
        self.refused = tuple(refused)
        return None

    def build(self) -> int:
        """Write all live rows as a new generation, swap it in and return its number; queries and changes go on.

        OSError (disk full, no permission) leaves everything as it was.
        """
        with self._building:
            with self._writing:
                now = self._snapshot
                statistics = {number: terms.settled() for number, terms in now.statistics.groups().items()}
            number = write_generation(
                self._folder,
                now.blocks(),
                statistics,
                model_id=self._embedder.model_id,
                dim=self._embedder.dim,
                graph_from=self.knobs.graph_from,
                shape=self.knobs.shape,
                threads=self.knobs.build_threads,
            )
            opened = self._open(number)
            with self._writing:
                self._snapshot = self._snapshot.onto(opened)
            remove_outdated(self._folder, self.knobs.keep_generations)
            return number

    def search(self, query: str, k: int, groups: frozenset[int]) -> SearchResult:
        """Return up to `k` passages of `groups`, best first, of which the first three say different things.

        `k` is clamped to 1..`most_hits`. A blank query and groups without passages find nothing; a query without
        known words is searched by meaning.
        """
        began = time.perf_counter()
        now = self._snapshot
        scope = now.statistics.scope(groups)
        if not query.strip() or scope.passages <= 0:
            return SearchResult((), SearchTimings())
        weights = QueryWeights(scope.idf, self.knobs.query_lexical_share)
        vector = self._embedder.embed_query(query, weights)
        embedded = time.perf_counter()
        found = self._candidates(now, vector, np.array(sorted(groups), dtype=np.int64))
        hits = self._ranked(found, vector, count_terms(query), scope, max(1, min(k, self.knobs.most_hits)))
        latest = self._snapshot
        kept = tuple(hit for hit in hits if latest is now or latest.is_live(hit.id))
        ended = time.perf_counter()
        return SearchResult(kept, SearchTimings((embedded - began) * 1000, (ended - embedded) * 1000))

    def _candidates(self, now: Snapshot, query: NDArray[np.float32], groups: NDArray[np.int64]) -> _Candidates:
        """Return the candidates of generation and buffer together, at most `candidates` of each."""
        limit, buffer = self.knobs.candidates, now.buffer
        allowed = buffer.alive & np.isin(buffer.groups[: buffer.size], groups)
        rows = nearest_rows(buffer.vectors[: buffer.size], allowed, query, limit)
        ids, vectors, terms = buffer.ids[rows], buffer.vectors[rows], buffer.term_counts(rows.tolist())
        if now.generation is not None and now.generation.size:
            allowed = now.alive & np.isin(now.generation.groups, groups)
            rows = generation_candidates(now.generation, allowed, query, limit, self.knobs.scan_up_to)
            ids = np.concatenate([ids, now.generation.ids[rows]])
            vectors = np.concatenate([vectors, now.generation.vectors[rows]])
            terms += now.generation.term_counts(rows.tolist())
        return _Candidates(ids, vectors, terms)

    def _ranked(
        self, found: _Candidates, query: NDArray[np.float32], words: TermCounts, scope: Scope, k: int
    ) -> list[Hit]:
        """Rescore the candidates exactly and return the best `k`, near-duplicates set back."""
        nearness = (found.vectors @ query).astype(np.float64)
        best = np.lexsort((found.ids, -nearness))[: self.knobs.candidates]
        terms = [found.terms[row] for row in best]
        meaning = query[:SEMANTIC_DIM] / max(float(np.linalg.norm(query[:SEMANTIC_DIM])), 1e-12)
        halves = found.vectors[best, :SEMANTIC_DIM].astype(np.float64)
        semantic = halves @ meaning.astype(np.float64) / np.maximum(np.linalg.norm(halves, axis=1), 1e-12)
        lexical = bm25(words, scope.idf(words.hashes), terms, scope.mean_length)
        scores = fuse(lexical, semantic, self.knobs.lexical_weight)
        order = np.lexsort((found.ids[best], -scores)).tolist()
        order = distinct_first(order, terms, words.hashes, min(self.knobs.distinct, k))[:k]
        return [
            Hit(
                id=int(found.ids[best[row]]),
                score=float(scores[row]),
                vector=float(nearness[best[row]]),
                semantic=float(semantic[row]),
                lexical=float(lexical[row]),
            )
            for row in order
        ]

    def _open(self, number: int) -> Generation:
        return open_generation(
            self._folder,
            number,
            model_id=self._embedder.model_id,
            dim=self._embedder.dim,
            ef=self.knobs.shape.ef,
        )
