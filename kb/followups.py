"""Follow-up questions: "And for contractors?" is searched together with what was asked before.

A question that names its subject is searched as it stands.
"""

import re
from collections.abc import Sequence

from kb.language import question_language
from llm.writer.claims import forms, terms

_LEANS_EN = re.compile(
    r"^\s*(?:and|but|or|so|what about|how about|what if|why not|why\??$|how come|then|also|else)\b"
    r"|\b(?:it|its|they|them|their|those|these|this|he|she|there|same|instead|else)\b"
    r"|\bones?\s*[?.!,]",
    re.I,
)
_LEANS_ZH = re.compile(
    "^(?:那|那么|还有|如果|要是|为什么呢|然后|它|他们|这|另外)|它们?|他们|这个|这些|那个|那些|上面|刚才|同样|呢[？?]?$"
)
_FEW_WORDS = 3


def is_standalone(question: str) -> bool:
    """Whether the question can be understood without what was said before (a simple rule, not a model)."""
    content = len(forms(terms(question)))
    if question_language(question) == "zh":
        return not _LEANS_ZH.search(question) and content > _FEW_WORDS
    return not _LEANS_EN.search(question) and content >= _FEW_WORDS


def search_text(question: str, earlier: Sequence[str]) -> str:
    """What to search for: the question, after the content words of the previous one where it leans on that."""
    if not earlier or is_standalone(question):
        return question
    previous = earlier[-1]
    words = [previous[term.start : term.end] for term in terms(previous)]
    joiner = "" if question_language(previous) == "zh" else " "
    return f"{joiner.join(words)} {question}" if words else question
