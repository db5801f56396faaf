"""Org mode to blocks: its headings, lists, tables, source blocks and links are rewritten as Markdown.

Only the subset that carries text is understood; drawers, timestamps of planning lines and comments
are left out.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ingest.parse_markdown import parse_markdown
from ingest.records import Parsed

_HEADING = re.compile(r"^(\*+)\s+(?:(?:TODO|DONE|NEXT|WAITING|CANCELLED)\s+)?(?:\[#\w\]\s+)?(.*?)(?:\s+:[\w@:]+:)?\s*$")
_KEYWORD = re.compile(r"^\s*#\+(\w+):?\s*(.*)$")
_LINK = re.compile(r"\[\[([^\]]+)\](?:\[([^\]]+)\])?\]")
_VERBATIM = re.compile(r"(?<!\S)[=~]([^=~\n]+)[=~](?=[\s.,;:!?)]|$)")
_ITALIC = re.compile(r"(?<!\S)/([^/\n]+)/(?=[\s.,;:!?)]|$)")
_PLANNING = re.compile(r"^\s*(?:SCHEDULED|DEADLINE|CLOSED):")
_RULE = re.compile(r"^\s*\|[-+|]+\|?\s*$")


def parse_org(text: str, name: str) -> Parsed:
    """Parse an Org document; `name` is the title of last resort."""
    lines: list[str] = []
    title = ""
    block = drawer = False
    for line in text.replace("\r\n", "\n").split("\n"):
        keyword = _KEYWORD.match(line)
        word = keyword.group(1).upper() if keyword else ""
        if block:
            block = not word.startswith("END_")
            lines.append("```" if not block else line)
        elif word in ("BEGIN_SRC", "BEGIN_EXAMPLE"):
            block = True
            lines.append("```")
        elif keyword:
            title = keyword.group(2) if word == "TITLE" else title
        elif drawer or re.fullmatch(r"\s*:[A-Z_]+:\s*", line):
            drawer = line.strip() != ":END:"
        elif not (_PLANNING.match(line) or re.match(r"^\s*# ", line)):
            _line(line, lines)
    parsed = parse_markdown("\n".join(lines), name, "text/x-org")
    return replace(parsed, title=title) if title else parsed


def _line(line: str, lines: list[str]) -> None:
    heading = _HEADING.match(line)
    if heading:
        lines.extend(["", "#" * min(6, len(heading.group(1))) + " " + _inline(heading.group(2)), ""])
    elif _RULE.match(line):
        # Org rules a table wherever the author likes; Markdown needs exactly one, under the first row.
        if lines and lines[-1].lstrip().startswith("|") and not (len(lines) > 1 and lines[-2].lstrip().startswith("|")):
            lines.append("|" + "---|" * max(1, lines[-1].count("|") - 1))
    elif line.lstrip().startswith("|"):
        previous = lines[-1].lstrip() if lines else ""
        if previous.startswith("|") and not (len(lines) > 1 and lines[-2].lstrip().startswith("|")):
            lines.append("|" + "---|" * max(1, previous.count("|") - 1)) if "---|" not in previous else None
        lines.append(line.strip())
    else:
        lines.append(_inline(line))


def _inline(text: str) -> str:
    text = _LINK.sub(lambda match: match.group(2) or match.group(1), text)
    return _ITALIC.sub(r"*\1*", _VERBATIM.sub(r"`\1`", text))
