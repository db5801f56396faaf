"""How well is the answer put in words when the evidence is right? `kb eval writer`.

The sentences of the passage that hold the reference answer are the evidence; no search and no time limit is involved.
What is judged is what a user would get: the writer's sentences after the check, the quote in place of one that failed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.errors import InvalidInput
from kb.evaluation.rows import Row, read_rows
from kb.evaluation.scoring import contains, mean
from kb.quoting import readable_quote
from kb.writing import Composer, Said, sentences_of
from llm.evidence import Evidence, Source, gather_evidence
from llm.reader import Passage, Reader
from llm.sentences import split_sentences
from llm.writer.check import Checked, check_sentence, leading_answer
from llm.writer.claims import terms
from llm.writer.writer import Writer


@dataclass(frozen=True)
class WriterOptions:
    """What to measure: the writer with the reader that gives it yes or no."""

    file: Path
    reader: Reader
    writer: Writer
    sources: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ()
    on_progress: Callable[[str], None] = lambda sentence: None
    on_row: Callable[[Mapping[str, Any]], None] = lambda row: None


@dataclass(frozen=True)
class _Judged:
    """One answer with its scores; None where a score does not apply."""

    contains: float | None
    supported: tuple[bool, ...]
    invented: int
    polarity: bool | None
    is_written: bool
    failed: int


def run_writer(options: WriterOptions) -> dict[str, Any]:
    """Return `{n, contains, supported, invented_numbers, polarity, written, failed_sentences}`.

    `contains` and `supported` are shares in 0..1 (of short and list answers, and of sentences); `invented_numbers`
    counts numbers that neither evidence nor question hold; `polarity` is the share of right ones among `yesno` rows
    answered with yes or no; `written` the share of answers with words of the writer, `failed_sentences` the share of
    the writer's own sentences that the check replaced. Raises InvalidInput where no row can be asked.
    """
    rows = read_rows(options.file, sources=options.sources, exclude_sources=options.exclude_sources)
    asked = [row for row in rows if _is_asked(row, options.writer.languages)]
    if not asked:
        languages = ", ".join(sorted(options.writer.languages))
        raise InvalidInput(
            f"{options.file.name} has no answered question with one context in a language of the writer ({languages})."
        )
    judged: list[_Judged] = []
    for number, row in enumerate(asked, 1):
        judged.append(_judge(row, options))
        if number % 20 == 0:
            options.on_progress(f"{number} of {len(asked)} questions")
    sentences = sum(len(one.supported) for one in judged)
    return {
        "n": len(judged),
        "contains": _share([one.contains for one in judged]),
        "supported": _share([float(verdict) for one in judged for verdict in one.supported]),
        "invented_numbers": sum(one.invented for one in judged),
        "polarity": _share([None if one.polarity is None else float(one.polarity) for one in judged]),
        "written": _share([float(one.is_written) for one in judged]),
        "failed_sentences": round(sum(one.failed for one in judged) / max(1, sentences), 4),
    }


def _is_asked(row: Row, languages: frozenset[str]) -> bool:
    return bool(
        row.question.strip() and row.answers and row.context is not None and row.lang in languages and _spans(row)
    )


def _spans(row: Row) -> tuple[tuple[int, int], ...]:
    """Where the answer, or each item of a list, stands in the passage."""
    assert row.context is not None, "only rows with one context are asked"
    text = row.context.text
    forms = [form for answer in row.answers for form in answer[:1]]
    found = tuple((start, start + len(form)) for form in forms if (start := text.find(form)) >= 0)
    return found if row.kind == "list" else found[:1]


def gold_evidence(title: str, text: str, spans: Sequence[tuple[int, int]]) -> Evidence:
    """The sentences that hold the spans, as one window; cut as serving cuts where they are too long together."""
    touched = [(a, b) for a, b in split_sentences(text) if any(a < end and b > start for start, end in spans)]
    low, high = touched[0][0], touched[-1][1]
    cut = gather_evidence([Source(1, title, text, tuple(spans))])[0]
    return cut if high - low > len(cut.text) else Evidence(1, title, text[low:high], low, high)


def _judge(row: Row, options: WriterOptions) -> _Judged:
    assert row.context is not None, "only rows with one context are asked"
    spans = _spans(row)
    evidence = [gold_evidence(row.context.title, row.context.text, spans)]
    polarity = options.reader.read(row.question, [Passage(row.context.title, evidence[0].text)])[0].polarity
    quote = readable_quote(row.context.text, spans[0], row.question).text
    composer = Composer(evidence, row.question, polarity, quote, Checked(quote, True, 1, 0, 0))
    said: list[Said] = []
    written: list[str] = []
    for sentence in sentences_of(options.writer.write(row.question, evidence, polarity)):
        written.append(sentence)
        said += composer.add(sentence)
    said += composer.finish()
    answer = "".join(piece.text for piece in said) or f"{quote} [1]"
    sentences = [answer[start:end] for start, end in split_sentences(answer)]
    verdicts = tuple(check_sentence(one, evidence, row.question).supported for one in sentences)
    begins, wanted = leading_answer(answer), leading_answer(row.response)
    judged = _Judged(
        contains=contains(answer.replace(" [1]", ""), row.answers, row.kind) if row.kind in ("short", "list") else None,
        supported=verdicts,
        invented=_invented(answer.replace(" [1]", ""), evidence[0], row.question),
        polarity=begins == wanted if row.kind == "yesno" and begins is not None else None,
        is_written=any(not piece.is_quote and piece.checked is not None for piece in said),
        failed=sum(not check_sentence(one, evidence, row.question).supported for one in written),
    )
    options.on_row(
        {
            "id": row.id,
            "question": row.question,
            "evidence": evidence[0].text,
            "written": " ".join(written),
            "answer": answer,
            "reference": row.response,
            "polarity": polarity,
            "contains": judged.contains,
            "supported": all(verdicts),
            "mode": "write" if judged.is_written else "quote",
        }
    )
    return judged


def _invented(answer: str, evidence: Evidence, question: str) -> int:
    """Numbers of the answer that neither the evidence (with its heading) nor the question holds."""
    known = {
        term.form for text in (evidence.text, evidence.title, question) for term in terms(text) if term.kind == "number"
    }
    return sum(term.form not in known for term in terms(answer) if term.kind == "number")


def _share(values: Sequence[float | None]) -> float | None:
    found = mean([value for value in values if value is not None])
    return None if found is None else round(found, 4)
