"""From pieces to an answer: sentences cut as they come, checked, marked, and replaced by the quote where they fail."""

from kb.writing import Composer, Said, SentenceCutter
from llm.evidence import Evidence
from llm.writer.check import Checked, Polarity

TEXT = "Receipts are due within 30 days. Send them to Maria Lopez.\n\nYou need:\n- a badge\n- a laptop\n- water"
EVIDENCE = [Evidence(2, "Travel", TEXT, 0, len(TEXT))]
QUOTE = "Receipts are due within 30 days."


def compose(*sentences: str, polarity: Polarity = "undecided", question: str = "When do I hand them in?") -> list[Said]:
    at = TEXT.index("a badge") if "bring" in question else 0
    marked = Evidence(2, "", TEXT[at:] if at else QUOTE, at, len(TEXT) if at else len(QUOTE))
    composer = Composer(EVIDENCE, [marked], question, Checked(QUOTE, True, 2, 0, 0))
    said = [one for sentence in sentences for one in composer.add(sentence, polarity)]
    return [*said, *composer.finish()]


def text(said: list[Said]) -> str:
    return "".join(one.text for one in said)


def test_sentences_are_cut_as_soon_as_the_next_one_begins() -> None:
    cutter = SentenceCutter()
    pieces = ["It costs ", "3.5", " euros.", " Ask", " first"]
    assert [cutter.push(piece) for piece in pieces] == [[], [], [], ["It costs 3.5 euros."], []]
    assert cutter.finish(has_ended=True) == ["Ask first"]


def test_half_a_sentence_is_dropped_where_the_writer_was_cut_off() -> None:
    cutter = SentenceCutter()
    cutter.push("Done. Half a sen")
    assert cutter.finish(has_ended=False) == []
    cutter.push("Whole.")
    assert cutter.finish(has_ended=False) == ["Whole."]


def test_each_supported_sentence_gets_the_mark_of_its_passage() -> None:
    said = compose("They are due within 30 days.", "Send them to Maria Lopez.")
    assert text(said) == "They are due within 30 days. [2] Send them to Maria Lopez. [2]"
    assert [TEXT[one.checked.start : one.checked.end] for one in said if one.checked] == [
        "Receipts are due within 30 days.",
        "Send them to Maria Lopez.",
    ]


def test_a_list_gets_one_mark_at_its_end() -> None:
    said = compose("You need:", "- a badge", "- a laptop", question="What do I bring?")
    assert text(said) == "You need:\n- a badge\n- a laptop [2]"


def test_a_failed_sentence_is_replaced_by_the_quote_once() -> None:
    said = compose("They are due within 31 days.", "They go to Thomas Miller.")
    assert text(said) == f"{QUOTE} [2]"
    assert [one.is_quote for one in said] == [True]


def test_a_failed_sentence_after_a_good_one_that_says_the_quote_is_left_out() -> None:
    said = compose("Receipts are due within 30 days.", "Thomas Miller pays.")
    assert text(said) == "Receipts are due within 30 days. [2]"


def test_a_lead_in_without_items_gives_way_to_the_quote() -> None:
    assert text(compose("You need:")) == f"{QUOTE} [2]"
    assert text(compose("You need:", "- a passport")) == f"{QUOTE} [2]"


def test_a_bare_yes_waits_for_the_sentence_that_carries_it() -> None:
    said = compose("Yes.", "They are due within 30 days.", polarity="yes")
    assert text(said) == "Yes. They are due within 30 days. [2]"
    assert text(compose("Yes.", polarity="yes")) == f"Yes. {QUOTE} [2]"
    assert text(compose("Yes.", "They are due within 30 days.", polarity="no")).startswith(QUOTE)


def test_a_true_sentence_about_something_else_gives_way_to_the_quote() -> None:
    assert text(compose("Send them to Maria Lopez.")) == f"{QUOTE} [2]"
    said = compose("They are due within 30 days.", "Send them to Maria Lopez.")
    assert "Maria Lopez" in text(said)


def test_nothing_written_is_nothing_said() -> None:
    assert compose() == []
