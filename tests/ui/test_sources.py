"""Sources of an answer: one for each number, highlighted exactly or not at all."""

from __future__ import annotations

from typing import Any

from ui.sources import cited_sources, found_source, merged, quote_place


def place(n: int, start: int, quote: str, **more: Any) -> dict[str, Any]:
    common = {"document_id": "d", "document": "Title", "source": "a.md", "page": 2, "heading": "H", "chunk_id": n}
    return {"n": n, "start": start, "end": start + len(quote), "quote": quote, **common, **more}


PASSAGE = place(1, 100, "", text="one two one three", score=0.5)


def test_citations_of_one_number_are_one_source_with_all_their_quotes():
    sources = cited_sources([place(1, 112, "three"), place(1, 100, "one")], [PASSAGE])
    assert len(sources) == 1
    assert sources[0].spans == ((0, 3), (12, 17))
    assert sources[0].quote == "one … three"
    assert sources[0].extent == (100, 117)


def test_numbers_keep_the_order_of_their_first_mention():
    other = place(2, 0, "", text="four", score=0.4)
    sources = cited_sources([place(2, 0, "four"), place(1, 100, "one"), place(2, 0, "four")], [PASSAGE, other])
    assert [source.n for source in sources] == [2, 1]


def test_a_citation_whose_passage_is_missing_shows_its_own_words():
    (source,) = cited_sources([place(7, 40, "alone")], [PASSAGE])
    assert (source.text, source.start, source.spans) == ("alone", 40, ((0, 5),))


def test_a_found_passage_has_nothing_highlighted_and_its_whole_extent():
    source = found_source(PASSAGE)
    assert source.spans == ()
    assert source.extent == (100, 117)


def test_a_quote_is_placed_by_its_offset():
    assert quote_place("one two one two", 100, "one", 108) == (8, 11)


def test_a_quote_with_a_wrong_offset_is_placed_only_where_it_stands_once():
    assert quote_place("one two one three", 100, "three", 100) == (12, 17)
    assert quote_place("one two one three", 100, "one", 103) is None
    assert quote_place("one two", 100, "four", 100) is None
    assert quote_place("one two", 100, "", 100) is None


def test_overlapping_spans_become_one():
    assert merged([(4, 6), (0, 2), (1, 3), (6, 8)]) == ((0, 3), (4, 8))
