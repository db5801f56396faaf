"""Statistics kept step by step equal those counted from scratch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.lexical import TermCounts, count_terms, inverse_document_frequency
from retrieval.term_statistics import GroupTerms, TermStatistics

PASSAGES = [count_terms(text) for text in ("vpn reset", "reset reset now", "订单 退款", "invoice vpn", "", "policy")]
HASHES = np.array(sorted({key for passage in PASSAGES for key in passage.hashes.tolist()}), dtype=np.uint32)
STEPS = st.lists(
    st.tuples(st.sampled_from(["toggle", "settle"]), st.integers(1, 3), st.integers(0, len(PASSAGES) - 1)), max_size=40
)


def from_scratch(passages: list[TermCounts]) -> tuple[list[int], float]:
    frequencies = [sum(int(key) in passage.hashes for passage in passages) for key in HASHES]
    return frequencies, sum(passage.length for passage in passages) / max(len(passages), 1)


@given(STEPS, st.frozensets(st.integers(1, 4)))
def test_any_history_of_changes_counts_as_its_result(steps: list[tuple[str, int, int]], chosen: frozenset[int]) -> None:
    groups: dict[int, GroupTerms] = {}
    live: set[tuple[int, int]] = set()
    for what, group, passage in steps:
        statistics = TermStatistics(groups)
        if what == "settle":
            groups = {number: terms.settled() for number, terms in statistics.groups().items()}
        elif (group, passage) in live:
            statistics.remove(group, [PASSAGES[passage]])
            live.remove((group, passage))
        else:
            statistics.add(group, [PASSAGES[passage]])
            live.add((group, passage))
        groups = groups or statistics.groups()
    scope = TermStatistics(groups).scope(chosen)
    frequencies, mean = from_scratch([PASSAGES[passage] for group, passage in sorted(live) if group in chosen])
    count = sum(group in chosen for group, _ in live)
    assert scope.passages == count
    assert scope.mean_length == pytest.approx(mean)
    assert scope.idf(HASHES).tolist() == inverse_document_frequency(count, np.array(frequencies)).tolist()


def test_settling_forgets_terms_that_nothing_holds() -> None:
    terms = GroupTerms()
    terms.change(PASSAGES[:2], 1)
    terms.change(PASSAGES[1:2], -1)
    settled = terms.settled()
    assert settled.hashes.tolist() == PASSAGES[0].hashes.tolist() and not settled.changes


def test_unknown_groups_are_empty() -> None:
    scope = TermStatistics().scope({7})
    assert (scope.passages, scope.mean_length) == (0, 0.0)
    assert np.isfinite(scope.idf(HASHES)).all()
