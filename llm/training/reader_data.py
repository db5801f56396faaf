"""Rows to reader examples: where the answer stands, whether it is yes or no, and passages that nearly answer.

Unanswerable examples come from three places: rows that are so by nature, and, for questions of the kind the product
is for, one of the nearest wrong passages (given by the caller, who knows a search engine). Of each set only a share is
used: by source for the older, larger ones (files called en.* and zh.*), by family and language for the others; files of
any other name count in full. The shares below are of the third training, which weighed Chinese up. Yes/no questions are
few and hard: each is seen twice, in two windows.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from llm.reader import QUESTION_TOKENS, TITLE_TOKENS, Features, window_features
from llm.training.rows import Row

Neighbours = Callable[[Sequence[Row], Sequence[str]], list[list[int]]]
"""For each row the indices of the nearest passages (of a list of passages), best first."""

OLDER_FAMILIES = ("en", "zh")
SHARES = {
    "hand zh": 1.0, "desk zh": 1.0, "hard zh": 0.9, "follow zh": 0.7, "hand en": 0.6, "desk en": 0.6, "hard en": 0.5,
    "follow en": 0.4, "squad2": 0.16, "nq-qed": 0.5, "covidqa": 0.1, "selqa": 0.1, "policyqa": 0.1, "qamr": 0.005,
    "drcd": 0.2, "cmrc": 0.2,
}  # fmt: skip
NEIGHBOUR_SHARE = 0.55  # of the answerable own questions, once more with a wrong passage
WINDOW_TOKENS = 220  # passage tokens of a training example
_LONGEST_LIST = 420  # characters from the first to the last item that one span may cover
_YES = ("yes", "是", "可以", "会", "會", "能", "有", "需要", "对", "對", "支持")
_NO = ("no", "不", "没", "沒", "否", "無", "无")


@dataclass(frozen=True)
class ReaderExample:
    """Input with its targets: token positions of the answer (0, 0 for none) and the polarity class (-1 unknown)."""

    features: Features
    start: int
    end: int
    polarity: int


@dataclass(frozen=True)
class ReaderExamples:
    """Examples in no particular order, with how many came from where."""

    examples: tuple[ReaderExample, ...]
    counts: dict[str, int]


def answer_span(row: Row) -> tuple[int, int] | None:
    """Characters of the answer in the passage; for a list all items together where they stand close. None if absent."""
    found = [(row.context.find(answer), len(answer)) for answer in row.answers]
    places = [(start, start + length) for start, length in found if start >= 0]
    if not places:
        return None
    if row.kind == "list":
        low, high = min(p[0] for p in places), max(p[1] for p in places)
        return (low, high) if high - low <= _LONGEST_LIST else places[0]
    return places[0]


def polarity_class(row: Row) -> int:
    """0 yes, 1 no, 2 for questions that are not of this kind, -1 where a yes/no response does not say."""
    if row.kind != "yesno":
        return 2
    begins = row.response.strip().lower()
    if begins.startswith(_NO) and not begins.startswith("不一定"):
        return 1
    return 0 if begins.startswith(_YES) else -1


def _targets(offsets: Sequence[tuple[int, int]], span: tuple[int, int]) -> tuple[int, int] | None:
    touched = [i for i, (start, end) in enumerate(offsets) if start < span[1] and end > span[0] and end > start]
    return (touched[0], touched[-1]) if touched else None


def _window(count: int, target: tuple[int, int] | None, rng: random.Random) -> tuple[int, int]:
    """A random window of the passage's tokens that holds the target."""
    if count <= WINDOW_TOKENS:
        return 0, count
    low, high = 0, count - WINDOW_TOKENS
    if target is not None:
        low, high = max(low, target[1] + 1 - WINDOW_TOKENS), min(high, target[0])
    start = rng.randint(low, high) if low <= high else target[0] if target else 0
    return start, min(count, start + WINDOW_TOKENS)


def _pick(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    return [row for row in rows if rng.random() < _share(row)]


def _share(row: Row) -> float:
    return SHARES.get(row.source, 0.0) if row.family in OLDER_FAMILIES else SHARES.get(f"{row.family} {row.lang}", 1.0)


def is_own(row: Row) -> bool:
    """Whether the row is of the kind the product is for: not of the older sets, and not a follow-up."""
    return row.family not in (*OLDER_FAMILIES, "follow")


def reader_examples(rows: Sequence[Row], tokenizer: Tokenizer, neighbours: Neighbours, seed: int) -> ReaderExamples:
    """Draw the shares, mine the wrong passages and tokenise. The same seed gives the same examples."""
    rng = random.Random(seed)
    pairs: list[tuple[Row, str, str, tuple[int, int] | None, int]] = []
    counts: Counter[str] = Counter()
    chosen = _pick(rows, rng)
    chosen += [row for row in chosen if row.kind == "yesno" and row.answers]
    for row in chosen:
        span = answer_span(row)
        pairs.append((row, row.title, row.context, span, polarity_class(row) if span else 2))
        counts[f"{row.source if row.family in OLDER_FAMILIES else row.family} {row.lang}"] += 1
    own = [r for r in chosen if is_own(r) and r.answers and rng.random() < NEIGHBOUR_SHARE]
    passages = list({(row.title, row.context): None for row in rows if row.family not in OLDER_FAMILIES})
    for row, nearest in zip(own, neighbours(own, [text for _, text in passages]), strict=True):
        wrong = [i for i in nearest if not any(answer in passages[i][1] for answer in row.answers)]
        if wrong:
            title, text = passages[rng.choice(wrong[:8])]
            pairs.append((row, title, text, None, 2))
            counts[f"nearest wrong passage {row.lang}"] += 1
    questions = tokenizer.encode_batch([p[0].question for p in pairs], add_special_tokens=False)
    titles = tokenizer.encode_batch([p[1] for p in pairs], add_special_tokens=False)
    texts = tokenizer.encode_batch([p[2] for p in pairs], add_special_tokens=False)
    examples: list[ReaderExample] = []
    for (_, _, _, span, polarity), asked, heading, passage in zip(pairs, questions, titles, texts, strict=True):
        target = _targets(passage.offsets, span) if span else None
        low, high = _window(len(passage.ids), target, rng)
        features = window_features(
            asked.ids[:QUESTION_TOKENS], heading.ids[-TITLE_TOKENS:], passage.ids[low:high], passage.offsets[low:high]
        )
        start = end = 0
        if target is not None:
            start = features.first + target[0] - low
            end = features.first + min(target[1], high - 1) - low
        examples.append(ReaderExample(features, start, end, polarity))
    return ReaderExamples(tuple(examples), dict(counts))
