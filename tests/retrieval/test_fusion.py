"""Normalised sums and the setting back of near-duplicates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.fusion import distinct_first, fuse, overlap
from retrieval.lexical import TermCounts, count_terms

NO_QUERY = np.empty(0, dtype=np.uint32)
SCORES = st.lists(st.floats(0, 1e6), min_size=1, max_size=20)


def bags(*texts: str) -> list[TermCounts]:
    return [count_terms(text) for text in texts]


def test_the_weight_shares_the_score_between_words_and_meaning() -> None:
    fused = fuse(np.array([4.0, 2.0, 0.0]), np.array([0.80, 0.90, 0.70]), 0.4)
    assert fused.tolist() == pytest.approx([0.4 + 0.6 * 0.5, 0.2 + 0.6, 0.0])


def test_meaning_decides_where_no_word_matches() -> None:
    assert np.argmax(fuse(np.zeros(3), np.array([0.7, 0.9, 0.8]), 0.4)) == 1


@given(SCORES, st.floats(0, 1))
def test_scores_stay_between_nought_and_one(scores: list[float], weight: float) -> None:
    fused = fuse(np.array(scores), np.array(scores[::-1]), weight)
    assert np.all((fused >= 0) & (fused <= 1 + 1e-9))


def test_nothing_fuses_to_nothing() -> None:
    assert fuse(np.empty(0), np.empty(0), 0.5).tolist() == []


def test_overlap_counts_repeated_terms() -> None:
    first, second, third = bags("reset reset password", "reset password", "invoice")
    assert overlap(first, first) == 1.0
    assert overlap(first, second) == pytest.approx(2 / 3)
    assert overlap(first, third) == 0.0 == overlap(count_terms(""), count_terms(""))


def test_a_near_duplicate_comes_after_the_distinct_ones() -> None:
    long = "reset your password on the account page before the token expires after seven days of waiting for mail"
    passages = bags(long, f"{long} today", "invoices are paid monthly", "the cluster restarts at night")
    assert distinct_first([0, 1, 2, 3], passages, NO_QUERY, 3) == [0, 2, 3, 1]
    assert distinct_first([0, 1, 2, 3], passages, NO_QUERY, 1) == [0, 1, 2, 3]


def test_a_passage_with_a_queried_term_of_its_own_is_no_duplicate() -> None:
    text = "release notes of the product with fixes for search upload login export import backup restore and sync"
    passages = bags(f"{text} 5.2.7", f"{text} 5.2.8", "something else")
    asked = count_terms("notes of release 5.2.8").hashes
    assert distinct_first([0, 1, 2], passages, asked, 3) == [0, 1, 2]
    assert distinct_first([1, 0, 2], passages, asked, 3) == [1, 2, 0]


@given(st.permutations(range(6)), st.integers(0, 6))
def test_reordering_loses_and_invents_nothing(order: list[int], distinct: int) -> None:
    passages = bags("a b c", "x y", "x y", "", "vpn reset", "vpn reset now")
    assert sorted(distinct_first(order, passages, NO_QUERY, distinct)) == list(range(6))
