"""Untrusted text stays text, and a highlight is exact or absent."""

from __future__ import annotations

from html import escape, unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.highlight import answer_html, around, clean, marked, place_line, table

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<a href='javascript:alert(1)'>x</a>",
    "<style>body{display:none}</style>",
    "<iframe src=https://evil.example></iframe>",
    "&lt;script&gt;",
    "![x](https://evil.example/leak)",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_a_document_holds_becomes_markup(attack: str):
    html = clean(
        marked(attack, [(0, 4)]) + answer_html(attack, {}) + table([(attack, attack)]) + place_line(attack, attack)
    )
    for tag in ("<script", "<img", "<svg", "<a ", "<style", "<iframe"):
        assert tag not in html


@pytest.mark.parametrize("attribute", ['onclick="x()"', 'style="position:fixed"', 'href="x"', 'src="x"'])
def test_only_allowed_attributes_pass(attribute: str):
    assert attribute.split("=")[0] not in clean(f"<div {attribute} class='kb-card'>x</div>")


def test_the_marks_of_a_citation_pass():
    html = '<button type="button" class="kb-chip" popovertarget="a">1</button><div popover="auto" id="a">x</div>'
    assert 'popovertarget="a"' in clean(html)
    assert 'popover="auto"' in clean(html)


@given(st.text(max_size=80), st.lists(st.tuples(st.integers(-5, 90), st.integers(-5, 90)), max_size=4))
def test_a_highlight_changes_no_character_of_the_passage(passage: str, spans: list[tuple[int, int]]):
    html = marked(passage, spans)
    assert unescape(html.replace("<mark>", "").replace("</mark>", "")) == unescape(escape(passage))


@pytest.mark.parametrize("span", [(-1, 3), (2, 2), (3, 2), (4, 9)])
def test_a_span_that_does_not_fit_marks_nothing(span: tuple[int, int]):
    assert marked("a < b", [span]) == "a &lt; b"


def test_several_spans_are_marked_each():
    assert marked("one two three", [(0, 3), (8, 13)]) == "<mark>one</mark> two <mark>three</mark>"


@given(st.text(alphabet="ab\n", max_size=60), st.data())
def test_the_surroundings_keep_the_span(text: str, data: st.DataObject):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    part, first, last = around(text, start, end, data.draw(st.integers(0, 20)))
    assert part[first:last] == text[start:end]


def test_a_number_without_a_source_stays_as_written():
    assert answer_html("Yes [1]. See [7].", {1: "<sup>1</sup>"}) == "<p>Yes<sup>1</sup>. See [7].</p>"
