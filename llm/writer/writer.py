"""The writer as the application sees it: question and evidence in, text in pieces out, bound to the evidence.

Knows the languages it was trained for, and its own pace, so that it does not begin what cannot be finished. What it
writes has yet to pass the check (`llm.writer.check`).
"""

import time
from collections.abc import Iterator, Sequence

from llm.evidence import Evidence
from llm.writer.check import Polarity
from llm.writer.checkpoint import LoadedWriter
from llm.writer.generate import generate
from llm.writer.grounded import GroundedDecoding
from llm.writer.prompt import build_prompt, printed

MAX_TOKENS = 180  # of an answer; the longest training responses take about 150
_FEWEST_TOKENS = 8  # a sentence worth beginning
_FIRST_GUESS = (0.0015, 0.03)  # seconds a token of the prompt and of the answer: rather too fast, to try at least once
_FORGET = 0.95  # of a pace that forbade writing: it may have been that of a busy moment


class Writing:
    """One answer being written: iterate for its pieces. `has_ended` is True once the model itself ended it."""

    def __init__(
        self, pieces: Iterator[str], polarity: Polarity = "undecided", constraint: GroundedDecoding | None = None
    ) -> None:
        self._pieces = pieces
        self._polarity = polarity
        self._constraint = constraint

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    @property
    def polarity(self) -> Polarity:
        """The yes or no that may begin it; known once the first piece is there."""
        return self._polarity if self._constraint is None else self._constraint.polarity

    @property
    def has_ended(self) -> bool:
        """False while it goes on, and where time or length cut it off, possibly inside a word."""
        return self._constraint is not None and self._constraint.has_ended


class Writer:
    """A loaded writer; safe to call from several threads (each answer has its own cache and automaton)."""

    def __init__(self, loaded: LoadedWriter, *, max_tokens: int = MAX_TOKENS) -> None:
        self._loaded = loaded
        self._max_tokens = max_tokens
        self._prompt_s, self._step_s = _FIRST_GUESS
        self.model_id = loaded.model_id
        self.languages: frozenset[str] = loaded.languages
        loaded.tokenizer.piece(0)  # builds its table of pieces now rather than inside the first answer

    def write(
        self,
        question: str,
        evidence: Sequence[Evidence],
        polarity: Polarity,
        *,
        is_negated: bool | None = None,
        deadline: float | None = None,
    ) -> Writing:
        """Begin an answer; its pieces joined are the answer, without citation marks.

        It begins with yes or no only as `polarity` says, or, where that is undecided, when the writer is sure and
        `is_negated`, whether the marked evidence negates, agrees.

        With a `deadline` (of `time.monotonic`) it stops in time, and writes nothing where not even a short sentence
        would be done by then, judged by its pace so far. Without evidence nothing is written.
        """
        if not evidence:
            return Writing(iter(()))
        tokenizer = self._loaded.tokenizer
        prompt = tokenizer.encode(build_prompt(question, evidence))
        if deadline is not None:
            deadline -= self._step_s  # a pass that has begun is not broken off
            if time.monotonic() + len(prompt) * self._prompt_s + _FEWEST_TOKENS * self._step_s > deadline:
                self._prompt_s, self._step_s = self._prompt_s * _FORGET, self._step_s * _FORGET
                return Writing(iter(()))
        sources = [text for item in evidence for text in (printed(item.title), printed(item.text))]
        constraint = GroundedDecoding(tokenizer, sources, printed(question), polarity, is_negated)
        return Writing(self._pieces(prompt, constraint, deadline), polarity, constraint)

    def _pieces(self, prompt: Sequence[int], constraint: GroundedDecoding, deadline: float | None) -> Iterator[str]:
        stream = self._loaded.tokenizer.stream()
        tokens = generate(
            self._loaded.model,
            prompt,
            constraint=constraint,
            stop=self._loaded.tokenizer.stop,
            max_tokens=self._max_tokens,
            deadline=deadline,
        )
        begun = time.monotonic()
        count, working = 0, 0.0
        for token in tokens:
            took = time.monotonic() - begun
            if count == 0:
                self._prompt_s = (self._prompt_s + took / len(prompt)) / 2
            else:
                working += took
            count += 1
            if piece := stream.push(token):
                yield piece
            begun = time.monotonic()
        if count > 1:
            self._step_s = (self._step_s + working / (count - 1)) / 2
