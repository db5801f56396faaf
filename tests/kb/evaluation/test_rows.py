"""Question files: what is read, what is left out, and what is said about a bad line."""

import gzip
import json
from pathlib import Path

import pytest

from kb.errors import InvalidInput, NotFound
from kb.evaluation.rows import Context, distinct_contexts, read_rows

ROWS = [
    {
        "id": "a",
        "lang": "en",
        "source": "one",
        "title": "Mail",
        "context": "Reset it.",
        "question": "How?",
        "answers": ["it"],
    },
    {"id": "b", "source": "two", "title": "Other", "context": "Reset it.", "question": "怎么重置？", "answers": []},
    {"id": "c", "source": "two", "passages": [{"title": "T", "text": "First."}, {"title": "", "text": "Second."}]},
    {"question": "Which?", "kind": "list", "doc": "a.md", "evidence": "x", "answers": [["one", "1"], "two"]},
]


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), "utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "rows.jsonl", *ROWS)


def test_all_fields_of_a_row_are_read(file: Path) -> None:
    first, second, third, fourth = read_rows(file)
    assert (first.id, first.line, first.lang, first.source, first.question) == ("a", 1, "en", "one", "How?")
    assert first.answers == (("it",),) and first.context == Context("Mail", "Reset it.")
    assert second.lang == "zh" and second.answers == ()
    assert third.context is None and third.contexts == (Context("T", "First."), Context("", "Second."))
    assert fourth.id == "line-4" and fourth.answers == (("one", "1"), ("two",)) and fourth.evidence == ("x",)


def test_sources_are_chosen_and_left_out(file: Path) -> None:
    assert [row.id for row in read_rows(file, sources=["two"])] == ["b", "c"]
    assert [row.id for row in read_rows(file, exclude_sources=["two"])] == ["a", "line-4"]
    assert read_rows(file, sources=["two"], exclude_sources=["two"]) == []


def test_a_context_counts_once_with_its_first_heading(file: Path) -> None:
    contexts = distinct_contexts(read_rows(file))
    assert contexts == [Context("Mail", "Reset it."), Context("T", "First."), Context("", "Second.")]


def test_compressed_files_and_blank_lines_read_alike(file: Path, tmp_path: Path) -> None:
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\n" + file.read_bytes() + b"\n\n"))
    assert [row.id for row in read_rows(packed)] == ["a", "b", "c", "line-5"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "rows.jsonl, line 2: this is not a JSON object"),
        ("[1]", "rows.jsonl, line 2: this is not a JSON object."),
        ("[" * 100_000, "line 2: this is not a JSON object"),
        ({"question": 5}, "rows.jsonl, line 2: question must be text, not int."),
        ({"question": "q", "answers": "x"}, "rows.jsonl, line 2: answers must be a list, not str."),
        ({"question": "q", "answers": [["x"]]}, "only kind list may hold lists"),
        ({"question": "q", "kind": "long"}, "kind 'long' is not one of list, none, passage, short, yesno."),
        ({"question": "q", "passages": ["x"]}, "passages must be a list of objects"),
        ({"question": "q", "evidence": [1]}, "evidence must be text or a list of texts."),
        ({"id": "x"}, "rows.jsonl, line 2: a row needs a question or a context."),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: object, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_rows(write(tmp_path / "rows.jsonl", ROWS[0], line))
    assert sentence in caught.value.message


def test_a_missing_a_broken_and_a_foreign_file_are_named(tmp_path: Path, file: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"):
        read_rows(tmp_path / "none.jsonl")
    broken = tmp_path / "broken.jsonl.gz"
    for content in (gzip.compress(file.read_bytes())[:-20], b"plain text"):
        broken.write_bytes(content)
        with pytest.raises(InvalidInput, match="not a complete gzip file"):
            read_rows(broken)
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_bytes(b'{"question": "\xff"}\n')
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_rows(foreign)
