"""Leaves out what no question asks for, and says why: boilerplate blocks before chunking, empty passages after.

Every rule is narrow on purpose: a passage wrongly kept costs a little noise, one wrongly dropped is an
answer nobody will find.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from ingest.records import Chunk, Dropped, Element

_LEADERS = re.compile(r"^.{0,200}?(?:\.\s?){5,}\s*(?:\d{1,4}|[ivxl]+)\s*$", re.DOTALL)
_BLOB = re.compile(r"(?:data:[\w/+.-]+;base64,)?[A-Za-z0-9+/=]{300,}")
_SHORT_BOILERPLATE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^(?:back to top|skip to (?:main )?content|print this page|share|tweet)$", re.I), "navigation"),
    (re.compile(r"^(?:返回顶部|回到顶部|上一页|下一页|打印本页|分享)$"), "navigation"),
    (re.compile(r"^(?:table of contents|contents|目录|目錄)$", re.I), "title of a table of contents"),
    (re.compile(r"^(?:©|\(c\)|copyright\b).{0,160}all rights reserved\.?$", re.I), "copyright line"),
    (re.compile(r"^(?:©|版权所有).{0,160}保留所有权利。?$"), "copyright line"),
    (re.compile(r"^(?:we|this (?:web)?site) uses? cookies\b.{0,300}$", re.I), "cookie notice"),
    (re.compile(r"^本(?:网站|站)使用\s?cookie.{0,200}$", re.I), "cookie notice"),
    (re.compile(r"^[\W_]+$"), "no letter or digit"),
)  # fmt: skip


def drop_boilerplate(elements: Iterable[Element]) -> tuple[tuple[Element, ...], tuple[Dropped, ...]]:
    """The elements worth indexing, and one record a rule that left some out."""
    kept: list[Element] = []
    tally = _Tally()
    for element in elements:
        reason = _boilerplate(element)
        if reason:
            tally.add(element.text, reason)
            continue
        text, blobs = _BLOB.subn("", element.text)
        # A wall of letters and digits is data (an image, a key); in prose such a word does not exist.
        if blobs and element.kind != "heading":
            tally.add("encoded data", "not text", blobs)
            if not any(char.isalnum() for char in text):
                continue
            element = replace(element, text=text.strip())
        kept.append(element)
    return tuple(kept), tally.dropped()


def _boilerplate(element: Element) -> str:
    if element.kind in ("code", "row", "header"):
        return ""
    if element.kind != "heading" and _LEADERS.match(element.text):
        return "line of a table of contents"
    if len(element.text) <= 400:
        for pattern, reason in _SHORT_BOILERPLATE:
            if pattern.match(element.text.strip()):
                return reason
    return ""


def drop_poor(chunks: Iterable[Chunk]) -> tuple[tuple[Chunk, ...], tuple[Dropped, ...]]:
    """The passages worth embedding, renumbered: without any that has no word, and each text once a heading."""
    kept: list[Chunk] = []
    tally = _Tally()
    seen: set[tuple[str, str]] = set()
    for chunk in chunks:
        key = (chunk.heading, " ".join(chunk.text.split()).casefold())
        if not any(char.isalnum() for char in chunk.text):
            tally.add(chunk.text, "passage without a letter or digit")
        elif key in seen:
            tally.add(chunk.text, "passage that repeats an earlier one under the same heading")
        else:
            seen.add(key)
            kept.append(replace(chunk, ordinal=len(kept)))
    return tuple(kept), tally.dropped()


class _Tally:
    """One record a reason, with its first example: a table of contents has hundreds of lines."""

    def __init__(self) -> None:
        self._examples: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def add(self, text: str, reason: str, count: int = 1) -> None:
        line = " ".join(text.split())
        self._examples.setdefault(reason, line if len(line) <= 60 else line[:57] + "...")
        self._counts[reason] += count

    def dropped(self) -> tuple[Dropped, ...]:
        return tuple(Dropped(example, reason, self._counts[reason]) for reason, example in self._examples.items())
