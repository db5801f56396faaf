"""Sentence boundaries: what ends a sentence in prose, lists, tables and code, and what does not."""

import pytest

from llm.sentences import list_marker_end, split_sentences


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ask first. Then act! Why? Because.", ["Ask first.", "Then act!", "Why?", "Because."]),
        ("Use e.g. Postgres 14.2 or newer. It works.", ["Use e.g. Postgres 14.2 or newer.", "It works."]),
        ("Dr. Smith met J. Jones at 9 a.m. on Monday.", ["Dr. Smith met J. Jones at 9 a.m. on Monday."]),
        ("See https://example.org/a.b?c=1. Then stop.", ["See https://example.org/a.b?c=1.", "Then stop."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("Set `a = test? ? 1 : 10`. Then go.", ["Set `a = test? ? 1 : 10`.", "Then go."]),
        ("Forks, knives, etc. The rest stays.", ["Forks, knives, etc.", "The rest stays."]),
        ("先备份数据。再升级！可以吗？可以", ["先备份数据。", "再升级！", "可以吗？", "可以"]),
        ("他说：“不行。”然后走了。", ["他说：“不行。”", "然后走了。"]),
        ("价格为 3.5 元。下一句", ["价格为 3.5 元。", "下一句"]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_punctuation_ends_a_sentence_only_where_the_sentence_ends(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_list_items_and_their_markers_stay_together_one_item_a_sentence() -> None:
    text = "Bring:\n- a badge\n- a laptop, which\n  must be charged\n1. Sign in. Take a seat.\n2) Wait"
    assert sentences(text) == [
        "Bring:",
        "- a badge",
        "- a laptop, which\n  must be charged",
        "1. Sign in.",
        "Take a seat.",
        "2) Wait",
    ]


def test_a_wrapped_line_continues_its_sentence_and_a_heading_does_not() -> None:
    wrapped = "The office will be closed on the last working day of\nDecember and opens again in\nJanuary. Plan ahead."
    assert sentences(wrapped) == [
        "The office will be closed on the last working day of\nDecember and opens again in\nJanuary.",
        "Plan ahead.",
    ]
    assert sentences("Description\nWhen a user fails, log it.") == ["Description", "When a user fails, log it."]


def test_a_table_row_is_one_sentence_whatever_it_holds() -> None:
    text = "| Plan | Note |\n| --- | --- |\n| Basic | Cheap. Slow. |"
    assert sentences(text) == ["| Plan | Note |", "| --- | --- |", "| Basic | Cheap. Slow. |"]


def test_commands_on_lines_of_their_own_are_not_joined() -> None:
    assert sentences("cd app\nmake test\nexit") == ["cd app", "make test", "exit"]


@pytest.mark.parametrize(
    "text", ["One. Two\n\n- three\n 中文。四 | 五\n| a | b. C |\n", "a\r\nb. C\r\n", "… ... ?! 。。"]
)
def test_offsets_cover_every_character_that_is_not_white_space(text: str) -> None:
    spans = split_sentences(text)
    assert all(a < b for a, b in spans)
    assert all(first[1] <= second[0] for first, second in zip(spans, spans[1:], strict=False))
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "length"), [("- item", 2), ("12. item", 4), ("① item", 1), ("（1）项", 3), ("item", 0), ("3.5 kg", 0)]
)
def test_list_marker_end_measures_the_marker(text: str, length: int) -> None:
    assert list_marker_end(text) == length
