"""`kb eval answers` and `kb eval writer` on tiny models: what is counted, and what a refusal costs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.bootstrap import open_components
from kb.components import Components
from kb.errors import InvalidInput
from kb.evaluation.answers import AnswersOptions, read_questions, run_answers, with_documents, write_contexts
from kb.evaluation.rows import read_rows
from kb.ingestion import ingest_paths
from kb.settings import Settings
from llm.reader import Calibration
from tests.tiny import tiny_checkpoint, tiny_models

ROWS: list[dict[str, Any]] = [
    {
        "id": "days",
        "question": "How many days of vacation does an employee have?",
        "kind": "short",
        "title": "Vacation",
        "context": "Every employee has 25 days of vacation a year. Requests go to the manager.",
        "answers": ["25 days"],
        "response": "Every employee has 25 days.",
    },
    {
        "id": "port",
        "question": "Which port does the server use?",
        "kind": "short",
        "title": "Server",
        "context": "The server listens on port 8000 unless another is set.",
        "answers": ["8000"],
        "response": "It listens on port 8000.",
    },
    {
        "id": "none",
        "question": "Who pays for lunch?",
        "kind": "none",
        "context": "The index is rebuilt each day.",
        "answers": [],
        "response": "",
    },
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Components]:
    """Tiny models, and the passages of the questions as documents."""
    folder = tmp_path_factory.mktemp("evaluation")
    models = tiny_models(folder / "models")
    checkpoint = tiny_checkpoint(folder / "checkpoint", models)
    settings = Settings(home=folder / "home", models=models, checkpoint=checkpoint, precision="fp32", threads=1)
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    passages = folder / "passages"
    passages.mkdir()
    write_contexts(passages, read_rows(source))
    with open_components(settings) as opened:
        assert ingest_paths(opened, [passages]).added == 3
        yield opened


def judged_by(components: Components, threshold: float) -> Components:
    assert components.reader is not None
    return replace(components, reader=components.reader.with_calibration(Calibration(threshold=threshold)))


def options(components: Components, file: Path, rows: list[Mapping[str, Any]], mode: str = "quote") -> AnswersOptions:
    source = read_rows(file)
    contexts = [context for row in source for context in row.contexts]
    return AnswersOptions(
        components, with_documents(read_questions(file), contexts), mode=mode, budget_ms=0, on_row=rows.append
    )


def test_every_question_is_judged_and_every_answer_written_out(components: Components, file: Path) -> None:
    rows: list[Mapping[str, Any]] = []
    result = run_answers(options(judged_by(components, 0.0), file, rows))
    assert (result["n"], result["unlocated"]) == (3, 0)
    assert result["hit@3"] == 1.0  # there are three passages
    assert result["refusal"] == {"precision": None, "recall": 0.0}
    assert result["modes"] == {"quote": 3, "write": 0}
    assert result["supported"] == 1.0  # quotes stand in what they cite
    assert set(result["timings_ms"]) >= {"embed", "search", "read", "total"}
    assert [row["id"] for row in rows] == ["days", "port", "none"]
    assert rows[2]["scores"]["hit"] is None


def test_a_refusal_counts_as_a_miss_and_as_right_where_there_is_no_answer(components: Components, file: Path) -> None:
    result = run_answers(options(judged_by(components, 1.1), file, []))
    assert (result["f1"], result["contains"], result["citation_correct"]) == (0.0, 0.0, 0.0)
    assert result["refusal"] == {"precision": pytest.approx(1 / 3, abs=1e-4), "recall": 1.0}
    assert result["supported"] is None


def test_a_row_whose_document_is_unknown_is_missed_and_counted(components: Components, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    row = {
        "id": "x",
        "question": "when?",
        "kind": "short",
        "doc": "gone.md",
        "evidence": "each day",
        "answers": ["day"],
    }
    path.write_text(json.dumps(row) + "\n")
    result = run_answers(AnswersOptions(judged_by(components, 0.0), read_questions(path), mode="quote", budget_ms=0))
    assert (result["unlocated"], result["hit@3"], result["citation_correct"]) == (1, 0.0, 0.0)


def test_a_file_without_questions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"context": "text"}\n')
    with pytest.raises(InvalidInput, match="no row with a question"):
        read_questions(path)
