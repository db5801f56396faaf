"""A Measure of known behaviour: a token is a run of up to six letters or digits, a Han character, or a mark."""

import re

from llm.sentences import split_sentences

_TOKEN = re.compile(r"[\u2e80-\u9fff]|[^\W_]{1,6}|[^\w\s]|_")


class WordMeasure:
    """Counts short words and splits sentences as the product does."""

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)]

    def count_tokens(self, text: str) -> int:
        return len(self.token_offsets(text))

    def split_sentences(self, text: str) -> list[tuple[int, int]]:
        return split_sentences(text)
