"""Units of text: runs of letters and digits with what joins them inside ("10,000", "CVE-2022-32149", "a_b").

The same rule reads finished text and text that is still being written, where the last unit may go on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_UNIT = re.compile(r"\w+(?:[-./:@#&+=?~$\\–,%]{1,3}\w+)*")
_PIECES = re.compile(r"([-./:@#&+=?~$\\–,%]+)")
_HANGING = re.compile(r"[-./:@#&+=?~%$\\–,]{1,3}\Z")


@dataclass(frozen=True)
class WrittenUnit:
    """A unit of the written text and what stands around it."""

    text: str
    start: int
    complete: bool


def joins(joiner: str, before: str, after: str) -> bool:
    """Whether `joiner`, between these two characters, continues a unit (a full stop before a blank does not)."""
    if not (is_word(before) and is_word(after)):
        return False
    if any(mark in "'’" for mark in joiner):
        return False
    if any(mark in ",%–" for mark in joiner):
        return before.isdigit() and after.isdigit()
    return True


def is_word(character: str) -> bool:
    """Letters, digits of every script, and the underscore."""
    return character.isalnum() or character == "_"


def units(text: str) -> Iterator[tuple[int, int]]:
    """Offsets of the units of `text`, by the same rule the automaton applies while writing."""
    for match in _UNIT.finditer(text):
        start = match.start()
        for piece in _PIECES.finditer(text, match.start(), match.end()):
            if not joins(piece.group(), text[piece.start() - 1], text[piece.end()]):
                if piece.start() > start:
                    yield start, piece.start()
                start = piece.end()
        yield start, match.end()


def is_number(unit: str) -> bool:
    """True where the unit holds a digit and no letter."""
    return any(c.isnumeric() for c in unit) and not any(c.isalpha() for c in unit)


def safe_point(text: str) -> int:
    """Where the last unit begins that more text may still change, with the unit before it."""
    place = max(0, len(text) - 1)
    for _ in range(2):
        while place > 0 and not is_word(text[place]):
            place -= 1
        while place > 0 and not text[place].isspace() and text[place] != "`":
            place -= 1
    return place


def written_units(text: str, start: int) -> Iterator[WrittenUnit]:
    """Units from `start`; the last one is incomplete when the text may go on inside it."""
    hanging = _HANGING.search(text)
    body_end = hanging.start() if hanging and hanging.start() and is_word(text[hanging.start() - 1]) else len(text)
    for low, high in units(text[start:]):
        low, high = low + start, high + start
        complete = high < body_end or (
            high == body_end and high < len(text) and not _may_join(text[high:], text[high - 1])
        )
        yield WrittenUnit(text[low:high], low, complete)


def _may_join(tail: str, before: str) -> bool:
    """Whether the signs at the end of the text could still continue the unit before them."""
    return all(joins(tail, before, after) is False for after in "0a") is False


def last_unit(text: str) -> str:
    """The unit that the text ends with, or the last one in it."""
    found = list(units(text[-60:]))
    return text[-60:][found[-1][0] : found[-1][1]] if found else ""
