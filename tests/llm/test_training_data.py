"""From rows to examples: nothing of a dev file gets in, targets cut the answer, prompts are those of serving."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from llm.reader import TITLE_TOKENS
from llm.training.reader_data import WINDOW_TOKENS, answer_span, polarity_class, reader_examples
from llm.training.rows import Row, read_training_rows, split_by_passage
from llm.training.writer_data import answer_spans, without_leading_word, writer_examples
from llm.writer.tokenizer import WriterTokenizer
from tests.tiny import tiny_bytes, tiny_unigram


def row(**changes: object) -> Row:
    fields: dict[str, object] = {
        "id": "1",
        "lang": "en",
        "source": "test",
        "family": "own",
        "kind": "short",
        "title": "Access",
        "context": "The admin can delete a page. The user can read each page on the server.",
        "question": "who can delete?",
        "answers": ("The admin",),
        "response": "The admin can delete a page.",
    }
    return Row(**{**fields, **changes})  # type: ignore[arg-type]


def nobody(rows: Sequence[Row], passages: Sequence[str]) -> list[list[int]]:
    return [[] for _ in rows]


def write(path: Path, rows: list[dict[str, object]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in rows)


def raw(number: int, context: str) -> dict[str, object]:
    return {"id": number, "lang": "en", "source": "s", "context": context, "question": f"q{number}", "answers": []}


def test_rows_whose_passage_stands_in_a_dev_file_are_dropped_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "hand.en.train.jsonl.gz", [raw(1, "kept"), raw(2, "held out"), raw(3, "also kept")])
    write(tmp_path / "desk.en.dev.jsonl.gz", [raw(9, "held out")])
    rows = read_training_rows(tmp_path)
    assert [one.id for one in rows.kept] == ["1", "3"]
    assert rows.dropped == {"passage stands in a dev file": 1}
    assert rows.kept[0].family == "hand"


def test_a_broken_line_is_named_and_an_empty_folder_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no \*\.train\.jsonl\.gz rows"):
        read_training_rows(tmp_path)
    (tmp_path / "x.train.jsonl").write_text('{"id": 1\n')
    with pytest.raises(ValueError, match=r"x\.train\.jsonl, line 1: not JSON"):
        read_training_rows(tmp_path)


def test_held_out_rows_share_no_passage_with_the_others() -> None:
    rows = tuple(row(id=str(i), context=f"passage {i // 3}") for i in range(300))
    train, held = split_by_passage(rows, 10)
    assert len(train) + len(held) == 300
    assert 5 <= len(held) <= 80
    assert not {one.context for one in train} & {one.context for one in held}


def test_the_span_of_a_list_covers_its_items_unless_they_stand_far_apart() -> None:
    near = row(kind="list", context="Use a, then bb, then ccc.", answers=("a", "ccc"))
    assert near.context[slice(*answer_span(near) or (0, 0))] == "a, then bb, then ccc"
    far = row(kind="list", context="first " + "x" * 500 + " last", answers=("first", "last"))
    assert answer_span(far) == (0, 5)
    assert answer_span(row(answers=())) is None


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("Yes, you can.", 0),
        ("No, it is not.", 1),
        ("不可以，需要申请。", 1),
        ("可以。", 0),
        ("It depends.", -1),
        ("不一定。", -1),
    ],
)
def test_yes_and_no_are_read_off_the_response(response: str, expected: int) -> None:
    assert polarity_class(row(kind="yesno", response=response)) == expected
    assert polarity_class(row(kind="short", response=response)) == 2


def test_targets_cut_the_answer_out_of_the_passage_even_in_a_window() -> None:
    long = "page " * 300 + "The admin can delete. " + "index " * 300
    rows = [row(), row(context=long), row(answers=(), response="")]
    tokenizer = tiny_unigram()
    found = reader_examples(rows, tokenizer, nobody, seed=4).examples
    for one, source in zip(found[:2], rows, strict=False):
        first = one.features.first
        text = source.context[one.features.offsets[one.start - first][0] : one.features.offsets[one.end - first][1]]
        assert text.strip() == "The admin"
        assert len(one.features.offsets) <= WINDOW_TOKENS
    assert (found[2].start, found[2].end) == (0, 0)
    assert all(one.features.first <= 60 + TITLE_TOKENS for one in found)


def test_a_nearest_wrong_passage_becomes_an_unanswerable_example_unless_it_holds_the_answer() -> None:
    other = row(id="2", context="Documents are parsed in a child.", question="how?", answers=("in a child",))
    echo = row(id="3", context="Ask The admin for access.", question="whom?", answers=("The admin",))
    rows = [row()] * 40 + [other, echo]

    def everything(asked: Sequence[Row], passages: Sequence[str]) -> list[list[int]]:
        return [[i for i, text in enumerate(passages) if text != one.context] for one in asked]

    made = reader_examples(rows, tiny_unigram(), everything, seed=2)
    mined = made.counts["nearest wrong passage en"]
    assert mined > 10
    assert sum(one.start == 0 for one in made.examples) == mined


def test_the_writer_learns_on_the_prompt_of_serving_and_ends_its_turn() -> None:
    tokenizer = WriterTokenizer(tiny_bytes())
    source = row(title="", context="The admin can.", question="who?", response="The admin.")
    one = writer_examples([source, row(lang="zh")], tokenizer, nobody, frozenset({"en"}), seed=1)[0]
    assert tokenizer.decode(one.ids[one.begin :]) == source.response
    assert one.ids[-1] == tokenizer.end_of_turn
    prompt = tokenizer.decode(one.ids[: one.begin])
    assert "The admin can.\n\nwho?" in prompt
    assert prompt.endswith("assistant\n")


def test_other_languages_and_overlong_examples_are_left_out() -> None:
    tokenizer = WriterTokenizer(tiny_bytes())
    rows = [row(lang="zh"), row(context="The admin " + "may read. " * 60)]
    assert writer_examples(rows, tokenizer, nobody, frozenset({"en"}), seed=1) == []


def test_a_response_that_says_more_than_its_evidence_is_not_trained_on() -> None:
    rows = [row(), row(response="The admin can delete a page after Maria Lopez has approved it.")]
    tokenizer = WriterTokenizer(tiny_bytes())
    assert len(writer_examples(rows, tokenizer, nobody, frozenset({"en"}), 1)) == 1


def test_yes_no_questions_are_seen_twice() -> None:
    rows = [row(), row(kind="yesno", question="can the admin delete?", response="Yes, the admin can.")]
    found = reader_examples(rows, tiny_unigram(), nobody, 1)
    assert len(found.examples) == 3 and [one.polarity for one in found.examples].count(0) == 2


def test_a_statement_is_what_stands_behind_yes_or_no() -> None:
    assert without_leading_word("No, teammates must ask first.") == "Teammates must ask first."
    assert without_leading_word("Yes.") == "Yes."
    assert answer_spans(row(kind="list", answers=("admin", "user", "missing"))) == ((4, 9), (33, 37))
