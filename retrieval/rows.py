"""Rows of the index in memory: what an entry is, and the buffer of those that no generation holds yet.

The buffer is written by one thread at a time and read by many: rows are only ever appended behind what a reader sees,
and a removal makes a new mask instead of changing the old one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical import TermCounts, unpack_terms

_UNIT_TOLERANCE: Final = 1e-3


@dataclass(frozen=True)
class Entry:
    """A passage as the index knows it: row id (never reused), group, unit vector and packed terms."""

    id: int
    group: int
    vector: NDArray[np.float32]
    terms: bytes


def check_entry(entry: Entry, dim: int) -> None:
    """Raise ValueError where `entry` is not a finite float32 unit vector of `dim` with whole packed terms."""
    vector = entry.vector
    if vector.shape != (dim,) or vector.dtype != np.float32:
        raise ValueError(f"row {entry.id}: the vector is {vector.dtype}{list(vector.shape)}, expected float32[{dim}]")
    length = float(np.linalg.norm(vector))
    if not abs(length - 1.0) <= _UNIT_TOLERANCE:
        raise ValueError(f"row {entry.id}: the vector has length {length:.4g}, expected 1")
    unpack_terms(entry.terms)


@dataclass(frozen=True)
class Buffer:
    """Rows outside the generation, searched exactly; `alive` is False for removed ones.

    The arrays may be longer than `size`: what lies behind belongs to a later state of the same buffer.
    """

    size: int
    ids: NDArray[np.int64]
    groups: NDArray[np.int64]
    vectors: NDArray[np.float32]
    terms: list[bytes]
    row_of: dict[int, int]
    alive: NDArray[np.bool_]

    @classmethod
    def empty(cls, dim: int) -> "Buffer":
        """Return a buffer without rows."""
        none = np.empty(0, dtype=np.int64)
        return cls(0, none, none, np.empty((0, dim), dtype=np.float32), [], {}, np.empty(0, dtype=np.bool_))

    def appended(self, entries: Sequence[Entry]) -> "Buffer":
        """Return the buffer with `entries` behind its rows; only to be called on the newest state."""
        size = self.size + len(entries)
        grown = self if size <= len(self.ids) else self._with_room(size)
        grown.ids[self.size : size] = [entry.id for entry in entries]
        grown.groups[self.size : size] = [entry.group for entry in entries]
        for row, entry in enumerate(entries, start=self.size):
            grown.vectors[row] = entry.vector
            grown.row_of[entry.id] = row
        grown.terms.extend(entry.terms for entry in entries)
        alive = np.concatenate([self.alive, np.ones(len(entries), dtype=np.bool_)])
        return replace(grown, size=size, alive=alive)

    def without(self, rows: Iterable[int]) -> "Buffer":
        """Return the buffer with `rows` marked as removed."""
        alive = self.alive.copy()
        alive[list(rows)] = False
        return replace(self, alive=alive)

    def live_row(self, number: int) -> int | None:
        """Return the row of id `number`; None where it is not here or removed."""
        row = self.row_of.get(number)
        return row if row is not None and row < self.size and self.alive[row] else None

    def term_counts(self, rows: Iterable[int]) -> list[TermCounts]:
        """Return the terms of `rows`."""
        return [unpack_terms(self.terms[row]) for row in rows]

    def _with_room(self, size: int) -> "Buffer":
        room = max(2 * len(self.ids), size, 256)
        ids, groups = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
        vectors = np.empty((room, self.vectors.shape[1]), dtype=np.float32)
        ids[: self.size], groups[: self.size] = self.ids[: self.size], self.groups[: self.size]
        vectors[: self.size] = self.vectors[: self.size]
        return replace(
            self, ids=ids, groups=groups, vectors=vectors, terms=self.terms[: self.size], row_of=dict(self.row_of)
        )
