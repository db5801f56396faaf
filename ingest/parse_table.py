"""Delimited text and Excel workbooks to rows: every row stays whole and knows its header.

The header is the first row that is as wide as the table; what stands above it (a title, a note) is
kept as paragraphs. Sheets are headings; page numbers count sheets from 1.
"""

from __future__ import annotations

import csv
import datetime
import io
import zipfile
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path, PurePath

import openpyxl
from openpyxl import Workbook
from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.cell.read_only import EmptyCell, ReadOnlyCell
from openpyxl.utils.exceptions import InvalidFileException

from ingest.blocks import Blocks, row_line
from ingest.detect import XLSX
from ingest.records import Parsed, ParseFailure

_MAX_ROWS = 200_000  # a table beyond this is a database export, not a document
_MAX_COLUMNS = 500
_LOOK_AHEAD = 12  # rows among which the header is looked for


def parse_delimited(text: str, name: str, media_type: str) -> Parsed:
    """Parse CSV or TSV; the delimiter is sniffed from the first lines. Raises ParseFailure for broken quoting."""
    blocks = Blocks()
    csv.field_size_limit(10_000_000)
    delimiter = "\t" if media_type == "text/tab-separated-values" else _delimiter(text)
    try:
        _table(blocks, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), None)
    except csv.Error as error:
        raise ParseFailure(f"{name} cannot be read as a table: {error}") from error
    return blocks.build(media_type, name)


def _delimiter(text: str) -> str:
    """The candidate that splits the first lines into the same number (> 1) of cells most often."""
    lines = list(islice(text.splitlines(), 20))

    def evenness(delimiter: str) -> float:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        if not widths or max(widths) == 1:
            return 0.0
        commonest = max(set(widths), key=widths.count)
        return widths.count(commonest) / len(widths) * min(commonest, 8) if commonest > 1 else 0.0

    return max((",", ";", "\t", "|"), key=evenness)


def parse_workbook(path: Path, name: str) -> Parsed:
    """Parse an .xlsx file: cell values as a reader sees them, formulas by their stored results."""
    blocks = Blocks()
    # An open file, because openpyxl refuses a path without .xlsx, and stored originals have no extension.
    with path.open("rb") as file:
        try:
            _sheets(blocks, openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False), name)
        except (
            InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, TypeError, SyntaxError, OSError
        ) as error:  # fmt: skip
            raise ParseFailure(f"{name} is damaged: it cannot be read as an Excel workbook ({error})") from error
    return blocks.build(XLSX, name)


def _sheets(blocks: Blocks, book: Workbook, name: str) -> None:
    """Every visible sheet as a heading with its table; the workbook's own title, else the file's name."""
    for number, sheet in enumerate(book.worksheets, start=1):
        if sheet.sheet_state != "visible":
            blocks.drop(f"sheet {sheet.title}", "hidden in the workbook")
            continue
        # Stored dimensions may be wrong or huge; without them only rows that exist are read.
        sheet.reset_dimensions()
        blocks.heading(sheet.title, 1, number)
        before = len(blocks.elements)
        rows = ([_shown(cell) for cell in row[:_MAX_COLUMNS]] for row in sheet.iter_rows())
        _table(blocks, rows, number)
        if len(blocks.elements) == before:
            blocks.elements.pop()
    # A sheet's name must not become the title of the document.
    blocks.title = (book.properties.title or "").strip() or PurePath(name).stem


def _table(blocks: Blocks, rows: Iterable[Sequence[str]], page: int | None) -> None:
    """Find the header among the first rows, then stream the rest."""
    filled = (trimmed for row in rows if (trimmed := _trim(row)))
    first = list(islice(filled, _LOOK_AHEAD))
    if not first:
        return
    width = max(_cells(row) for row in first)
    top = next(index for index, row in enumerate(first) if _cells(row) >= max(1, 0.6 * width))
    for row in first[:top]:
        blocks.add("paragraph", row_line([cell for cell in row if cell.strip()]), page)
    body = chain(first[top:], filled)
    has_header = width > 1 and not _numeric(first[top])
    blocks.table(islice(body, _MAX_ROWS), page, header=has_header)
    beyond = sum(1 for _ in filled)
    if beyond:
        blocks.drop("table rows", f"beyond the first {_MAX_ROWS} rows", beyond)


def _trim(row: Sequence[str]) -> list[str]:
    cells = list(row)
    while cells and not cells[-1].strip():
        cells.pop()
    return cells


def _cells(row: Sequence[str]) -> int:
    return sum(1 for cell in row if cell.strip())


def _numeric(row: Sequence[str]) -> bool:
    """True when no cell of a row is a word, so that it cannot be a header."""
    return all(not any(char.isalpha() for char in cell) for cell in row)


def _shown(cell: Cell | ReadOnlyCell | MergedCell | EmptyCell) -> str:
    """A cell as a reader sees it: whole numbers without .0, percentages, dates without midnight."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float) and "%" in str(cell.number_format):
        return f"{round(value * 100, 6):g}%"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(round(value, 10))
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "minutes")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
