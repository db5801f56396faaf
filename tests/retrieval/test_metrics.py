"""Ranks and their summary."""

import numpy as np
import pytest

from retrieval.metrics import rank_by_score, summarize_ranks


def test_ties_share_the_middle_rank() -> None:
    scores = np.array([3.0, 1.0, 1.0, 1.0, 0.0])
    assert [rank_by_score(scores, row) for row in range(5)] == [1, 3, 3, 3, 5]


def test_hits_are_percent_and_a_missing_passage_counts_as_missed() -> None:
    summary = summarize_ranks([1.0, 3.0, 10.0, None])
    assert summary["hit@1"] == 25 and summary["hit@3"] == 50 and summary["hit@5"] == 50 and summary["hit@10"] == 75
    assert summary["mrr"] == pytest.approx((1 + 1 / 3 + 0.1) / 4, abs=1e-4)


def test_no_question_gives_noughts() -> None:
    assert set(summarize_ranks([]).values()) == {0.0}
