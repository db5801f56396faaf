"""Normalises text before it is stored: NFC, plain line ends and spaces, no invisible characters.

What a reader cannot see must not be indexed either: zero-width, bidirectional, tag and control
characters are removed and counted, because they break words apart or hide instructions.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ingest.records import Dropped, Element

# Zero-width joiners belong to the spelling of Arabic and Indic words and to emoji; elsewhere they are noise.
_JOINERS = re.compile(
    "(?<![\u0600-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]|[\u200c\u200d](?=\\s|$)"
)
_INVISIBLE: dict[str, re.Pattern[str]] = {
    "zero-width characters": re.compile("[\u200b\u2060-\u2064\ufeff\u00ad\u034f\u115f\u1160\u3164\u180e]"),
    "joiners outside words that need them": _JOINERS,
    "bidirectional controls": re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]"),
    "control characters": re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufff9-\ufffb]"),
    "tag and hidden variation characters": re.compile("[\U000e0000-\U000e01ef]"),
    "characters outside Unicode": re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"),
}
_SUSPECT = re.compile("".join(["[^\t\n\x20-\x7e\u00a1-\u00ac\u00ae-\u033f\u0370-\u05ff\u2e80-\ud7ff]"]))
_LINE_ENDS = re.compile("\r\n|[\r\x85\u2028\u2029\x0b\x0c]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_RUNS = re.compile("[ \t]{2,}|\t")
_TRAILING = re.compile("[ \t]+(?=\n|$)")
_BLANK_LINES = re.compile("\n{3,}")


@dataclass(frozen=True)
class Cleaned:
    """Clean text and how many characters of which sort were removed."""

    text: str
    removed: Counter[str]


def clean_text(text: str, *, code: bool = False) -> Cleaned:
    """Normalise one text; `code` keeps tabs and runs of spaces. Cleaning clean text changes nothing."""
    removed: Counter[str] = Counter()
    text = unicodedata.normalize("NFC", _LINE_ENDS.sub("\n", text))
    if _SUSPECT.search(text):
        for sort, pattern in _INVISIBLE.items():
            text, count = pattern.subn("", text)
            if count:
                removed[sort] += count
        # A removed character may have stood between a letter and its accent.
        text = unicodedata.normalize("NFC", _SPACES.sub(" ", text))
    if not code:
        indent = len(text) - len(text.lstrip(" "))
        text = text[:indent] + _RUNS.sub(" ", text[indent:])
    return Cleaned(_BLANK_LINES.sub("\n\n", _TRAILING.sub("", text)), removed)


def clean_elements(elements: Iterable[Element]) -> tuple[tuple[Element, ...], tuple[Dropped, ...]]:
    """Normalise every element with its headings, leaving out those that become blank."""
    removed: Counter[str] = Counter()
    kept: list[Element] = []
    headings: dict[tuple[str, ...], tuple[str, ...]] = {}
    for element in elements:
        cleaned = clean_text(element.text, code=element.kind == "code")
        removed.update(cleaned.removed)
        if element.heading not in headings:
            headings[element.heading] = tuple(clean_line(part) for part in element.heading)
        text = cleaned.text.strip("\n").rstrip()
        text = text if element.kind in ("code", "item") else text.strip()
        if text.strip():
            header = clean_line(element.header) if element.header else ""
            kept.append(replace(element, text=text, heading=headings[element.heading], header=header))
    return tuple(kept), tuple(Dropped(sort, "invisible to a reader", count) for sort, count in sorted(removed.items()))


def clean_line(text: str) -> str:
    """Normalise a text that must be one line: a title, a heading."""
    return " ".join(clean_text(text).text.split())
