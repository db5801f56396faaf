"""One state of the index: a generation with its tombstones, the buffer, and the term statistics of what is live.

A snapshot is not changed: each change makes the next one, so a query that holds a snapshot sees one state from
beginning to end. Only one thread may derive the next snapshot at a time, and only from the newest.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.generation import Generation, Rows
from retrieval.lexical import TermCounts, unpack_terms
from retrieval.rows import Buffer, Entry
from retrieval.term_statistics import TermStatistics

_BLOCK_ROWS: Final = 2048


@dataclass(frozen=True)
class Snapshot:
    """A state of the index; `alive` is False for rows of the generation that are removed."""

    generation: Generation | None
    alive: NDArray[np.bool_]
    buffer: Buffer
    statistics: TermStatistics

    @classmethod
    def empty(cls, dim: int) -> "Snapshot":
        """Return the state without any row."""
        return cls(None, np.empty(0, dtype=np.bool_), Buffer.empty(dim), TermStatistics())

    def live_ids(self) -> NDArray[np.int64]:
        """Return the ids of all live rows, ascending."""
        buffered = self.buffer.ids[: self.buffer.size][self.buffer.alive]
        if self.generation is None:
            return np.sort(buffered)
        return np.sort(np.concatenate([self.generation.ids[self.alive], buffered]))

    def is_live(self, number: int) -> bool:
        """Tell whether the row with id `number` is searchable."""
        if self.buffer.live_row(number) is not None:
            return True
        if self.generation is None:
            return False
        row = int(self.generation.rows_of(np.array([number], dtype=np.int64))[0])
        return row >= 0 and bool(self.alive[row])

    def with_entries(self, entries: Sequence[Entry]) -> "Snapshot":
        """Return the state with the rows of `entries` that are not live yet."""
        fresh = {entry.id: entry for entry in entries if not self.is_live(entry.id)}
        if not fresh:
            return self
        counted: dict[int, list[TermCounts]] = defaultdict(list)
        for entry in fresh.values():
            counted[entry.group].append(unpack_terms(entry.terms))
        for group, passages in counted.items():
            self.statistics.add(group, passages)
        return replace(self, buffer=self.buffer.appended(list(fresh.values())))

    def without(self, ids: Iterable[int]) -> "Snapshot":
        """Return the state without the rows of `ids`; those that are not live are ignored."""
        wanted = sorted(set(ids))
        counted: dict[int, list[TermCounts]] = defaultdict(list)
        found = [self.buffer.live_row(number) for number in wanted]
        rows = [row for row in found if row is not None]
        buffer = self.buffer.without(rows) if rows else self.buffer
        for row, terms in zip(rows, self.buffer.term_counts(rows), strict=True):
            counted[int(self.buffer.groups[row])].append(terms)
        alive = self.alive
        if self.generation is not None and wanted:
            held = self.generation.rows_of(np.array(wanted, dtype=np.int64))
            held = held[held >= 0]
            held = held[self.alive[held]]
            alive = self.alive.copy()
            alive[held] = False
            for row, terms in zip(held.tolist(), self.generation.term_counts(held.tolist()), strict=True):
                counted[int(self.generation.groups[row])].append(terms)
        for group, passages in counted.items():
            self.statistics.remove(group, passages)
        return replace(self, alive=alive, buffer=buffer)

    def onto(self, opened: Generation) -> "Snapshot":
        """Return the state of the same live rows with `opened` under them.

        Rows that `opened` lacks stay in a new buffer, rows of it that are not live become tombstones. A state that
        never held a row takes all of them.
        """
        live = self.live_ids()
        alive = np.ones(opened.size, dtype=np.bool_)
        lacking: list[Entry] = []
        if len(live) or self.generation is not None or self.buffer.size:
            alive = np.isin(opened.ids, live, assume_unique=True)
            lacking = [self._entry(number) for number in np.setdiff1d(live, opened.ids, True).tolist()]
        statistics = TermStatistics(dict(opened.statistics))
        gone = np.flatnonzero(~alive).tolist()
        counted: dict[int, list[TermCounts]] = defaultdict(list)
        for row, terms in zip(gone, opened.term_counts(gone), strict=True):
            counted[int(opened.groups[row])].append(terms)
        for group, passages in counted.items():
            statistics.remove(group, passages)
        return Snapshot(opened, alive, Buffer.empty(self.buffer.vectors.shape[1]), statistics).with_entries(lacking)

    def blocks(self) -> Iterator[Rows]:
        """Yield all live rows in blocks, ascending by id, copying one block at a time."""
        buffered = np.flatnonzero(self.buffer.alive)
        ids, rows = self.buffer.ids[buffered], -1 - buffered  # rows of the buffer are told apart by their sign
        if self.generation is not None:
            held = np.flatnonzero(self.alive)
            ids, rows = np.concatenate([self.generation.ids[held], ids]), np.concatenate([held, rows])
        order = np.argsort(ids)
        for at in range(0, len(order), _BLOCK_ROWS):
            picked = [self._entry_at(int(row)) for row in rows[order[at : at + _BLOCK_ROWS]]]
            yield Rows(
                ids=np.array([entry.id for entry in picked], dtype=np.int64),
                groups=np.array([entry.group for entry in picked], dtype=np.int64),
                vectors=np.stack([entry.vector for entry in picked]),
                terms=[entry.terms for entry in picked],
            )

    def _entry(self, number: int) -> Entry:
        """Return a live row as an entry."""
        row = self.buffer.live_row(number)
        if row is not None:
            return self._entry_at(-1 - row)
        assert self.generation is not None, "a live row is in the buffer or in the generation"
        return self._entry_at(int(self.generation.rows_of(np.array([number], dtype=np.int64))[0]))

    def _entry_at(self, row: int) -> Entry:
        """Return row `row` of the generation, or row -1 - `row` of the buffer, as an entry."""
        if row < 0:
            at, buffer = -1 - row, self.buffer
            return Entry(int(buffer.ids[at]), int(buffer.groups[at]), buffer.vectors[at], buffer.terms[at])
        held = self.generation
        assert held is not None, "rows of a generation need one"
        return Entry(int(held.ids[row]), int(held.groups[row]), held.vectors[row], held.packed_terms(row))
