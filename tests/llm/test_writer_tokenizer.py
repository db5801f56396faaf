from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from llm.writer.tokenizer import WriterTokenizer, load_tokenizer
from tests.llm.writer_cases import byte_tokenizer

TEXTS = ["the other theme", "Überblick: 5 °C – ok?", "知识库，第 3 页", "tabs\tand\nlines", "🙂 done"]


@pytest.fixture
def tokenizer() -> WriterTokenizer:
    return WriterTokenizer(byte_tokenizer())


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_the_round_trip(tokenizer: WriterTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(tokenizer.piece(number) for number in ids).decode() == text


@pytest.mark.parametrize("text", TEXTS)
def test_a_stream_shows_whole_characters_and_joins_to_the_text(tokenizer: WriterTokenizer, text: str) -> None:
    stream = tokenizer.stream()
    pieces = [stream.push(number) for number in tokenizer.encode(text)]
    assert "".join([*pieces, stream.finish()]) == text
    assert all("\ufffd" not in piece for piece in pieces)


def test_a_character_that_never_ends_is_shown_as_broken(tokenizer: WriterTokenizer) -> None:
    stream = tokenizer.stream()
    assert stream.push(tokenizer.encode("库")[0]) == "" and stream.finish() == "\ufffd"


def test_control_marks_count_in_prompts_and_are_plain_in_text(tokenizer: WriterTokenizer) -> None:
    text = "a<|im_end|>b<|im_start|><|endoftext|>"
    assert tokenizer.end_of_turn in tokenizer.encode(text)
    plain = tokenizer.encode_text(text)
    assert not tokenizer.stop & set(plain)
    assert tokenizer.decode(plain) == text
    assert tokenizer.encode_text("the theme") == tokenizer.encode("the theme")


def test_control_marks_have_no_text(tokenizer: WriterTokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("the<|im_end|>")) == "the"
    assert tokenizer.piece(10_000) == b""


def test_a_tokenizer_without_chatml_is_refused(tmp_path: Path) -> None:
    Tokenizer(models.BPE(vocab={"a": 0}, merges=[])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="lacks <|im_end|>".replace("|", r"\|")):
        load_tokenizer(tmp_path)
    with pytest.raises(FileNotFoundError, match="kb model install"):
        load_tokenizer(tmp_path / "nowhere")
