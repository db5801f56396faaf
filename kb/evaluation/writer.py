"""What does the writer make of the right evidence? `kb eval writer`.

The sentences that hold the reference answers are the evidence, without neighbours; the polarity is the reader's. The
writer's own text is judged, before the check would replace a sentence by the quote: grounded decoding is part of it,
the safety net is not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.errors import InvalidInput
from kb.evaluation.rows import Row, read_rows
from kb.evaluation.scoring import contains, mean
from kb.writing import sentences_of
from llm.evidence import EVIDENCE_CHARACTERS, Evidence, Source, gather_evidence, visible_length
from llm.reader import Passage, Polarity, Reader
from llm.sentences import split_sentences
from llm.writer.check import check_sentence, invented_numbers, leading_answer
from llm.writer.negation import negates
from llm.writer.writer import Writer


@dataclass(frozen=True)
class WriterOptions:
    """What to measure; without a reader no yes or no is said."""

    file: Path
    writer: Writer
    reader: Reader | None = None
    sources: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ()
    on_progress: Callable[[str], None] = lambda sentence: None
    on_row: Callable[[Mapping[str, Any]], None] = lambda row: None


@dataclass(frozen=True)
class _Judged:
    contains: float | None
    supported: tuple[bool, ...]
    invented: int
    polarity: float | None


def run_writer(options: WriterOptions) -> dict[str, Any]:
    """Return `{n, contains, supported, invented_numbers, polarity}`: shares in 0..1, and how many numbers.

    Rows with an answer in their passage, in a language of the writer, are asked; polarity is judged on rows of kind
    `yesno` that were answered with a yes or no. InvalidInput where no row can be asked.
    """
    rows = read_rows(options.file, sources=options.sources, exclude_sources=options.exclude_sources)
    asked = [(row, evidence) for row in rows if row.lang in options.writer.languages and (evidence := _evidence(row))]
    if not asked:
        languages = ", ".join(sorted(options.writer.languages))
        raise InvalidInput(f"{options.file.name} has no question ({languages}) whose context holds its answer.")
    judged: list[_Judged] = []
    for number, (row, evidence) in enumerate(asked, 1):
        polarity = _polarity(row, options.reader)
        writing = options.writer.write(row.question, evidence, polarity, is_negated=_negates(row))
        sentences = list(sentences_of(writing))
        one = _judge(row, evidence, sentences)
        judged.append(one)
        options.on_row(
            {
                "id": row.id,
                "question": row.question,
                "answer": "\n".join(sentences),
                "reference": row.response,
                "polarity": writing.polarity,
                "contains": one.contains,
                "supported": one.supported,
                "invented_numbers": one.invented,
                "evidence": evidence[0].text,
            }
        )
        if number % 20 == 0:
            options.on_progress(f"{number} of {len(asked)} questions")
    return {
        "n": len(judged),
        "contains": _rounded([one.contains for one in judged]),
        "supported": _rounded([float(verdict) for one in judged for verdict in one.supported]),
        "invented_numbers": sum(one.invented for one in judged),
        "polarity": _rounded([one.polarity for one in judged]),
    }


def _evidence(row: Row) -> list[Evidence]:
    """The sentences of the row's passage that hold its answers; empty where the passage does not hold them.

    They are one stretch, without neighbours; where that is far too long it is cut as serving cuts.
    """
    if row.context is None or not row.question.strip():
        return []
    text = row.context.text
    found = ((text.find(form), len(form)) for forms in row.answers for form in forms)
    spans = tuple((start, start + length) for start, length in found if start >= 0 and length)
    if not spans:
        return []
    spans = spans if row.kind == "list" else spans[:1]
    holding = [(a, b) for a, b in split_sentences(text) if any(a < end and b > start for start, end in spans)]
    start, end = holding[0][0], holding[-1][1]
    if visible_length(text[start:end]) > 2 * EVIDENCE_CHARACTERS:
        return gather_evidence([Source(1, row.context.title, text, spans)])
    return [Evidence(1, row.context.title, text[start:end], start, end)]


def _polarity(row: Row, reader: Reader | None) -> Polarity:
    if reader is None or row.context is None:
        return "undecided"
    return reader.read(row.question, [Passage(row.context.title, row.context.text)])[0].polarity


def _negates(row: Row) -> bool:
    """Whether the marked evidence, here the reference answer, negates."""
    return any(negates(form) for forms in row.answers[:1] for form in forms)


def _judge(row: Row, evidence: list[Evidence], sentences: list[str]) -> _Judged:
    text = "\n".join(sentences)
    said, wanted = leading_answer(text), leading_answer(row.response)
    return _Judged(
        contains=contains(text, row.answers, row.kind) if row.kind in ("short", "list") else None,
        supported=tuple(check_sentence(sentence, evidence, row.question).supported for sentence in sentences),
        invented=len(invented_numbers(text, evidence, row.question)),
        polarity=float(said == wanted) if row.kind == "yesno" and said is not None and wanted is not None else None,
    )


def _rounded(values: list[float | None] | list[float]) -> float | None:
    found = mean([value for value in values if value is not None])
    return None if found is None else round(found, 4)
