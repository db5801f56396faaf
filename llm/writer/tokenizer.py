"""The writer's tokenizer: byte-level BPE with ChatML marks, read from `tokenizer.json`.

Two ways in: `encode` reads control marks such as <|im_start|> as what they are and is for prompts the program
builds; `encode_text` treats everything as plain text. Two ways out: whole texts, and a stream that never shows half
a character. `piece` gives the raw bytes of a token, for automata over text.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer

END_OF_TURN, START_OF_TURN, END_OF_TEXT = "<|im_end|>", "<|im_start|>", "<|endoftext|>"


class WriterTokenizer:
    """Texts to token numbers and back."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Wrap a tokenizer.

        Raises:
            ValueError: it lacks ChatML's end of turn, so nothing would ever stop an answer.
        """
        self._tokenizer = tokenizer
        marks = [tokenizer.token_to_id(mark) for mark in (END_OF_TURN, START_OF_TURN, END_OF_TEXT)]
        if marks[0] is None:
            raise ValueError(f"The writer's tokenizer lacks {END_OF_TURN}, the end of a turn in ChatML.")
        self.vocab = tokenizer.get_vocab_size()
        self.stop: frozenset[int] = frozenset(mark for mark in marks if mark is not None)
        self.end_of_turn: int = marks[0]
        self._special = frozenset(
            number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
        )
        self._pieces: list[bytes] | None = None

    def encode(self, prompt: str) -> list[int]:
        """Return the tokens of a prompt whose control marks count; text of others must be made harmless before."""
        return list(self._tokenizer.encode(prompt, add_special_tokens=False).ids)

    def encode_text(self, text: str) -> list[int]:
        """Return the tokens of plain text: a mark spelled out in it becomes ordinary tokens, never a control one."""
        parts: list[int] = []
        for start, end in _between_marks(text):
            parts.extend(self._tokenizer.encode(text[start:end], add_special_tokens=False).ids)
        return parts

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of the tokens, without control marks; broken bytes become U+FFFD."""
        return b"".join(self.piece(number) for number in ids).decode("utf-8", errors="replace")

    def piece(self, number: int) -> bytes:
        """Return the bytes a token stands for; empty for control marks and unused numbers."""
        if self._pieces is None:
            self._pieces = self._all_pieces()
        return self._pieces[number] if number < len(self._pieces) else b""

    def stream(self) -> TextStream:
        """Return a fresh decoder for one answer."""
        return TextStream(self)

    def _all_pieces(self) -> list[bytes]:
        table = {letter: byte for byte, letter in byte_letters().items()}
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        pieces = [b""] * (max(vocabulary.values()) + 1)
        for letters, number in vocabulary.items():
            if number not in self._special:
                known = all(letter in table for letter in letters)
                pieces[number] = bytes(table[letter] for letter in letters) if known else letters.encode()
        return pieces


class TextStream:
    """Turns tokens into text piece by piece, keeping bytes back until a character is whole."""

    def __init__(self, tokenizer: WriterTokenizer) -> None:
        """Begin an empty text."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, number: int) -> str:
        """Return the characters that this token completes; often a word, sometimes nothing."""
        return self._decoder.decode(self._tokenizer.piece(number))

    def finish(self) -> str:
        """Return what is left: nothing, or U+FFFD for a character that never became whole."""
        return self._decoder.decode(b"", final=True)


def load_tokenizer(folder: Path) -> WriterTokenizer:
    """Read `tokenizer.json` of a model folder.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it lacks ChatML's marks.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run: kb model install")
    return WriterTokenizer(Tokenizer.from_file(str(path)))


def byte_letters() -> dict[int, str]:
    """Return the letter by which byte-level BPE writes each byte (the table of GPT-2's `bytes_to_unicode`)."""
    printable: Iterable[int] = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
    letters = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in letters)
    return letters | {byte: chr(256 + place) for place, byte in enumerate(others)}


def _between_marks(text: str) -> list[tuple[int, int]]:
    """Cut after every "<": a control mark begins with "<|" and so is never whole in one part."""
    cuts = [0, *(place + 1 for place, letter in enumerate(text) if text[place : place + 2] == "<|"), len(text)]
    return [(start, end) for start, end in zip(cuts, cuts[1:], strict=False) if start < end]
