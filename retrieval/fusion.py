"""From two kinds of scores to one order: a convex sum of normalised scores, with near-duplicates set back.

A sum with one weight beats rank fusion when both sides are normalised (Bruch, Gai, Ingber 2023, arXiv 2210.11934).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical import TermCounts

DUPLICATE_OVERLAP: Final = 0.85
"""Share of common terms (multiset Jaccard) from which two passages say the same."""


def fuse(lexical: NDArray[np.float64], semantic: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Return scores in 0..1: `weight` for max-normalised `lexical`, the rest for min-max-normalised `semantic`."""
    return weight * _by_maximum(lexical) + (1 - weight) * _by_range(semantic)


def _by_maximum(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    top = float(scores.max(initial=0.0))
    return scores / top if top > 0 else np.zeros_like(scores)


def _by_range(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(scores):
        return scores
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)


def overlap(first: TermCounts, second: TermCounts) -> float:
    """Return the multiset Jaccard similarity of two bags of terms, in 0..1; 0 where both are empty."""
    common, at, other = np.intersect1d(first.hashes, second.hashes, assume_unique=True, return_indices=True)
    if not len(common):
        return 0.0
    shared = int(np.minimum(first.counts[at], second.counts[other]).sum(dtype=np.int64))
    return shared / (first.length + second.length - shared)


def distinct_first(
    ranked: Sequence[int], passages: Sequence[TermCounts], query: NDArray[np.uint32], distinct: int
) -> list[int]:
    """Reorder `ranked` (positions in `passages`, best first) so that the first `distinct` say different things.

    A near-duplicate of a better one comes right after those. It is none if it holds a term of the `query` that the
    better one lacks: versions and numbers are often all that tells two passages apart.
    """
    chosen: list[int] = []
    repeats: list[int] = []
    rest = list(ranked)
    while rest and len(chosen) < distinct:
        candidate = rest.pop(0)
        same = any(_repeats(passages[candidate], passages[better], query) for better in chosen)
        (repeats if same else chosen).append(candidate)
    return chosen + repeats + rest


def _repeats(passage: TermCounts, better: TermCounts, query: NDArray[np.uint32]) -> bool:
    asked = np.intersect1d(passage.hashes, query, assume_unique=True)
    return bool(np.isin(asked, better.hashes).all()) and overlap(passage, better) >= DUPLICATE_OVERLAP
