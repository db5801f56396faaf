"""Answer a question from the documents: search, read, refuse or quote, write, check, cite, store. A one-way trip.

Everything the database knows is read before the writer begins; no session is open while it works. Without streaming
the budget ends the answer: what the writer cannot finish is cut at a sentence, or the quote stands in. In a stream the
quote is there within the budget and writing may go on.
"""

import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from kb.access import Principal, readable_groups
from kb.answers import StoredAnswer, save_answer
from kb.citations import AnswerPassage, Citation, cite, show, without_repeats
from kb.components import Components
from kb.errors import InvalidInput
from kb.followups import search_text
from kb.language import is_written_in, not_found, question_language
from kb.reading import Believed, Read, read_passages
from kb.reranking import CANDIDATES, SHOWN
from kb.writing import Composer, Said, sentences_of
from llm.evidence import Evidence, Source, gather_evidence
from llm.writer.check import Checked
from llm.writer.negation import negates
from llm.writer.writer import Writer

LONGEST_QUESTION = 4_000
"""Characters; a longer text is refused rather than cut silently."""
_RESERVED_S = 0.03  # of the budget, for checking and storing the answer
_READ_SHARE = 0.35  # of the budget after which no passage beyond the first three is read
_READ_SHARE_STREAMED = 0.75  # the same where writing may go on after the budget

Mode = Literal["quote", "write"]


@dataclass(frozen=True)
class Turn:
    """An earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True)
class Question:
    """What is asked. `collections` None means all; `budget_ms` None takes the setting, 0 is no limit."""

    text: str
    collections: tuple[str, ...] | None = None
    history: tuple[Turn, ...] = ()
    mode: Mode = "write"
    budget_ms: int | None = None


@dataclass(frozen=True)
class Timings:
    """Milliseconds of each stage by a monotonic clock; None where it did not run."""

    embed: float | None = None
    search: float | None = None
    read: float | None = None
    rerank: float | None = None
    write: float | None = None
    first_token: float | None = None
    total: float = 0.0


@dataclass(frozen=True)
class Answer:
    """An answer with everything it rests on; `mode` says how it was made, "unread" where there is no trained reader."""

    id: str
    question: str
    answer: str
    answered: bool
    mode: str
    language: str
    confidence: float | None
    quote: str
    citations: tuple[Citation, ...]
    passages: tuple[AnswerPassage, ...]
    model: str
    index_generation: int
    timings_ms: Timings

    def to_json(self) -> dict[str, Any]:
        """The object that callers get."""
        return asdict(self)


@dataclass(frozen=True)
class Sources:
    """Event: the passages found, best first. A second one takes the place of the first."""

    passages: tuple[AnswerPassage, ...]


@dataclass(frozen=True)
class EvidenceFound:
    """Event: where the answer stands; no citations where the passages do not hold it."""

    confidence: float | None
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class Token:
    """Event: the next piece of the answer; it passed the check, or is the quote."""

    text: str


@dataclass(frozen=True)
class Done:
    """Event: the whole answer; its text is all tokens joined."""

    answer: Answer


Event = Sources | EvidenceFound | Token | Done


@dataclass
class _Clock:
    """Since when, and what took how long."""

    begun: float = field(default_factory=time.monotonic)
    timings: Timings = field(default_factory=Timings)

    def passed_ms(self) -> float:
        return 1000 * (time.monotonic() - self.begun)

    def note(self, **stages: float) -> None:
        self.timings = replace(self.timings, **stages)

    def add(self, **stages: float) -> None:
        self.note(**{name: (getattr(self.timings, name) or 0.0) + passed for name, passed in stages.items()})


def answer(components: Components, principal: Principal, question: Question) -> Answer:
    """Answer within the budget. Raises NotFound for an unknown collection, InvalidInput for no question or a novel."""
    budget_ms = _budget_ms(components, question)
    read_ms = _READ_SHARE * budget_ms
    for event in _trip(components, principal, question, limit_ms=budget_ms, read_ms=read_ms):
        if isinstance(event, Done):
            return event.answer
    raise AssertionError("the trip ends with its answer")


def stream(components: Components, principal: Principal, question: Question) -> Generator[Event, None, None]:
    """Sources, EvidenceFound, Token…, Done. Writing may take the installation's `write_ms`. Raises as `answer` does."""
    read_ms = _READ_SHARE_STREAMED * _budget_ms(components, question)
    return _trip(components, principal, question, limit_ms=components.settings.write_ms, read_ms=read_ms)


def _budget_ms(components: Components, question: Question) -> int:
    return components.settings.budget_ms if question.budget_ms is None else question.budget_ms


def _trip(
    components: Components, principal: Principal, question: Question, *, limit_ms: int, read_ms: float
) -> Generator[Event, None, None]:
    """`limit_ms` ends the writing, `read_ms` the reading of further passages; 0 is no limit."""
    clock = _Clock()
    texts = _asked(question)
    with components.database.read() as session:
        groups = readable_groups(session, principal, question.collections)
    for text in texts:
        found = components.index.find(text, CANDIDATES, groups)
        clock.add(embed=found.timings.embed_ms, search=found.timings.search_ms)
        yield Sources(tuple(show(n, passage) for n, passage in enumerate(found.passages[:SHOWN], start=1)))
        reading = time.monotonic()
        until = clock.begun + read_ms / 1000 if read_ms else None
        read = read_passages(components, question.text, found.passages, until)
        clock.add(read=1000 * (time.monotonic() - reading) - read.further_ms, rerank=read.further_ms)
        if [one.found.chunk.id for one in read.passages] != [one.chunk.id for one in found.passages[:SHOWN]]:
            yield Sources(tuple(show(n, one.found) for n, one in enumerate(read.passages, start=1)))
        if read.is_answered:
            break
    yield EvidenceFound(read.confidence, _quoted(read))
    language = question_language(question.text)
    said: list[Said] = []
    for piece in _say(components, question, read, language, clock, limit_ms):
        if not said:
            clock.note(first_token=clock.passed_ms())
        said.append(piece)
        yield Token(piece.text)
    has_written = any(piece.checked is not None and not piece.is_quote for piece in said)
    made = Answer(
        id=uuid.uuid4().hex,
        question=question.text,
        answer="".join(piece.text for piece in said),
        answered=read.is_answered,
        mode="write" if has_written else read.mode,
        language=language,
        confidence=read.confidence,
        quote=read.quote_text if read.is_answered else "",
        citations=_citations(read, said),
        passages=tuple(show(n, one.found, one.quote) for n, one in enumerate(read.passages, start=1)),
        model=_model(components, has_written),
        index_generation=found.generation,
        timings_ms=clock.timings,
    )
    yield Done(_stored(components, principal, made, clock))


def _asked(question: Question) -> tuple[str, ...]:
    """What to search for until there is an answer: a follow-up with the words before it, then alone.

    Raises InvalidInput where nothing, or far too much, is asked.
    """
    if not question.text.strip():
        raise InvalidInput("The question is empty.")
    if len(question.text) > LONGEST_QUESTION:
        raise InvalidInput(f"The question has {len(question.text)} characters; at most {LONGEST_QUESTION} are read.")
    completed = search_text(question.text, [turn.content for turn in question.history if turn.role == "user"])
    return (question.text,) if completed == question.text else (completed, question.text)


def _say(
    components: Components, question: Question, read: Read, language: str, clock: _Clock, limit_ms: int
) -> Iterator[Said]:
    """What the answer says, piece by piece: the refusal, the quote, or what the writer makes of the evidence."""
    if not read.is_answered:
        yield Said(not_found(language))
        return
    quoted = Checked(read.quote.text, True, read.number, 0, 0)
    writer = components.writer
    evidence = _evidence(read)
    has_said = False
    if (
        writer is not None
        and (question.mode, read.mode) == ("write", "quote")
        and language in writer.languages
        and all(is_written_in(item.text, writer.languages) for item in evidence)
    ):
        deadline = clock.begun + limit_ms / 1000 - _RESERVED_S if limit_ms else None
        for piece in _write(writer, question, read, evidence, quoted, deadline):
            has_said = True
            yield piece
        clock.note(write=clock.passed_ms() - _before_writing(clock))
    if not has_said:
        yield Said(f"{read.quote.text} [{read.number}]", quoted, is_quote=True)


def _before_writing(clock: _Clock) -> float:
    times = clock.timings
    return sum(stage or 0.0 for stage in (times.embed, times.search, times.read, times.rerank))


def _write(
    writer: Writer,
    question: Question,
    read: Read,
    evidence: Sequence[Evidence],
    quoted: Checked,
    deadline: float | None,
) -> Iterator[Said]:
    windows = {item.number: item for item in evidence}
    marked = [_marked(one, windows[one.number]) for one in read.believed]
    composer = Composer(evidence, marked, question.text, quoted)
    writing = writer.write(
        question.text, evidence, read.polarity, is_negated=negates(read.quote_text), deadline=deadline
    )
    for sentence in sentences_of(writing):
        yield from composer.add(sentence, writing.polarity)
        if composer.is_done:
            break
    yield from composer.finish()


def _marked(one: Believed, window: Evidence) -> Evidence:
    """The reader's best span in a passage, as evidence of its own."""
    start, end = one.spans[0]
    return Evidence(one.number, one.title, one.chunk.text[start:end], start - window.start, end - window.start)


def _evidence(read: Read) -> list[Evidence]:
    """Windows around the spans, the chosen passage first, then one that the reader believes nearly as much."""
    return gather_evidence([Source(one.number, one.title, one.chunk.text, one.spans) for one in read.believed])


def _quoted(read: Read) -> tuple[Citation, ...]:
    if not read.is_answered:
        return ()
    return tuple(cite(read.number, read.chunk, start, end) for start, end in read.quote.pieces)


def _citations(read: Read, said: Sequence[Said]) -> tuple[Citation, ...]:
    """One citation for each place that a part of the answer rests on, in the order of the answer."""
    found: list[Citation] = []
    windows = {item.number: item for item in _evidence(read)} if read.is_answered else {}
    chunks = {one.number: one.chunk for one in read.believed}
    for piece in said:
        if piece.is_quote:
            found += _quoted(read)
        elif piece.checked is not None and piece.checked.source is not None:
            n, shift = piece.checked.source, windows[piece.checked.source].start
            found.append(cite(n, chunks[n], shift + piece.checked.start, shift + piece.checked.end))
    return without_repeats(found)


def _model(components: Components, has_written: bool) -> str:
    parts = [components.reader.model_id if components.reader is not None else components.encoder.model_id]
    if has_written and components.writer is not None:
        parts.append(components.writer.model_id)
    return " + ".join(parts)


def _stored(components: Components, principal: Principal, made: Answer, clock: _Clock) -> Answer:
    """Store the answer as the row it will be read from; its total is what the caller waited for it."""
    clock.note(total=clock.passed_ms())
    made = replace(made, timings_ms=clock.timings)
    row = StoredAnswer(
        id=made.id,
        question=made.question,
        answered=made.answered,
        mode=made.mode,
        language=made.language,
        confidence=made.confidence,
        body=made.to_json(),
        documents=frozenset(passage.document_id for passage in made.passages),
    )
    with components.database.write() as session:
        save_answer(session, principal, row)
    return made
