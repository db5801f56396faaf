"""Measuring the writer: which rows are asked, what counts, and that figures follow from the rows written."""

import json
from pathlib import Path
from typing import Any

import pytest

from kb.errors import InvalidInput
from kb.evaluation.writer import WriterOptions, run_writer
from llm.encoder import Encoder
from llm.reader import Reader
from llm.writer.checkpoint import load_writer
from llm.writer.writer import Writer
from tests.tiny import tiny_checkpoint, tiny_models

ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "lang": "en",
        "title": "Travel",
        "context": "Receipts are due within 30 days. Send them to Maria Lopez.",
        "question": "When are receipts due?",
        "answers": ["within 30 days"],
        "kind": "short",
        "response": "Receipts are due within 30 days.",
    },
    {
        "id": "b",
        "lang": "en",
        "title": "Pets",
        "context": "Dogs are not allowed in the office.",
        "question": "Can I bring my dog?",
        "answers": ["Dogs are not allowed"],
        "kind": "yesno",
        "response": "No, dogs are not allowed in the office.",
    },
    {"id": "c", "lang": "en", "context": "Nothing.", "question": "Why?", "answers": [], "kind": "none"},
    {
        "id": "d",
        "lang": "zh",
        "context": "默认端口 8000。",
        "question": "默认端口？",
        "answers": ["8000"],
        "kind": "short",
    },
    {"id": "e", "lang": "en", "context": "Other words.", "question": "Where?", "answers": ["absent"], "kind": "short"},
]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Writer, Reader]:
    folder = tmp_path_factory.mktemp("writer")
    models = tiny_models(folder / "models")
    checkpoint = tiny_checkpoint(folder / "checkpoint", models)
    writer = Writer(load_writer(models / "writer", checkpoint, precision="fp32"), max_tokens=40)
    return writer, Reader.load(checkpoint, Encoder.load(models / "encoder"))


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_of_the_writers_language_that_hold_their_answer_are_asked(
    parts: tuple[Writer, Reader], tmp_path: Path
) -> None:
    lines: list[Any] = []
    options = WriterOptions(write_rows(tmp_path, ROWS), parts[0], parts[1], on_row=lines.append)
    figures = run_writer(options)
    assert [line["id"] for line in lines] == ["a", "b"]
    assert set(figures) == {"n", "contains", "supported", "invented_numbers", "polarity"}
    assert figures["n"] == 2 and figures["invented_numbers"] == 0
    assert figures["contains"] == lines[0]["contains"] and lines[1]["contains"] is None
    verdicts = [verdict for line in lines for verdict in line["supported"]]
    expected = round(sum(verdicts) / len(verdicts), 4) if verdicts else None
    assert figures["supported"] == expected


def test_the_evidence_is_what_holds_the_answer(parts: tuple[Writer, Reader], tmp_path: Path) -> None:
    lines: list[Any] = []
    run_writer(WriterOptions(write_rows(tmp_path, ROWS[:1]), parts[0], on_row=lines.append))
    assert "Receipts are due within 30 days." in lines[0]["evidence"]
    assert lines[0]["polarity"] == "undecided"


def test_a_file_without_a_usable_row_is_refused(parts: tuple[Writer, Reader], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="en"):
        run_writer(WriterOptions(write_rows(tmp_path, ROWS[2:]), parts[0]))
