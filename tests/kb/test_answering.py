"""The whole trip on tiny models: the words are nonsense, but every citation is exact and every promise is kept."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.access import LOCAL
from kb.answering import Answer, Done, EvidenceFound, Question, Sources, Token, Turn, answer, stream
from kb.answers import load_answer
from kb.bootstrap import open_components
from kb.components import Components
from kb.documents import document_text
from kb.errors import InvalidInput, NotFound
from kb.ingestion import ingest_paths
from kb.settings import Settings
from llm.reader import Calibration
from tests.tiny import tiny_checkpoint, tiny_models

PAGES = {
    "vacation.md": "# Vacation\n\nEvery employee has 25 days of vacation a year. Requests go to Maria Lopez.\n",
    "travel.md": "# Travel\n\nWhat you need:\n\n- a badge\n- a ticket OPS-2041\n- 100 euros\n\n"
    "Book trains 14 days ahead.\n",
    "差旅.md": "# 差旅\n\n出差前须提交申请。住宿费每晚不超过 600 元。报销需要发票。\n",
}


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Components]:
    """Open components with tiny models that read and write, and three documents."""
    folder = tmp_path_factory.mktemp("answering")
    models = tiny_models(folder / "models")
    settings = Settings(
        home=folder / "home",
        models=models,
        checkpoint=tiny_checkpoint(folder / "checkpoint", models),
        precision="fp32",
        threads=1,
        budget_ms=0,
        write_ms=0,
    )
    docs = folder / "docs"
    docs.mkdir()
    for name, text in PAGES.items():
        (docs / name).write_text(text, encoding="utf-8")
    with open_components(settings) as opened:
        assert ingest_paths(opened, [docs]).added == 3
        yield opened


def never_refusing(components: Components) -> Components:
    """The same components with a reader that always believes."""
    assert components.reader is not None
    reader = type(components.reader)(
        components.reader.net, components.reader.tokenizer, Calibration(threshold=0.0), components.reader.model_id
    )
    return replace(components, reader=reader)


def stored_text(components: Components, document_id: str) -> str:
    with components.database.read() as session:
        return document_text(session, LOCAL, document_id)


def check_places(components: Components, given: Answer) -> None:
    """Every passage and citation is the stored text between its offsets, and every mark has a citation."""
    for passage in given.passages:
        assert stored_text(components, passage.document_id)[passage.start : passage.end] == passage.text
        assert passage.quote in passage.text
    for citation in given.citations:
        assert stored_text(components, citation.document_id)[citation.start : citation.end] == citation.quote
        assert citation.quote.strip()
        assert citation.chunk_id == given.passages[citation.n - 1].chunk_id
    marks = {int(mark) for mark in re.findall(r"\[(\d+)\]", given.answer)}
    assert marks <= {citation.n for citation in given.citations}
    if given.answered:
        assert marks and given.citations and given.quote
        assert given.quote == given.passages[given.citations[0].n - 1].quote or given.mode == "write"


@pytest.mark.parametrize("mode", ["quote", "write"])
@pytest.mark.parametrize(
    "text", ["How many days of vacation are there?", "what do I need to travel", "住宿费每晚多少钱？"]
)
def test_every_citation_is_the_stored_text_at_its_offsets(components: Components, text: str, mode: str) -> None:
    given = answer(never_refusing(components), LOCAL, Question(text, mode=mode))  # type: ignore[arg-type]
    check_places(components, given)
    assert given.answered and given.mode in ("quote", mode)
    allowed = set(re.findall(r"\d+", " ".join(PAGES.values()) + text))
    assert set(re.findall(r"\d+", re.sub(r"\[\d+\]", "", given.answer))) <= allowed


def test_a_chinese_question_is_quoted_whatever_mode_was_asked_for(components: Components) -> None:
    given = answer(never_refusing(components), LOCAL, Question("报销需要什么？", mode="write"))
    assert (given.mode, given.language) == ("quote", "zh")


def test_events_come_in_order_and_tokens_joined_are_the_answer(components: Components) -> None:
    events = list(stream(never_refusing(components), LOCAL, Question("How many days of vacation are there?")))
    events = [e for n, e in enumerate(events) if n != 1 or not isinstance(e, Sources)]  # a new order may follow
    assert isinstance(events[0], Sources) and isinstance(events[1], EvidenceFound) and isinstance(events[-1], Done)
    tokens = [event for event in events[2:-1] if isinstance(event, Token)]
    assert len(tokens) == len(events) - 3
    assert "".join(token.text for token in tokens) == events[-1].answer.answer
    assert events[1].citations[0].quote in events[0].passages[events[1].citations[0].n - 1].text


def test_nothing_above_the_threshold_is_a_refusal_with_the_closest_passages(components: Components) -> None:
    assert components.reader is not None
    reader = type(components.reader)(
        components.reader.net, components.reader.tokenizer, Calibration(threshold=1.0), components.reader.model_id
    )
    sceptical = replace(components, reader=reader)
    given = answer(sceptical, LOCAL, Question("Who won the match?"))
    assert not given.answered and given.citations == () and given.quote == "" and len(given.passages) == 3
    assert given.answer == "The documents do not contain an answer to this question."
    assert answer(sceptical, LOCAL, Question("谁赢了比赛？")).answer == "文档中没有找到这个问题的答案。"


def test_an_empty_collection_refuses_and_an_unknown_one_fails(components: Components, tmp_path: Path) -> None:
    settings = components.settings.model_copy(update={"home": tmp_path / "empty"})
    with open_components(settings) as empty:
        given = answer(empty, LOCAL, Question("Anything?"))
        assert not given.answered and given.passages == () and given.confidence is None
    with pytest.raises(NotFound, match="nowhere"):
        answer(components, LOCAL, Question("Anything?", collections=("nowhere",)))


@pytest.mark.parametrize("text", ["", "  \n", "why " * 1001])
def test_no_question_and_a_novel_are_invalid(components: Components, text: str) -> None:
    with pytest.raises(InvalidInput):
        answer(components, LOCAL, Question(text))


def test_every_answer_is_a_stored_row_equal_to_what_was_given(components: Components) -> None:
    given = answer(components, LOCAL, Question("How many days of vacation are there?"))
    with components.database.read() as session:
        row = load_answer(session, LOCAL, given.id)
    assert row.body["answer"] == given.answer and row.answered == given.answered
    assert [one["start"] for one in row.body["passages"]] == [one.start for one in given.passages]


def test_a_budget_too_short_for_writing_gives_the_quote_in_time(components: Components) -> None:
    believing = never_refusing(components)
    began = time.monotonic()
    given = answer(believing, LOCAL, Question("How many days of vacation are there?", budget_ms=1))
    assert given.mode == "quote" and given.answered
    assert time.monotonic() - began < 5
    check_places(components, given)


def test_timings_are_of_this_answer_and_in_order(components: Components) -> None:
    given = answer(never_refusing(components), LOCAL, Question("How many days of vacation are there?"))
    times = given.timings_ms
    assert times.embed is not None and times.search is not None and times.read is not None
    assert times.first_token is not None
    assert 0 <= times.embed + times.search + times.read <= times.first_token <= times.total


def test_without_a_trained_reader_the_nearest_sentence_is_given_as_unread(components: Components) -> None:
    given = answer(replace(components, reader=None), LOCAL, Question("How many days of vacation are there?"))
    assert given.answered and given.mode == "unread" and given.confidence is None
    check_places(components, replace(given, mode="quote"))


def test_a_follow_up_is_searched_with_the_question_before_it(components: Components) -> None:
    history = (Turn("user", "How many days of vacation are there?"), Turn("assistant", "25 days."))
    believing = never_refusing(components)
    alone = answer(believing, LOCAL, Question("And for them?", mode="quote"))
    after = answer(believing, LOCAL, Question("And for them?", history=history, mode="quote"))
    assert after.passages[0].document == "Vacation"
    assert alone.question == after.question == "And for them?"


def test_a_follow_up_without_an_answer_is_searched_alone_as_well(components: Components) -> None:
    assert components.reader is not None
    refusing = replace(components, reader=components.reader.with_threshold(1.1))
    history = (Turn("user", "How many days of vacation are there?"), Turn("assistant", "25 days."))
    events = list(stream(refusing, LOCAL, Question("And trains?", history=history)))
    first, second = (event.passages for event in events if isinstance(event, Sources))
    assert first[0].document == "Vacation" and second[0].document == "Travel"
    done = events[-1]
    assert isinstance(done, Done) and not done.answer.answered and done.answer.passages[0].document == "Travel"
    alone = list(stream(refusing, LOCAL, Question("And trains?")))
    assert sum(isinstance(event, Sources) for event in alone) == 1
