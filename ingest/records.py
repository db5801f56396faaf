"""The records that pass between the steps of ingestion, and the one failure a document can meet.

All offsets are character offsets into the `text` of the record that holds them. Everything is
frozen, holds plain values only and can be written as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["heading", "paragraph", "item", "header", "row", "code", "quote"]
Outcome = Literal["rejected", "empty", "timed_out", "crashed"]


class ParseFailure(ValueError):
    """One document cannot become text; the message is one sentence that names the value and the rule.

    `outcome` says how: rejected (the content breaks a rule), empty (nothing to index; in a folder
    walk such a file counts as skipped), timed_out (a time limit), crashed (memory or the parser itself).
    """

    def __init__(self, message: str, outcome: Outcome = "rejected") -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome


@dataclass(frozen=True)
class Dropped:
    """Something of the document that was left out on purpose; `count` is how often."""

    what: str
    reason: str
    count: int = 1


@dataclass(frozen=True)
class Element:
    """One block of a document: a heading, a paragraph, a list item, a table row, a piece of code.

    `heading` is the path of headings above it, outermost first (a heading element carries itself as
    the last entry). `page` counts from 1 (pages, slides) or is None. `header` is the header row of
    the table that a row belongs to, empty elsewhere.
    """

    kind: Kind
    text: str
    heading: tuple[str, ...] = ()
    page: int | None = None
    start: int = 0
    end: int = 0
    header: str = ""


@dataclass(frozen=True)
class Parsed:
    """What a parser found: `elements` in reading order, each `text[start:end]`."""

    title: str
    text: str
    elements: tuple[Element, ...]
    media_type: str
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """A passage: `text` equals the stored document text[start:end].

    `heading` is the heading path joined by " > " without the document's title, ending with the
    header row of the table where the passage begins inside one. `tokens` counts `text` alone.
    """

    ordinal: int
    text: str
    heading: str
    page: int | None
    start: int
    end: int
    tokens: int


@dataclass(frozen=True)
class Prepared:
    """A document ready to be embedded and stored; `language` is a two-letter code or "und"."""

    title: str
    text: str
    chunks: tuple[Chunk, ...]
    dropped: tuple[Dropped, ...]
    language: str


class Measure(Protocol):
    """What chunking needs to know about the encoder and about sentences."""

    def count_tokens(self, text: str) -> int:
        """Tokens of the encoder in `text`, special tokens not counted."""

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Character offsets of each token, in order, without truncation."""

    def split_sentences(self, text: str) -> list[tuple[int, int]]:
        """Character offsets of the sentences, in order, not overlapping."""


@dataclass(frozen=True)
class Found:
    """A file to ingest: `root` is the walked folder (or the named file's folder), `relative` its POSIX path there."""

    root: Path
    relative: str
    absolute: Path
    media_type: str
    size: int


@dataclass(frozen=True)
class Skipped:
    """A path that is not ingested, and the sentence that says why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Walk:
    """The outcome of a walk: `failed` are explicitly named paths that cannot be ingested; `roots` the folders."""

    found: tuple[Found, ...]
    skipped: tuple[Skipped, ...] = ()
    failed: tuple[Skipped, ...] = ()
    roots: tuple[Path, ...] = field(default=())


def passage_text(title: str, heading: str, text: str) -> str:
    """The text that is embedded for a chunk: title and heading path on the first line, then the chunk's text."""
    first = " > ".join(part for part in (title, heading) if part)
    return f"{first}\n{text}" if first else text


def joined_heading(path: Sequence[str], title: str = "") -> str:
    """The heading path as one line, without a leading entry that merely repeats the title."""
    parts = list(path)
    if parts and title and parts[0].casefold() == title.casefold():
        parts = parts[1:]
    return " > ".join(part for part in parts if part)
