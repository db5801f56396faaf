"""Which rows are worth rescoring: nearest rows of a generation and of the buffer, exactly or through the graph.

Small sets and selective filters are scanned exactly, in place; only large ones go through the graph, and where the
graph cannot fill the list behind a filter the scan has the last word.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.generation import Generation

_SCAN_ROWS: Final = 2048
_WHOLE_SCAN_SHARE: Final = 0.25
"""From this share of allowed rows on, scoring all rows in place is cheaper than copying the allowed ones out."""


def nearest_rows(
    vectors: NDArray[np.float32], allowed: NDArray[np.bool_], query: NDArray[np.float32], limit: int
) -> NDArray[np.intp]:
    """Return the `limit` allowed rows with the highest inner product, in no particular order; an exact scan."""
    rows = np.flatnonzero(allowed)
    if len(rows) <= limit:
        return rows
    if len(rows) >= _WHOLE_SCAN_SHARE * len(vectors):
        scores = (vectors[: len(allowed)] @ query)[rows]
    else:
        blocks = (rows[at : at + _SCAN_ROWS] for at in range(0, len(rows), _SCAN_ROWS))
        scores = np.concatenate([vectors[block] @ query for block in blocks])
    return rows[np.argpartition(-scores, limit - 1)[:limit]]


def _label_filter(ids: NDArray[np.int64], allowed: NDArray[np.bool_]) -> Callable[[int], bool]:
    """Return a fast test whether a label is the id of an allowed row: one byte for each id between first and last."""
    first = int(ids[0])
    flags = np.zeros(int(ids[-1]) - first + 1, dtype=np.uint8)
    flags[ids - first] = allowed
    looked_up = flags.tobytes()
    return lambda label: looked_up[label - first] != 0


def generation_candidates(
    generation: Generation, allowed: NDArray[np.bool_], query: NDArray[np.float32], limit: int, scan_up_to: int
) -> NDArray[np.intp]:
    """Return about the `limit` allowed rows of `generation` nearest to `query`; exactly those without a graph."""
    count = int(np.count_nonzero(allowed))
    graph = generation.graph
    if graph is None or count <= scan_up_to:
        return nearest_rows(generation.vectors, allowed, query, limit)
    found = generation.rows_of(graph.query(query, graph.shape.ef).labels)
    found = found[allowed[found]]
    if len(found) < limit:
        found = generation.rows_of(graph.query(query, limit, _label_filter(generation.ids, allowed)).labels)
    if len(found) < limit:
        return nearest_rows(generation.vectors, allowed, query, limit)
    return found[:limit]
