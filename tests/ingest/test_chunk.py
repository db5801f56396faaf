"""Passages: their offsets, their sizes, and that cuts follow the document's structure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.blocks import Blocks
from ingest.chunk import ChunkKnobs, cut
from ingest.records import Chunk
from tests.ingest.measure import WordMeasure

MEASURE = WordMeasure()
SENTENCE = "The manager signs the form before the third day. "  # 12 tokens of the test's measure
CHINESE = "员工出差需要提前三天提交申请。"  # 15 tokens


def chunks_of(blocks: Blocks, title: str = "Handbook", knobs: ChunkKnobs | None = None) -> tuple[Chunk, ...]:
    parsed = blocks.build("text/plain", "file.txt")
    chunks = cut(title, parsed.text, parsed.elements, MEASURE, knobs)
    position = 0
    for ordinal, chunk in enumerate(chunks):
        assert chunk.ordinal == ordinal
        assert chunk.text == parsed.text[chunk.start : chunk.end]
        assert chunk.start >= position
        assert chunk.tokens == MEASURE.count_tokens(chunk.text)
        # What lies between two passages is headings, which their heading paths carry, and white space.
        position = chunk.end
    return chunks


def test_a_short_document_is_one_passage() -> None:
    blocks = Blocks()
    blocks.heading("Handbook", 1)
    blocks.add("paragraph", SENTENCE)
    chunks = chunks_of(blocks)
    assert [(c.text, c.heading) for c in chunks] == [(SENTENCE.strip(), "")]


def test_sections_of_good_size_stay_apart_under_their_heading() -> None:
    blocks = Blocks()
    for name in ("Travel", "Leave"):
        blocks.heading("Handbook", 1)
        blocks.heading(name, 2)
        blocks.add("paragraph", SENTENCE * 12)
    assert [c.heading for c in chunks_of(blocks)] == ["Travel", "Leave"]


def test_small_sections_under_one_parent_are_joined_with_their_headings_in_the_text() -> None:
    blocks = Blocks()
    blocks.heading("Questions", 1)
    for name in ("How long?", "How much?"):
        blocks.heading(name, 2)
        blocks.add("paragraph", SENTENCE * 4)
    chunks = chunks_of(blocks)
    assert len(chunks) == 1
    assert chunks[0].heading == "Questions"
    assert chunks[0].text.startswith("How long?\n\nThe manager")
    assert "\n\nHow much?\n\n" in chunks[0].text


def test_sections_of_different_chapters_are_not_joined() -> None:
    blocks = Blocks()
    for chapter in ("Travel", "Leave"):
        blocks.heading(chapter, 1)
        blocks.heading(f"{chapter} rules", 2)
        blocks.add("paragraph", SENTENCE * 5)
    assert [c.heading for c in chunks_of(blocks)] == ["Travel > Travel rules", "Leave > Leave rules"]


def test_a_tiny_section_joins_its_neighbour_even_across_chapters() -> None:
    blocks = Blocks()
    blocks.heading("Travel", 1)
    blocks.heading("Rules", 2)
    blocks.add("paragraph", SENTENCE * 8)
    blocks.heading("Leave", 1)
    blocks.add("paragraph", "See the intranet.")
    chunks = chunks_of(blocks)
    assert len(chunks) == 1
    assert chunks[0].text.endswith("Leave\n\nSee the intranet.")


def test_a_long_section_is_divided_between_paragraphs_without_a_short_tail() -> None:
    blocks = Blocks()
    blocks.heading("Travel", 1)
    for _ in range(9):
        blocks.add("paragraph", SENTENCE * 4)
    chunks = chunks_of(blocks)
    assert all(100 <= c.tokens <= 200 for c in chunks)
    assert all(c.text.endswith("day.") and c.heading == "Travel" for c in chunks)


@pytest.mark.parametrize("sentence", [SENTENCE, CHINESE])
def test_a_long_paragraph_is_divided_between_sentences(sentence: str) -> None:
    blocks = Blocks()
    blocks.add("paragraph", sentence * 60)
    chunks = chunks_of(blocks)
    assert len(chunks) > 3
    assert all(100 <= c.tokens <= 200 for c in chunks)
    assert all(c.text.startswith(sentence.strip()[:5]) and c.text.endswith(sentence.strip()[-2:]) for c in chunks)


def test_a_sentence_without_end_is_cut_at_words() -> None:
    blocks = Blocks()
    blocks.add("paragraph", "word " * 1000)
    chunks = chunks_of(blocks)
    assert all(c.tokens <= 200 and set(c.text.split()) == {"word"} for c in chunks)
    assert sum(c.tokens for c in chunks) == 1000


def test_a_word_without_end_is_cut_at_tokens() -> None:
    blocks = Blocks()
    blocks.add("paragraph", "x" * 5000)
    chunks = chunks_of(blocks)
    assert "".join(c.text for c in chunks) == "x" * 5000
    assert all(c.tokens <= 200 for c in chunks)


def test_a_list_is_divided_between_items_and_keeps_its_introduction() -> None:
    blocks = Blocks()
    blocks.add("paragraph", "Before you travel:")
    for number in range(40):
        blocks.add("item", f"- {number} {SENTENCE}")
    chunks = chunks_of(blocks)
    assert chunks[0].text.startswith("Before you travel:\n\n- 0 ")
    assert all(c.text.startswith("- ") for c in chunks[1:])
    assert all(c.text.endswith("day.") for c in chunks)


def test_every_passage_of_a_huge_table_carries_the_header_in_its_heading() -> None:
    blocks = Blocks()
    blocks.heading("Rooms", 1)
    blocks.table([["City", "Room", "Seats"], *([f"City {n}", f"Room {n}", str(n)] for n in range(5000))])
    chunks = chunks_of(blocks)
    assert chunks[0].text.startswith("City | Room | Seats\nCity 0 | Room 0 | 0\n")
    assert chunks[0].heading == "Rooms"
    assert {c.heading for c in chunks[1:]} == {"Rooms > City | Room | Seats"}
    rows = [line for c in chunks for line in c.text.split("\n")]
    assert rows[1:] == [f"City {n} | Room {n} | {n}" for n in range(5000)]
    assert all(100 <= c.tokens <= 200 for c in chunks)


def test_a_row_too_long_is_cut_between_cells() -> None:
    blocks = Blocks()
    blocks.table([["Name", "Notes"], ["A", *["some words in a cell"] * 80]])
    chunks = chunks_of(blocks)
    assert len(chunks) > 1
    assert all(c.tokens <= 200 for c in chunks)
    assert all(c.text.count("some words in a cell") == c.text.count("some") for c in chunks)


def test_the_header_row_is_never_alone() -> None:
    blocks = Blocks()
    blocks.heading("Rooms", 1)
    blocks.add("paragraph", SENTENCE * 16)
    blocks.table([["City", "Room"], *([f"City {n}", SENTENCE] for n in range(30))])
    assert not any(c.text.endswith("City | Room") for c in chunks_of(blocks))


def test_code_is_divided_between_lines_and_keeps_its_indentation() -> None:
    blocks = Blocks()
    blocks.add("code", "\n".join(f"    value_{n} = compute({n})" for n in range(100)))
    chunks = chunks_of(blocks)
    assert all(c.text.startswith("    value_") and c.text.endswith(")") for c in chunks)


def test_deep_headings_keep_their_innermost_part() -> None:
    blocks = Blocks()
    for level in range(1, 40):
        blocks.heading(f"Level {level}", level)
    blocks.add("paragraph", SENTENCE)
    (chunk,) = chunks_of(blocks)
    assert chunk.heading.startswith("… ")
    assert chunk.heading.endswith("Level 38 > Level 39")
    assert len(chunk.heading) <= 242


def test_the_title_is_not_repeated_in_the_heading() -> None:
    blocks = Blocks()
    blocks.heading("Handbook", 1)
    blocks.heading("Travel", 2)
    blocks.add("paragraph", SENTENCE * 12)
    assert chunks_of(blocks, title="Handbook")[0].heading == "Travel"


def test_passages_do_not_cross_pages_unless_tiny() -> None:
    blocks = Blocks()
    for page in (1, 2, 3):
        blocks.add("paragraph", SENTENCE * 5, page)
    blocks.add("paragraph", "A last word.", 4)
    chunks = chunks_of(blocks)
    assert [c.page for c in chunks] == [1, 2, 3]
    assert chunks[-1].text.endswith("A last word.")


def test_a_short_cover_takes_the_page_of_what_it_joins() -> None:
    blocks = Blocks()
    blocks.add("paragraph", "Cover", 1)
    blocks.add("paragraph", SENTENCE * 8, 2)
    assert [c.page for c in chunks_of(blocks)] == [2]


def test_a_heading_without_text_is_kept_as_text() -> None:
    blocks = Blocks()
    for name in ("First slide", "Second slide", "Third slide"):
        blocks.heading(name, 1)
    assert [c.text for c in chunks_of(blocks)] == ["First slide\n\nSecond slide\n\nThird slide"]


def test_an_empty_document_has_no_passages() -> None:
    assert chunks_of(Blocks()) == ()


def test_sizes_must_rise() -> None:
    with pytest.raises(ValueError, match="must rise"):
        ChunkKnobs(least=300)


def test_a_document_is_tokenised_once() -> None:
    class Counting(WordMeasure):
        characters = 0

        def token_offsets(self, text: str) -> list[tuple[int, int]]:
            self.characters += len(text)
            return super().token_offsets(text)

    blocks = Blocks()
    for number in range(300):
        blocks.heading(f"Section {number}", 1)
        blocks.add("paragraph", SENTENCE * (number % 30))
        blocks.add("item", f"- {number}")
    parsed = blocks.build("text/plain", "file.txt")
    measure = Counting()
    assert cut("", parsed.text, parsed.elements, measure)
    assert measure.characters == len(parsed.text)


_words = st.sampled_from(
    [SENTENCE, CHINESE, "Short. ", "x" * 700, "a:b | c ", "Introduction: ", "第一条 ", "\u00e9\u0301 "]
)
_text = st.lists(_words, min_size=1, max_size=30).map("".join)
_block = st.one_of(
    st.tuples(st.just("heading"), st.sampled_from(["Travel", "请假", "A" * 300]), st.integers(1, 5)),
    st.tuples(st.sampled_from(["paragraph", "item", "code", "quote"]), _text, st.integers(1, 3)),
    st.tuples(st.just("table"), st.lists(st.lists(_text, min_size=1, max_size=4), max_size=6), st.integers(1, 3)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_block, max_size=25))
def test_whatever_the_structure_passages_are_spans_that_lose_no_text(parts: list[tuple[str, object, int]]) -> None:
    blocks = Blocks()
    for kind, content, number in parts:
        if kind == "heading":
            blocks.heading(str(content), number)
        elif kind == "table":
            blocks.table(content, number)  # type: ignore[arg-type]
        else:
            blocks.add(kind, str(content), number)  # type: ignore[arg-type]
    parsed = blocks.build("text/plain", "file.txt")
    chunks = chunks_of(blocks)
    covered = bytearray(len(parsed.text))
    for chunk in chunks:
        assert chunk.tokens <= 210
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
    for element in parsed.elements:
        if element.kind != "heading":
            rest = [c for c, seen in zip(element.text, covered[element.start : element.end], strict=True) if not seen]
            assert "".join(rest).strip() == ""
