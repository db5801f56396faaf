"""HTML, Word and PowerPoint to blocks through unstructured: its only door, kept offline and silent.

unstructured would download a language model at first use and report usage: both are switched off
before it is imported. Its guesses of Title and NarrativeText are not used; headings come from the
tags, styles and title shapes that the author set.
"""

from __future__ import annotations

import importlib.util
import os
import re
import zipfile
from pathlib import Path

os.environ["DO_NOT_TRACK"] = "true"
os.environ["SCARF_NO_ANALYTICS"] = "true"
os.environ["UNSTRUCTURED_DISABLE_NOTICE"] = "1"

# The environment above must be set before these.
import docx  # noqa: E402
import pptx  # noqa: E402
import spacy  # noqa: E402
import unstructured.nlp.tokenize  # noqa: E402
from docx.opc.exceptions import PackageNotFoundError  # noqa: E402
from docx.oxml.ns import qn  # noqa: E402
from docx.styles.style import BaseStyle, CharacterStyle  # noqa: E402
from docx.text.paragraph import Paragraph  # noqa: E402
from lxml import etree, html  # noqa: E402
from pptx.exc import PackageNotFoundError as SlidesNotFoundError  # noqa: E402
from unstructured.documents.elements import (  # noqa: E402
    CodeSnippet,
    Element,
    Footer,
    Header,
    ListItem,
    PageBreak,
    Table,
    Title,
)
from unstructured.partition.docx import partition_docx  # noqa: E402
from unstructured.partition.html import partition_html  # noqa: E402
from unstructured.partition.pptx import partition_pptx  # noqa: E402

from ingest.blocks import Blocks  # noqa: E402
from ingest.detect import DOCX, PPTX  # noqa: E402
from ingest.records import Kind, Parsed, ParseFailure  # noqa: E402

_DAMAGED = (zipfile.BadZipFile, KeyError, ValueError, AttributeError, TypeError, IndexError, OSError, etree.LxmlError)
_NO_DETECTION = [""]  # unstructured would load 55 language profiles to label what we do not use
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_FURNITURE = frozenset({"nav", "footer", "aside", "form", "button", "dialog", "template", "noscript"})
_SILENT = frozenset({"script", "style", "svg", "iframe", "object", "head"})


def _stay_offline() -> None:
    """Give unstructured a sentence splitter that needs no download, unless its own model is installed."""
    if importlib.util.find_spec("en_core_web_sm") is None:
        blank = spacy.blank("en")
        blank.add_pipe("sentencizer")
        unstructured.nlp.tokenize._get_nlp = lambda: blank


_stay_offline()


def parse_html(text: str, name: str, media_type: str = "text/html") -> Parsed:
    """Parse an HTML page: main content only; navigation, hidden and scripted parts are left out."""
    blocks = html_blocks(text, name)
    return blocks.build(media_type, name)


def html_blocks(text: str, name: str) -> Blocks:
    """The blocks of an HTML page, for callers that have more to add. Raises ParseFailure where nothing is HTML."""
    blocks = Blocks()
    source = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    try:
        root = html.document_fromstring(source) if source.strip() else None
    except (etree.LxmlError, ValueError) as error:
        raise ParseFailure(f"{name} cannot be read as HTML: {error}") from error
    if root is None:
        return blocks
    title = root.findtext(".//title")
    blocks.title = " ".join((title or "").split())
    _strip(root, blocks)
    elements = partition_html(text=html.tostring(root, encoding="unicode"), languages=_NO_DETECTION)
    for element in elements:
        depth = element.metadata.category_depth
        if isinstance(element, Title) and depth is not None:
            blocks.heading(element.text, depth + 1)
        else:
            _body(element, blocks, None)
    # A page title like "Leave policy - Intranet" is replaced by its only h1.
    first = next((block.text for block in blocks.elements if block.kind == "heading"), "")
    if first and blocks.title.casefold().startswith(first.casefold()):
        blocks.title = first
    return blocks


def _strip(root: html.HtmlElement, blocks: Blocks) -> None:
    main = root.find(".//main")
    for node in list(root.iter()):
        if not isinstance(node.tag, str):
            node.drop_tree() if node.getparent() is not None else None
            continue
        furniture = node.tag in _FURNITURE or node.get("role") in ("navigation", "banner", "contentinfo", "search")
        header = node.tag == "header" and main is not None and main not in node.iter()
        hidden = (
            node.get("hidden") is not None
            or node.get("aria-hidden") == "true"
            or _HIDDEN.search(node.get("style") or "") is not None
        )
        if node.tag in _SILENT or furniture or header or hidden:
            holds_text = node.tag not in _SILENT and bool((node.text_content() or "").strip())
            if holds_text and (main is None or main not in node.iter()):
                words = "hidden parts" if hidden else "page furniture"
                blocks.drop(words, "invisible to a reader" if hidden else "navigation, forms and footers")
            if node.getparent() is not None and (main is None or main not in node.iter()):
                node.drop_tree()


def parse_docx(path: Path, name: str) -> Parsed:
    """Parse a Word document: headings by style or outline level, lists with their numbers, tables as rows."""
    blocks = Blocks()
    try:
        document = docx.Document(str(path))
        headings = _outline(document)
        elements = partition_docx(str(path), include_page_breaks=False, languages=_NO_DETECTION)
        blocks.title = (document.core_properties.title or "").strip()
    except (PackageNotFoundError, *_DAMAGED) as error:
        raise ParseFailure(f"{name} is damaged: it cannot be read as a Word document ({error})") from error
    if re.fullmatch(r"(?:word document|document\d*|untitled|无标题)?", blocks.title, re.IGNORECASE):
        blocks.title = ""
    position = 0
    furniture = 0
    for element in elements:
        if isinstance(element, Header | Footer):
            furniture += 1
            continue
        page = element.metadata.page_number
        own = " ".join(element.text.split())
        if position < len(headings) and own.endswith(headings[position].text):
            heading = headings[position]
            position += 1
            if heading.level == 0:
                blocks.title = own
            blocks.heading(own, max(1, heading.level), page)
        else:
            _body(element, blocks, page)
    if furniture:
        blocks.drop("headers and footers", "repeated on every page", furniture)
    return blocks.build(DOCX, name)


class _Heading:
    """A heading that a Word author set: its text and its level (0 for the document's title)."""

    def __init__(self, text: str, level: int) -> None:
        self.text = text
        self.level = level


def _outline(document: docx.document.Document) -> list[_Heading]:
    """The headings in reading order, by built-in style, by a style based on one, or by outline level."""
    levels: dict[str, int | None] = {}
    headings: list[_Heading] = []
    for element in document.element.body.iter(qn("w:p")):
        if any(parent.tag == qn("w:tbl") for parent in element.iterancestors()):
            continue
        paragraph = Paragraph(element, document._body)
        text = " ".join(paragraph.text.split())
        if not text:
            continue
        own = element.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
        style = paragraph.style
        if own is not None and own.get(qn("w:val"), "9").isdigit() and int(own.get(qn("w:val"), "9")) < 9:
            headings.append(_Heading(text, int(own.get(qn("w:val"))) + 1))
            continue
        if style is None:
            continue
        if style.style_id not in levels:
            levels[style.style_id] = _style_level(style)
        level = levels[style.style_id]
        if level is not None:
            headings.append(_Heading(text, level))
    return headings


def _style_level(style: BaseStyle) -> int | None:
    """The heading level of a style or of one it is based on; None for body styles."""
    seen = 0
    current: BaseStyle | None = style
    while current is not None and seen < 12:
        name = (current.name or "").lower()
        match = re.fullmatch(r"(?:heading|标题)\s*(\d)", name)
        if match:
            return int(match.group(1))
        if name in ("title", "标题"):
            return 0
        outline = current.element.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
        if outline is not None and outline.get(qn("w:val"), "9").isdigit() and int(outline.get(qn("w:val"))) < 9:
            return int(outline.get(qn("w:val"))) + 1
        current = current.base_style if isinstance(current, CharacterStyle) else None
        seen += 1
    return None


def parse_pptx(path: Path, name: str) -> Parsed:
    """Parse a presentation: slide titles are headings, the page is the slide's number, notes come last on it."""
    blocks = Blocks()
    try:
        deck = pptx.Presentation(str(path))
        titles: dict[int, str] = {}
        notes: dict[int, str] = {}
        for number, slide in enumerate(deck.slides, start=1):
            shape = slide.shapes.title
            titles[number] = " ".join(shape.text_frame.text.split()) if shape is not None else ""
            frame = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
            notes[number] = frame.text.strip() if frame is not None else ""
        elements = partition_pptx(
            str(path), include_page_breaks=False, include_slide_notes=False, languages=_NO_DETECTION
        )
        blocks.title = (deck.core_properties.title or "").strip()
    except (SlidesNotFoundError, *_DAMAGED) as error:
        raise ParseFailure(f"{name} is damaged: it cannot be read as a presentation ({error})") from error
    if re.fullmatch(r"(?:powerpoint presentation|presentation\d*|untitled|无标题)?", blocks.title, re.IGNORECASE):
        blocks.title = titles.get(1, "")
    slides: dict[int, list[Element]] = {number: [] for number in titles}
    for element in elements:
        slides.setdefault(element.metadata.page_number or 1, []).append(element)
    for number, contents in slides.items():
        title = titles.get(number, "")
        blocks.heading(title or f"Slide {number}", 1, number)
        for element in contents:
            if " ".join(element.text.split()) and title.startswith(own := " ".join(element.text.split())):
                title = title[len(own) :].strip()
            elif isinstance(element, Table):
                _body(element, blocks, number)
            else:
                _slide_line(element, blocks, number)
        if notes.get(number):
            blocks.add("paragraph", notes[number], number)
    return blocks.build(PPTX, name)


def _slide_line(element: Element, blocks: Blocks, page: int) -> None:
    text = re.sub(r"\s*[\v\n]\s*", " ", element.text).strip()
    depth = element.metadata.category_depth or 0
    if isinstance(element, Title):
        depth -= 1  # unstructured counts a short line one level deeper than it stands
    kind: Kind = "item"
    blocks.add(kind, f"{'  ' * max(0, depth)}- {text}" if text else "", page)


def _body(element: Element, blocks: Blocks, page: int | None) -> None:
    """Anything but a heading."""
    depth = element.metadata.category_depth or 0
    if isinstance(element, PageBreak):
        return
    if isinstance(element, Table):
        _table(element, blocks, page)
    elif isinstance(element, CodeSnippet):
        blocks.add("code", element.text, page)
    elif isinstance(element, ListItem):
        text = " ".join(element.text.split())
        numbered = re.match(r"\(?\w{1,4}[.)]\s", text)
        indent = "  " * max(0, depth if numbered else depth - 1)
        blocks.add("item", text if numbered else f"{indent}- {text}", page)
    else:
        blocks.add("paragraph", element.text, page)


def _table(element: Table, blocks: Blocks, page: int | None) -> None:
    source = element.metadata.text_as_html
    if not source:
        blocks.add("paragraph", element.text, page)
        return
    rows: list[list[str]] = []
    for row in html.fragment_fromstring(source, create_parent=True).iter("tr"):
        cells: list[str] = []
        for cell in row.iterchildren("td", "th"):
            span = cell.get("colspan", "1")
            cells.append(" ".join(cell.text_content().split()))
            cells.extend([""] * (min(int(span), 100) - 1 if span.isdigit() else 0))
        rows.append(cells)
    blocks.table(rows, page)
