"""What a file is: the media type its name promises, and whether its bytes keep that promise.

The name decides the type; the first bytes may only confirm or refuse it, so a renamed file fails
with a sentence instead of being parsed as something else. Office files are zip archives and are
checked against bombs before anything unpacks them.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from ingest.records import ParseFailure

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

MEDIA_TYPES: dict[str, str] = {
    ".txt": "text/plain",
    ".text": "text/plain",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".pdf": "application/pdf",
    ".docx": DOCX,
    ".pptx": PPTX,
    ".xlsx": XLSX,
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".eml": "message/rfc822",
    ".xml": "application/xml",
    ".rst": "text/x-rst",
    ".org": "text/x-org",
}

# Formats people will try; the sentence says what to do instead.
ADVICE: dict[str, str] = {
    ".doc": "save it as .docx",
    ".docm": "save it as .docx",
    ".dot": "save it as .docx",
    ".rtf": "save it as .docx",
    ".odt": "save it as .docx",
    ".pages": "save it as .docx",
    ".xls": "save it as .xlsx",
    ".xlsm": "save it as .xlsx",
    ".ods": "save it as .xlsx",
    ".ppt": "save it as .pptx",
    ".pptm": "save it as .pptx",
    ".odp": "save it as .pptx",
    ".msg": "save it as .eml",
    ".zip": "unpack it first",
    ".gz": "unpack it first",
    ".7z": "unpack it first",
    ".rar": "unpack it first",
}

_OFFICE_PARTS = {DOCX: "word/document.xml", PPTX: "ppt/presentation.xml", XLSX: "xl/workbook.xml"}
_OFFICE_NAMES = {DOCX: "a Word document", PPTX: "a PowerPoint presentation", XLSX: "an Excel workbook"}

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK\x03\x04"
# First bytes of formats that are never text, with the words for them.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF"),
    (_ZIP, "a zip archive or office document"),
    (b"PK\x05\x06", "an empty zip archive"),
    (_OLE, "an old binary or encrypted office document"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"\xca\xfe\xba\xbe", "a compiled program"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"BZh9", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3", "an SQLite database"),
    (b"OggS", "an audio file"),
    (b"ID3", "an audio file"),
    (b"{\\rtf", "an RTF document"),
)


@dataclass(frozen=True)
class ArchiveLimits:
    """Bounds on an office file's archive; beyond them it is taken for a bomb (ratio: unpacked to packed)."""

    entries: int = 10_000
    unpacked_bytes: int = 300 * 2**20
    ratio: int = 100
    # Small files may compress far better than 100x without harm (empty sheets do).
    ratio_from_bytes: int = 20 * 2**20


def media_type_of(name: str | PurePath) -> str | None:
    """The media type that a file name promises, or None where the extension is not supported."""
    return MEDIA_TYPES.get(PurePath(name).suffix.lower())


def unsupported_reason(name: str | PurePath) -> str:
    """The sentence for a name whose extension is not supported."""
    path = PurePath(name)
    suffix = path.suffix.lower()
    if not suffix:
        return f"{path.name} has no extension, so its type is unknown; supported are {supported_list()}"
    advice = ADVICE.get(suffix)
    hint = f"; {advice}" if advice else f"; supported are {supported_list()}"
    return f"{path.name} is of type {suffix}, which is not supported{hint}"


def supported_list() -> str:
    """The supported extensions as one line."""
    return ", ".join(suffix[1:] for suffix in MEDIA_TYPES)


def check_content(path: Path, media_type: str, name: str) -> None:
    """Raise ParseFailure unless the file's bytes are what `media_type` promises. `name` is for the sentence."""
    with path.open("rb") as file:
        head = file.read(4096)
        if not head:
            raise ParseFailure(f"{name} is empty (0 bytes)", "empty")
        if media_type == "application/pdf":
            if b"%PDF-" not in head[:1024]:
                raise ParseFailure(f"{name} is named a PDF but does not begin with %PDF-{_looks_like(head)}")
        elif media_type in _OFFICE_PARTS:
            _check_office(file, head, media_type, name)
        else:
            _check_text(head, media_type, name)


def _looks_like(head: bytes) -> str:
    for signature, words in _SIGNATURES:
        if head.startswith(signature):
            return f"; its content looks like {words}"
    return "; its content is not that of any known document" if b"\0" in head else "; its content looks like text"


def _check_text(head: bytes, media_type: str, name: str) -> None:
    for signature, words in _SIGNATURES:
        if head.startswith(signature):
            raise ParseFailure(f"{name} is named {PurePath(name).suffix or media_type} but its content is {words}")
    if head[4:8] == b"ftyp" or head[:4] == b"RIFF":
        raise ParseFailure(f"{name} is named {PurePath(name).suffix or media_type} but its content is audio or video")


def _check_office(file: BinaryIO, head: bytes, media_type: str, name: str) -> None:
    if head.startswith(_OLE):
        file.seek(0)
        if "EncryptedPackage".encode("utf-16-le") in file.read(4 * 2**20):
            raise ParseFailure(f"{name} is encrypted: remove the password and ingest it again")
        raise ParseFailure(
            f"{name} is an old binary office document under a new name: open it and save it as {PurePath(name).suffix}"
        )
    if not head.startswith(_ZIP):
        raise ParseFailure(f"{name} is not {_OFFICE_NAMES[media_type]}: it does not begin with PK{_looks_like(head)}")
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise ParseFailure(f"{name} is damaged: its zip archive cannot be read ({error})") from error
    check_archive(entries, name)
    names = {entry.filename for entry in entries}
    if _OFFICE_PARTS[media_type] not in names:
        for other, part in _OFFICE_PARTS.items():
            if part in names:
                raise ParseFailure(f"{name} is not {_OFFICE_NAMES[media_type]}: its content is {_OFFICE_NAMES[other]}")
        raise ParseFailure(f"{name} is not {_OFFICE_NAMES[media_type]}: {_OFFICE_PARTS[media_type]} is missing inside")


def check_archive(entries: list[zipfile.ZipInfo], name: str, limits: ArchiveLimits | None = None) -> None:
    """Raise ParseFailure where an archive's directory announces a bomb, an escape or encryption."""
    bounds = limits or ArchiveLimits()
    if len(entries) > bounds.entries:
        raise ParseFailure(f"{name} holds {len(entries)} parts; at most {bounds.entries} are allowed")
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(1, sum(entry.compress_size for entry in entries))
    if unpacked > bounds.unpacked_bytes:
        raise ParseFailure(
            f"{name} would unpack to {unpacked // 2**20} MB; at most {bounds.unpacked_bytes // 2**20} MB are allowed"
        )
    if unpacked > bounds.ratio_from_bytes and unpacked > bounds.ratio * packed:
        raise ParseFailure(f"{name} unpacks to {unpacked // packed} times its size; at most {bounds.ratio} is allowed")
    for entry in entries:
        parts = PurePath(entry.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise ParseFailure(f"{name} holds the part name {entry.filename!r}, which leaves the archive")
        if entry.flag_bits & 1:
            raise ParseFailure(f"{name} is encrypted: remove the password and ingest it again")
