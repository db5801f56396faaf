"""XML to blocks: elements with text become "name: text" lines, titled elements become headings.

Parsed by defusedxml: entity tricks and external references are refused. XHTML and feeds need no
special care; what matters is that names and values stay together.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ingest.blocks import Blocks
from ingest.records import Parsed, ParseFailure

_TITLES = ("title", "name", "heading", "subject")
_MAX_DEPTH = 200


def parse_xml(data: bytes, name: str) -> Parsed:
    """Parse an XML document. Raises ParseFailure for broken XML and for entity declarations."""
    try:
        root = fromstring(data, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise ParseFailure(
            f"{name} declares XML entities, which are refused because they can expand without end"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise ParseFailure(f"{name} is not well-formed XML: {error}") from error
    blocks = Blocks()
    title = next((child for child in root if _local(child) in _TITLES and _text(child)), None)
    blocks.title = _text(title) if title is not None else ""
    _walk(root, blocks, 1)
    return blocks.build("application/xml", name)


def _local(element: Element) -> str:
    tag = element.tag if isinstance(element.tag, str) else ""
    return tag.rsplit("}", 1)[-1]


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _is_prose(element: Element) -> bool:
    """Text with inline elements: the children only mark words."""
    own = (element.text or "") + "".join(child.tail or "" for child in element)
    return bool(own.strip()) and len(element) > 0


def _walk(element: Element, blocks: Blocks, depth: int) -> None:
    if depth > _MAX_DEPTH:
        blocks.drop("elements", f"nested deeper than {_MAX_DEPTH}")
        return
    title = next((child for child in element if _local(child) in _TITLES and len(child) == 0 and _text(child)), None)
    nested = any(len(child) > 0 for child in element)
    if title is not None and (nested or depth <= 2):
        blocks.heading(_text(title), min(depth, 6))
    lines = [f"{key.rsplit('}', 1)[-1]}: {value}" for key, value in element.attrib.items() if _tells(value)]
    for child in element:
        if not isinstance(child.tag, str) or (child is title and blocks.path and blocks.path[-1] == _text(title)):
            continue
        if len(child) > 0 and not _is_prose(child):
            _add(lines, blocks)
            _walk(child, blocks, depth + 1)
        elif _text(child):
            attributes = ", ".join(value for value in child.attrib.values() if _tells(value))
            label = f"{_local(child)} ({attributes})" if attributes else _local(child)
            lines.append(_text(child) if _local(child) in ("p", "para") else f"{label}: {_text(child)}")
    _add(lines, blocks)
    if len(element) == 0 and _text(element):
        blocks.add("paragraph", _text(element))


def _add(lines: list[str], blocks: Blocks) -> None:
    if lines:
        blocks.add("paragraph", "\n".join(lines))
        lines.clear()


def _tells(value: str) -> bool:
    """Attributes that are words or numbers; identifiers of schemas and long tokens say nothing."""
    return 0 < len(value.strip()) <= 80 and not re.match(r"https?://www\.w3\.org|xsd:", value)
