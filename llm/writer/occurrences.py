"""What a writer may spell: the numbers, names and identifiers that stand in the evidence, as they stand there.

Digits joined by signs are never taken apart, so that "10,000" does not allow "10". Made once for
an answer; every question the automaton asks is a look-up.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from llm.writer.claims import FUNCTION_WORDS, NUMBER_WORDS
from llm.writer.units import is_number, units

_DIGITS_JOINED = re.compile(r"\d[-./:,–]\d")
_PIECES = re.compile(r"([-./:@#&+=?~$\\–,%]+)")
_GROUPED_BY_BLANKS = re.compile(r"(?<![\w.,])\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?![\w.,]\d|\d)")
_ISO_YEAR = re.compile(r"(?:1[89]|20)\d\d(?=[-/]\d\d?[-/]\d\d?$)")
_COUNTED_LETTERS = re.compile(r"(\d[\d.,]*\d|\d)(?:[a-zA-Zµ]{1,4})$")
_MONTHS = "january february march april may june july august september october november december".split()
MONTHS = frozenset([*_MONTHS, *(month[:3] for month in _MONTHS), "sept"])
MEASURES = frozenset(
    "% percent percentage second minute hour day week fortnight month quarter year decade century ms sec min hr "
    "hrs am pm b kb mb gb tb pb kib mib gib tib byte bit bps mbps gbps hz khz mhz ghz px mm cm m km mile foot "
    "feet inch g kg mg lb ton l ml °c °f ° k degree dollar euro pound cent usd eur gbp million billion trillion "
    "thousand hundred times point star".split()
)
CURRENCIES = "$€£¥"
_NEXT_WORD = re.compile(r"[\s\u00a0-]*(%|°\s?[CF]?|[^\W\d_]+)")


def parts(unit: str) -> Iterator[str]:
    """The unit and every run of its components that may be said alone: host of a mail address, year of an ISO date."""
    yield unit
    if _DIGITS_JOINED.search(unit) and is_number(unit):
        year = _ISO_YEAR.match(unit)
        if year:
            yield year.group()
        return
    if "@" in unit:  # an address is not taken apart, its host excepted
        yield unit.rpartition("@")[2]
        return
    counted = _COUNTED_LETTERS.fullmatch(unit)
    if counted:
        yield counted.group(1)
    cuts = [0]
    for joiner in _PIECES.finditer(unit):
        if not (unit[joiner.start() - 1].isdigit() and unit[joiner.end()].isdigit()):
            cuts += [joiner.start(), joiner.end()]
    cuts.append(len(unit))
    for low in cuts[::2]:
        for high in cuts[1::2]:
            if low < high and (low, high) != (0, len(unit)):
                yield unit[low:high]


@dataclass
class Occurrences:
    """Look-ups over evidence and question. `exact` keeps case, `plain` holds lower-case words."""

    exact: set[str] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    prefixes: set[str] = field(default_factory=set)
    plain_prefixes: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    measures: dict[str, set[str]] = field(default_factory=dict)
    priced: set[str] = field(default_factory=set)
    asked_numbers: dict[str, set[str]] = field(default_factory=dict)
    counts: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)

    def add_evidence(self, text: str) -> None:
        """Everything in `text` may be said."""
        self._add(text, numbers=True)

    def add_question(self, text: str) -> None:
        """A number may be repeated behind the word it stands behind in the question; a name only with the evidence.

        What the evidence says of nobody in particular must not be said of whom the question names.
        """
        self._add(text, numbers=False)

    def _add(self, text: str, *, numbers: bool) -> None:
        self.texts.append(text)
        torn = [match.span() for match in _GROUPED_BY_BLANKS.finditer(text)]
        found = [span for span in units(text) if not any(a <= span[0] < b for a, b in torn)]
        words = [text[start:end] for start, end in found]
        for place, (start, end) in enumerate(found):
            unit = words[place]
            if numbers:
                self._allow(parts(unit))
                self._note_measure(unit, text, start, end)
            else:
                before = words[place - 1] if place else ""
                for number in filter(is_number, parts(unit)):
                    self._ask(number, before)
            gap = text[found[place - 1][1] : start] if place else "|"
            if not gap.replace("\n", " ", 1).strip(" ,\u00a0"):  # a line may be wrapped inside a name
                self.pairs.add((words[place - 1].lower(), unit.lower()))
            if numbers and unit.lower() in NUMBER_WORDS:
                self.counts |= {unit.lower(), NUMBER_WORDS[unit.lower()]}
            elif numbers and is_number(unit):
                self.counts.add(unit)

    def _allow(self, forms: Iterable[str]) -> None:
        for form in forms:
            self.exact.add(form)
            self.prefixes.update(form[:length] for length in range(1, len(form) + 1))
            lower = form.lower()
            if form.isalpha():
                self.plain.add(lower)
                self.plain_prefixes.update(lower[:length] for length in range(1, len(lower) + 1))

    def _ask(self, number: str, before: str) -> None:
        self.asked_numbers.setdefault(number, set()).add(before.lower())
        self.prefixes.update(number[:length] for length in range(1, len(number) + 1))

    def _note_measure(self, unit: str, text: str, start: int, end: int) -> None:
        """Remember what each number of the unit counts: "30 calendar days" are days."""
        number = unit
        said: set[str] = set()
        counted = _COUNTED_LETTERS.fullmatch(unit)
        if counted:
            number = counted.group(1)
            said.add(measure(unit[len(number) :]))
        elif is_number(unit):
            first = _NEXT_WORD.match(text, end)
            second = _NEXT_WORD.match(text, first.end()) if first else None
            said.add(measure(first.group(1)) if first else "")
            if second and "" in said:
                said.add(measure(second.group(1)))
        else:
            return
        if start and text[start - 1] in CURRENCIES:
            self.priced.add(text[start - 1] + number)
        self.measures.setdefault(number, set()).update(said)


def measure(word: str) -> str:
    """The measure a word names, in the singular ("days" is "day"), or an empty text."""
    lower = word.lower().replace(" ", "")
    for form in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if form in MEASURES:
            return form
    return ""


def is_free(word: str) -> bool:
    """A word that needs no source although it is capitalised inside a sentence: "I", "The" after a quotation mark."""
    return word.lower() in FUNCTION_WORDS and (len(word) > 1 or word in "aAI")
