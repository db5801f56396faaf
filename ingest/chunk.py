"""Cuts a document into passages of 100 to 200 encoder tokens along its own structure.

Blocks under the same heading form a section; small neighbouring sections under the same parent are
joined, large ones are divided where a cost says it hurts least: between blocks rather than inside a
list or table, between sentences rather than inside one, never far from the target size. The document
is tokenised once; every count after that is a difference of two positions.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ingest.blocks import CELL
from ingest.records import Chunk, Element, Measure, joined_heading

_TOKENISED_AT_ONCE = 200_000  # characters; bounds the memory of offsets in a huge document
_HEADING_LENGTH = 240  # characters of a heading path that are embedded with a passage
_HEADER_LENGTH = 200

# Costs of a cut, in the unit of a size that misses the target by its whole width (see _size_cost).
_CUT = {"block": 0.0, "item": 0.25, "nested": 0.5, "sentence": 0.8, "hard": 3.0}


@dataclass(frozen=True)
class ChunkKnobs:
    """Sizes in encoder tokens: passages aim at `target`, never exceed `most`; shorter than `least` is merged."""

    least: int = 100
    target: int = 160
    most: int = 200
    tiny: int = 40  # below this a section joins its neighbour even across headings

    def __post_init__(self) -> None:
        if not 0 < self.tiny <= self.least <= self.target <= self.most:
            raise ValueError(f"chunk sizes must rise from tiny to most, got {self}")


@dataclass(frozen=True)
class _Passage:
    """A chunk in the making."""

    path: tuple[str, ...]
    start: int
    end: int
    page: int | None
    header: str


@dataclass(frozen=True)
class _Unit:
    """What is never divided further; `cut` is the cost of a passage that ends before it."""

    start: int
    end: int
    first: int  # token positions
    last: int
    cut: float
    page: int | None
    header: str


@dataclass
class _Section:
    """Consecutive blocks under one heading path, and the headings that stand before them."""

    path: tuple[str, ...]
    page: int | None
    elements: list[Element] = field(default_factory=list)
    headings: list[Element] = field(default_factory=list)

    @property
    def start(self) -> int:
        return self.elements[0].start

    @property
    def end(self) -> int:
        return self.elements[-1].end


@dataclass
class _Group:
    """Sections that become one passage, or a single section that becomes several."""

    sections: list[_Section]
    path: tuple[str, ...]
    tokens: int

    @property
    def start(self) -> int:
        """Where the text begins: with the first heading that the group's own path does not tell."""
        first = self.sections[0]
        untold = (heading.start for heading in first.headings if len(heading.heading) > len(self.path))
        return next(untold, first.start)

    @property
    def end(self) -> int:
        return self.sections[-1].end


class _Positions:
    """Token positions of a text: how many tokens begin before a character."""

    def __init__(self, text: str, elements: Sequence[Element], measure: Measure) -> None:
        self._starts: list[int] = []
        begin = 0
        for element in elements:
            if element.end - begin >= _TOKENISED_AT_ONCE:
                self._extend(text, begin, element.end, measure)
                begin = element.end
        self._extend(text, begin, len(text), measure)

    def _extend(self, text: str, begin: int, end: int, measure: Measure) -> None:
        self._starts.extend(begin + start for start, _ in measure.token_offsets(text[begin:end]))

    def before(self, character: int) -> int:
        """Tokens that begin before `character`."""
        return bisect_left(self._starts, character)

    def count(self, start: int, end: int) -> int:
        """Tokens that begin in text[start:end]."""
        return self.before(end) - self.before(start)

    def character(self, token: int) -> int:
        """Where a token begins."""
        return self._starts[token]


def cut(
    title: str, text: str, elements: Sequence[Element], measure: Measure, knobs: ChunkKnobs | None = None
) -> tuple[Chunk, ...]:
    """The passages of a document, in order; each `text` is exactly text[start:end] of the document's text."""
    sizes = knobs or ChunkKnobs()
    positions = _Positions(text, elements, measure)
    passages: list[_Passage] = []
    for group in _groups(_sections(title, elements), positions, sizes):
        passages.extend(_passages(group, text, positions, measure, sizes))
    return tuple(
        Chunk(
            ordinal,
            text[passage.start : passage.end],
            _heading(passage.path, title, passage.header),
            passage.page,
            passage.start,
            passage.end,
            positions.count(passage.start, passage.end),
        )
        for ordinal, passage in enumerate(_absorb_tiny(passages, positions, sizes))
    )


def _absorb_tiny(passages: Sequence[_Passage], positions: _Positions, sizes: ChunkKnobs) -> list[_Passage]:
    """Give a passage too short to be found alone to its smaller neighbour, where both fit into one."""
    kept: list[_Passage] = []
    for index, passage in enumerate(passages):
        before = kept[-1] if kept else None
        if before is None:
            kept.append(passage)
            continue
        total = positions.count(before.start, passage.end)
        own = positions.count(passage.start, passage.end)
        after = passages[index + 1] if index + 1 < len(passages) else None
        # A short introduction belongs to what follows, if that has room; otherwise to what came before.
        follows = after is not None and positions.count(passage.start, after.end) <= sizes.most
        short_before = positions.count(before.start, before.end) < sizes.tiny
        if total <= sizes.most and (short_before or (own < sizes.tiny and not follows)):
            # It still begins under the earlier heading; the later one stands inside its text.
            kept[-1] = replace(before, end=passage.end, page=passage.page if short_before else before.page)
        else:
            kept.append(passage)
    return kept


def _heading(path: tuple[str, ...], title: str, header: str) -> str:
    parts = [joined_heading(path, title)]
    if len(parts[0]) > _HEADING_LENGTH:
        # The innermost headings say most.
        parts = ["… " + parts[0][-_HEADING_LENGTH:]]
    if header:
        parts.append(header if len(header) <= _HEADER_LENGTH else header[:_HEADER_LENGTH].rsplit(CELL, 1)[0] + " …")
    return " > ".join(part for part in parts if part)


def _sections(title: str, elements: Iterable[Element]) -> list[_Section]:
    """Runs of blocks with the same heading path and page; a heading without any text below it is text itself.

    A heading that repeats the document's title opens no section's text: the title is embedded anyway.
    """
    sections: list[_Section] = []
    waiting: list[Element] = []  # headings since the last block
    for element in elements:
        if element.kind == "heading":
            # A heading replaced by one of its level or above stands alone.
            while waiting and element.heading[: len(waiting[-1].heading)] != waiting[-1].heading:
                _stand_alone(waiting.pop(), sections)
            waiting.append(element)
            continue
        last = sections[-1] if sections else None
        if waiting or last is None or last.path != element.heading or last.page != element.page:
            last = _Section(element.heading, element.page)
            last.headings = [heading for heading in waiting if heading.text.casefold() != title.casefold()]
            sections.append(last)
        waiting.clear()
        last.elements.append(element)
    for element in waiting[-1:]:
        _stand_alone(element, sections)
    return sections


def _stand_alone(heading: Element, sections: list[_Section]) -> None:
    sections.append(_Section(heading.heading[:-1], heading.page, [heading]))


def _groups(sections: Sequence[_Section], positions: _Positions, sizes: ChunkKnobs) -> list[_Group]:
    """Join small neighbours: under one parent up to `most` tokens, tiny ones with whatever is next to them."""
    groups: list[_Group] = []
    for section in sections:
        group = _Group([section], section.path, positions.count(section.start, section.end))
        if groups and (joined := _joined(groups[-1], group, positions, sizes)) is not None:
            groups[-1] = joined
        else:
            groups.append(group)
    return groups


def _joined(left: _Group, right: _Group, positions: _Positions, sizes: ChunkKnobs) -> _Group | None:
    joined = _Group([*left.sections, *right.sections], _common(left.path, right.path), 0)
    joined.tokens = positions.count(joined.start, joined.end)
    if joined.tokens > sizes.most:
        return None
    smaller = min(left.tokens, right.tokens)
    same_page = left.sections[-1].page == right.sections[0].page
    siblings = len(joined.path) >= max(len(left.path), len(right.path)) - 1
    small = smaller < sizes.least and max(left.tokens, right.tokens) < sizes.target and same_page and siblings
    if not small and smaller >= sizes.tiny:
        return None
    return joined


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return left[:length]


def _passages(group: _Group, text: str, positions: _Positions, measure: Measure, sizes: ChunkKnobs) -> list[_Passage]:
    first = group.sections[0]
    if len(group.sections) > 1 or group.tokens <= sizes.most:
        # The page is the one that holds most of the text: a short title slide must not name its successor's page.
        page = max(group.sections, key=lambda section: positions.count(section.start, section.end)).page
        # Where it begins with the table's header row, that row is in the text and `header` is empty.
        return [_Passage(group.path, group.start, group.end, page, first.elements[0].header)]
    units: list[_Unit] = []
    before: Element | None = None
    for element in first.elements:
        units.extend(_units(element, _cut_cost(before, element), text, positions, measure, sizes))
        before = element
    return [
        _Passage(group.path, run[0].start, run[-1].end, run[0].page, run[0].header) for run in _divide(units, sizes)
    ]


def _cut_cost(before: Element | None, element: Element) -> float:
    """What it costs to end a passage between two blocks."""
    if before is None:
        return 0.0
    if before.kind == "header":
        return _CUT["hard"]
    if before.text.endswith((":", "：")):
        return _CUT["sentence"]
    nested = element.kind == "item" and element.text.startswith(" ")
    listed = element.kind == before.kind and element.kind in ("item", "row")
    return _CUT["nested"] if nested else _CUT["item"] if listed else _CUT["block"]


def _units(
    element: Element, base: float, text: str, positions: _Positions, measure: Measure, sizes: ChunkKnobs
) -> list[_Unit]:
    """An element as one unit, or where it is too long, its sentences, lines or cells; `base`: the first cut's cost."""
    spans = [(element.start, element.end)]
    inner = _CUT["sentence"]
    if positions.count(element.start, element.end) > sizes.most // 2:
        spans = _inner_spans(element, measure)
    if element.kind == "code":
        inner = _CUT["item"]
    units: list[_Unit] = []
    for start, end in spans:
        cost = base if not units else inner
        for left, right in _hard_cut(start, end, text, positions, sizes.most):
            first, last = positions.before(left), positions.before(right)
            units.append(_Unit(left, right, first, last, cost, element.page, element.header))
            cost = _CUT["hard"]
    return units


def _inner_spans(element: Element, measure: Measure) -> list[tuple[int, int]]:
    """The natural parts of a long element, as document offsets that cover all its text."""
    text = element.text
    if element.kind == "code":
        ends = [match.end() for match in re.finditer(r"\n", text)]
    elif element.kind in ("row", "header"):
        ends = [match.start() + 1 for match in re.finditer(re.escape(CELL), text)]
    else:
        ends = [end for _, end in measure.split_sentences(text)]
    spans: list[tuple[int, int]] = []
    start = 0
    for end in [*ends, len(text)]:
        piece = text[start:end]
        if piece.strip():
            # The indentation of code is part of it.
            left = start + len(piece) - len(piece.lstrip("\n" if element.kind == "code" else None))
            spans.append((element.start + left, element.start + start + len(piece.rstrip())))
            start = end
    return spans


def _hard_cut(start: int, end: int, text: str, positions: _Positions, most: int) -> list[tuple[int, int]]:
    """Cut a span that is still too long at token borders, at white space where some is near."""
    spans: list[tuple[int, int]] = []
    while positions.count(start, end) > most:
        border = positions.character(positions.before(start) + most)
        earliest = positions.character(positions.before(start) + most - max(1, most // 8))
        soft = max(text.rfind(mark, max(start + 1, earliest), border) for mark in (" ", "\n", "，", "、", ","))
        at = soft + 1 if soft > start else max(border, start + 1)
        spans.append((start, at - (len(text[start:at]) - len(text[start:at].rstrip()))))
        start = at + len(text[at:end]) - len(text[at:end].lstrip())
    if start < end:
        spans.append((start, end))
    return [span for span in spans if span[0] < span[1]]


def _divide(units: Sequence[_Unit], sizes: ChunkKnobs) -> list[list[_Unit]]:
    """The division into passages with the least total cost (dynamic programming over the cuts)."""
    count = len(units)
    best = [0.0] + [float("inf")] * count
    origin = [0] * (count + 1)
    for end in range(1, count + 1):
        for begin in range(end - 1, -1, -1):
            tokens = units[end - 1].last - units[begin].first
            if tokens > sizes.most and begin < end - 1:
                break
            cost = best[begin] + _size_cost(tokens, sizes) + (units[begin].cut if begin else 0.0)
            if cost < best[end]:
                best[end], origin[end] = cost, begin
    passages: list[list[_Unit]] = []
    end = count
    while end > 0:
        passages.append(list(units[origin[end] : end]))
        end = origin[end]
    return passages[::-1]


def _size_cost(tokens: int, sizes: ChunkKnobs) -> float:
    """0 at the target, 1 at `least`; beyond that steeper, so that no short tail is left over."""
    width = max(1, sizes.target - sizes.least)
    miss = abs(tokens - sizes.target) / width
    return miss * miss if tokens >= sizes.least else 1.0 + 3.0 * (miss - 1.0) + miss * miss
