"""PDF to blocks through pypdfium2 (its only door): text by page, headings by type size, lines rejoined.

A PDF holds lines, not paragraphs. Lines that fill the column are joined, words hyphenated at a line
end are mended, lines set clearly larger than the body are headings. Scanned pages hold no text and
are counted, never guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium

from ingest.blocks import Blocks
from ingest.records import Kind, Parsed, ParseFailure

_MAX_PAGES = 5_000
_HEADING_SIZE = 1.12  # a line this much larger than the body is a heading
_HEADING_LENGTH = 160
_RUNNING_SHARE = 0.5  # a first or last line that stands on this share of the pages is a running header
_ITEM = re.compile(r"^(?:[•·‣▪●○■□\uf0b7\uf0a7\uf0d8–-]|\(?\d{1,3}[.)]|[a-z][.)])\s+\S")
_END = re.compile(r"[.!?:;。！？：；…”’)）\]】]$")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]$")


@dataclass(frozen=True)
class _Line:
    """One printed line: `size` is the type size in points, `left`, `right`, `top`, `bottom` its box."""

    text: str
    page: int
    size: float
    left: float
    right: float
    top: float
    bottom: float


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
                lines.append(_line(text_page, stripped, first, first + len(stripped) - 1, index + 1))
            start += len(raw) + 1
    else:
        # Characters beyond the basic plane break the correspondence of text and boxes: no geometry then.
        lines = [_Line(line.strip(), index + 1, 0, 0, 0, 0, 0) for line in text.splitlines() if line.strip()]
    text_page.close()
    page.close()
    return lines


def _line(text_page: pypdfium2.PdfTextPage, text: str, first: int, last: int, page: int) -> _Line:
    left, bottom, _, top = text_page.get_charbox(first)
    _, low, right, high = text_page.get_charbox(last)
    size = float(pdfium.FPDFText_GetFontSize(text_page, first))
    mended = text.replace("\ufffe", "-" if text.endswith("\ufffe") else "").replace("\uf0b7", "•")
    return _Line(" ".join(mended.split()), page, round(size, 1), left, right, max(top, high), min(bottom, low))


def _without_running_lines(pages: list[list[_Line]]) -> tuple[list[list[_Line]], int]:
    """Drop page numbers and the lines that stand at the top or bottom of most pages (digits ignored)."""

    def shape(line: _Line) -> str:
        return re.sub(r"\d+", "#", line.text.casefold())

    edges: Counter[str] = Counter()
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


def _blocks_of(lines: list[_Line], blocks: Blocks) -> None:
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[line.size] += len(line.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    larger = sorted({line.size for line in lines if _is_heading(line, body)}, reverse=True)
    levels = {size: level for level, size in enumerate(larger[:4], start=1)}
    margin = _margin(lines)
    paragraph: list[_Line] = []
    heading: list[_Line] = []
    for line in lines:
        if _is_heading(line, body):
            _flush(paragraph, blocks)
            if heading and (heading[-1].size != line.size or heading[-1].page != line.page):
                _flush_heading(heading, levels, blocks)
            heading.append(line)
            continue
        _flush_heading(heading, levels, blocks)
        if paragraph and not _continues(paragraph[-1], line, margin):
            _flush(paragraph, blocks)
        paragraph.append(line)
    _flush(paragraph, blocks)
    _flush_heading(heading, levels, blocks)


def _is_heading(line: _Line, body: float) -> bool:
    large = body > 0 and line.size >= _HEADING_SIZE * body
    return large and len(line.text) <= _HEADING_LENGTH and any(char.isalpha() for char in line.text)


def _margin(lines: list[_Line]) -> float:
    """Where full lines end: the 90th percentile of right edges."""
    edges = sorted(line.right for line in lines)
    return edges[int(0.9 * (len(edges) - 1))] if edges else 0.0


def _continues(before: _Line, line: _Line, margin: float) -> bool:
    """Whether `line` belongs to the paragraph of the line before it."""
    if _ITEM.match(line.text) or before.size != line.size:
        return False
    if before.page != line.page:
        return not _END.search(before.text) and (line.text[0].islower() or bool(_WIDE.search(before.text)))
    if before.size == 0:
        return not _END.search(before.text)
    height = max(1.0, before.top - before.bottom, line.size)
    gap = before.bottom - line.top
    full = before.right >= margin - 4 * line.size or not _END.search(before.text)
    return gap < 0.9 * height and full and before.right >= 0.55 * margin


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


def _flush_heading(lines: list[_Line], levels: dict[float, int], blocks: Blocks) -> None:
    if lines:
        text = " ".join(line.text for line in lines)
        blocks.heading(text, levels.get(lines[0].size, 4), lines[0].page)
        lines.clear()
