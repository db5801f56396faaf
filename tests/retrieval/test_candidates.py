"""Candidates behind filters of every width, by scan and by graph, against the obvious exact search."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.candidates import generation_candidates, nearest_rows
from retrieval.embedder import HybridEmbedder
from retrieval.generation import Generation, open_generation
from retrieval.search import Entry, SearchIndex, SearchKnobs


@pytest.fixture(scope="module")
def generation(tmp_path_factory: pytest.TempPathFactory, embedder: HybridEmbedder, entries: list[Entry]) -> Generation:
    """300 rows behind a graph, with gaps between their ids."""
    folder = tmp_path_factory.mktemp("generation")
    index = SearchIndex(folder, embedder, SearchKnobs(graph_from=1))
    index.add([Entry(7 * row.id, row.group, row.vector, row.terms) for row in entries])
    index.build()
    return open_generation(folder, 1, model_id=embedder.model_id, dim=1536, ef=100)


def exact(vectors: NDArray[np.float32], allowed: NDArray[np.bool_], query: NDArray[np.float32], limit: int) -> set[int]:
    scores = np.where(allowed, vectors @ query, -np.inf)
    return set(np.argsort(-scores)[: min(limit, int(allowed.sum()))].tolist())


FILTERS: dict[str, Callable[[int], bool]] = {
    "all": lambda row: True,
    "half": lambda row: row % 2 == 0,
    "a tenth": lambda row: row % 10 == 3,
    "one": lambda row: row == 77,
    "none": lambda row: False,
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("limit", [1, 10, 50])
def test_a_scan_finds_exactly_the_nearest_allowed_rows(generation: Generation, name: str, limit: int) -> None:
    allowed = np.array([FILTERS[name](row) for row in range(300)])
    for query in generation.vectors[:20]:
        found = nearest_rows(generation.vectors, allowed, query, limit)
        assert set(found.tolist()) == exact(generation.vectors, allowed, query, limit)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("limit", [10, 50])
def test_the_graph_finds_nearly_all_of_them_and_nothing_else(generation: Generation, name: str, limit: int) -> None:
    allowed = np.array([FILTERS[name](row) for row in range(300)])
    shared = expected = 0
    for query in generation.vectors[:20]:
        found = generation_candidates(generation, allowed, query, limit, scan_up_to=0).tolist()
        right = exact(generation.vectors, allowed, query, limit)
        assert len(set(found)) == len(found) == len(right) and all(allowed[row] for row in found)
        shared, expected = shared + len(right & set(found)), expected + len(right)
    assert shared >= 0.97 * expected


def test_selective_filters_are_scanned_even_beside_a_graph(generation: Generation) -> None:
    allowed = np.array([row % 10 == 3 for row in range(300)])
    for query in generation.vectors[:20]:
        found = generation_candidates(generation, allowed, query, 10, scan_up_to=30)
        assert set(found.tolist()) == exact(generation.vectors, allowed, query, 10)
