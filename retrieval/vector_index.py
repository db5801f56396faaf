"""The only door to hnswlib: an approximate-nearest-neighbour graph that is built once and then only read.

hnswlib crashes or lies when an index is changed under queries, so a `Graph` is never added to, resized or cleaned of
deleted rows: a new one is built beside it. It saves no checksum and neither ef nor the space, so the caller keeps those
in a manifest and verifies the file before `load`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hnswlib
import numpy as np
from numpy.typing import NDArray

SPACE: Final = "ip"
"""Inner product: on unit vectors the cosine."""

_SEED: Final = 100


@dataclass(frozen=True)
class GraphShape:
    """HNSW parameters (Malkov and Yashunin 2018, section 4): links a node, and candidate lists at build and query."""

    links: int = 32
    ef_construction: int = 200
    ef: int = 256


@dataclass(frozen=True)
class Neighbours:
    """Rows near a query, nearest first: their labels and similarities (inner product, -1..1)."""

    labels: NDArray[np.int64]
    similarities: NDArray[np.float32]


class Graph:
    """A read-only HNSW graph whose labels are row ids; safe to query from several threads."""

    def __init__(self, index: Any, count: int, shape: GraphShape) -> None:
        self._index = index
        self._count = count
        self.shape = shape
        index.set_ef(shape.ef)
        index.set_num_threads(1)

    @classmethod
    def build(
        cls,
        blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]],
        *,
        dim: int,
        count: int,
        shape: GraphShape,
        threads: int = 1,
    ) -> "Graph":
        """Build the graph of `count` (labels, vectors) rows that come in blocks; with one thread deterministic."""
        index = hnswlib.Index(space=SPACE, dim=dim)
        index.init_index(
            max_elements=max(count, 1), M=shape.links, ef_construction=shape.ef_construction, random_seed=_SEED
        )
        for labels, vectors in blocks:
            if not len(labels):
                continue
            index.add_items(vectors, labels, num_threads=threads)
        if index.get_current_count() != count:
            raise ValueError(f"the graph holds {index.get_current_count()} rows, expected {count}")
        return cls(index, count, shape)

    @classmethod
    def load(cls, path: Path, *, dim: int, count: int, shape: GraphShape) -> "Graph":
        """Load a saved graph with a verified checksum; ValueError where it is no graph of `count` rows."""
        index = hnswlib.Index(space=SPACE, dim=dim)
        try:
            index.load_index(str(path), max_elements=count)
        except RuntimeError as error:
            raise ValueError(f"{path.name} is not a graph of this version: {error}") from error
        if index.get_current_count() != count:
            raise ValueError(f"{path.name} holds {index.get_current_count()} rows, expected {count}")
        return cls(index, count, shape)

    def save(self, path: Path) -> None:
        """Write the graph to `path`; the caller syncs, hashes and renames."""
        self._index.save_index(str(path))

    def query(self, vector: NDArray[np.float32], k: int, allowed: Callable[[int], bool] | None = None) -> Neighbours:
        """Return up to `k` rows near `vector`; fewer where the graph cannot reach as many allowed ones.

        `allowed` is asked for every visited label under the interpreter lock: for wide filters, not for rare rows.
        """
        k = min(k, self._count, self.shape.ef)
        while k:
            try:
                labels, distances = self._index.knn_query(vector, k=k, num_threads=1, filter=allowed)
            except RuntimeError:  # fewer than k rows were reachable: hnswlib gives none of them then
                k //= 2
                continue
            return Neighbours(labels[0].astype(np.int64), 1.0 - distances[0])
        return Neighbours(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
