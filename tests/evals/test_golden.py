"""The golden questions are fit to measure with: complete, locatable, mixed, and asked in other words than the evidence.

A question that repeats the words of its evidence measures word matching. So none shares more than half of its content
words with it, counted here by a light stem and a stop list in English and by pairs of Han characters in Chinese.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "evals" / "golden.jsonl"
TEXT_FORMATS = {".md", ".html", ".eml", ".csv", ".txt"}
KINDS = {"short", "passage", "list", "yesno", "none"}
FIELDS = {"id", "lang", "question", "kind", "doc", "evidence", "answers"}
SHARED_AT_MOST = 0.5
MARKUP = re.compile(r"[`*]")  # evidence is raw source, an answer is what a reader sees of it

STOP_ENGLISH = frozenset(
    """a about after all also an and any anything are as at be because been before being but by can cannot could
    did do does doing don done each either else even ever every few for from get gets give given go goes got had
    has have having he her here him his how i if in instead into is isn it its itself just let like ll lot many
    may me might more most much must my need needs no not nothing now of off often on once one only or other our
    ourselves out over own per please quite rather re s same shall should since so some something still such t
    than that the their them then there these they thing things this those through to too under until up upon us
    use used uses using ve very want was way we well were what when where whether which while who whom whose why
    will with within without won would yes yet you your yourself""".split()
)
STOP_CHINESE = """
    为什么 是不是 能不能 有没有 怎么样 怎么办 多长时间 什么 怎么 怎样 如何 为何 多少 多久 多长 多大
    多快 哪些 哪个 哪里 哪种 哪几 哪 几个 几种 几 可以 可不可以 能否 是否 需要 应该 应当 会不会 以及
    或者 还是 如果 但是 因为 所以 我们 它们 你们 他们 这个 那个 这些 那些 一个 一些 一次 一下 没有 已经
    就是 的 了 吗 呢 吧 啊 么 是 在 有 会 能 要 该 和 与 或 及 把 被 给 对 从 到 向 由 于 也 都 就 才
    又 再 很 最 更 不 没 我 你 您 它 他 这 那 上 下 里 中 时 后 前 个 种 请 为 以 之 等 得 着 过 用 做
    说 让 想
""".split()

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]+")
_LATIN = re.compile(r"[a-z0-9]+(?:[.,_-][a-z0-9]+)*")
_STOP_RUN = re.compile("|".join(sorted(STOP_CHINESE, key=len, reverse=True)))
_SUFFIXES = (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""), ("ly", ""), ("e", ""))


def stem(word: str) -> str:
    """A light stem: the first suffix that leaves at least three letters goes, then a doubled end and a final e."""
    if not word.isalpha():
        return word
    for suffix, replacement in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(suffix)] + replacement
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def content_words(text: str) -> frozenset[str]:
    """What a text is about: stems of its Latin words without stop words, and the Han pairs between stop words."""
    plain = unicodedata.normalize("NFKC", text).lower()
    found = {stem(word) for word in _LATIN.findall(plain) if word not in STOP_ENGLISH}
    for run in _HAN.findall(plain):
        for piece in _STOP_RUN.split(run):
            found.update(piece[at : at + 2] for at in range(max(1, len(piece) - 1)) if piece)
    return frozenset(found)


def shared(question: str, evidence: str) -> float:
    """Share of the question's content words that stand in the evidence; pairs are looked up in the whole Han text."""
    asked = content_words(question)
    plain = unicodedata.normalize("NFKC", evidence).lower()
    there = content_words(evidence)
    held = [word for word in asked if word in there or (_HAN.match(word) and word in plain)]
    return len(held) / len(asked) if asked else 1.0


def flat(text: str) -> str:
    """A text with every run of white space as one blank: files may break a sentence at any column."""
    return " ".join(text.split())


def read_golden() -> list[dict[str, object]]:
    """All rows of the file."""
    return [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]


ROWS = read_golden()
ANSWERABLE = [row for row in ROWS if row["kind"] != "none"]
# Binary formats cannot be searched here; `kb eval answers` reports as `unlocated` what it does not find in them.
IN_TEXT_FILES = [row for row in ANSWERABLE if Path(str(row["doc"])).suffix in TEXT_FORMATS]
UNANSWERABLE = [row for row in ROWS if row["kind"] == "none"]


def files_named(name: str) -> list[Path]:
    """The documents of that file name anywhere under docs/."""
    return [path for path in (ROOT / "docs").rglob("*") if path.name == name]


def forms(answers: object) -> list[str]:
    """All accepted strings of a row; an item of a list may be a list of alternatives."""
    assert isinstance(answers, list)
    return [form for item in answers for form in ([item] if isinstance(item, str) else item)]


def test_there_are_enough_questions_of_each_language_and_kind() -> None:
    languages = Counter(row["lang"] for row in ROWS)
    kinds = Counter(row["kind"] for row in ROWS)
    assert len(ROWS) >= 100
    assert languages["zh"] >= 35 and languages["en"] >= 60 and set(languages) == {"en", "zh"}
    assert kinds["none"] >= 22 and set(kinds) == KINDS
    assert kinds["short"] >= 0.3 * len(ROWS)
    assert kinds["passage"] >= 0.15 * len(ROWS)
    assert kinds["list"] >= 0.1 * len(ROWS)
    assert kinds["yesno"] >= 0.08 * len(ROWS)


def test_ids_and_questions_are_unique() -> None:
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert len({str(row["question"]).lower() for row in ROWS}) == len(ROWS)


def test_every_row_has_exactly_the_fields_of_the_format() -> None:
    for row in ROWS:
        assert set(row) == FIELDS, row["id"]
        assert str(row["question"]).strip() == row["question"] != "", row["id"]
        assert (row["lang"] == "zh") == bool(_HAN.search(str(row["question"]))), row["id"]


def test_unanswerable_rows_name_nothing() -> None:
    assert [row["id"] for row in UNANSWERABLE if (row["doc"], row["evidence"], row["answers"]) != ("", "", [])] == []


def test_the_document_of_every_row_is_one_file() -> None:
    assert [row["id"] for row in ANSWERABLE if len(files_named(str(row["doc"]))) != 1] == []


def test_all_evidence_stands_word_for_word_in_its_document() -> None:
    texts = {
        str(row["doc"]): flat(files_named(str(row["doc"]))[0].read_text(encoding="utf-8")) for row in IN_TEXT_FILES
    }
    assert [row["id"] for row in IN_TEXT_FILES if flat(str(row["evidence"])) not in texts[str(row["doc"])]] == []


def test_every_answer_stands_in_the_evidence_without_its_markup() -> None:
    for row in ANSWERABLE:
        answers = forms(row["answers"])
        assert answers, row["id"]
        for answer in answers:
            assert answer in flat(MARKUP.sub("", str(row["evidence"]))), row["id"]


def test_a_list_has_at_least_two_items() -> None:
    for row in ANSWERABLE:
        if row["kind"] == "list":
            assert isinstance(row["answers"], list) and len(row["answers"]) >= 2, row["id"]


def test_every_question_is_asked_in_other_words_than_its_evidence() -> None:
    close = {row["id"]: share for row in ANSWERABLE if (share := _shared_by(row)) > SHARED_AT_MOST}
    assert close == {}


def _shared_by(row: dict[str, object]) -> float:
    return shared(str(row["question"]), str(row["evidence"]))


@pytest.mark.parametrize(
    ("question", "evidence", "expected"),
    [
        ("How long are invoices kept?", "Invoices are kept for ten years.", 2 / 3),
        ("For what period do bills stay on file?", "Invoices are kept for ten years.", 0.0),
        ("发票保存多久？", "发票保存十年。", 1.0),
        ("账单要留多久？", "发票保存十年。", 0.0),
    ],
)
def test_sharing_is_counted_over_the_content_words_of_the_question(
    question: str, evidence: str, expected: float
) -> None:
    assert shared(question, evidence) == pytest.approx(expected)
