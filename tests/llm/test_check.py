"""The check: what rests on the evidence passes and points to its sentence; inventions, reversals and truisms do not."""

import pytest

from llm.evidence import Evidence
from llm.writer.check import (
    addresses,
    check_sentence,
    invented_numbers,
    is_loop,
    is_truism,
    leading_answer,
    passes,
    without_leading_answer,
)

TRAVEL = (
    "Travel must be approved before it begins. Receipts are due within 30 days. "
    "A taxi costing more than $10,000 needs the approval of Maria Lopez. You must not book first class."
)
PARKING = "Parking is free for the staff of the Berlin office. Visitors pay 5 euros a day."
EVIDENCE = [Evidence(2, "Travel guide > Costs", TRAVEL, 40, 40 + len(TRAVEL)), Evidence(1, "Parking", PARKING, 0, 100)]
QUESTION = "When do I hand in receipts?"


@pytest.mark.parametrize(
    ("sentence", "source", "part"),
    [
        ("Receipts are due within 30 days.", 2, "Receipts are due within 30 days."),
        ("You hand in receipts within 30 days. [2]", 2, "Receipts are due within 30 days."),
        ("Maria Lopez approves a taxi that costs more than $10,000.", 2, "A taxi costing"),
        ("- Visitors pay 5 euros", 1, "Visitors pay 5 euros a day."),
        ("First class must not be booked.", 2, "You must not book first class."),
    ],
)
def test_a_sentence_of_the_evidence_in_other_words_is_supported_and_placed(
    sentence: str, source: int, part: str
) -> None:
    checked = check_sentence(sentence, EVIDENCE, QUESTION)
    text = {item.number: item.text for item in EVIDENCE}[source]
    assert checked.supported and checked.source == source
    assert part in text[checked.start : checked.end]


@pytest.mark.parametrize(
    "sentence",
    [
        "Receipts are due within 31 days.",
        "Receipts are due within three days.",
        "Maria Gomez approves a taxi.",
        "Thomas approves a taxi.",
        "The Madrid office has free parking.",
        "Lunch is served in the canteen at noon.",
        "You must book first class.",
        "Travel must not be approved before it begins.",
        "Visitors pay $10,000 a day.",
    ],
)
def test_inventions_and_reversals_are_not_supported(sentence: str) -> None:
    assert not check_sentence(sentence, EVIDENCE, QUESTION).supported


def test_an_address_is_right_as_a_whole_or_not_at_all() -> None:
    evidence = [Evidence(1, "", "Write to report-policy@example.org about it.", 0, 44)]
    assert check_sentence("Write to report-policy@example.org.", evidence, "").supported
    assert not check_sentence("Write to policy@example.org.", evidence, "").supported


def test_a_number_of_the_question_is_no_evidence() -> None:
    assert not check_sentence(
        "Receipts are due within 90 days.", EVIDENCE, "Are receipts due within 90 days?"
    ).supported


def test_spelled_and_written_numbers_meet() -> None:
    evidence = [Evidence(1, "", "There are three kinds of leave and 12 holidays.", 0, 47)]
    assert check_sentence("There are 3 kinds of leave.", evidence, "").supported
    assert check_sentence("There are twelve holidays.", evidence, "").supported


def test_a_lead_in_claims_nothing_and_has_no_source() -> None:
    checked = check_sentence("You need the following:", EVIDENCE, QUESTION)
    assert checked.supported and checked.source is None


def test_chinese_is_checked_by_characters_and_numbers() -> None:
    evidence = [Evidence(1, "差旅", "住宿费每晚不超过 600 元。", 0, 14)]
    assert check_sentence("住宿费每晚最多 600 元。", evidence, "住宿费每晚最多多少？").supported
    assert not check_sentence("住宿费每晚不超过 800 元。", evidence, "住宿费每晚多少？").supported
    assert not check_sentence("年假有二十五天。", evidence, "年假多少天？").supported


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("Yes, you can.", "yes"),
        ("No. It is closed.", "no"),
        ("no, never", "no"),
        ("No one may enter.", None),
        ("Now.", None),
    ],
)
def test_a_leading_yes_or_no_is_recognised(sentence: str, said: str | None) -> None:
    assert leading_answer(sentence) == said


def test_the_statement_behind_a_leading_answer_stands_alone() -> None:
    assert without_leading_answer("Yes, you can.") == "You can."
    assert without_leading_answer("You can.") == "You can."


def test_truisms_repeat_the_question_and_choices_do_not() -> None:
    assert is_truism("Receipts are handed in.", "When do I hand in receipts?")
    assert not is_truism("Receipts are handed in within 30 days.", "When do I hand in receipts?")
    assert not is_truism("By train.", "Should I travel by train or plane?")
    assert not is_truism("Yes, receipts are handed in.", "Do I hand in receipts?")


def test_loops_are_repeated_sentences_or_runs_of_words() -> None:
    assert is_loop("It is free.", ["It is free."])
    assert is_loop("ask the desk at the door and ask the desk at the door", [])
    assert not is_loop("ask the desk at the door", ["It is free."])


@pytest.mark.parametrize(
    ("sentence", "marked", "expected"),
    [
        ("Receipts are due within 30 days.", "30 days", True),
        ("Receipts are due.", "30 days", False),
        ("Travel must be approved before it begins.", "30 days", False),
        ("Maria Lopez approves a taxi.", "Maria Lopez", True),
        ("A taxi costing more needs the approval.", "Maria Lopez", False),
        ("You must not book first class.", "not book first class", True),
    ],
)
def test_a_sentence_must_say_what_the_reader_marked(sentence: str, marked: str, expected: bool) -> None:
    at = TRAVEL.index(marked)
    span = Evidence(2, "", marked, at, at + len(marked))
    assert addresses(check_sentence(sentence, EVIDENCE, QUESTION), span, QUESTION) is expected


def test_a_yes_passes_only_where_the_reader_said_yes() -> None:
    yes = check_sentence("Yes, receipts are due within 30 days.", EVIDENCE, QUESTION)
    assert passes(yes, QUESTION, "yes", [])
    assert not passes(yes, QUESTION, "no", [])
    assert not passes(yes, QUESTION, "undecided", [])


def test_invented_numbers_are_those_no_source_holds() -> None:
    assert invented_numbers("It takes 30 days [2] and 17 hours.", EVIDENCE, QUESTION) == ["17"]
    assert invented_numbers("1. Receipts\n2. Tickets", EVIDENCE, QUESTION) == []
    assert invented_numbers("Of the new 90 nothing is said.", EVIDENCE, "Is the new 90 day rule on?") == []
    assert invented_numbers("It takes 90 days.", EVIDENCE, "Is the new 90 day rule on?") == ["90"]
