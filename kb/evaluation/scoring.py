"""Scores of texts against references: exact match, F1, containment, and the AUROC of a confidence.

English follows the normalisation of SQuAD (Rajpurkar et al. 2016): lower case, no punctuation, no articles. Chinese is
compared character by character, white space left out. All scores are in 0..1.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_HAS_HAN = re.compile(rf"[{_HAN}]")

Forms = Sequence[str]
"""Accepted forms of one answer or one item."""


def bare(text: str) -> str:
    """`text` in NFKC and lower case, punctuation and symbols dropped, white space single."""
    folded = unicodedata.normalize("NFKC", text).lower()
    kept = "".join(c for c in folded if c.isspace() or unicodedata.category(c)[0] not in "PS")
    return " ".join(kept.split())


def answer_tokens(text: str, lang: str) -> list[str]:
    """What F1 counts: words without articles, in Chinese characters."""
    plain = bare(text)
    return list(plain.replace(" ", "")) if lang == "zh" else _ARTICLES.sub(" ", plain).split()


def exact(found: str, reference: str, lang: str) -> float:
    """1 where both are the same after normalisation."""
    return float(answer_tokens(found, lang) == answer_tokens(reference, lang))


def f1(found: str, reference: str, lang: str) -> float:
    """Harmonic mean of precision and recall over tokens, repeats counted."""
    said, wanted = Counter(answer_tokens(found, lang)), Counter(answer_tokens(reference, lang))
    common = sum((said & wanted).values())
    if not common:
        return float(not said and not wanted)
    precision, recall = common / sum(said.values()), common / sum(wanted.values())
    return 2 * precision * recall / (precision + recall)


def references(answers: Sequence[Forms], kind: str) -> list[str]:
    """The texts to compare with, the best of which counts; the items of a list are one text, joined."""
    if kind == "list":
        return [" ".join(forms[0] for forms in answers)] if answers else []
    return [form for forms in answers for form in forms]


def contains(answer: str, answers: Sequence[Forms], kind: str) -> float:
    """How much of the reference the answer holds: 1 or 0, for a list the share of its items."""
    if kind == "list":
        return sum(any(_holds(answer, form) for form in forms) for forms in answers) / max(1, len(answers))
    return float(any(_holds(answer, form) for forms in answers for form in forms))


def _holds(answer: str, form: str) -> bool:
    """Whole words in Latin script, characters in Chinese, never inside a longer run of digits."""
    said, wanted = bare(answer), bare(form)
    if not wanted:
        return False
    edge = rf"[^\W{_HAN}]"
    if _HAS_HAN.search(wanted):
        said, wanted, edge = said.replace(" ", ""), wanted.replace(" ", ""), r"\d"
    before = f"(?<!{edge})" if re.match(edge, wanted[0]) else ""
    after = f"(?!{edge})" if re.match(edge, wanted[-1]) else ""
    return re.search(before + re.escape(wanted) + after, said) is not None


def auroc(confidences: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Chance that a positive outranks a negative, ties counted half (Mann-Whitney U); None with one class."""
    truth = np.array(positive, dtype=bool)
    if truth.all() or not truth.any():
        return None
    values, inverse, counts = np.unique(np.array(confidences, dtype=float), return_inverse=True, return_counts=True)
    upper = np.cumsum(counts)
    ranks = ((upper - counts + upper + 1) / 2)[inverse]
    above = int(truth.sum())
    return float((ranks[truth].sum() - above * (above + 1) / 2) / (above * (len(truth) - above)))


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None
