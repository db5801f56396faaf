"""Evidence is found in stored text whatever parsing did to it, and judged by overlap."""

from kb.evaluation.locate import Place, locate

TEXT = "Intro. Leave is twenty-five days a year. Ask your manager first. 住宿费每晚不超过 600 元。 The end."


def cut(evidence: str, text: str = TEXT) -> str | None:
    place = locate(evidence, "d", text)
    return None if place is None else text[place.start : place.end]


def test_markup_width_case_and_white_space_do_not_matter() -> None:
    assert cut("**Leave** is\ntwenty-five   DAYS a year") == "Leave is twenty-five days a year"
    assert cut("住宿费每晚不超过６００元") == "住宿费每晚不超过 600 元"


def test_most_of_the_evidence_is_enough_and_less_is_not() -> None:
    assert cut("Ask your manager first, please") == "Ask your manager first"
    assert cut("Ask your dentist about all of your teeth") is None
    assert cut("***") is None


def test_the_sentences_inside_are_known() -> None:
    place = locate("Leave is twenty-five days a year. Ask your manager first.", "d", TEXT)
    assert place is not None
    sentences = [TEXT[low:high] for low, high in place.sentences]
    assert [sentence.rstrip(".") for sentence in sentences] == [
        "Leave is twenty-five days a year",
        "Ask your manager first",
    ]


def test_a_passage_finds_a_place_by_holding_half_of_it_or_lying_inside() -> None:
    place = Place("d", 100, 200, ((100, 150), (150, 200)))
    assert place.is_found_by("d", 150, 400)
    assert place.is_found_by("d", 120, 130)
    assert not place.is_found_by("d", 151, 400)
    assert not place.is_found_by("e", 100, 200)


def test_a_citation_lies_in_a_sentence_or_covers_one() -> None:
    place = Place("d", 100, 200, ((100, 150), (150, 200)))
    assert place.is_cited_by("d", 110, 120)
    assert place.is_cited_by("d", 90, 155)
    assert not place.is_cited_by("d", 140, 160)
    assert not place.is_cited_by("e", 110, 120)
