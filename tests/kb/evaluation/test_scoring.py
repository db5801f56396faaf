"""Scores against cases worked by hand and against slow definitions."""

import itertools

import pytest

from kb.evaluation.scoring import auroc, bare, contains, exact, f1, mean, references


@pytest.mark.parametrize(
    ("found", "reference", "lang", "expected"),
    [
        ("The Eiffel Tower!", "eiffel tower", "en", 1.0),
        ("in the tower", "tower of London", "en", 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)),
        ("Paris", "London", "en", 0.0),
        ("在北京大学。", "北京大学", "zh", 2 * (4 / 5) * 1 / (4 / 5 + 1)),
        ("使用 Docker 部署", "docker部署", "zh", 2 * (8 / 10) * 1 / (8 / 10 + 1)),
        ("", "", "en", 1.0),
        ("", "x", "en", 0.0),
    ],
)
def test_f1_counts_common_tokens(found: str, reference: str, lang: str, expected: float) -> None:
    assert f1(found, reference, lang) == pytest.approx(expected)


def test_exact_match_ignores_case_articles_and_punctuation() -> None:
    assert exact("the Port 8000.", "port 8000", "en") == 1
    assert exact("port 8001", "port 8000", "en") == 0
    assert exact("８０００ 端口", "8000端口", "zh") == 1


@pytest.mark.parametrize(
    ("answer", "form", "expected"),
    [
        ("You have 14 days.", "14 days", 1),
        ("You have 114 days.", "14 days", 0),
        ("The limit is 1,000.", "1000", 1),
        ("Wait 10 minutes.", "1", 0),
        ("The cats sleep.", "cat", 0),
        ("默认端口是8000。", "8000", 1),
        ("一共18000个", "8000个", 0),
        ("请联系管理员。", "管理员", 1),
        ("anything", "...", 0),
    ],
)
def test_an_answer_holds_whole_words_and_whole_numbers_only(answer: str, form: str, expected: int) -> None:
    assert contains(answer, [(form,)], "short") == expected


def test_alternatives_count_once_and_items_of_a_list_each() -> None:
    assert contains("It is blue.", [("red",), ("blue",)], "short") == 1
    items = [("mail",), ("Drive", "drives"), ("calendar",), ("chat",)]
    assert contains("Mail, drives and more", items, "list") == pytest.approx(0.5)
    assert references(items, "list") == ["mail Drive calendar chat"]
    assert references([("red",), ("blue",)], "short") == ["red", "blue"]


def test_bare_folds_width_and_drops_punctuation() -> None:
    assert bare("Ｈｅｌｌｏ,  “World”!") == "hello world"


@pytest.mark.parametrize("seed", range(4))
def test_auroc_is_the_share_of_pairs_in_order(seed: int) -> None:
    confidences = [((i * (seed + 3) * 7) % 11) / 10 for i in range(30)]
    truth = [(i * 5 + seed) % 3 == 0 for i in range(30)]
    pairs = list(
        itertools.product(
            (c for c, t in zip(confidences, truth, strict=True) if t),
            (c for c, t in zip(confidences, truth, strict=True) if not t),
        )
    )
    expected = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)
    assert auroc(confidences, truth) == pytest.approx(expected)


def test_there_is_no_auroc_of_one_class_and_no_mean_of_nothing() -> None:
    assert auroc([0.1, 0.9], [True, True]) is None
    assert mean([]) is None
