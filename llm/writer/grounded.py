"""Grounded decoding: the writer can only spell numbers, names and identifiers that the evidence spells.

An automaton over the text written so far, asked about each candidate token. Plain lower-case words are judged by
`llm.writer.wording`; a number, a capitalised word inside a sentence, anything with a digit, an underscore or a sign
inside, and anything between backticks must run along one of its occurrences in the evidence to its end. So "197" and
"25" never become "917", although every digit is a token of its own.
A yes or no begins a sentence only as the reader says, and no five words are written twice in a row of sentences.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from torch import Tensor

from llm.writer.check import Polarity
from llm.writer.claims import NUMBER_WORDS
from llm.writer.occurrences import CURRENCIES, MONTHS, Occurrences, is_free, measure
from llm.writer.units import WrittenUnit, is_number, is_word, last_unit, safe_point, written_units
from llm.writer.wording import Wording

_FIRST_LOOK = 6  # candidates tried before widening; the best one is allowed nine times in ten
_WIDER = 64
_LOOP = 5  # words
_SURE = 0.8  # share of yes or no at the first token; with the evidence agreeing 92 % right (48 unseen questions)
_MEANT = 0.3  # probability of both together from which the question is one of yes or no
_LONGEST_PIECE = 24  # characters of a token, about
_POLAR = {"yes": "yes", "yep": "yes", "yeah": "yes", "no": "no", "nope": "no"}
_ABBREVIATED = frozenset(["e.g", "i.e", "and/or", "a.m", "p.m", "vs"])
_LEADING_SIGNS = "#@/~$-_<\\"
_SENTENCE_BREAK = re.compile(r"(?:[.!?][\"'”’)*]*\s+|\n\s*)(?:[-*•]\s+|\d{1,2}[.)]\s+)?[\"'“(*]*\Z")
_LINE_NUMBER = re.compile(r"(?:^|\n)[ ]*(\d{1,2})([.)]?)\Z")
_NUMBERED_LINE = re.compile(r"(?:^|\n)[ ]*(\d{1,2})[.)] ")


class Vocabulary(Protocol):
    """What the automaton needs of a tokenizer."""

    vocab: int
    stop: frozenset[int]
    end_of_turn: int

    def piece(self, number: int) -> bytes:
        """The bytes a token stands for."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Tokens of plain text."""
        ...


class GroundedDecoding:
    """The constraint for one answer; holds the text written so far. Not shared between answers."""

    def __init__(
        self,
        tokenizer: Vocabulary,
        evidence: Sequence[str],
        question: str,
        polarity: Polarity = "undecided",
        is_negated: bool | None = None,
    ) -> None:
        """`evidence` are the texts that may be quoted, their titles among them.

        `is_negated` says whether the marked evidence negates. Where the reader is undecided, a yes or no that the model
        is sure of and that agrees with it is allowed; with None it never is.
        """
        self._tokenizer = tokenizer
        self.polarity: Polarity = polarity
        self._is_negated = is_negated
        self._known = Occurrences()
        for text in evidence:
            self._known.add_evidence(text)
        self._known.add_question(question)
        self._wording = Wording(evidence, question)
        self._code = [" ".join(text.split()) for text in self._known.texts]
        self._written = b""
        self._tokens: list[int] = []

    def allowed(self, logits: Tensor, generated: Sequence[int]) -> int:
        """The most likely admissible token. Where nothing is admissible (never, with byte tokens) the answer ends."""
        self._follow(generated)
        if not self._tokens and self.polarity == "undecided" and self._is_negated is not None:
            self.polarity = self._leaning(logits, self._is_negated)
        seen = 0
        for count in (_FIRST_LOOK, _WIDER):
            best = logits.topk(min(count, logits.shape[0])).indices.tolist()
            for token in best[seen:]:
                if self.admits(token):
                    return self._take(token)
            seen = len(best)
        rest = sorted(set(self._continuations()), key=lambda token: float(logits[token]), reverse=True)
        for token in rest:
            if self.admits(token):
                return self._take(token)
        return self._take(self._tokenizer.end_of_turn)

    @property
    def has_ended(self) -> bool:
        """Whether the last token chosen ends the answer."""
        return bool(self._tokens) and self._tokens[-1] in self._tokenizer.stop

    def admits(self, token: int) -> bool:
        """Whether this token may come next."""
        if token in self._tokenizer.stop:
            return self._may_end()
        piece = self._tokenizer.piece(token)
        if not piece:
            return False
        try:
            text = _decoded(self._written + piece)
        except UnicodeDecodeError:
            return False
        before = _decoded(self._written)
        if text == before:  # half a character: the word before it must be able to end here
            return self._admits_text(before, before + " ")
        return self._admits_text(before, text, whole_word=len(piece) > 1)

    def _leaning(self, logits: Tensor, is_negated: bool) -> Polarity:
        """What the model would begin with, if it is sure and the evidence's own negation agrees."""
        words: tuple[tuple[Polarity, str], ...] = (("yes", "Yes"), ("no", "No"))
        chances = {name: float(logits.softmax(-1)[self._tokenizer.encode_text(word)[0]]) for name, word in words}
        both = sum(chances.values())
        agreed: Polarity = "no" if is_negated else "yes"
        return agreed if both >= _MEANT and chances[agreed] >= _SURE * both else "undecided"

    def _take(self, token: int) -> int:
        self._tokens.append(token)
        self._written += self._tokenizer.piece(token)
        return token

    def _follow(self, generated: Sequence[int]) -> None:
        if len(generated) != len(self._tokens) or (generated and generated[-1] != self._tokens[-1]):
            self._tokens = list(generated)
            self._written = b"".join(self._tokenizer.piece(token) for token in generated)

    def _may_end(self) -> bool:
        text = self._written.decode("utf-8", errors="replace")
        return bool(text.strip()) and not text.endswith("\ufffd") and self._admits_text(text, text + "\n")

    def _admits_text(self, before: str, text: str, *, whole_word: bool = True) -> bool:
        """Whether `text`, which continues the admissible `before`, is admissible: only its last units can be new.

        With `whole_word` a forbidden word is refused as soon as it is spelled, although it might still go on
        ("No" before "Note"): tokens are whole words as a rule, and nothing good follows half of one.
        """
        if "```" in text[-4:]:
            return False
        start = safe_point(before)
        if "`" in text and not self._code_is_copied(text):
            return False
        found = [unit for unit in written_units(text, start) if text.count("`", 0, unit.start) % 2 == 0]
        return all(self._admits_unit(text, unit, whole_word or unit.complete) for unit in found) and not self._loops(
            text, found
        )

    def _code_is_copied(self, text: str) -> bool:
        """Text between backticks is one stretch of evidence or question, cut where units end."""
        *_, code = text.split("`")
        closed = text.count("`") % 2 == 0
        if closed:
            if len(code) > _LONGEST_PIECE:
                return True  # judged when it was closed
            code = text.split("`")[-2]
        plain = " ".join(code.split())
        if not plain:
            return not closed
        if not closed and code[-1].isspace():
            plain += " "
        return any(_stands_in(plain, source, closed) for source in self._code)

    def _admits_unit(self, text: str, unit: WrittenUnit, whole_word: bool) -> bool:
        signs = text[unit.start + len(unit.text) :]
        if not unit.complete and signs:  # "10." may end a sentence or go on as "10.5", if the evidence does
            ended = WrittenUnit(unit.text, unit.start, complete=True)
            return unit.text + signs in self._known.prefixes or self._admits_word(text, ended, True)
        return self._admits_word(text, unit, whole_word)

    def _admits_word(self, text: str, unit: WrittenUnit, whole_word: bool) -> bool:
        known, word = self._known, unit.text
        lead = text[: unit.start]
        opening = not lead.strip() or _SENTENCE_BREAK.search(lead[-24:]) is not None
        if opening and whole_word and word.lower() in _POLAR and _POLAR[word.lower()] != self.polarity:
            return bool(lead.strip()) and word == "no"  # "- no access", an item of a list
        if lead[-1:] in CURRENCIES and lead and not self._priced(lead[-1] + word, unit.complete):
            return False
        if is_number(word):
            return self._admits_number(text, unit)
        if whole_word and word.lower() in NUMBER_WORDS and word.lower() not in ("one", "hundred", "thousand", "zero"):
            return word.lower() in known.counts or NUMBER_WORDS[word.lower()] in known.counts
        if unit.complete and _is_initial(word) and word not in known.exact:
            return False
        if not self._is_measured(text, unit):
            return False
        if not _is_protected(word, lead, opening):
            if not self._wording.admits(lead, word, complete=unit.complete):
                return False
            return not opening or self._follows_pair(text, unit)
        if not self._spells(word, unit.complete):
            return False
        return self._follows_pair(text, unit)

    def _spells(self, word: str, complete: bool) -> bool:
        known, lower = self._known, word.lower()
        if complete:
            return (
                word in known.exact
                or (word.isalpha() and lower in known.plain)
                or is_free(word)
                or lower in _ABBREVIATED
            )
        if word in known.prefixes or (word.isalpha() and lower in known.plain_prefixes):
            return True
        return any(free.startswith(lower) for free in _ABBREVIATED) or (word.isalpha() and is_free(word))

    def _priced(self, number: str, complete: bool) -> bool:
        if complete:
            return number in self._known.priced
        return any(price.startswith(number) for price in self._known.priced)

    def _admits_number(self, text: str, unit: WrittenUnit) -> bool:
        known, number = self._known, unit.text
        if self._numbers_a_line(text, unit):
            return True
        if not unit.complete:
            return self._is_longer(number) or any(
                asked.startswith(number) and self._is_repeated(text, unit, asked) for asked in known.asked_numbers
            )
        if number in known.exact:
            return self._keeps_its_sign(text, unit) and self._follows_pair(text, unit)
        return number in known.asked_numbers and self._is_repeated(text, unit, number)

    def _keeps_its_sign(self, text: str, unit: WrittenUnit) -> bool:
        """A percentage stays one, and nothing else becomes one; the same for degrees."""
        counted = self._known.measures.get(unit.text)
        following = text[unit.start + len(unit.text) :].lstrip(" \u00a0")[:1]
        if counted is None or following in ("°",):
            return counted is None or any(form.startswith("°") for form in counted)
        return "%" in counted if following == "%" else counted != {"%"} or following == "p"

    def _is_longer(self, number: str) -> bool:
        return any(form.startswith(number) for form in self._known.exact)

    def _is_repeated(self, text: str, unit: WrittenUnit, number: str) -> bool:
        """A number of the question alone: the word before it must be the question's."""
        previous = last_unit(text[: unit.start]).lower()
        return bool(previous) and previous in self._known.asked_numbers[number]

    def _numbers_a_line(self, text: str, unit: WrittenUnit) -> bool:
        """The next number of a numbered list, at the beginning of a line and closed by a full stop or bracket."""
        end = unit.start + len(unit.text)
        if text[end : end + 1] not in ("", ".", ")"):
            return False
        match = _LINE_NUMBER.search(text[: end + 1] if text[end : end + 1] in (".", ")") else text[:end])
        if match is None or (unit.complete and not match.group(2)):
            return False
        if unit.complete and text[end + 1 : end + 2] not in ("", " "):
            return False
        numbers = [int(number) for number in _NUMBERED_LINE.findall(text[: unit.start])]
        due = str(numbers[-1] + 1 if numbers else 1)
        return due == match.group(1) if unit.complete else due.startswith(match.group(1))

    def _is_measured(self, text: str, unit: WrittenUnit) -> bool:
        """After a number only what it counts in the evidence: days stay days."""
        gap = text[: unit.start].rstrip(" -\u00a0")
        if not gap or not gap[-1].isdigit() or unit.start - len(gap) > 1 or self._known.measures == {}:
            return True
        number = last_unit(gap)
        counted = self._known.measures.get(number)
        if counted is None:
            return True
        said = measure(unit.text)
        if said in counted:
            return True
        if unit.complete:
            return said == "" and "" in counted
        lower = unit.text.lower()
        return (said == "" and "" in counted) or any(form.startswith(lower) for form in counted if form)

    def _follows_pair(self, text: str, unit: WrittenUnit) -> bool:
        """Neighbours that make one name or one date stand side by side in a source: no new pairs of old parts."""
        lead = text[: unit.start]
        before = lead.rstrip(" ,\u00a0")
        gap = lead[len(before) :]
        if not gap or not before or not is_word(before[-1]):
            return True
        previous = last_unit(before)
        date = (is_number(unit.text) or _is_month(unit.text)) and (is_number(previous) or _is_month(previous))
        name = gap == " " and _is_name(unit.text) and _is_name(previous) and previous.lower() in self._known.plain
        if not (date or name):
            return True
        pair = (previous.lower(), unit.text.lower())
        if unit.complete:
            return pair in self._known.pairs
        return any(first == pair[0] and second.startswith(pair[1]) for first, second in self._known.pairs)

    def _loops(self, text: str, found: Sequence[WrittenUnit]) -> bool:
        """Whether the newest complete word ends a run of words that was written before."""
        if not found or not any(unit.complete for unit in found):
            return False
        words = re.findall(r"\w+", text.lower())
        if is_word(text[-1]):
            words.pop()
        if len(words) <= _LOOP:
            return False
        last = words[-_LOOP:]
        return any(words[i : i + _LOOP] == last for i in range(len(words) - _LOOP))

    def _continuations(self) -> Iterator[int]:
        """Tokens that carry on some occurrence or leave the word: what is left to try where no likely one will do."""
        text = _decoded(self._written)
        tail = next(
            (unit.text for unit in reversed(list(written_units(text, safe_point(text)))) if not unit.complete), ""
        )
        rests = {
            form[len(tail) :] for form in self._known.exact | set(self._known.asked_numbers) if form.startswith(tail)
        }
        if text.count("`") % 2 == 1:
            code = text[text.rfind("`") + 1 :]
            rests |= {s[s.find(code) + len(code) :][:12] for s in self._known.texts if code and code in s}
        for rest in sorted(rests):
            yield from self._tokenizer.encode_text(rest)[:1]
            yield from self._tokenizer.encode_text(rest[:1])[:1]
        for ending in (" ", ".", ",", "\n", "`", ")", "s", " the", " a", " it", " and"):
            yield from self._tokenizer.encode_text(ending)[:1]
        yield self._tokenizer.end_of_turn


def _decoded(data: bytes) -> str:
    """The text of whole characters; bytes of an unfinished last one are left out. Raises UnicodeDecodeError."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return data[: error.start].decode("utf-8")
        raise


def _is_protected(word: str, lead: str, opening: bool) -> bool:
    if any(c.isnumeric() or c == "_" or not c.isascii() for c in word) or any(c in "./:@#&+=?~$\\" for c in word):
        return True
    if any(c.isupper() for c in word[1:]) or (word[0].isupper() and not opening):
        return True
    return lead[-1:] in tuple(_LEADING_SIGNS) and not lead.endswith((" -", "\n-"))


def _is_initial(word: str) -> bool:
    """A capital letter alone: a name that may not be said must not be spelled letter by letter either."""
    return len(word) == 1 and word.isupper() and word not in "AI"


def _is_month(word: str) -> bool:
    return word.lower() in MONTHS and word[0].isupper()


def _is_name(word: str) -> bool:
    return word[0].isupper() and not is_free(word)


def _stands_in(code: str, source: str, closed: bool) -> bool:
    place = source.find(code)
    while place >= 0:
        end = place + len(code)
        starts = place == 0 or not (is_word(source[place - 1]) and is_word(code[0]))
        ends = not closed or end >= len(source) or not (is_word(source[end]) and is_word(code[-1]))
        if starts and ends:
            return True
        place = source.find(code, place + 1)
    return False
