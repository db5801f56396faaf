"""What a text claims, word by word: its numbers, its names and identifiers, its content words.

The check and the grounded decoding share this view of text. English words are compared by a light
stem; Chinese text is taken in single characters. Function words, and words any answer may use
("following", "include"), claim nothing and are left out.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Kind = Literal["number", "count", "name", "opening", "word", "han"]

FUNCTION_WORDS = frozenset(
    # articles, pronouns, determiners
    "a an the this that these those it its itself he him his she her hers they them their theirs we us our ours you "
    "your yours i me my mine one ones someone somebody anyone anybody everyone everybody nobody something anything "
    "everything nothing who whom whose which what when where why how whether whatever whichever whenever wherever "
    "each every either neither both all any some none no not such same other others another own self "
    # auxiliaries and their short forms
    "is am are was were be been being do does did done doing have has had having can could may might must shall "
    "should will would ought cannot n't s t d ll re ve m won don doesn didn isn aren wasn weren can't couldn hasn "
    "haven hadn needn shouldn wouldn let lets "
    # prepositions, conjunctions, adverbs of degree and connection
    "of in on at by for with from to into onto out off over under up down about above below after before between "
    "among within without through during until till since against across along around near per via as than like "
    "unlike except and or but nor so yet if unless because although though while whereas then else also too only "
    "just even still again already ever never always often sometimes usually very more most less least much many "
    "few several enough here there now once rather quite instead otherwise therefore thus hence however yes ok "
    "okay not".split()
)
# Said in answers whatever the passage says; they carry the sentence, not the claim.
_FREE_WORDS = frozenset(
    "following follows follow include includes including included called named name names mean means meant "
    "mention mentioned listed list lists example examples e.g i.e etc way ways thing things case cases part kind "
    "type get gets got make makes made give gives given take takes go goes use uses used using need needs needed "
    "want wants say says said state states stated document documents passage according answer question first "
    "second third both people person someone able available apply applies there's run runs running see seen keep "
    "keeps kept set sets show shows shown cover covers covered come comes came put puts sure found find finds "
    "look place plus well back start starts add adds work works hold holds held know known possible stay stays "
    "time".split()
)
# Verbs that open advice; any other unsupported capitalised word at the beginning may be an invented name.
_OPENERS = frozenset(
    "check tell log ask call send try write read enter press share leave remember watch search change grant offer "
    "hover focus besides apart beyond similar best useful probably consider ensure avoid choose contact please "
    "note open click select create delete remove update wait report submit request according currently generally "
    "typically only".split()
)
NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100", "thousand": "1000"}
FREE_WORDS = FUNCTION_WORDS | _FREE_WORDS | _OPENERS | frozenset(NUMBER_WORDS)
_HAN = "\u3400-\u9fff\uf900-\ufaff"
_FREE_HAN = frozenset(
    "的了是在和与与及或也都就而其这那此该有会可以能要需应将把被由对为于从到向中上下里内外个些每各一不没无吗呢吧啊么什哪谁几多少怎如何请"
)
_TOKEN = re.compile(rf"[{_HAN}]|[^\W{_HAN}](?:[\w'’]|[-./:@#&+](?=\w))*", re.UNICODE)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)*")
_PLAIN_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*\Z")
_SUFFIXES = ("ization", "isation", "ational", "ments", "ment", "ions", "ion", "ings", "ing", "edly", "ies", "ied",
             "ers", "er", "ed", "es", "ly", "al", "s", "e", "y")  # fmt: skip
_STEM_LENGTH = 6  # longer stems are equal when they share so many letters: "synchronise", "synchronisation"


@dataclass(frozen=True)
class Term:
    """One claim-bearing word: its normal form, what it is, and where it stands in the text."""

    form: str
    kind: Kind
    start: int
    end: int


def terms(text: str) -> list[Term]:
    """The claim-bearing words of `text` in order; compound tokens give one term a part that can be wrong."""
    found: list[Term] = []
    sentence_start = True
    previous_end = 0
    for match in _TOKEN.finditer(text):
        sentence_start = sentence_start or _begins_sentence(text[previous_end : match.start()])
        found.extend(_terms_of(match.group(), match.start(), sentence_start))
        sentence_start = False
        previous_end = match.end()
    return found


def _begins_sentence(gap: str) -> bool:
    return any(mark in gap for mark in ".!?:\n|。！？：")


def _terms_of(token: str, at: int, sentence_start: bool) -> Iterator[Term]:
    end = at + len(token)
    if len(token) == 1 and not token.isascii() and not token.isdigit() and re.match(f"[{_HAN}]", token):
        if token not in _FREE_HAN:
            yield Term(token, "han", at, end)
        return
    if "@" in token.strip("@"):  # an address is right as a whole or not at all
        yield Term(token.lower(), "name", at, end)
        return
    if any(character.isdigit() for character in token):
        for number in _NUMBER.finditer(token):
            yield Term(normal_number(number.group()), "number", at + number.start(), at + number.end())
        for part in re.finditer(r"[^\W\d_]{2,}", token):
            yield from _word(part.group(), at + part.start(), sentence_start=False)
        return
    if _PLAIN_WORD.match(token) is None or "-" in token:
        for part in re.finditer(r"[^\W\d_]+(?:['’][^\W\d_]+)?", token):
            yield from _word(part.group(), at + part.start(), sentence_start and part.start() == 0)
        return
    yield from _word(token, at, sentence_start)


def _word(word: str, at: int, sentence_start: bool) -> Iterator[Term]:
    lower = word.lower().replace("’", "'")
    if lower in NUMBER_WORDS and lower != "one":
        yield Term(NUMBER_WORDS[lower], "count", at, at + len(word))
        return
    if word[:-1].isupper() and word[-1] == "s" and len(word) > 2:
        lower = lower[:-1]
    base = lower.removesuffix("'s").removesuffix("'")
    if not FUNCTION_WORDS.isdisjoint((lower, base, base.split("'")[0])) or lower in _FREE_WORDS or len(base) < 2:
        return
    kind: Kind = "word"
    if any(letter.isupper() for letter in word[1:]) or (word[0].isupper() and not sentence_start):
        kind = "name"
    elif word[0].isupper() and base not in _OPENERS and not base.endswith("ing"):
        kind = "opening"
    yield Term(stem(base), kind, at, at + len(word))


def normal_number(number: str) -> str:
    """Digits with thousands separators removed: "10,000" and "10000" are one number; "6.2.0" stays."""
    return re.sub(r",(?=\d{3}(?!\d))", "", number).rstrip(",")


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A light stem, lower case: enough that a claim and its source meet, not a dictionary form."""
    base = word.lower()
    for suffix in _SUFFIXES:
        if base.endswith(suffix) and len(base) - len(suffix) >= 3:
            base = base[: -len(suffix)]
            break
    if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "aeiou":
        base = base[:-1]
    return base[:_STEM_LENGTH]


def forms(found: Iterable[Term]) -> frozenset[str]:
    """Just the normal forms, for membership."""
    return frozenset(term.form for term in found)
