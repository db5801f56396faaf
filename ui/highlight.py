"""Untrusted text becomes HTML here and nowhere else.

Titles, passages and answers come out of documents, and a document may hold anything. Every piece is escaped as
it is put in, and the whole passes an allow-list of tags and attributes at the end: no links, no images, no
styles, no scripts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

import nh3

TAGS = {
    "b", "br", "button", "details", "div", "em", "h1", "h2", "h3", "li", "mark", "ol", "p", "span", "strong", "summary",
    "sup", "table", "tbody", "td", "th", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "*": {"class", "id", "title", "lang", "role", "aria-label"},
    "button": {"type", "popovertarget", "popovertargetaction"},
    "div": {"popover"},
    "th": {"scope"},
}
MARKER = re.compile(r" ?\[(\d{1,3})\]")


def clean(html: str) -> str:
    """Only what the allow-list knows; everything else is taken out."""
    return nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, link_rel=None, generic_attribute_prefixes=set())


def marked(passage: str, spans: Sequence[tuple[int, int]]) -> str:
    """A passage as HTML with spans of characters highlighted; a span that does not fit, or overlaps, is left out."""
    parts: list[str] = []
    done = 0
    for start, end in spans:
        if done <= start < end <= len(passage):
            parts += [escape(passage[done:start]), "<mark>", escape(passage[start:end]), "</mark>"]
            done = end
    return "".join([*parts, escape(passage[done:])])


def around(text: str, start: int, end: int, margin: int) -> tuple[str, int, int]:
    """A part of a long text with `margin` characters (whole lines where possible) on both sides of a span.

    Returns the part and the span's offsets in it.
    """
    first = max(0, start - margin)
    last = min(len(text), end + margin)
    first = text.find("\n", first, start) + 1 if first and "\n" in text[first:start] else first
    last = text.rfind("\n", end, last) if last < len(text) and "\n" in text[end:last] else last
    return text[first:last], start - first, end - first


def answer_html(answer: str, chips: Mapping[int, str]) -> str:
    """An answer as paragraphs; each [n] that has a chip becomes that chip, any other stays as it was written."""

    def chip(found: re.Match[str]) -> str:
        return chips.get(int(found.group(1)), found.group(0))

    paragraphs = [part for part in re.split(r"\n\s*\n", answer.strip()) if part.strip()]
    return "".join(f"<p>{MARKER.sub(chip, escape(part))}</p>" for part in paragraphs)


def place_line(*parts: str) -> str:
    """Heading, page and the like as one escaped line; empty parts are left out."""
    return " · ".join(escape(part) for part in parts if part)


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns of escaped text."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f'<table class="kb-table"><tbody>{body}</tbody></table>'
