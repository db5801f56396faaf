"""Stored text is NFC, has plain line ends and spaces and nothing invisible; cleaning is idempotent."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clean import clean_elements, clean_line, clean_text
from ingest.records import Element


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("cafe\u0301", "café"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("pass\u200bword \ufeffhere", "password here"),
        ("safe\u202egpj.exe\u202c", "safegpj.exe"),
        ("soft\u00adware", "software"),
        ("ignore\U000e0041\U000e0042 this", "ignore this"),
        ("wide\u3000space\u00a0here", "wide space here"),
        ("bell\x07 and nul\x00", "bell and nul"),
        ("a  b\t c   \n\n\n\nd", "a b c\n\nd"),
        ("e\u200b\u0301", "é"),
    ],
)
def test_text_is_normalised(raw: str, clean: str) -> None:
    assert clean_text(raw).text == clean


@pytest.mark.parametrize("text", ["می\u200cخواهم", "👩\u200d🔬 lab", "क्\u200dष"])
def test_joiners_that_belong_to_a_word_stay(text: str) -> None:
    assert clean_text(text).text == unicodedata.normalize("NFC", text)


def test_a_joiner_between_latin_letters_goes() -> None:
    assert clean_text("pass\u200dword").text == "password"


def test_code_keeps_its_spaces() -> None:
    assert clean_text("if x:\n    y  = 1", code=True).text == "if x:\n    y  = 1"


def test_indentation_of_a_nested_item_stays() -> None:
    assert clean_text("  - nested   item").text == "  - nested item"


def test_removed_characters_are_counted() -> None:
    elements, dropped = clean_elements([Element("paragraph", "a\u200bb\u200bc\x07", ("He\u200bading",))])
    assert (elements[0].text, elements[0].heading) == ("abc", ("Heading",))
    assert {(entry.what, entry.count) for entry in dropped} == {("zero-width characters", 2), ("control characters", 1)}


def test_elements_without_visible_text_vanish() -> None:
    assert clean_elements([Element("paragraph", "\u200b \u3000")])[0] == ()


@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean_text(text).text
    assert clean_text(once).text == once
    assert unicodedata.is_normalized("NFC", once)
    assert "\r" not in once


@given(st.text(max_size=80))
def test_a_line_is_one_line(text: str) -> None:
    line = clean_line(text)
    assert "\n" not in line
    assert line == line.strip()
