"""What is left out before and after chunking, and that the reason is told."""

import pytest

from ingest.filter import drop_boilerplate, drop_poor
from ingest.records import Chunk, Element, Kind


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3.2 Travel expenses ........... 17", "line of a table of contents"),
        ("Back to top", "navigation"),
        ("返回顶部", "navigation"),
        ("Table of Contents", "title of a table of contents"),
        ("© 2026 Larkfield Optics. All rights reserved.", "copyright line"),
        ("版权所有 © 朗科光学 2026 保留所有权利", "copyright line"),
        ("We use cookies to improve this site. Accept?", "cookie notice"),
        ("* * *", "no letter or digit"),
        ("QUJD" * 100, "not text"),
    ],
)
def test_boilerplate_is_dropped_with_its_reason(text: str, reason: str) -> None:
    kept, dropped = drop_boilerplate([Element("paragraph", text)])
    assert kept == ()
    assert [entry.reason for entry in dropped] == [reason]


@pytest.mark.parametrize(
    "text",
    [
        "We use cookies in the canteen: every Friday the kitchen bakes 200 of them.\nAsk Ada.",
        "The copyright of a manual belongs to the department; all rights reserved by others are in form C-2.",
        "Wait ... then press 4 ... and 5.",
        "Top",
        "A-very-long-word-" * 30,
        "28",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    kept, dropped = drop_boilerplate([Element("paragraph", text)])
    assert kept == (Element("paragraph", text),)
    assert dropped == ()


@pytest.mark.parametrize("kind", ["code", "row", "header"])
def test_code_and_tables_are_not_judged(kind: Kind) -> None:
    assert drop_boilerplate([Element(kind, "---")])[0] == (Element(kind, "---"),)


def test_data_inside_prose_is_cut_out() -> None:
    kept, dropped = drop_boilerplate([Element("paragraph", f"The picture {'QUJD' * 100} shows a lens.")])
    assert kept[0].text == "The picture  shows a lens."
    assert dropped[0].what == "encoded data"


def chunk(text: str, heading: str = "") -> Chunk:
    return Chunk(0, text, heading, None, 0, len(text), 1)


def test_a_repeated_passage_is_dropped_under_the_same_heading_only() -> None:
    kept, dropped = drop_poor([chunk("Same text"), chunk("same  text"), chunk("Same text", "Other")])
    assert [(c.ordinal, c.heading) for c in kept] == [(0, ""), (1, "Other")]
    assert dropped[0].reason == "passage that repeats an earlier one under the same heading"


def test_a_passage_without_letters_is_dropped() -> None:
    kept, dropped = drop_poor([chunk("+---+\n|   |")])
    assert kept == ()
    assert dropped[0].reason == "passage without a letter or digit"


def test_many_lines_of_one_sort_are_one_record() -> None:
    lines = [Element("paragraph", f"{n} Chapter ........ {n}") for n in range(300)]
    (entry,) = drop_boilerplate(lines)[1]
    assert (entry.what, entry.count) == ("0 Chapter ........ 0", 300)
