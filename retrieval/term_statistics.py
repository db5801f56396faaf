"""How many live passages of each group hold a term: what idf and BM25's mean length are computed from.

A group's frequencies are a sorted base (as stored with an index generation) plus the changes since, so that a million
passages load without being counted again. One writer at a time; readers need no lock and may see a batch half counted,
which moves an idf by less than that batch could.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical import TermCounts, inverse_document_frequency


@dataclass
class GroupTerms:
    """Statistics of one group: live passages, their total length in terms, and document frequencies."""

    passages: int = 0
    length: int = 0
    hashes: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    frequencies: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    changes: dict[int, int] = field(default_factory=dict)

    def lookup(self, hashes: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the document frequency of each hash."""
        found = np.zeros(len(hashes), dtype=np.int64)
        if len(self.hashes) and len(hashes):
            at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
            found += np.where(self.hashes[at] == hashes, self.frequencies[at].astype(np.int64), 0)
        if self.changes:
            changes = self.changes
            found += np.fromiter((changes.get(key, 0) for key in hashes.tolist()), dtype=np.int64, count=len(hashes))
        return found

    def change(self, passages: Sequence[TermCounts], sign: int) -> None:
        """Count `passages` in (sign 1) or out (sign -1)."""
        if not passages:
            return
        unique, counts = np.unique(np.concatenate([passage.hashes for passage in passages]), return_counts=True)
        changes = self.changes
        for key, count in zip(unique.tolist(), counts.tolist(), strict=True):
            changes[key] = changes.get(key, 0) + sign * count
        self.length += sign * sum(passage.length for passage in passages)
        self.passages += sign * len(passages)

    def settled(self) -> "GroupTerms":
        """Return the same statistics with the changes merged into the base."""
        changed = np.fromiter(self.changes, dtype=np.uint32, count=len(self.changes))
        hashes = np.union1d(self.hashes, changed)
        frequencies = self.lookup(hashes)
        kept = frequencies > 0
        return GroupTerms(self.passages, self.length, hashes[kept], frequencies[kept].astype(np.uint32))


class TermStatistics:
    """Statistics of all groups by group number."""

    def __init__(self, groups: dict[int, GroupTerms] | None = None) -> None:
        self._groups = groups or {}

    def add(self, group: int, passages: Sequence[TermCounts]) -> None:
        """Count new passages of `group` in."""
        self._groups.setdefault(group, GroupTerms()).change(passages, 1)

    def remove(self, group: int, passages: Sequence[TermCounts]) -> None:
        """Count passages of `group` that were added before out again."""
        self._groups[group].change(passages, -1)

    def groups(self) -> dict[int, GroupTerms]:
        """Return the groups with live passages."""
        return {number: terms for number, terms in list(self._groups.items()) if terms.passages > 0}

    def scope(self, groups: Iterable[int]) -> "Scope":
        """Return what the passages of `groups` have in common: their number, mean length and frequencies."""
        chosen = [self._groups[number] for number in sorted(groups) if number in self._groups]
        passages = sum(terms.passages for terms in chosen)
        length = sum(terms.length for terms in chosen)
        return Scope(tuple(chosen), passages, length / passages if passages > 0 else 0.0)


@dataclass(frozen=True)
class Scope:
    """The passages that one query searches."""

    groups: tuple[GroupTerms, ...]
    passages: int
    mean_length: float

    def idf(self, hashes: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return BM25's idf of each hash in this scope; the groups differ only in who may read them."""
        frequencies = np.zeros(len(hashes), dtype=np.int64)
        for terms in self.groups:
            frequencies += terms.lookup(hashes)
        return inverse_document_frequency(self.passages, frequencies)
