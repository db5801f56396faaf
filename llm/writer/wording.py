"""Plain words under grounded decoding: few that neither evidence nor question holds.

The check (`llm.writer.check`) lets a sentence pass when nearly all of its content words stand in the evidence, words of
the question aside. The same account is kept while the sentence is written: a new word is admitted only while the
sentence, ended there, would still pass. So the writer rephrases instead of being corrected afterwards.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from llm.sentences import list_marker_end, split_sentences
from llm.writer.check import MISSING_SHARE
from llm.writer.claims import FREE_WORDS, Term, forms, terms

_WORD = re.compile(r"[\w'’]+")


def _prefixes(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word[:length] for word in words for length in range(1, len(word)))


_FREE_PREFIXES = _prefixes(FREE_WORDS)


class Wording:
    """The account for one answer over its evidence and question."""

    def __init__(self, evidence: Sequence[str], question: str) -> None:
        self._found = forms(term for text in evidence for term in terms(text))
        self._asked = forms(terms(question))
        words = {word for text in evidence for word in _WORD.findall(text.lower())}
        words |= {word for word in _WORD.findall(question[:1].lower() + question[1:]) if word.islower()}  # no names
        self._prefixes = _prefixes(words) | _FREE_PREFIXES
        self._begun = lru_cache(maxsize=4)(self._account)

    def admits(self, lead: str, word: str, *, complete: bool) -> bool:
        """Whether `word` may stand behind `lead`, the text before it. A word that is not `complete` may go on.

        It must be on the way to a known word then, or be new itself: so no word is spelled into nowhere.
        """
        opening = not lead.strip() or lead.rstrip()[-1:] in ".!?:\n"
        claimed = _claims(word, opening)
        missing = [term for term in claimed if term.form not in self._found and term.form not in self._asked]
        if not missing or (not complete and word.lower() in self._prefixes):
            return True
        if opening:  # a verb that opens advice ("Ask ...") may, what could be a name may not
            return word[0].isupper() and all(term.kind == "word" for term in missing)
        said, strange = self._begun(lead)
        return strange + len(missing) <= MISSING_SHARE * (said + len(claimed))

    def _account(self, lead: str) -> tuple[int, int]:
        """Content words of the sentence that `lead` has begun, the question's left out: all, and those not found."""
        spans = split_sentences(lead)
        sentence = lead[spans[-1][0] :] if spans and not _is_over(lead) else ""
        said = [term for term in terms(sentence[list_marker_end(sentence) :]) if term.form not in self._asked]
        return len(said), sum(term.form not in self._found for term in said)


def _claims(word: str, opening: bool) -> list[Term]:
    return terms(word) if opening else terms(f"a {word}")


def _is_over(lead: str) -> bool:
    return lead.endswith("\n") or (lead[-1:].isspace() and lead.rstrip()[-1:] in ".!?")
