"""Markdown to blocks through markdown-it: headings, paragraphs, lists, tables and code survive, markup does not.

Front matter is left out (its `title` names the document). Inline HTML, template tags and images are
left out too; what they dropped is counted. Needs no heavy library, so a file costs milliseconds.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingest.blocks import Blocks
from ingest.records import Kind, Parsed

_FRONT_MATTER = re.compile(r"\A\ufeff?\s*(---|\+\+\+)[ \t]*\n(.*?)\n(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title\s*[:=]\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)
_TEMPLATE_TAG = re.compile(r"\{\{[<%].*?[>%]\}\}|\{%.*?%\}")
_ANCHOR = re.compile(r"\s*\{#[^}\s]+\}\s*$")
_WIDE = "\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_WIDE_BREAK = re.compile(f"(?<=[{_WIDE}])\n(?=[{_WIDE}])")


_READER = MarkdownIt("commonmark", {"maxNesting": 60}).enable(["table", "strikethrough"])


def parse_markdown(text: str, name: str, media_type: str = "text/markdown") -> Parsed:
    """Parse a Markdown document; `name` is the title of last resort."""
    body, title = _without_front_matter(text.replace("\r\n", "\n").replace("\r", "\n"))
    blocks = Blocks(title=title)
    if len(body) < len(text.strip()):
        blocks.drop("front matter", "metadata, not text")
    body, tags = _TEMPLATE_TAG.subn("", body)
    if tags:
        blocks.drop("template tags", "instructions to a site generator", tags)
    walk = _Walk(blocks, _READER.parse(body))
    walk.run()
    for what, count in sorted(walk.left_out.items()):
        blocks.drop(what, "not text", count)
    return blocks.build(media_type, name)


def _without_front_matter(text: str) -> tuple[str, str]:
    match = _FRONT_MATTER.match(text)
    if match is None or not re.search(r"^[\w.-]+\s*[:=]", match.group(2), re.MULTILINE):
        return text.strip("\ufeff"), ""
    title = _TITLE.search(match.group(2))
    return text[match.end() :], title.group(1).strip("\"' ") if title else ""


@dataclass
class _Walk:
    """One pass over the token stream; `_lists` holds the marker state of the open lists."""

    blocks: Blocks
    tokens: list[Token]
    left_out: Counter[str] = field(default_factory=Counter)
    _lists: list[int | None] = field(default_factory=list)  # next number, or None for bullets
    _marker: str = ""
    _rows: list[list[str]] = field(default_factory=list)

    def run(self) -> None:
        for index, token in enumerate(self.tokens):
            match token.type:
                case "bullet_list_open":
                    self._lists.append(None)
                case "ordered_list_open":
                    start = token.attrGet("start")
                    self._lists.append(1 if start is None else int(start))
                case "bullet_list_close" | "ordered_list_close":
                    self._lists.pop()
                    self._marker = ""
                case "list_item_open":
                    self._open_item()
                case "inline":
                    self._inline(token, self.tokens[index - 1])
                case "fence" | "code_block":
                    self.blocks.add("code", token.content.strip("\n"))
                case "html_block":
                    self._html(token.content)
                case "table_open":
                    self._rows = []
                case "tr_open":
                    self._rows.append([])
                case "table_close":
                    self.blocks.table(self._rows)
                case _:
                    pass

    def _open_item(self) -> None:
        number = self._lists[-1]
        indent = "  " * (len(self._lists) - 1)
        if number is None:
            self._marker = f"{indent}- "
        else:
            self._marker = f"{indent}{number}. "
            self._lists[-1] = number + 1

    def _inline(self, token: Token, opener: Token) -> None:
        text = self._plain(token.children or [])
        if opener.type == "heading_open":
            self.blocks.heading(_ANCHOR.sub("", text), int(opener.tag[1:]))
        elif opener.type in ("td_open", "th_open"):
            self._rows[-1].append(text)
        elif self._lists:
            # Later paragraphs of an item belong to it but carry no marker.
            kind: Kind = "item"
            indent = "  " * len(self._lists)
            if text:
                self.blocks.add(kind, (self._marker or indent) + text.replace("\n", f"\n{indent}"))
                self._marker = ""
        else:
            self.blocks.add("paragraph", text)

    def _plain(self, children: list[Token]) -> str:
        parts: list[str] = []
        for child in children:
            match child.type:
                case "text" | "code_inline":
                    parts.append(child.content)
                case "softbreak":
                    parts.append("\n")
                case "hardbreak":
                    parts.append("\r")
                case "html_inline":
                    parts.append("\r" if child.content.lower().startswith("<br") else "")
                case "image":
                    self.left_out["images"] += 1
                case _:
                    pass
        text = _WIDE_BREAK.sub("", "".join(parts)).replace("\n", " ")
        return "\n".join(" ".join(line.split()) for line in text.split("\r")).strip()

    def _html(self, source: str) -> None:
        reader = _TagStripper()
        reader.feed(source)
        reader.close()
        if reader.images:
            self.left_out["images"] += reader.images
        for kind, text, level in reader.blocks():
            if kind == "heading":
                self.blocks.heading(text, level)
            elif kind == "rows":
                self.blocks.table([line.split("\t") for line in text.split("\n")])
            else:
                self.blocks.add("paragraph", text)


class _TagStripper(HTMLParser):
    """The text of an HTML block inside Markdown: block tags separate paragraphs, table cells stay in rows."""

    _SILENT = frozenset({"script", "style", "svg", "iframe", "video", "audio"})
    _BLOCK = frozenset("p div li ul ol dl dt dd table section article details summary blockquote pre figure hr".split())

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.images = 0
        self._done: list[tuple[str, str, int]] = []
        self._text: list[str] = []
        self._rows: list[str] = []
        self._cells: list[str] | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT:
            self._silent += 1
        elif tag == "img":
            self.images += 1
        elif tag == "br":
            self._text.append("\n" if self._cells is None else " ")
        elif tag == "tr":
            self._flush("paragraph", 0)
            self._cells = []
        elif tag in self._BLOCK and self._cells is None or re.fullmatch("h[1-6]", tag):
            self._flush("paragraph", 0)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in ("td", "th") and self._cells is not None:
            self._cells.append(" ".join("".join(self._text).split()))
            self._text = []
        elif tag == "tr" and self._cells is not None:
            self._rows.append("\t".join(self._cells))
            self._cells = None
            self._text = []
        elif tag == "table":
            self._flush_rows()
        elif re.fullmatch("h[1-6]", tag):
            self._flush("heading", int(tag[1]))
        elif tag in self._BLOCK and self._cells is None:
            self._flush("paragraph", 0)

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text.append(data)

    def blocks(self) -> list[tuple[str, str, int]]:
        self._flush_rows()
        self._flush("paragraph", 0)
        return self._done

    def _flush(self, kind: str, level: int) -> None:
        lines = [" ".join(line.split()) for line in "".join(self._text).split("\n")]
        text = "\n".join(line for line in lines if line)
        self._text = []
        if text:
            self._done.append((kind, text, level))

    def _flush_rows(self) -> None:
        if self._rows:
            self._done.append(("rows", "\n".join(self._rows), 0))
            self._rows = []
