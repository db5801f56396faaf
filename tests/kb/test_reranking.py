"""Reranking with a real reader on tiny weights: what it keeps is what reading one by one and sorting would keep."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from kb.access import LOCAL, readable_groups
from kb.citations import heading_line
from kb.ingestion import ingest_paths
from kb.reranking import CANDIDATES, READER_WEIGHT, SHOWN, Candidate, rerank
from llm.reader import Passage, Reader
from tests.kb.parts import Parts
from tests.tiny import tiny_checkpoint

PAGES = (
    "The index is built on the server.", "A user may search by time.", "Every page has a password.",
    "The admin can access all files.", "Text and data on one page.", "A model for each question.", "Days and months.",
    "Answer by the year, not by the week.",
)  # fmt: skip


@pytest.fixture
def reader(sqlite_parts: Parts, tmp_path: Path) -> Reader:
    return Reader.load(tiny_checkpoint(tmp_path / "checkpoint", sqlite_parts.settings.models), sqlite_parts.encoder)


def search(parts: Parts, folder: Path, pages: tuple[str, ...], question: str) -> list[Candidate]:
    folder.mkdir()
    for number, page in enumerate(pages):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\n{page}\n", encoding="utf-8")
    ingest_paths(parts, [folder])
    with parts.database.read() as session:
        groups = readable_groups(session, LOCAL)
    found = parts.index.find(question, CANDIDATES, groups).passages
    return [Candidate(Passage(heading_line(one.chunk), one.chunk.text), one.hit.score) for one in found]


def reference_score(reader: Reader, question: str, one: Candidate) -> float:
    reading = reader.read(question, [one.passage])[0]
    return one.score + READER_WEIGHT * reading.confidence


def test_the_best_of_all_candidates_come_first_where_time_allows(
    sqlite_parts: Parts, reader: Reader, tmp_path: Path
) -> None:
    question = "who may search the index by time"
    found = search(sqlite_parts, tmp_path / "pages", PAGES, question)
    assert len(found) == CANDIDATES
    scores = [reference_score(reader, question, one) for one in found]
    expected = sorted(range(CANDIDATES), key=lambda n: -scores[n])
    for until in (None, time.monotonic() + 600):
        ranked = rerank(reader, question, found, until)
        assert ranked.order == tuple(expected)
        assert len(ranked.readings) == CANDIDATES and ranked.further_ms > 0


def test_without_time_only_the_first_three_are_read(sqlite_parts: Parts, reader: Reader, tmp_path: Path) -> None:
    found = search(sqlite_parts, tmp_path / "pages", PAGES, "the index")
    ranked = rerank(reader, "the index", found, time.monotonic())
    assert (len(ranked.readings), ranked.further_ms) == (SHOWN, 0.0)
    assert sorted(ranked.order[:SHOWN]) == [0, 1, 2] and ranked.order[SHOWN:] == (3, 4, 5, 6, 7)
    few = rerank(reader, "the index", found[:2], None)
    assert (len(few.readings), sorted(few.order), few.further_ms) == (2, [0, 1], 0.0)


def test_a_near_duplicate_gives_way_to_something_else(sqlite_parts: Parts, reader: Reader, tmp_path: Path) -> None:
    long = "The index is built on the server by the admin every day of the week and every month of the year. " * 2
    found = search(sqlite_parts, tmp_path / "pages", (long, long, long, *PAGES[1:5]), "index")
    twins = {n for n, one in enumerate(found) if "The index is built" in one.passage.text}
    assert len(twins) == 3
    sure = [replace(one, score=one.score + 9 * (n in twins)) for n, one in enumerate(found)]
    order = rerank(reader, "index", sure, None).order
    assert order[0] in twins and twins.isdisjoint(order[1:SHOWN]) and twins.issuperset(order[SHOWN : SHOWN + 2])
