"""Rows with a response to writer examples: the prompt that serving would build, then the answer a colleague typed.

The evidence is cut by the same code that serves, around the sentences of the answer, with many neighbours or few; in
a share of the examples a second window of the nearest wrong passage stands beside it, since serving shows what the
reader marked, not what is right. Some yes/no responses lose their leading word, because serving decides that word and
may decide for none. A response that says more than its evidence would teach inventing: it is left out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from llm.evidence import EVIDENCE_CHARACTERS, Evidence, Source, gather_evidence
from llm.sentences import split_sentences
from llm.training.reader_data import Neighbours
from llm.training.rows import Row
from llm.writer.check import check_sentence
from llm.writer.prompt import build_prompt
from llm.writer.tokenizer import WriterTokenizer

DISTRACTED = 0.25
WINDOWS = (160, EVIDENCE_CHARACTERS)  # characters up to which neighbours are shown, one drawn for each example
STATEMENTS = 0.25  # of yes/no rows: the response without its leading word
LONGEST_RESPONSE = 110  # tokens; the few longer ones are left out
LONGEST_EXAMPLE = 230  # tokens, prompt included; the time of a step grows with the longest of its batch
_LEADING_WORD = re.compile(r"^(?:yes|no)\b[,.;:!—–-]*\s*", re.IGNORECASE)


@dataclass(frozen=True)
class WriterExample:
    """Token numbers of prompt and response together; the response begins at `begin` and ends with end-of-turn."""

    ids: tuple[int, ...]
    begin: int


def answer_spans(row: Row) -> tuple[tuple[int, int], ...]:
    """Where the answer, or each item of a list, stands in the passage; an alternative that is absent is left out."""
    found = ((row.context.find(answer), len(answer)) for answer in row.answers)
    spans = tuple((start, start + length) for start, length in found if start >= 0)
    return spans if row.kind == "list" else spans[:1]


def without_leading_word(response: str) -> str:
    """A yes/no response as the plain statement behind its first word; unchanged when nothing would be left."""
    rest = _LEADING_WORD.sub("", response)
    return rest[0].upper() + rest[1:] if len(rest) > 10 else response


def _trainable(row: Row, languages: frozenset[str]) -> bool:
    return row.lang in languages and bool(row.response and answer_spans(row))


def _is_supported(response: str, evidence: Sequence[Evidence], question: str) -> bool:
    sentences = (response[start:end] for start, end in split_sentences(response))
    return all(check_sentence(sentence, evidence, question).supported for sentence in sentences)


def writer_examples(
    rows: Sequence[Row], tokenizer: WriterTokenizer, neighbours: Neighbours, languages: frozenset[str], seed: int
) -> list[WriterExample]:
    """Build prompt and response of every usable row. The same seed gives the same examples, in the rows' order."""
    rng = random.Random(seed)
    usable = [row for row in rows if _trainable(row, languages)]
    passages = list({(row.title, row.context): None for row in usable})
    distracted = [row for row in usable if rng.random() < DISTRACTED]
    nearest = neighbours(distracted, [text for _, text in passages])
    wrong = {id(row): passages[rng.choice(near[:5])] for row, near in zip(distracted, nearest, strict=True) if near}
    examples: list[WriterExample] = []
    for row in usable:
        sources = [Source(1, row.title, row.context, answer_spans(row))]
        if id(row) in wrong:
            title, text = wrong[id(row)]
            sources.append(Source(2, title, text, ()))
        evidence = gather_evidence(sources, neighbours=rng.choice(WINDOWS))
        if len(evidence) > 1 and rng.random() < 0.4:
            evidence.reverse()
        response = row.response
        if row.kind == "yesno" and rng.random() < STATEMENTS:
            response = without_leading_word(response)
        if not _is_supported(response, evidence, row.question):
            continue
        prompt = tokenizer.encode(build_prompt(row.question, evidence))
        answer = tokenizer.encode_text(response)
        if len(answer) <= LONGEST_RESPONSE and len(prompt) + len(answer) < LONGEST_EXAMPLE:
            examples.append(WriterExample((*prompt, *answer, tokenizer.end_of_turn), len(prompt)))
    return examples
