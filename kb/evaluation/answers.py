"""The whole trip, question to cited answer, against questions with known evidence. `kb eval answers`.

A row names the document that holds its evidence, or brings its passage with it, in which case the passages were
ingested beforehand, one document each. Every figure over answerable rows counts a refusal as a miss.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from kb.access import LOCAL
from kb.answering import Answer, Question, answer
from kb.components import Components
from kb.documents import document_text, list_documents
from kb.errors import InvalidInput
from kb.evaluation.locate import Place, locate_all
from kb.evaluation.rows import Context, Row, distinct_contexts, read_rows
from kb.evaluation.scoring import contains, f1, mean, references
from llm.evidence import Evidence
from llm.sentences import split_sentences
from llm.writer.check import check_sentence

_WARM_UP = 3
_PAGE = 100
_MARK = re.compile(r"\s*\[(\d{1,2})\]")
_STAGES = ("embed", "search", "read", "rerank", "write", "first_token", "total")


@dataclass(frozen=True)
class AnswersOptions:
    """What to ask: `collection` None means all. Without `budget_ms` the installation's own applies; 0 is no limit."""

    components: Components
    rows: Sequence[Row]
    collection: str | None = None
    mode: str = "write"
    budget_ms: int | None = None
    on_progress: Callable[[str], None] = lambda sentence: None
    on_row: Callable[[Mapping[str, Any]], None] = lambda row: None


@dataclass(frozen=True)
class _Judged:
    """One answered row with its scores; those that do not apply are None."""

    row: Row
    answer: Answer
    located: bool
    hit: float | None
    f1: float | None
    contains: float | None
    cited: float | None
    supported: tuple[bool, ...]


def read_questions(path: Path, sources: Sequence[str] = (), exclude_sources: Sequence[str] = ()) -> list[Row]:
    """The rows of `path` that ask something. Raises InvalidInput where none does."""
    rows = read_rows(path, sources=sources, exclude_sources=exclude_sources)
    asked = [row for row in rows if row.question.strip()]
    if not asked:
        raise InvalidInput(f"{path.name} has no row with a question.")
    return asked


def write_contexts(folder: Path, rows: Sequence[Row]) -> list[Context]:
    """Write each distinct passage of `rows` as a Markdown file of its own, to be ingested; returns them in order."""
    contexts = distinct_contexts(rows)
    for number, context in enumerate(contexts):
        heading = f"# {' '.join(context.title.split())}\n\n" if context.title.strip() else ""
        (folder / context_file(number)).write_text(f"{heading}{context.text}\n", encoding="utf-8")
    return contexts


def context_file(number: int) -> str:
    """Name of the file that holds passage `number`."""
    return f"passage-{number:06d}.md"


def with_documents(rows: Sequence[Row], contexts: Sequence[Context]) -> list[Row]:
    """`rows` that bring a passage, with the name of its file and the passage as evidence."""
    number = {context.text: place for place, context in enumerate(contexts)}
    return [
        replace(row, doc=context_file(number[row.context.text]), evidence=(row.context.text,))
        if row.context is not None
        else row
        for row in rows
    ]


def run_answers(options: AnswersOptions) -> dict[str, Any]:
    """Ask every row and return the figures (shares in 0..1, times in milliseconds).

    `{n, "hit@3", f1, contains, citation_correct, supported, unlocated, refusal: {precision, recall},
    modes: {quote, write}, timings_ms: {stage: {p50, p95}}}`. Raises NotFound for an unknown collection.
    """
    texts = _texts(options)
    for row in options.rows[:_WARM_UP]:
        _ask(row, options)
    judged: list[_Judged] = []
    for number, row in enumerate(options.rows, 1):
        one = _judge(row, _ask(row, options), _places(row, texts))
        judged.append(one)
        options.on_row(_line(one))
        if number % 20 == 0:
            options.on_progress(f"{number} of {len(options.rows)} questions")
    return _figures(judged)


def _ask(row: Row, options: AnswersOptions) -> Answer:
    question = Question(
        text=row.question,
        collections=None if options.collection is None else (options.collection,),
        history=(),
        mode="quote" if options.mode == "quote" else "write",
        budget_ms=options.budget_ms,
    )
    return answer(options.components, LOCAL, question)


def _texts(options: AnswersOptions) -> dict[str, list[tuple[str, str]]]:
    """For each file name that a row asks for, the ids and stored texts of the documents so called."""
    wanted = {row.doc for row in options.rows if row.doc}
    found: dict[str, list[tuple[str, str]]] = {}
    with options.components.database.read() as session:
        offset, total = 0, 1
        while offset < total:
            page = list_documents(session, LOCAL, options.collection, limit=_PAGE, offset=offset)
            total, offset = page.total, offset + _PAGE
            for document in page.items:
                name = PurePath(document.path).name
                if name in wanted and document.state == "ready":
                    found.setdefault(name, []).append((document.id, document_text(session, LOCAL, document.id)))
    return found


def _places(row: Row, texts: Mapping[str, Sequence[tuple[str, str]]]) -> list[Place]:
    for document_id, text in texts.get(row.doc, ()):
        if places := locate_all(row.evidence, document_id, text):
            return places
    return []


def _judge(row: Row, given: Answer, places: Sequence[Place]) -> _Judged:
    supported = _supported(given, row.question) if given.answered else ()
    if not row.answers:
        return _Judged(row, given, True, None, None, None, None, supported)
    hit = any(p.is_found_by(c.document_id, c.start, c.end) for p in places for c in given.passages[:3])
    cited = any(p.is_cited_by(c.document_id, c.start, c.end) for p in places for c in given.citations)
    said, quote = (given.answer, given.quote) if given.answered else ("", "")
    return _Judged(
        row=row,
        answer=given,
        located=bool(places),
        hit=float(hit),
        f1=max(f1(quote, text, row.lang) for text in references(row.answers, row.kind)),
        contains=contains(_MARK.sub("", said), row.answers, row.kind) if row.kind in ("short", "list") else None,
        cited=float(given.answered and cited),
        supported=supported,
    )


def _supported(given: Answer, question: str) -> tuple[bool, ...]:
    """For each sentence of the answer whether it stands in the passages it cites (in all cited ones without a mark)."""
    passages = {p.n: Evidence(p.n, " > ".join((p.document, p.heading)), p.text, 0, len(p.text)) for p in given.passages}
    cited = {c.n for c in given.citations}
    verdicts: list[bool] = []
    for start, end in split_sentences(given.answer):
        sentence = given.answer[start:end]
        numbers = {int(mark) for mark in _MARK.findall(sentence)} or cited
        evidence = [passages[n] for n in sorted(numbers) if n in passages]
        if _MARK.sub("", sentence).strip():
            verdicts.append(check_sentence(sentence, evidence, question).supported)
    return tuple(verdicts)


def _line(one: _Judged) -> dict[str, Any]:
    given = one.answer
    scores = {"hit": one.hit, "f1": one.f1, "contains": one.contains, "cited": one.cited, "located": one.located}
    return {
        "id": one.row.id,
        "question": one.row.question,
        "answer": given.answer,
        "answered": given.answered,
        "mode": given.mode,
        "quote": given.quote,
        "citations": given.citations,
        "passages": given.passages,
        "confidence": given.confidence,
        "timings_ms": given.timings_ms,
        "scores": scores,
    }


def _figures(judged: Sequence[_Judged]) -> dict[str, Any]:
    answered = [one for one in judged if one.answer.answered]
    refused = [one for one in judged if not one.answer.answered]
    unanswerable = [one for one in judged if not one.row.answers]
    right_refusals = [float(not one.row.answers) for one in refused]
    return {
        "n": len(judged),
        "hit@3": _share([one.hit for one in judged]),
        "f1": _share([one.f1 for one in judged]),
        "contains": _share([one.contains for one in judged]),
        "citation_correct": _share([one.cited for one in judged]),
        "supported": _share([float(verdict) for one in judged for verdict in one.supported]),
        "unlocated": sum(not one.located for one in judged),
        "refusal": {
            "precision": _share(right_refusals),
            "recall": _share([float(not one.answer.answered) for one in unanswerable]),
        },
        "modes": {mode: sum(one.answer.mode == mode for one in answered) for mode in ("quote", "write")},
        "timings_ms": {stage: times for stage in _STAGES if (times := _times(judged, stage)) is not None},
    }


def _share(values: Sequence[float | None]) -> float | None:
    found = mean([value for value in values if value is not None])
    return None if found is None else round(found, 4)


def _times(judged: Sequence[_Judged], stage: str) -> dict[str, float] | None:
    """Percentiles over the answers in which the stage ran."""
    times = [value for one in judged if (value := getattr(one.answer.timings_ms, stage)) is not None]
    if not times:
        return None
    return {"p50": round(float(np.percentile(times, 50)), 1), "p95": round(float(np.percentile(times, 95)), 1)}
