"""Plain text to blocks: paragraphs by blank lines, list items by their markers, hard wraps undone.

A text file has no headings to trust, so none are invented; only a line underlined with = or - is one.
"""

from __future__ import annotations

import re
from itertools import pairwise

from ingest.blocks import Blocks
from ingest.records import Parsed

_ITEM = re.compile(r"^\s*(?:[-*•·‣▪]|\(?\d{1,3}[.)]|[a-z][.)])\s+\S")
_UNDERLINE = re.compile(r"^\s*(={3,}|-{3,})\s*$")
_WIDE_END = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]$")
_WRAP_FROM, _WRAP_TO = 50, 200  # lines outside these lengths are not the product of wrapping


def parse_plain(text: str, name: str) -> Parsed:
    """Parse plain text; `name` is the document's title."""
    blocks = Blocks()
    paragraph: list[str] = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n").split("\n"):
        if not line.strip():
            _flush(paragraph, blocks)
        elif _UNDERLINE.match(line) and len(paragraph) == 1 and len(line.strip()) >= len(paragraph[0].strip()) / 2:
            blocks.heading(paragraph.pop(), 1 if "=" in line else 2)
        elif not re.fullmatch(r"\s*[-=_*~#]{3,}\s*", line):
            paragraph.append(line.rstrip())
    _flush(paragraph, blocks)
    return blocks.build("text/plain", name)


def _flush(lines: list[str], blocks: Blocks) -> None:
    """Write the collected lines as one paragraph, or as items where lines begin with list markers."""
    run: list[str] = []
    in_item = False
    for line in lines:
        if _ITEM.match(line):
            blocks.add("item" if in_item else "paragraph", unwrap(run))
            run, in_item = [line], True
        elif in_item and not line.startswith((" ", "\t")) and len(run[-1]) < _WRAP_FROM:
            blocks.add("item", unwrap(run))
            run, in_item = [line], False
        else:
            run.append(line)
    blocks.add("item" if in_item else "paragraph", unwrap(run))
    lines.clear()


def unwrap(lines: list[str]) -> str:
    """Join lines that were wrapped at a margin; lines that end early keep their break."""
    if not lines:
        return ""
    longest = max(len(line) for line in lines)
    text = lines[0]
    for before, line in pairwise(lines):
        # A line was wrapped when it comes near the longest and the next goes on in words.
        filled = _WRAP_FROM <= longest <= _WRAP_TO and len(before) >= 0.72 * longest
        begins = line.strip()[:1]
        if filled and _WIDE_END.search(text):
            text += line.strip()
        elif filled and (begins.isalpha() or begins in "('\"“‘（"):
            text += " " + line.strip()
        else:
            text += "\n" + line
    return text
