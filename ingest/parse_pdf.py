"""PDF to blocks through pypdfium2 (its only door): text by page, headings by type size, lines rejoined.

A PDF holds lines, not paragraphs. Lines that fill the column are joined, words hyphenated at a line
end are mended, lines set clearly larger than the body are headings. Scanned pages hold no text and
are counted, never guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium

from ingest.blocks import Blocks
from ingest.records import Kind, Parsed, ParseFailure

_MAX_PAGES = 5_000
_HEADING_SIZE = 1.12  # a line this much larger than the body is a heading
_HEADING_LENGTH = 160
_BOLD = 600  # font weight
_RUNNING_SHARE = 0.5  # a first or last line that stands on this share of the pages is a running header
_ITEM = re.compile(r"^(?:[•·‣▪●○■□\uf0b7\uf0a7\uf0d8–-]|\(?\d{1,3}[.)]|[a-z][.)])\s+\S")
_MARKER = re.compile(r"^(?:[^\w\s]|\(?\w{1,3}[.)]|\d+(?:\.\d+)*\.?)$")
_END = re.compile(r"[.!?:;。！？：；…”’)）\]】]$")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]$")


@dataclass(frozen=True)
class _Line:
    """One printed line: type size and box in points, and its parts between wide gaps. Size 0: not measured."""

    text: str
    page: int
    size: float = 0.0
    bold: bool = False
    left: float = 0.0
    right: float = 0.0
    base: float = 0.0  # lower edge of the first character
    last_base: float = 0.0  # of the last one: pdfium joins lines that a hyphen divides
    cells: tuple[str, ...] = ()


def parse_pdf(path: Path, name: str) -> Parsed:
    """Parse a PDF. Raises ParseFailure for encrypted or damaged files, too many pages and scans without text."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise ParseFailure(f"{name} is encrypted: remove the password and ingest it again") from error
        raise ParseFailure(f"{name} is damaged: it cannot be opened as a PDF ({error})") from error
    pages = len(document)
    if pages > _MAX_PAGES:
        raise ParseFailure(f"{name} has {pages} pages; at most {_MAX_PAGES} are allowed")
    blocks = Blocks(title=_own_title(document, name))
    printed: list[list[_Line]] = []
    blank = 0
    for index in range(pages):
        lines = _page_lines(document, index)
        blank += not lines
        printed.append(lines)
    if blank == pages:
        raise ParseFailure(
            f"{name} has {pages} pages but no text: scanned pages need OCR, which is not done here", "empty"
        )
    if blank:
        blocks.drop("pages", "hold no text (scanned or blank)", blank)
    printed, running = _without_running_lines(printed)
    if running:
        blocks.drop("lines", "page numbers and running headers", running)
    _blocks_of([line for lines in printed for line in lines], blocks)
    return blocks.build("application/pdf", name)


def _own_title(document: pypdfium2.PdfDocument, name: str) -> str:
    """The title in the metadata, unless it is a leftover of the program that wrote the file."""
    title = document.get_metadata_value("Title").strip()
    leftover = re.search(
        r"^untitled|^microsoft|\.(docx?|pptx?|xlsx?|indd|tex|pdf)$|^\(?anonymous", title, re.IGNORECASE
    )
    return "" if leftover or title == name else title


def _page_lines(document: pypdfium2.PdfDocument, index: int) -> list[_Line]:
    try:
        page = document[index]
        text_page = page.get_textpage()
    except pypdfium2.PdfiumError:
        return []
    lines: list[_Line] = []
    count = text_page.count_chars()
    text = text_page.get_text_range(0, count) if count else ""
    if len(text) == count:
        start = 0
        for raw in text.split("\n"):
            stripped = raw.strip()
            if stripped:
                first = start + raw.index(stripped[0])
                lines.append(_line(text_page, stripped, first, index + 1))
            start += len(raw) + 1
    else:
        # Characters beyond the basic plane break the correspondence of text and boxes: no geometry then.
        lines = [_Line(line.strip(), index + 1) for line in text.splitlines() if line.strip()]
    text_page.close()
    page.close()
    return lines


def _line(text_page: pypdfium2.PdfTextPage, text: str, first: int, page: int) -> _Line:
    """Measure one line whose characters begin at index `first` of the page."""
    # Loose boxes have the height of the font, so that lines with and without descenders compare.
    left, bottom, _, _ = text_page.get_charbox(first, loose=True)
    _, low, right, _ = text_page.get_charbox(first + len(text) - 1, loose=True)
    letters = [first + index for index, char in enumerate(text) if char.isalnum()] or [first]
    # A bullet or a quotation mark may come from another font: letters at both ends decide.
    ends = (letters[0], letters[-1])
    size = min(float(pdfium.FPDFText_GetFontSize(text_page, index)) for index in ends)
    bold = all(pdfium.FPDFText_GetFontWeight(text_page, index) >= _BOLD for index in ends)
    cells = [_mended(cell) for cell in _cells(text_page, text, first, size)]
    return _Line(_mended(text), page, round(size, 1), bold, left, right, bottom, low, tuple(cells))


def _cells(text_page: pypdfium2.PdfTextPage, text: str, first: int, size: float) -> list[str]:
    """The parts of a line between gaps wider than the type is high: the cells of a table's row."""
    cells: list[str] = []
    start = 0
    for match in re.finditer(r"\s+", text):
        before = text_page.get_charbox(first + match.start() - 1)[2]
        after = text_page.get_charbox(first + match.end())[0]
        if after - before > size > 0 and not _MARKER.match(text[start : match.start()]):
            cells.append(text[start : match.start()])
            start = match.end()
    return [*cells, text[start:]]


def _mended(text: str) -> str:
    """White space collapsed; the soft hyphen that pdfium marks at a line's end becomes a hyphen."""
    plain = text.replace("\ufffe", "-" if text.endswith("\ufffe") else "").replace("\uf0b7", "•")
    return " ".join(plain.split())


def _without_running_lines(pages: list[list[_Line]]) -> tuple[list[list[_Line]], int]:
    """Drop page numbers and the lines that stand at the top or bottom of most pages (digits ignored)."""

    def shape(line: _Line) -> tuple[str, float]:
        # The size keeps the title on the cover apart from the same words above every page.
        return re.sub(r"\d+", "#", line.text.casefold()), line.size

    edges: Counter[tuple[str, float]] = Counter()
    for lines in pages:
        edges.update({shape(line) for line in (*lines[:2], *lines[-2:])})
    often = max(3, _RUNNING_SHARE * len(pages))
    running = {text for text, count in edges.items() if count >= often}
    bare = re.compile(r"^(?:page\s+|第\s*)?[-–—\s]*\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?[-–—\s]*(?:页)?$", re.IGNORECASE)
    kept: list[list[_Line]] = []
    dropped = 0
    for lines in pages:
        page: list[_Line] = []
        for position, line in enumerate(lines):
            edge = position < 2 or position >= len(lines) - 2
            outermost = position in (0, len(lines) - 1)
            if (edge and shape(line) in running) or (outermost and len(lines) > 1 and bare.match(line.text)):
                dropped += 1
            else:
                page.append(line)
        kept.append(page)
    return kept, dropped


@dataclass(frozen=True)
class _Style:
    """What ordinary text of the document looks like, and the levels of the larger sizes."""

    size: float
    bold: bool
    levels: dict[float, int]

    @classmethod
    def of(cls, lines: list[_Line]) -> _Style:
        sizes: Counter[tuple[float, bool]] = Counter()
        for line in lines:
            sizes[(line.size, line.bold)] += len(line.text)
        size, bold = sizes.most_common(1)[0][0] if sizes else (0.0, False)
        plain = cls(size, bold, {})
        larger = sorted({line.size for line in lines if plain.level(line)}, reverse=True)
        return cls(size, bold, {size: level for level, size in enumerate(larger[:4], start=1)})

    def level(self, line: _Line) -> int:
        """The heading level of a line, 0 for ordinary text."""
        if self.size <= 0 or len(line.text) > _HEADING_LENGTH or not any(char.isalpha() for char in line.text):
            return 0
        if _ITEM.match(line.text) and not re.match(r"\d", line.text):
            return 0
        if line.size >= _HEADING_SIZE * self.size:
            return self.levels.get(line.size, 4)
        emphatic = line.bold and not self.bold and line.size >= self.size and len(line.cells) == 1
        return 5 if emphatic and len(line.text) <= 100 and not line.text.endswith((".", ",", ";", "。", "，")) else 0


def _blocks_of(lines: list[_Line], blocks: Blocks) -> None:
    style = _Style.of(lines)
    column = _Column.of(lines)
    paragraph: list[_Line] = []
    heading: list[_Line] = []
    rows: list[_Line] = []
    for index, line in enumerate(lines):
        level = style.level(line)
        after = lines[index + 1] if index + 1 < len(lines) else None
        if len(line.cells) > 1 and (rows or (after is not None and len(after.cells) > 1 and after.page == line.page)):
            _flush(paragraph, blocks)
            _flush_heading(heading, style, blocks)
            if rows and rows[-1].page != line.page:
                _flush_rows(rows, blocks)
            rows.append(line)
            continue
        _flush_rows(rows, blocks)
        if level:
            _flush(paragraph, blocks)
            if heading and (style.level(heading[-1]) != level or heading[-1].page != line.page):
                _flush_heading(heading, style, blocks)
            heading.append(line)
            continue
        _flush_heading(heading, style, blocks)
        if paragraph and not column.continues(paragraph[-1], line):
            _flush(paragraph, blocks)
        paragraph.append(line)
    _flush_rows(rows, blocks)
    _flush(paragraph, blocks)
    _flush_heading(heading, style, blocks)


@dataclass(frozen=True)
class _Column:
    """How the body is set: where full lines end, and the usual step from line to line in type sizes."""

    margin: float
    step: float

    @classmethod
    def of(cls, lines: list[_Line]) -> _Column:
        edges = sorted(line.right for line in lines)
        steps = sorted(
            (before.last_base - line.base) / line.size
            for before, line in pairwise(lines)
            if before.page == line.page and before.size == line.size > 0 and 0 < before.last_base - line.base
        )
        margin = edges[int(0.9 * (len(edges) - 1))] if edges else 0.0
        # Steps between paragraphs and columns lie above the quarter that is surely inside paragraphs.
        return cls(margin, steps[len(steps) // 4] if steps else 1.3)

    def continues(self, before: _Line, line: _Line) -> bool:
        """Whether `line` belongs to the paragraph of the line before it."""
        if _ITEM.match(line.text) or abs(before.size - line.size) > 0.2 * max(before.size, line.size):
            return False
        if before.size == 0:
            return not _END.search(before.text)
        ended = _END.search(before.text) is not None
        if before.page != line.page:
            return not ended and (line.text[0].islower() or bool(_WIDE.search(before.text)))
        full = before.right >= self.margin - 6 * line.size or (not ended and before.right >= 0.55 * self.margin)
        return before.last_base - line.base < 1.35 * self.step * line.size and full


def _flush(lines: list[_Line], blocks: Blocks) -> None:
    if not lines:
        return
    text = lines[0].text
    for line in lines[1:]:
        if re.search(r"[a-z]-$", text) and line.text[0].islower():
            text = text[:-1] + line.text
        else:
            text += line.text if _WIDE.search(text) else " " + line.text
    kind: Kind = "item" if _ITEM.match(text) else "paragraph"
    blocks.add(kind, re.sub(r"^[•·‣▪●○■□\uf0a7\uf0d8]\s+", "- ", text), lines[0].page)
    lines.clear()


def _flush_heading(lines: list[_Line], style: _Style, blocks: Blocks) -> None:
    if lines:
        blocks.heading(" ".join(line.text for line in lines), style.level(lines[0]), lines[0].page)
        lines.clear()


def _flush_rows(lines: list[_Line], blocks: Blocks) -> None:
    if lines:
        blocks.table([line.cells for line in lines], lines[0].page)
        lines.clear()
