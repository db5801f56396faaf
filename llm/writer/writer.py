"""The writer as the application sees it: question and evidence in, text in pieces out, bound to the evidence.

Knows the languages it was trained for; what it writes has yet to pass the check (`llm.writer.check`).
"""

from collections.abc import Iterator, Sequence

from llm.evidence import Evidence
from llm.writer.check import Polarity
from llm.writer.checkpoint import LoadedWriter
from llm.writer.generate import generate
from llm.writer.grounded import GroundedDecoding
from llm.writer.prompt import build_prompt, printed

MAX_TOKENS = 180  # of an answer; the longest training responses take about 150


class Writer:
    """A loaded writer; safe to call from several threads (each answer has its own cache and automaton)."""

    def __init__(self, loaded: LoadedWriter, *, max_tokens: int = MAX_TOKENS) -> None:
        self._loaded = loaded
        self._max_tokens = max_tokens
        self.model_id = loaded.model_id
        self.languages: frozenset[str] = loaded.languages

    def write(
        self, question: str, evidence: Sequence[Evidence], polarity: Polarity, *, deadline: float | None = None
    ) -> Iterator[str]:
        """Pieces of the answer as they are decoded; joined they are the answer, without citation marks.

        Ends early at `deadline` (of `time.monotonic`), possibly inside a word. Without evidence nothing is written.
        """
        if not evidence:
            return
        tokenizer = self._loaded.tokenizer
        sources = [text for item in evidence for text in (printed(item.title), printed(item.text))]
        constraint = GroundedDecoding(tokenizer, sources, printed(question), polarity)
        stream = tokenizer.stream()
        tokens = generate(
            self._loaded.model,
            tokenizer.encode(build_prompt(question, evidence)),
            constraint=constraint,
            stop=tokenizer.stop,
            max_tokens=self._max_tokens,
            deadline=deadline,
        )
        for token in tokens:
            if piece := stream.push(token):
                yield piece
        if rest := stream.finish():
            yield rest
