"""Sentence boundaries in document text, English and Chinese.

Documents are not prose alone: list items, table rows, headings and code lines each count as one
sentence, and a line that was merely wrapped belongs to the sentence it continues. Full stops in
abbreviations, decimals, URLs and code end nothing. Works on plain text and returns offsets, so that
callers can cut the stored text exactly.
"""

import re
from collections.abc import Iterator

_CLOSERS = "\"'”’)]}»」』）】》*_`"
_ABBREVIATIONS = frozenset(
    "e.g i.e etc cf vs viz al approx dept govt est fig figs inc incl ltd co corp jr sr st no nos vol vols p pp sec "
    "para mr mrs ms dr prof gen sen rep rev hon gov capt col sgt lt u.s u.k u.n e.u d.c a.m p.m ph.d b.sc m.sc "
    "jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_ENDS_BEFORE_CAPITAL = frozenset("etc inc ltd co corp jr sr d.c a.m p.m ph.d".split())
_LIST_ITEM = re.compile(
    r"\s*(?:[-*+•·●◦▪–—]\s+|(?:\d{1,3}|[A-Za-z])[.)]\s+|[（(](?:\d{1,2}|[a-z])[)）]\s*|[①-⑳]|\d{1,2}[、．])"
)
_STANDS_ALONE = re.compile(r"\s*(?:\||#{1,6}\s|>|```|~~~|[-=*_]{3,}\s*$|Q:|A:|\$ |[{}\[\]])")
_CODE_CHARACTERS = re.compile(r"[{};=<>$\\|]")
_LEADS_ON = re.compile(
    r"(?:[,，、(（]|\b(?:the|a|an|of|to|in|on|at|by|for|with|from|and|or|as|is|are|our|your|their|this|that))$"
)
_WESTERN_STOP = re.compile(r"[.!?]+[" + re.escape(_CLOSERS) + r"]*(?=\s)")
_CHINESE_STOP = re.compile(r"(?:[。！？]+|…{2,})[" + re.escape(_CLOSERS) + r"]*")
_LAST_WORD = re.compile(r"[^\W\d_][\w.]*$")
_MARKER_ONLY = re.compile(r"\s*(?:[-*+•]\s+)?(?:\d{1,3}|[A-Za-z])$")
_WRAP_WIDTH = 48  # a line this long that ends without punctuation was broken by the editor, not by the author
_LONGEST_WRAPPED = 900  # characters; text without any punctuation is cut at its line ends from here on


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Offsets (start, end) of the sentences of `text`, in order, without surrounding white space.

    Together they cover every character that is not white space. A list item keeps its marker.
    """
    found: list[tuple[int, int]] = []
    for block_start, block_end in _blocks(text):
        start = block_start
        for stop in _stops(text, block_start, block_end):
            found.append((start, stop))
            start = stop
        found.append((start, block_end))
    return [trimmed for span in found if (trimmed := _trim(text, *span)) is not None]


def list_marker_end(text: str) -> int:
    """Length of the list marker `text` begins with ("- ", "2. ", "①"), 0 where there is none."""
    match = _LIST_ITEM.match(text)
    return match.end() if match else 0


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Runs of lines that belong together: a paragraph however wrapped, one list item, one table row."""
    position = 0
    block_start = 0
    previous = ""
    for line in text.splitlines(keepends=True):
        if position > block_start and not _continues(previous, line, position - block_start):
            yield block_start, position
            block_start = position
        previous = line.rstrip()
        position += len(line)
    if position > block_start:
        yield block_start, position


def _continues(previous: str, line: str, block_length: int) -> bool:
    stripped = line.strip()
    if not previous.strip() or not stripped or block_length > _LONGEST_WRAPPED:
        return False
    if _LIST_ITEM.match(line) or _STANDS_ALONE.match(line) or _STANDS_ALONE.match(previous):
        return False
    if previous[-1] in ".!?:;。！？：；|`" or _CODE_CHARACTERS.search(stripped):
        return False
    if _LEADS_ON.search(previous) or stripped[0] in "(（,，":
        return True
    prose = previous.count(" ") >= 2 and not _CODE_CHARACTERS.search(previous)
    if stripped[0].islower():
        return prose and (len(previous.strip()) >= 20 or line[0].isspace())
    return prose and len(previous.strip()) >= _WRAP_WIDTH


def _stops(text: str, start: int, end: int) -> Iterator[int]:
    """Positions after a sentence's last character, strictly inside the block."""
    if text[start:end].lstrip().startswith("|"):
        return
    stops = [m.end() for m in _CHINESE_STOP.finditer(text, start, end)]
    stops += [m.end() for m in _WESTERN_STOP.finditer(text, start, end) if _ends_sentence(text, start, m, end)]
    yield from (stop for stop in sorted(set(stops)) if stop < end and text[stop:end].strip())


def _ends_sentence(text: str, start: int, stop: re.Match[str], end: int) -> bool:
    if text.count("`", start, stop.start()) % 2 == 1 and "`" not in stop.group():
        return False  # inside code
    following = text[stop.end() : end].lstrip().lstrip("\"'“‘(（[*_`")[:1]
    if not following or following.islower():
        return False
    if text[stop.start()] != "." or stop.group().startswith(".."):
        return True
    before = text[start : stop.start()]
    if _MARKER_ONLY.match(before):
        return False
    word = _LAST_WORD.search(before)
    if word is None:
        return True
    name = word.group().lower()
    if name in _ABBREVIATIONS:
        return name in _ENDS_BEFORE_CAPITAL and not following.isdigit()
    return not (
        len(name) == 1
        and word.group().isupper()
        and name != "i"
        and before[: word.start()].rstrip() != before[: word.start()]
    )
