import json

import pytest

from kb.errors import InvalidInput
from kb.evaluation.baseline import read_baseline, regressions

RESULT = {
    "n": 100, "hit@3": 94.0, "f1": 61.5, "unlocated": 2, "refusal": {"precision": 0.9, "recall": 0.8},
    "modes": {"quote": 40, "write": 60}, "timings_ms": {"total": {"p50": 300, "p95": 700}},
}  # fmt: skip


def changed(**figures):
    return {**RESULT, **figures}


def test_equal_or_better_is_no_regression():
    assert regressions(RESULT, RESULT) == ()
    assert regressions(changed(f1=70.0), RESULT) == ()


def test_a_figure_that_falls_is_named_with_both_values():
    found = regressions(changed(f1=50.0, refusal={"precision": 0.9, "recall": 0.5}), RESULT)
    assert [str(item) for item in found] == [
        "f1 is 50, its baseline 61.5",
        "refusal.recall is 0.5, its baseline 0.8",
    ]


def test_a_fall_within_the_tolerance_passes():
    assert regressions(changed(f1=61.0), RESULT) == ()
    assert len(regressions(changed(f1=61.0), RESULT, tolerance=0.001)) == 1


def test_a_figure_that_is_gone_is_a_regression():
    without = {name: value for name, value in RESULT.items() if name != "f1"}
    assert [item.figure for item in regressions(without, RESULT)] == ["f1"]
    assert [item.figure for item in regressions(changed(f1=None), RESULT)] == ["f1"]


def test_times_and_counts_are_not_compared():
    slower = changed(timings_ms={"total": {"p50": 9000, "p95": 9000}}, n=1, modes={"quote": 100}, unlocated=0)
    assert regressions(slower, RESULT) == ()


def test_invented_numbers_must_not_rise():
    assert len(regressions({"invented_numbers": 1}, {"invented_numbers": 0})) == 1
    assert regressions({"invented_numbers": 0}, {"invented_numbers": 0}) == ()


@pytest.mark.parametrize("content", [None, "{", "[]"], ids=["missing", "no JSON", "no object"])
def test_an_unusable_baseline_is_a_sentence(tmp_path, content):
    path = tmp_path / "baseline.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidInput, match="baseline"):
        read_baseline(path)


def test_the_printed_object_is_the_baseline(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(RESULT))
    assert regressions(RESULT, read_baseline(path)) == ()
