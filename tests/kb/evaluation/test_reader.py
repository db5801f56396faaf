"""`kb eval reader` on a tiny reader: counts, percentages and rows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kb.errors import InvalidInput
from kb.evaluation.reader import ReaderOptions, run_reader
from llm.encoder import Encoder
from llm.reader import Passage, Reader
from tests.tiny import tiny_checkpoint, tiny_models

CONTEXT = "The index is rebuilt each day. Access is for the admin."


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    models = tiny_models(tmp_path_factory.mktemp("models"))
    checkpoint = tiny_checkpoint(tmp_path_factory.mktemp("kb-mini"), models)
    return Reader.load(checkpoint, Encoder.load(models / "encoder"))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_figures_are_those_of_the_best_spans(tmp_path: Path, reader: Reader) -> None:
    span = reader.read("when?", [Passage("", CONTEXT)])[0].spans[0]
    right = CONTEXT[span.start : span.end]
    file = write(
        tmp_path / "q.jsonl",
        [
            {"id": "a", "question": "when?", "context": CONTEXT, "answers": ["never", right], "source": "s"},
            {"id": "b", "question": "when?", "context": CONTEXT, "answers": ["zzz"], "source": "s"},
            {"id": "c", "question": "when?", "context": CONTEXT, "answers": [], "source": "s"},
            {"id": "d", "question": "when?", "context": CONTEXT, "answers": ["zzz"], "source": "left out"},
        ],
    )
    rows: list[Mapping[str, Any]] = []
    options = ReaderOptions(file, reader.with_threshold(1.1), exclude_sources=("left out",), on_row=rows.append)
    assert run_reader(options) == {"n": 3, "em": 50.0, "f1": 50.0, "noans_accuracy": 100.0, "auroc": 0.5}
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert rows[0]["quote"] == right
    assert rows[0]["f1"] == 1.0


def test_a_file_without_questions_is_refused(tmp_path: Path, reader: Reader) -> None:
    file = write(tmp_path / "q.jsonl", [{"context": CONTEXT}])
    with pytest.raises(InvalidInput, match=r"q\.jsonl has no row with a question and one context"):
        run_reader(ReaderOptions(file, reader))
