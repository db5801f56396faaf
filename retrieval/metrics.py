"""How well a ranking finds the right passage: hit@k and mean reciprocal rank, ties counted at their middle."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

HIT_DEPTHS: Final = (1, 3, 5, 10)


def rank_by_score(scores: NDArray[np.floating], right: int) -> float:
    """Return the rank (1 is best) of row `right` among `scores` (higher is better); equal scores share the middle."""
    better = int(np.count_nonzero(scores > scores[right]))
    equal = int(np.count_nonzero(scores == scores[right]))
    return better + (equal + 1) / 2


def summarize_ranks(ranks: Sequence[float | None]) -> dict[str, float]:
    """Return hit@1, 3, 5 and 10 in percent and the mean reciprocal rank (0..1); None is a passage not found at all."""
    if not ranks:
        return {**{f"hit@{depth}": 0.0 for depth in HIT_DEPTHS}, "mrr": 0.0}
    inverse = np.array([0.0 if rank is None else 1.0 / rank for rank in ranks])
    hits = {f"hit@{depth}": round(100.0 * float(np.mean(inverse >= 1.0 / depth)), 2) for depth in HIT_DEPTHS}
    return {**hits, "mrr": round(float(np.mean(inverse)), 4)}
