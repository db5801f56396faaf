"""Builds a Parsed record from blocks in reading order: keeps the heading path, lays the text out.

Every parser feeds one Blocks object; none of them computes an offset itself. Items and table rows
follow each other on lines, everything else is separated by a blank line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from ingest.records import Dropped, Element, Kind, Parsed

CELL = " | "
_LINES: frozenset[Kind] = frozenset({"item", "row", "header"})


@dataclass
class Blocks:
    """Collects a document's blocks; `title` is what the document calls itself, empty until it does."""

    title: str = ""
    elements: list[Element] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    _path: list[tuple[int, str]] = field(default_factory=list)

    @property
    def path(self) -> tuple[str, ...]:
        """The heading path at this point, outermost first."""
        return tuple(text for _, text in self._path)

    def heading(self, text: str, level: int, page: int | None = None) -> None:
        """A heading of `level` (1 is the outermost) closes all headings of its level and below."""
        text = " ".join(text.split())
        if not text:
            return
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, text))
        self.elements.append(Element("heading", text, self.path, page))

    def add(self, kind: Kind, text: str, page: int | None = None, header: str = "") -> None:
        """A block of text under the current headings; blank text is ignored."""
        text = text.strip("\n").rstrip() if kind in ("code", "item") else text.strip()
        if text:
            self.elements.append(Element(kind, text, self.path, page, header=header))

    def table(self, rows: Iterable[Sequence[str]], page: int | None = None, *, header: bool = True) -> None:
        """A table; its first row is the header unless `header` is False."""
        names = ""
        for cells in rows:
            line = row_line(cells)
            if not line.strip("| "):
                continue
            if header and not names:
                names = line
                self.add("header", line, page)
            else:
                self.add("row", line, page, names)

    def drop(self, what: str, reason: str, count: int = 1) -> None:
        """Remember that something was left out."""
        for index, entry in enumerate(self.dropped):
            if (entry.what, entry.reason) == (what, reason):
                self.dropped[index] = replace(entry, count=entry.count + count)
                return
        self.dropped.append(Dropped(what, reason, count))

    def build(self, media_type: str, name: str) -> Parsed:
        """The finished record. Without a title of its own a document takes its top heading, else its file name."""
        title = " ".join(self.title.split()) or self._top_heading() or PurePath(name).stem
        text, elements = lay_out(self.elements)
        return Parsed(title, text, elements, media_type, tuple(self.dropped))

    def _top_heading(self) -> str:
        """The outermost heading that stands alone on its level, or the first one if the text begins with it."""
        headings = [element for element in self.elements if element.kind == "heading"]
        if not headings:
            return ""
        depth = min(len(element.heading) for element in headings)
        tops = [element for element in headings if len(element.heading) == depth]
        first = self.elements[0]
        if len(tops) == 1:
            return tops[0].text
        # One question among several names itself only, as in a list of frequent questions.
        return tops[0].text if first is tops[0] and not tops[0].text.endswith(("?", "？")) else ""


def row_line(cells: Sequence[str]) -> str:
    """One table row as a line; white space inside a cell is collapsed."""
    return CELL.join(" ".join(cell.split()) for cell in cells).strip()


def lay_out(elements: Iterable[Element]) -> tuple[str, tuple[Element, ...]]:
    """The document's text and the elements with their offsets in it."""
    parts: list[str] = []
    placed: list[Element] = []
    position = 0
    previous: Element | None = None
    for element in elements:
        if previous is not None:
            gap = "\n" if previous.kind in _LINES and element.kind in _LINES else "\n\n"
            parts.append(gap)
            position += len(gap)
        end = position + len(element.text)
        placed.append(replace(element, start=position, end=end))
        parts.append(element.text)
        position = end
        previous = element
    return "".join(parts), tuple(placed)
