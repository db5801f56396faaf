"""The check after writing: does each sentence of an answer rest on the evidence, and on which part of it?

Pure text, no network. A sentence is supported when every number and name and nearly all content
words stand in one evidence window (words of the question are free, its numbers and names are not).
Which sentence a claim was taken from is found on the way; that is what the citation points to.
The same function measures `supported` in `kb eval`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from llm.evidence import Evidence
from llm.sentences import list_marker_end, split_sentences
from llm.writer.claims import Term, forms, terms
from llm.writer.negation import reverses

Polarity = Literal["yes", "no", "undecided"]

MISSING_SHARE = 0.34  # of the content words that the question does not hold; measured on training responses
_MISSING_SHARE_LEAD_IN = 0.5  # a line that ends with a colon only leads to the items below it
_SHORT_SPAN = 5  # content words
_LEADING_ANSWER = re.compile(
    r"\W*(yes|no|yep|nope|yeah)\b(?!\s+(?:one|more|longer|other|matter|need)\b)[\s,.;:!–—-]*", re.I
)
_LEADING_HAN = re.compile(r"\W*(是的|对的|可以的|会的|能的|不是|不可以|不行|不会|不能|不需要|不用|没有|否)")
_MARKS = re.compile(r"\s*\[\d{1,2}\]")


@dataclass(frozen=True)
class Checked:
    """One sentence of an answer and the evidence it rests on.

    `source` is the evidence number, `start` and `end` are offsets into that evidence's text (None and
    zeros where nothing matches). A sentence that claims nothing ("You need:") is supported without a source.
    """

    text: str
    supported: bool
    source: int | None
    start: int
    end: int


def check_sentence(sentence: str, evidence: Sequence[Evidence], question: str) -> Checked:
    """Match one sentence to the evidence it rests on; citation marks like ``[1]`` in it are ignored."""
    plain = _MARKS.sub("", sentence)
    claim = terms(plain[list_marker_end(plain) :])
    if not claim:
        return Checked(sentence, True, None, 0, 0)
    asked = forms(terms(question))
    allowed = _MISSING_SHARE_LEAD_IN if plain.rstrip().endswith(":") else MISSING_SHARE
    best: Checked | None = None
    best_rank = (-1.0, -1.0)
    for item in evidence:
        found = _known(item)
        start, end = _rests_on(claim, item.text)
        holds = _supported(claim, found, asked, allowed)
        if holds and end > start:
            holds = not reverses(without_leading_answer(plain), item.text[start:end])
        rank = (float(holds), _share(claim, found))
        if rank > best_rank:
            best = Checked(sentence, rank[0] > 0, item.number if end > start else None, start, end)
            best_rank = rank
    return best if best is not None else Checked(sentence, False, None, 0, 0)


def invented_numbers(text: str, evidence: Sequence[Evidence], question: str) -> list[str]:
    """Numbers of an answer that no evidence holds; one that the question holds behind the same word is not invented."""
    known = frozenset().union(*(_known(item) for item in evidence))
    repeated = set(_numbers_behind(question))
    found: list[str] = []
    for start, end in split_sentences(_MARKS.sub("", text)):
        sentence = _MARKS.sub("", text)[start:end]
        body = sentence[list_marker_end(sentence) :]
        found += [pair[1] for pair in _numbers_behind(body) if pair[1] not in known and pair not in repeated]
    return found


def _numbers_behind(text: str) -> list[tuple[str, str]]:
    """Each number of the text with the word before it."""
    pairs: list[tuple[str, str]] = []
    for term in terms(text):
        if term.kind == "number":
            words = re.findall(r"\w+", text[: term.start].lower())
            pairs.append((words[-1] if words else "", term.form))
    return pairs


def leading_answer(sentence: str) -> Literal["yes", "no"] | None:
    """The yes or no an English sentence begins with, None where it begins otherwise."""
    match = _LEADING_ANSWER.match(sentence)
    if match is None:
        return None
    return "yes" if match.group(1).lower().startswith("y") else "no"


def without_leading_answer(sentence: str) -> str:
    """The sentence after its leading yes or no, capitalised; unchanged where there is none."""
    match = _LEADING_ANSWER.match(sentence)
    rest = sentence[match.end() :] if match else sentence
    return rest[:1].upper() + rest[1:]


def is_truism(sentence: str, question: str) -> bool:
    """True when the sentence says nothing that the question did not already say.

    A leading yes or no is something said; so is a choice among alternatives that the question offers.
    """
    if leading_answer(sentence) is not None or sentence.rstrip().endswith(":"):
        return False
    claim = forms(terms(sentence))
    asked = forms(terms(question))
    return bool(claim) and claim <= asked and not (re.search(r"\bor\b", question, re.I) and len(claim) < len(asked))


def is_loop(sentence: str, earlier: Sequence[str]) -> bool:
    """True when the sentence repeats an earlier one, or a run of five words within itself."""
    words = re.findall(r"\w+", sentence.lower())
    seen = {tuple(re.findall(r"\w+", text.lower())) for text in earlier}
    if words and tuple(words) in seen:
        return True
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return len(set(runs)) < len(runs)


def passes(checked: Checked, question: str, polarity: Polarity, earlier: Sequence[str]) -> bool:
    """The whole verdict on one checked sentence: supported, no truism, no loop, a yes or no only as the reader says."""
    said = leading_answer(checked.text)
    if said is not None and said != polarity:
        return False
    return checked.supported and not is_truism(checked.text, question) and not is_loop(checked.text, earlier)


def addresses(checked: Checked, marked: Evidence, question: str) -> bool:
    """Whether a sentence is about what the reader marked, rather than about a neighbour in the same window.

    `marked` is the reader's span as evidence: its text, and its offsets in the window of that number. Of a short span
    every number and name and most words that the question does not hold must be said; of a longer one half of the
    words, or a quarter where the sentence rests on it; an item of a list need only rest on it.
    """
    said = forms(terms(checked.text))
    rests = checked.source == marked.number and checked.start < marked.end and checked.end > marked.start
    wanted = [term for term in terms(marked.text) if term.form not in forms(terms(question))]
    if not wanted or list_marker_end(checked.text) > 0:
        return rests
    share = len(said & forms(wanted)) / len(forms(wanted))
    if len(forms(wanted)) > _SHORT_SPAN:
        return share >= 0.5 or (rests and share >= 0.25)
    return share >= 0.6 and forms(term for term in wanted if term.kind in ("number", "name")) <= said


@lru_cache(maxsize=256)
def _evidence_terms(text: str) -> tuple[Term, ...]:
    return tuple(terms(text))


def _known(item: Evidence) -> frozenset[str]:
    return forms(_evidence_terms(item.text)) | forms(_evidence_terms(item.title))


def _supported(claim: Sequence[Term], found: frozenset[str], asked: frozenset[str], allowed: float) -> bool:
    if any(term.form not in found for term in claim if term.kind in ("number", "name")):
        return False
    if any(term.form not in found | asked for term in claim if term.kind in ("count", "opening")):
        return False
    said = [term for term in claim if term.form not in asked]
    if not said:
        return allowed == _MISSING_SHARE_LEAD_IN or _share(claim, found) >= 0.5
    missing = sum(term.form not in found for term in said)
    return missing <= allowed * len(said)


def _share(claim: Sequence[Term], found: frozenset[str]) -> float:
    return sum(term.form in found for term in claim) / len(claim)


def _rests_on(claim: Sequence[Term], text: str) -> tuple[int, int]:
    """The fewest consecutive sentences of the evidence that hold as many of the claim's words as any run does.

    Numbers and names weigh three words. A further sentence must add at least a fifth of what is held already.
    """
    weights = {term.form: 3 if term.kind in ("number", "name") else 1 for term in claim}
    sentences = split_sentences(text)
    held = [weights.keys() & forms(_evidence_terms(text[start:end])) for start, end in sentences]
    scores = [sum(weights[form] for form in here) for here in held]
    if not scores or max(scores) == 0:
        return 0, 0
    first = last = max(range(len(scores)), key=lambda i: scores[i])
    have = set(held[first])
    while True:
        gains = {}
        for place in (first - 1, last + 1):
            if 0 <= place < len(held):
                gains[place] = sum(weights[form] for form in held[place] - have)
        if not gains:
            return sentences[first][0], sentences[last][1]
        place = max(gains, key=lambda i: gains[i])
        if gains[place] < max(2, 0.2 * sum(weights[form] for form in have)):
            return sentences[first][0], sentences[last][1]
        first, last = min(first, place), max(last, place)
        have |= held[place]
