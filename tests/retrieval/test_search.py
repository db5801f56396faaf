"""The contract of the index, the same for rows in the buffer, in a scanned generation and behind a graph."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.embedder import HybridEmbedder
from retrieval.search import Entry, SearchIndex, SearchKnobs

BOTH = frozenset({1, 2})
SCANNED = SearchKnobs(graph_from=10**9)
GRAPHED = SearchKnobs(graph_from=1, scan_up_to=0)

Filled = Callable[[Sequence[Entry]], SearchIndex]


@pytest.fixture(params=["buffer", "scanned", "graph", "graph and buffer"])
def filled(request: pytest.FixtureRequest, embedder: HybridEmbedder, folder: Path) -> Filled:
    """Make an index of entries whose rows lie where the parameter says."""

    def make(rows: Sequence[Entry]) -> SearchIndex:
        index = SearchIndex(folder, embedder, SCANNED if request.param == "scanned" else GRAPHED)
        split = {"buffer": 0, "graph and buffer": len(rows) // 2}.get(request.param, len(rows))
        index.add(rows[:split])
        if request.param != "buffer":
            index.build()
        index.add(rows[split:])
        return index

    return make


def test_a_passage_is_found_by_its_own_text(filled: Filled, entries: list[Entry], texts: list[str]) -> None:
    index = filled(entries)
    for number in (1, 77, 300):
        hit = index.search(texts[number - 1], 3, BOTH).hits[0]
        assert hit.id == number
        assert 0 <= hit.score <= 1 and hit.vector > 0.5 and hit.semantic > 0.5 and hit.lexical > 0


def test_all_places_give_the_same_answer(
    filled: Filled, entries: list[Entry], texts: list[str], embedder: HybridEmbedder, tmp_path: Path
) -> None:
    index, plain = filled(entries), SearchIndex(tmp_path / "plain", embedder, SCANNED)
    plain.add(entries)
    for text in texts[::30]:
        hits, expected = index.search(text, 10, BOTH).hits, plain.search(text, 10, BOTH).hits
        assert [hit.id for hit in hits] == [hit.id for hit in expected]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-5)


def test_only_the_groups_asked_for_are_searched(filled: Filled, entries: list[Entry], texts: list[str]) -> None:
    index = filled(entries)
    for groups in (frozenset({1}), frozenset({2})):
        hits = index.search(texts[2], 50, groups).hits
        assert len(hits) == 50 and all((hit.id % 3 == 0) == (groups == {2}) for hit in hits)
    assert index.search(texts[2], 3, frozenset()).hits == ()
    assert index.search(texts[2], 3, frozenset({9})).hits == ()


def test_words_are_weighed_within_the_groups_asked_for(
    filled: Filled, entry: Callable[..., Entry], texts: list[str]
) -> None:
    own = [entry(1, "reset the vpn token", 1), entry(2, "reset the mail token", 1)]
    index = filled([*own, *(entry(number, f"vpn page {number}", 2) for number in range(3, 40))])
    alone = filled(own)
    assert [(hit.id, hit.lexical) for hit in index.search("vpn token", 3, frozenset({1})).hits] == [
        (hit.id, hit.lexical) for hit in alone.search("vpn token", 3, frozenset({1})).hits
    ]


def test_removed_rows_are_gone_at_once_and_stay_gone(
    filled: Filled, entries: list[Entry], texts: list[str], embedder: HybridEmbedder, folder: Path
) -> None:
    index = filled(entries)
    gone = {number for number in range(1, 301) if number % 4 == 0}
    index.remove(gone | {10_000})
    index.remove(gone)

    def check(state: SearchIndex) -> None:
        assert state.ids() == set(range(1, 301)) - gone and state.stats().live == 225
        for number in (4, 40, 299):
            assert not gone & {hit.id for hit in state.search(texts[number - 1], 50, BOTH).hits}

    check(index)
    index.build()
    check(index)
    reopened = SearchIndex(folder, embedder, GRAPHED)
    assert reopened.load() == index.ids()
    check(reopened)


def test_statistics_follow_additions_and_removals(filled: Filled, entries: list[Entry], texts: list[str]) -> None:
    index, smaller = filled(entries), filled(entries[:100])
    index.remove(range(101, 301))
    for text in texts[:3]:
        scores = [(hit.id, hit.lexical) for hit in index.search(text, 5, BOTH).hits]
        assert scores == [(hit.id, pytest.approx(hit.lexical)) for hit in smaller.search(text, 5, BOTH).hits]


def test_k_is_clamped(filled: Filled, entries: list[Entry], texts: list[str]) -> None:
    index = filled(entries[:6])
    assert len(index.search(texts[0], 1_000, BOTH).hits) == 6
    assert len(index.search(texts[0], 0, BOTH).hits) == len(index.search(texts[0], -5, BOTH).hits) == 1


@pytest.mark.parametrize("query", ["", "   \n\t", "\u3000"])
def test_a_blank_query_finds_nothing(filled: Filled, entries: list[Entry], query: str) -> None:
    assert filled(entries[:10]).search(query, 3, BOTH).hits == ()


@pytest.mark.parametrize(
    "query",
    [
        "what is the",
        "🎉",
        "password " * 10_000,
        "'; DROP TABLE chunk; --",
        ".*[(?",
        "a\x00\x1b[31m",
        "密码 mot de passe",
    ],
)
def test_unusual_queries_give_a_normal_result(filled: Filled, entries: list[Entry], query: str) -> None:
    result = filled(entries).search(query, 3, BOTH)
    assert len(result.hits) == 3
    assert result.timings.embed_ms > 0 and result.timings.search_ms > 0


def test_near_duplicates_count_once_in_the_first_three(filled: Filled, entry: Callable[..., Entry]) -> None:
    text = "reset your password on the account page before the invite token expires after seven days in the mail"
    rows = [entry(number, f"{text} {'again ' * number}") for number in range(1, 5)]
    others = [entry(5, "the password of the database is in the vault"), entry(6, "an account needs a token")]
    index = filled([*rows, *others])
    hits = [hit.id for hit in index.search("reset the password of my account", 6, BOTH).hits]
    assert sum(number <= 4 for number in hits[:3]) == 1
    assert sorted(hits) == [1, 2, 3, 4, 5, 6]


def test_an_empty_index_finds_nothing_and_can_be_built(embedder: HybridEmbedder, folder: Path) -> None:
    index = SearchIndex(folder, embedder)
    assert index.load() is None and index.generation == 0
    assert index.search("password", 3, BOTH).hits == ()
    assert index.build() == 1
    assert index.search("password", 3, BOTH).hits == ()
    assert SearchIndex(folder, embedder).load() == frozenset()


def test_a_row_that_is_live_already_stays_as_it_is(filled: Filled, entries: list[Entry], texts: list[str]) -> None:
    index = filled(entries[:20])
    before = index.search(texts[3], 5, BOTH).hits
    index.add(entries[:20])
    assert index.stats().live == 20 and index.search(texts[3], 5, BOTH).hits == before


def _with_nan(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.arange(len(vector)) == 3, np.float32(np.nan), vector)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda row: replace(row, vector=row.vector[:768]),
            r"row 2: the vector is float32\[768\], expected float32\[1536\]",
        ),
        (lambda row: replace(row, vector=row.vector.astype(np.float64)), "float64"),
        (lambda row: replace(row, vector=row.vector * np.float32(2)), "length 2, expected 1"),
        (lambda row: replace(row, vector=_with_nan(row.vector)), "length nan"),
        (lambda row: replace(row, terms=row.terms[:-1]), "no multiple of 6"),
    ],
)
def test_a_damaged_row_is_refused_and_nothing_is_added(
    embedder: HybridEmbedder, folder: Path, entries: list[Entry], damage: Callable[[Entry], Entry], sentence: str
) -> None:
    index = SearchIndex(folder, embedder)
    with pytest.raises(ValueError, match=sentence):
        index.add([entries[0], damage(entries[1])])
    assert index.ids() == frozenset()


def test_changes_during_a_build_survive_it(
    embedder: HybridEmbedder, folder: Path, entries: list[Entry], texts: list[str]
) -> None:
    index = SearchIndex(folder, embedder, GRAPHED)
    index.add(entries[:200])
    other = SearchIndex(folder, embedder, GRAPHED)
    other.add(entries[:200])
    number = other.build()
    index.add(entries[200:])
    index.remove([5, 250])
    assert index.load() == set(range(1, 301)) - {5, 250}
    assert index.generation == number
    assert index.search(texts[299], 1, BOTH).hits[0].id == 300
    assert 5 not in {hit.id for hit in index.search(texts[4], 50, BOTH).hits}


def test_rows_another_process_wrote_are_not_believed_by_an_index_that_knows_its_own(
    embedder: HybridEmbedder, folder: Path, entries: list[Entry], texts: list[str]
) -> None:
    index, other = SearchIndex(folder, embedder), SearchIndex(folder, embedder)
    index.add(entries[:10])
    other.add(entries[:20])
    other.build()
    assert index.load() == set(range(1, 11))
    index.add(entries[10:20])
    assert index.search(texts[14], 1, BOTH).hits[0].id == 15 and index.stats().live == 20


def test_a_rebuild_is_due_when_enough_rows_are_buffered_or_removed(
    embedder: HybridEmbedder, folder: Path, entries: list[Entry]
) -> None:
    index = SearchIndex(folder, embedder, SearchKnobs(rebuild_rows=50, rebuild_share=0.25))
    index.add(entries[:50])
    assert not index.stats().rebuild_due
    index.add(entries)
    assert index.stats().rebuild_due
    index.build()
    assert not index.stats().rebuild_due
    index.remove(range(1, 100))
    assert index.stats().rebuild_due and index.stats().removed == 99
