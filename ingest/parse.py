"""From a file to its Parsed record: check the bytes, decode, and hand over to the parser of its type.

Runs inside the sandbox. Parsers are imported when their type is first met, so that Markdown and
plain text never pay for the office libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.decode import decode
from ingest.detect import DOCX, PPTX, XLSX, check_content
from ingest.records import Parsed, ParseFailure

_MAX_CHARACTERS = 20_000_000


@dataclass(frozen=True)
class Source:
    """A file to parse: `name` is what people call it (a stored upload has another path)."""

    path: Path
    name: str
    media_type: str


Parser = Callable[[Source], Parsed]


def parser_for(media_type: str) -> Parser:
    """The parser of a media type; the first call imports its library. Raises ParseFailure for an unknown type."""
    load = _LOADERS.get(media_type)
    if load is None:
        raise ParseFailure(f"the media type {media_type} is not supported")
    return load()


def parse_file(source: Source) -> Parsed:
    """Parse one file in this process. Raises ParseFailure with a sentence that names the file and the rule."""
    check_content(source.path, source.media_type, source.name)
    parsed = parser_for(source.media_type)(source)
    if not any(char.isalnum() for char in parsed.text):
        raise ParseFailure(f"{source.name} holds no text", "empty")
    if len(parsed.text) > _MAX_CHARACTERS:
        raise ParseFailure(
            f"{source.name} holds {len(parsed.text)} characters of text; at most {_MAX_CHARACTERS} are allowed"
        )
    return parsed


def _with_losses(source: Source, parse: Callable[[str], Parsed], *, declares: bool = False) -> Parsed:
    decoded = decode(source.path.read_bytes(), source.name, declares=declares)
    parsed = parse(decoded.text)
    return replace(parsed, dropped=decoded.dropped + parsed.dropped) if decoded.dropped else parsed


def _markdown() -> Parser:
    from ingest.parse_markdown import parse_markdown

    return lambda source: _with_losses(source, lambda text: parse_markdown(text, source.name))


def _plain() -> Parser:
    from ingest.parse_plain import parse_plain

    return lambda source: _with_losses(source, lambda text: parse_plain(text, source.name))


def _org() -> Parser:
    from ingest.parse_org import parse_org

    return lambda source: _with_losses(source, lambda text: parse_org(text, source.name))


def _delimited() -> Parser:
    from ingest.parse_table import parse_delimited

    return lambda source: _with_losses(source, lambda text: parse_delimited(text, source.name, source.media_type))


def _workbook() -> Parser:
    from ingest.parse_table import parse_workbook

    return lambda source: parse_workbook(source.path, source.name)


def _pdf() -> Parser:
    from ingest.parse_pdf import parse_pdf

    return lambda source: parse_pdf(source.path, source.name)


def _xml() -> Parser:
    from ingest.parse_xml import parse_xml

    return lambda source: parse_xml(source.path.read_bytes(), source.name)


def _html() -> Parser:
    from ingest.parse_unstructured import parse_html

    return lambda source: _with_losses(source, lambda text: parse_html(text, source.name), declares=True)


def _rst() -> Parser:
    from ingest.parse_rst import rst_to_html
    from ingest.parse_unstructured import parse_html

    return lambda source: _with_losses(
        source, lambda text: parse_html(rst_to_html(text, source.name), source.name, "text/x-rst")
    )


def _mail() -> Parser:
    from ingest.parse_mail import parse_mail
    from ingest.parse_unstructured import html_blocks

    return lambda source: parse_mail(source.path.read_bytes(), source.name, html_blocks)


def _docx() -> Parser:
    from ingest.parse_unstructured import parse_docx

    return lambda source: parse_docx(source.path, source.name)


def _pptx() -> Parser:
    from ingest.parse_unstructured import parse_pptx

    return lambda source: parse_pptx(source.path, source.name)


_LOADERS: dict[str, Callable[[], Parser]] = {
    "text/plain": _plain,
    "text/markdown": _markdown,
    "text/html": _html,
    "text/csv": _delimited,
    "text/tab-separated-values": _delimited,
    "text/x-rst": _rst,
    "text/x-org": _org,
    "application/pdf": _pdf,
    "application/xml": _xml,
    "message/rfc822": _mail,
    DOCX: _docx,
    PPTX: _pptx,
    XLSX: _workbook,
}
