"""Evidence windows: they hold the spans, whole sentences, and little more than the limit."""

from itertools import pairwise

from llm.evidence import Source, gather_evidence, visible_length, window
from llm.sentences import split_sentences

PASSAGE = " ".join(f"Rule {n} says that room number {n} is open to everyone on weekdays." for n in range(1, 31))


def span_of(text: str, part: str) -> tuple[int, int]:
    start = text.index(part)
    return start, start + len(part)


def test_a_window_holds_its_span_in_whole_sentences_with_neighbours_on_both_sides() -> None:
    span = span_of(PASSAGE, "room number 15")
    start, end = window(PASSAGE, [span], 420, neighbours=420)
    assert start <= span[0] and span[1] <= end
    assert 300 <= end - start <= 420
    borders = {border for sentence in split_sentences(PASSAGE) for border in sentence}
    assert {start, end} <= borders
    assert "Rule 14" in PASSAGE[start:end] and "Rule 16" in PASSAGE[start:end]


def test_a_span_of_some_length_gets_no_neighbours() -> None:
    first, last = span_of(PASSAGE, "room number 4 "), span_of(PASSAGE, "room number 7 ")
    start, end = window(PASSAGE, [(first[0], last[1])])
    assert PASSAGE[start:end].startswith("Rule 4 ") and "Rule 8" not in PASSAGE[start:end]


def test_all_items_of_a_list_stay_in_the_window() -> None:
    items = [f"- item number {n} of the list" for n in range(20)]
    text = "Everything you need:\n" + "\n".join(items) + "\nNothing else."
    start, end = window(text, [span_of(text, item[2:]) for item in items], 420)
    assert all(item in text[start:end] for item in items)


def test_spans_too_far_apart_give_way_to_the_best_one() -> None:
    start, end = window(PASSAGE, [span_of(PASSAGE, "room number 28"), span_of(PASSAGE, "room number 2 ")], 200)
    assert "room number 28" in PASSAGE[start:end] and "room number 2 " not in PASSAGE[start:end]


def test_a_table_row_is_kept_whole_and_padding_does_not_count() -> None:
    row = "| Basic | " + " " * 400 + "10 users | yes |"
    text = "| Plan | Users | Support |\n| --- | --- | --- |\n" + row
    start, end = window(text, [span_of(text, "10 users")], 120)
    assert row in text[start:end] and "| Plan |" in text[start:end]
    assert visible_length(text[start:end]) <= 120


def test_an_endless_sentence_is_cut_around_its_span_between_words() -> None:
    text = " ".join(f"word{n}" for n in range(2000))
    span = span_of(text, "word1500 word1501")
    start, end = window(text, [span], 300)
    assert start <= span[0] and span[1] <= end and end - start <= 320
    assert text[start - 1] == " " and text[end] == " "


def test_windows_share_the_limit_and_equal_their_passages() -> None:
    other = "The cafeteria opens at eight. " * 20
    sources = [
        Source(2, "Rooms", PASSAGE, (span_of(PASSAGE, "room number 4 "),)),
        Source(1, "Food", other, (span_of(other, "eight"),)),
    ]
    found = gather_evidence(sources, 420, neighbours=420)
    assert [item.number for item in found] == [2, 1]
    for item, source in zip(found, sources, strict=True):
        assert source.text[item.start : item.end] == item.text
    assert visible_length(found[0].text) <= 420 and visible_length(found[1].text) <= 140


def test_blank_and_spanless_passages_give_a_window_all_the_same() -> None:
    assert window("", [], 100) == (0, 0)
    assert window("  \n", [], 100) == (0, 3)
    start, end = window(PASSAGE, [], 100)
    assert start == 0 and 50 <= end <= 100
    assert all(a[1] <= b[0] for a, b in pairwise(split_sentences(PASSAGE)))
