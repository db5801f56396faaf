"""Queries beside additions, removals and builds: nothing raises, nothing removed comes back, nothing kept is lost."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retrieval.embedder import HybridEmbedder
from retrieval.search import Entry, SearchIndex, SearchKnobs

BOTH = frozenset({1, 2})


@pytest.mark.parametrize("graph_from", [1, 10**9], ids=["graph", "scanned"])
def test_queries_see_the_truth_while_everything_changes(
    embedder: HybridEmbedder, folder: Path, entries: list[Entry], texts: list[str], graph_from: int
) -> None:
    index = SearchIndex(folder, embedder, SearchKnobs(graph_from=graph_from, scan_up_to=0))
    index.add(entries[:100])
    kept = [number for number in range(1, 101) if number % 2]
    removed: set[int] = set()
    stop = threading.Event()

    def ask(start: int) -> int:
        asked = 0
        while not stop.is_set():
            gone = frozenset(removed)
            number = kept[(start + asked) % len(kept)]
            hits = [hit.id for hit in index.search(texts[number - 1], 10, BOTH).hits]
            assert hits[0] == number
            assert len(set(hits)) == len(hits) and not gone & set(hits)
            asked += 1
        return asked

    def change() -> None:
        for step in range(20):
            index.add(entries[100 + step * 10 : 110 + step * 10])
            victims = range(2 + step * 4, 6 + step * 4, 2)
            index.remove(victims)
            removed.update(victims)

    def build() -> None:
        while not stop.is_set():
            index.build()

    with ThreadPoolExecutor(5) as pool:
        asking = [pool.submit(ask, start) for start in (0, 25)]
        building = pool.submit(build)
        pool.submit(change).result()
        index.build()
        stop.set()
        assert all(done.result() > 0 for done in asking)
        building.result()
    assert index.ids() == set(range(1, 301)) - removed
    reopened = SearchIndex(folder, embedder)
    assert reopened.load() == index.ids()


def test_two_indexes_may_build_in_one_folder(embedder: HybridEmbedder, folder: Path, entries: list[Entry]) -> None:
    indexes = [SearchIndex(folder, embedder, SearchKnobs(graph_from=1, keep_generations=20)) for _ in range(2)]
    for index in indexes:
        index.add(entries[:40])

    def build(index: SearchIndex) -> list[int]:
        return [index.build() for _ in range(4)]

    with ThreadPoolExecutor(2) as pool:
        numbers = [number for built in pool.map(build, indexes) for number in built]
    assert sorted(numbers) == list(range(1, 9))
    assert all(index.load() == frozenset(range(1, 41)) for index in indexes)


def test_adding_the_same_rows_from_two_threads_adds_them_once(
    embedder: HybridEmbedder, folder: Path, entries: list[Entry]
) -> None:
    index = SearchIndex(folder, embedder)
    adding: list[Callable[[], None]] = [lambda: index.add(entries[:150])] * 4
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda add: add(), adding))
    assert index.stats().live == index.stats().buffered == 150
