"""E-mail to blocks: who wrote to whom, when and about what, then the body; attachments are named, not read.

The plain text body is preferred; where there is only HTML it is read as a page. Quoted replies are
kept as quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email import policy
from email.errors import HeaderParseError
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser

from ingest.blocks import Blocks
from ingest.decode import decode
from ingest.parse_plain import unwrap
from ingest.records import Parsed, ParseFailure

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def parse_mail(data: bytes, name: str, html_reader: Callable[[str, str], Blocks]) -> Parsed:
    """Parse an .eml message; `html_reader` reads an HTML body. Raises ParseFailure where there is no header."""
    message = BytesParser(policy=policy.default.clone(raise_on_defect=False)).parsebytes(data)
    assert isinstance(message, EmailMessage)
    headers = {key: _header(message, key) for key in _HEADERS}
    if not headers["From"] and not headers["Subject"] and not headers["Date"]:
        raise ParseFailure(f"{name} is not an e-mail: it has none of the headers From, Date and Subject")
    blocks = Blocks(title=headers["Subject"])
    blocks.add("paragraph", "\n".join(f"{key}: {value}" for key, value in headers.items() if value))
    body = message.get_body(preferencelist=("plain", "html"))
    if body is not None:
        text = _text(body, name)
        if body.get_content_subtype() == "html":
            page = html_reader(text, name)
            blocks.elements.extend(page.elements)
            blocks.dropped.extend(page.dropped)
        else:
            _plain_body(text, blocks)
    for part in message.iter_attachments():
        blocks.drop(f"attachment {part.get_filename() or part.get_content_type()}", "attachments are not read")
    return blocks.build("message/rfc822", name)


def _header(message: EmailMessage, key: str) -> str:
    try:
        return " ".join(str(message.get(key, "")).split())
    except (HeaderParseError, ValueError, IndexError, AttributeError, TypeError):
        # The standard library's header parser stumbles over some malformed addresses.
        return ""


def _text(part: MIMEPart, name: str) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = part.get_content_charset()
    if charset and charset.lower() not in ("us-ascii", "unknown-8bit"):
        try:
            return payload.decode({"gb2312": "gb18030", "gbk": "gb18030"}.get(charset.lower(), charset))
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(payload, name).text if payload else ""


def _plain_body(text: str, blocks: Blocks) -> None:
    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        lines = [line.rstrip() for line in paragraph.split("\n") if line.strip()]
        quoted = bool(lines) and all(line.startswith(">") for line in lines)
        if quoted:
            lines = [line.lstrip("> ") for line in lines]
        for run, is_item in _runs(lines):
            blocks.add("item" if is_item else "quote" if quoted else "paragraph", unwrap(run))


def _runs(lines: list[str]) -> list[tuple[list[str], bool]]:
    """Split a paragraph's lines into items (a marker and what follows it) and the text before them."""
    runs: list[tuple[list[str], bool]] = []
    for line in lines:
        if re.match(r"\s*(?:[-*•]|\d{1,3}[.)])\s+\S", line):
            runs.append(([line], True))
        elif runs:
            runs[-1][0].append(line)
        else:
            runs.append(([line], False))
    return runs
