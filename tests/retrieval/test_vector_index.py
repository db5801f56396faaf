"""The graph against exact search, and files that are none."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.vector_index import Graph, GraphShape

SHAPE = GraphShape(links=16, ef_construction=200, ef=64)


@pytest.fixture(scope="module")
def points() -> NDArray[np.float32]:
    rows = np.random.default_rng(3).standard_normal((400, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def graph_of(points: NDArray[np.float32]) -> Graph:
    labels = np.arange(len(points), dtype=np.int64) * 3 + 1
    half = len(points) // 2
    blocks = [(labels[:half], points[:half]), (labels[half:], points[half:])]
    return Graph.build(blocks, dim=points.shape[1], count=len(points), shape=SHAPE)


def test_the_graph_finds_what_an_exact_scan_finds(points: NDArray[np.float32]) -> None:
    graph = graph_of(points)
    shared = 0
    for query in points[:50]:
        exact = np.argsort(-(points @ query))[:10] * 3 + 1
        found = graph.query(query, 10)
        assert found.labels[0] == exact[0]
        assert found.similarities.tolist() == pytest.approx(
            (points[(found.labels - 1) // 3] @ query).tolist(), abs=1e-5
        )
        shared += len(set(found.labels.tolist()) & set(exact.tolist()))
    assert shared / 500 >= 0.98


def test_asking_for_more_than_there_is_returns_what_there_is(points: NDArray[np.float32]) -> None:
    assert len(graph_of(points[:5]).query(points[0], 50).labels) == 5
    assert len(graph_of(points[:0]).query(points[0], 50).labels) == 0


def test_only_allowed_labels_come_back(points: NDArray[np.float32]) -> None:
    graph = graph_of(points)
    assert all(label % 2 == 0 for label in graph.query(points[0], 20, lambda label: label % 2 == 0).labels)
    assert len(graph.query(points[0], 20, lambda label: False).labels) == 0


def test_a_saved_graph_answers_as_before(points: NDArray[np.float32], tmp_path: Path) -> None:
    graph = graph_of(points)
    graph.save(tmp_path / "graph")
    loaded = Graph.load(tmp_path / "graph", dim=32, count=400, shape=SHAPE)
    for query in points[:10]:
        assert loaded.query(query, 10).labels.tolist() == graph.query(query, 10).labels.tolist()


def test_building_twice_gives_the_same_file(points: NDArray[np.float32], tmp_path: Path) -> None:
    for name in ("first", "second"):
        graph_of(points).save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_truncated_graph_and_a_wrong_count_are_refused(points: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "graph"
    graph_of(points).save(path)
    with pytest.raises(ValueError, match="400 rows, expected 399|not a graph"):
        Graph.load(path, dim=32, count=399, shape=SHAPE)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a graph"):
        Graph.load(path, dim=32, count=400, shape=SHAPE)


def test_a_duplicate_label_is_refused(points: NDArray[np.float32]) -> None:
    labels = np.zeros(2, dtype=np.int64)
    with pytest.raises(ValueError, match="1 rows, expected 2"):
        Graph.build([(labels, points[:2])], dim=32, count=2, shape=SHAPE)
