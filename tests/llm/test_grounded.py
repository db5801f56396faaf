"""Grounded decoding: whatever a model prefers, it can only spell numbers, names and code that the evidence spells."""

import random
import re
import time

import pytest
import torch

from llm.evidence import Evidence
from llm.writer.check import check_sentence
from llm.writer.grounded import GroundedDecoding
from llm.writer.tokenizer import WriterTokenizer
from tests.tiny import tiny_bytes

TOKENIZER = WriterTokenizer(tiny_bytes())
EVIDENCE = (
    "The Berlin office pays 197 euros for 25 nights. Since 18 November 2015 the limit is $10,000 for 3.5 days, "
    "see docs/setup_guide.md or mail travel.desk@example.org. Contact Maria Lopez (Travel Desk), ticket OPS-2041. "
    "Run `kb ingest --prune ./docs` with max_pending_entries set to 8192. It grew by 5% to 40 GB."
)


def decoder(question: str = "", polarity: str = "undecided", evidence: str = EVIDENCE) -> GroundedDecoding:
    return GroundedDecoding(TOKENIZER, ["Travel costs", evidence], question, polarity)  # type: ignore[arg-type]


def admits(text: str, question: str = "", polarity: str = "undecided", evidence: str = EVIDENCE) -> bool:
    """Whether the whole text, its end included, can be written."""
    automaton = decoder(question, polarity, evidence)
    for token in [*TOKENIZER.encode_text(text), TOKENIZER.end_of_turn]:
        if not automaton.admits(token):
            return False
        automaton._take(token)
    return True


@pytest.mark.parametrize(
    "text",
    [
        "The Berlin office pays 197 euros.",
        "It costs 197 euros for 25 nights",
        "The limit has been $10,000 since 18 November 2015.",
        "Up to 10,000, for 3.5 days.",
        "In 2015 the limit rose.",
        "See docs/setup_guide.md, or setup_guide.md.",
        "Write to travel.desk@example.org.",
        "Ask Maria Lopez at the Travel Desk.",
        "The ticket is OPS-2041.",
        "Run `kb ingest --prune ./docs`.",
        "Set `max_pending_entries` to `8192`.",
        "It grew by 5%, to 40 GB.",
        "You need:\n1. a ticket\n2. the setup\n3. nights",
        "I mail the desk's guide, e.g., for the setup.",
    ],
)
def test_what_the_evidence_spells_can_be_written(text: str) -> None:
    assert admits(text)


@pytest.mark.parametrize(
    "text",
    [
        "It pays 917 euros.",
        "It pays 19725 euros.",
        "It pays 19 euros.",
        "The limit is 10.",
        "The limit is 000.",
        "The limit is 10.000.",
        "It takes 3 days.",
        "It takes 5 days.",
        "It is 25 weeks.",
        "It costs 197 dollars.",
        "It costs $197.",
        "It grew by 40%.",
        "It was on 25 November.",
        "It was on 18 March 2015.",
        "It was in November 197.",
        "The London office pays.",
        "Ask Maria Berlin.",
        "Ask Marian Lopez.",
        "It is max_entries.",
        "See docs/setup.md.",
        "Write to maria@example.org.",
        "Write to desk@example.org.",
        "See https://example.org/x.",
        "Run `kb ingest --force`.",
        "Run `kb prune`.",
        "Ticket OPS-20.",
        "It takes three days.",
        "You need:\n1. a badge\n3. a laptop",
        "It is in [7].",
        "It costs ２５０ euros.",
    ],
)
def test_what_no_source_spells_cannot_be_written(text: str) -> None:
    assert not admits(text)


def test_a_number_of_the_question_stays_in_the_phrase_of_the_question() -> None:
    asked = "Does the new 90-day trial cost anything in Berlin?"
    assert admits("Of the new 90 nothing is said.", asked)
    assert not admits("It costs 90 euros.", asked)
    assert not admits("It pays 90.", asked)


def test_no_word_is_spelled_into_nowhere() -> None:
    automaton = decoder("What does DeskPay cost?")
    for letter in "Desk":
        (token,) = TOKENIZER.encode_text(letter)
        assert automaton.admits(token)
        automaton._take(token)
    assert not any(automaton.admits(TOKENIZER.encode_text(letter)[0]) for letter in "pjvfxz")


def test_a_name_wrapped_over_two_lines_is_one_name() -> None:
    assert admits("Mail Maria Lopez.", evidence="Please mail Maria\nLopez.")
    assert not admits("Mail Maria Lopez.", evidence="Please mail Maria\n\nLopez is away.")


def test_a_name_that_may_not_be_said_is_not_spelled_either() -> None:
    asked = "What does OPQ-12 ask of the Berlin office?"
    for text in ("OPQ-12 pays.", "O. P. Q. 12", "O. P. Q. 1", "It pays O. P."):
        assert not admits(text, asked), text
    assert admits("A ticket, as I mail it.", asked)


def test_a_name_of_the_question_is_only_said_with_the_evidence() -> None:
    asked = "Does the Paris office, like the one in Berlin, pay for three nights?"
    assert admits("The Berlin office pays.", asked)
    assert not admits("The Paris office pays.", asked)
    assert not admits("It pays for three nights.", asked)


@pytest.mark.parametrize(
    ("text", "question", "expected"),
    [
        ("The office pays for nights.", "", True),
        ("The office is friendly.", "", False),
        ("The office is friendly.", "Is the office friendly?", True),
        ("The Berlin office generously pays.", "", True),
        ("Grab the ticket.", "", False),
        ("Ask the desk.", "", True),
        ("The office pays. It is friendly.", "", False),
    ],
)
def test_new_words_are_few_in_every_sentence(text: str, question: str, expected: bool) -> None:
    assert admits(text, question) is expected


@pytest.mark.parametrize("seed", range(3))
def test_random_sentences_pass_the_check(seed: int) -> None:
    """Whatever words are proposed, a sentence that can be written has its words in the evidence."""
    rng = random.Random(seed)
    words = [*EVIDENCE.replace("`", "").split(), *"friendly kitchens closing tomorrow the a of it is".split()]
    written = 0
    for _ in range(40):
        text = "It " + " ".join(rng.choice(words).strip(".,()") for _ in range(5)) + "."
        if admits(text):
            written += 1
            assert check_sentence(text, [Evidence(1, "Travel costs", EVIDENCE, 0, len(EVIDENCE))], "").supported, text
    assert written


@pytest.mark.parametrize(
    ("polarity", "yes", "no"), [("yes", True, False), ("no", False, True), ("undecided", False, False)]
)
def test_a_leading_yes_or_no_is_the_readers(polarity: str, yes: bool, no: bool) -> None:
    assert admits("Yes, it pays.", polarity=polarity) is yes
    assert admits("No, it pays.", polarity=polarity) is no
    assert admits("It pays. Yes, it does.", polarity=polarity) is yes
    assert admits("It pays no office.", polarity=polarity)


@pytest.mark.parametrize(
    ("yes", "no", "is_negated", "expected"),
    [
        (9.0, 4.0, False, "yes"),
        (4.0, 9.0, True, "no"),
        (9.0, 4.0, True, "undecided"),
        (9.0, 8.5, False, "undecided"),
        (1.0, 1.0, False, "undecided"),
        (9.0, 4.0, None, "undecided"),
    ],
)
def test_an_undecided_reader_leaves_it_to_a_sure_writer_whom_the_evidence_bears_out(
    yes: float, no: float, is_negated: bool | None, expected: str
) -> None:
    logits = torch.zeros(TOKENIZER.vocab)
    logits[TOKENIZER.encode_text("Y")[0]], logits[TOKENIZER.encode_text("N")[0]] = yes, no
    automaton = GroundedDecoding(TOKENIZER, [EVIDENCE], "Does it pay?", "undecided", is_negated)
    automaton.allowed(logits, [])
    assert automaton.polarity == expected


def test_five_words_are_not_written_twice() -> None:
    assert admits("it pays for the office of a desk and it pays for the guide")
    assert not admits("it pays for the office and it pays for the office and more")


def test_grouping_by_blanks_is_not_taken_apart() -> None:
    assert not admits("It has 10 users.", evidence="It has 10 000 users.")


def test_two_numbers_never_make_a_third_whatever_the_logits_are() -> None:
    allowed = set(re.findall(r"\d+", EVIDENCE))
    rng = random.Random(5)
    torch.manual_seed(5)
    favourites = [token for text in "0123456789 .,$%ABMLTkb`_@/\n" for token in TOKENIZER.encode_text(text)]
    for _ in range(12):
        automaton = decoder()
        written: list[int] = []
        for _ in range(120):
            logits = torch.randn(TOKENIZER.vocab)
            logits[favourites] += rng.choice([0.0, 2.0, 6.0])
            token = automaton.allowed(logits, written)
            if token in TOKENIZER.stop:
                break
            written.append(token)
        text = TOKENIZER.decode(written)
        body = re.sub(r"(?m)^\s*\d{1,2}[.)] ", "", text)
        finished = re.sub(r"\S*\Z", "", body) if len(written) == 120 else body
        assert set(re.findall(r"\d+", finished)) <= allowed, text
        assert "�" not in text[:-1]


def test_a_step_costs_far_less_than_a_forward_pass() -> None:
    automaton = decoder("What does it cost?")
    torch.manual_seed(0)
    written: list[int] = []
    start = time.process_time()
    for _ in range(60):
        written.append(automaton.allowed(torch.randn(49_152)[: TOKENIZER.vocab], written))
        if written[-1] in TOKENIZER.stop:
            break
    assert (time.process_time() - start) / len(written) < 0.02
