"""Rows to pairs for contrastive training of the encoder: a question, and the part of a passage that answers it.

The other passages of a batch are the wrong ones a question is held against, so a batch is built to be hard: one
language, and beside a question those whose own passages are among its nearest wrong ones. No passage comes twice in a
batch, since it would stand against itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from llm.encoder import BEGIN, END
from llm.training.reader_data import OLDER_FAMILIES, Neighbours, answer_span
from llm.training.rows import Row

SHARES = {
    "hard": 1.0, "hand": 0.6, "desk": 0.6, "follow": 0.5, "nq-qed": 1.0, "squad2": 0.04, "selqa": 0.1, "covidqa": 0.1,
    "drcd": 0.08, "cmrc": 0.12,
}  # fmt: skip
PASSAGE_TOKENS = 150
QUESTION_TOKENS = 64
TITLE_TOKENS = 32
_TOGETHER = 4  # a question and up to three whose passages are near it


@dataclass(frozen=True)
class Pair:
    """Token ids of a question and of its passage, special tokens included."""

    question: tuple[int, ...]
    passage: tuple[int, ...]


@dataclass(frozen=True)
class PairBatch:
    """Pairs of one language with distinct passages; `older` ones are there so that nothing is forgotten."""

    pairs: tuple[Pair, ...]
    older: bool


def pair_batches(
    rows: Sequence[Row], tokenizer: Tokenizer, neighbours: Neighbours, size: int, seed: int
) -> list[PairBatch]:
    """Draw the shares and cut them into batches of exactly `size`, in random order; the same seed gives the same."""
    rng = random.Random(seed)
    chosen = [row for row in rows if row.answers and rng.random() < _share(row)]
    batches: list[PairBatch] = []
    for lang in sorted({row.lang for row in chosen}):
        for older in (False, True):
            part = [row for row in chosen if row.lang == lang and (row.family in OLDER_FAMILIES) == older]
            rng.shuffle(part)
            passages = list({row.context: None for row in part})
            nearest = neighbours(part, passages)
            for group in _grouped(part, [[passages[i] for i in near] for near in nearest], size):
                batches.append(PairBatch(tuple(_pairs(group, tokenizer, rng)), older))
    rng.shuffle(batches)
    return batches


def _share(row: Row) -> float:
    return SHARES.get(row.source if row.family in OLDER_FAMILIES else row.family, 0.0)


def _grouped(rows: Sequence[Row], nearest: Sequence[Sequence[str]], size: int) -> list[list[Row]]:
    """Batches of `size` rows with distinct passages, neighbours side by side; what does not fill one is left out."""
    waiting = dict.fromkeys(range(len(rows)))
    of_passage: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        of_passage.setdefault(row.context, []).append(number)
    batches: list[list[Row]] = []
    while len(waiting) >= size:
        batch: list[int] = []
        held: set[str] = set()

        def take(number: int, batch: list[int] = batch, held: set[str] = held) -> None:
            batch.append(number)
            held.add(rows[number].context)
            del waiting[number]

        for seed in list(waiting):
            if len(batch) >= size:
                break
            if seed not in waiting or rows[seed].context in held:
                continue
            take(seed)
            near = (number for text in nearest[seed] for number in of_passage.get(text, [])[:1] if text not in held)
            for number in [n for n in near if n in waiting][: min(_TOGETHER - 1, size - len(batch))]:
                take(number)
        if len(batch) < size:
            break
        batches.append([rows[number] for number in batch])
    return batches


def _pairs(rows: Sequence[Row], tokenizer: Tokenizer, rng: random.Random) -> list[Pair]:
    """Tokenise as the encoder does; of a long passage a random window that holds the answer, under its title."""
    asked = tokenizer.encode_batch([f"query: {row.question}" for row in rows], add_special_tokens=False)
    heads = tokenizer.encode_batch([f"passage: {row.title}" for row in rows], add_special_tokens=False)
    texts = tokenizer.encode_batch([row.context for row in rows], add_special_tokens=False)
    pairs: list[Pair] = []
    for row, question, head, text in zip(rows, asked, heads, texts, strict=True):
        span = answer_span(row) or (0, 1)
        low = next((i for i, (_, end) in enumerate(text.offsets) if end > span[0]), 0)
        latest = max(0, min(low, len(text.ids) - PASSAGE_TOKENS))
        start = rng.randint(min(latest, max(0, low - PASSAGE_TOKENS // 2)), latest)
        passage = (BEGIN, *head.ids[:TITLE_TOKENS], *text.ids[start : start + PASSAGE_TOKENS], END)
        pairs.append(Pair((BEGIN, *question.ids[:QUESTION_TOKENS], END), passage))
    return pairs
