"""From the writer's pieces to an answer: whole sentences, each checked, a failed one replaced by the quote.

What is yielded is final, so a stream never shows what is not stored. Marks like [2] are put here, after the sentence,
and after the last item of a list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm.evidence import Evidence
from llm.sentences import list_marker_end, split_sentences
from llm.writer.check import Checked, Polarity, addresses, check_sentence, leading_answer, passes
from llm.writer.claims import forms, terms
from llm.writer.writer import Writing


@dataclass(frozen=True)
class Said:
    """The next stretch of the answer and what it rests on; `is_quote` where the quote stands in for a sentence."""

    text: str
    checked: Checked | None = None
    is_quote: bool = False


class SentenceCutter:
    """Collects pieces and gives back sentences as soon as the next one has begun."""

    def __init__(self) -> None:
        self._text = ""

    def push(self, piece: str) -> list[str]:
        """The sentences that this piece completes."""
        self._text += piece
        spans = split_sentences(self._text)
        complete = [self._text[start:end] for start, end in spans[:-1]]
        if complete:
            self._text = self._text[spans[-1][0] :]
        return complete

    def finish(self, *, has_ended: bool) -> list[str]:
        """The last sentence; where the writer was cut off, only if it is whole all the same."""
        rest = self._text.strip().rstrip("\ufffd")
        self._text = ""
        return [rest] if rest and (has_ended or rest[-1] in ".!?。！？") else []


def sentences_of(writing: Writing) -> Iterator[str]:
    """The whole sentences of an answer that is being written."""
    cutter = SentenceCutter()
    for piece in writing:
        yield from cutter.push(piece)
    yield from cutter.finish(has_ended=writing.has_ended)


class Composer:
    """Makes the answer out of sentences: `add` each, then `finish`; both give what can be said by now.

    A sentence that fails the check is replaced by the quote, once, unless what was said holds it already. So is one
    that is true but says nothing of what the reader marked, until that has been said. A line that leads to a list waits
    for an item that passes; a bare yes or no waits for the sentence that carries it.
    """

    def __init__(
        self,
        evidence: Sequence[Evidence],
        marked: Sequence[Evidence],
        question: str,
        quoted: Checked,
    ) -> None:
        """`marked` are the reader's spans, each as offsets in the window of its number; `quoted` is the quote."""
        self._evidence = evidence
        self._question = question
        self._marked = marked
        self._quoted = quoted
        self._said: list[str] = []
        self._waiting: list[str] = []
        self._mark: int | None = None
        self._has_quoted = False
        self._rests = False

    @property
    def is_done(self) -> bool:
        """True once the quote was said: what a writer that went astray says next is not worth waiting for."""
        return self._has_quoted

    def add(self, sentence: str, polarity: Polarity) -> Iterator[Said]:
        """Judge one sentence of the writer; a yes or no in it must be `polarity`."""
        checked = check_sentence(sentence, self._evidence, self._question)
        if not passes(checked, self._question, polarity, self._said):
            self._waiting = [line for line in self._waiting if leading_answer(line) is not None]
            yield from self._say_quote()
        elif checked.source is None or sentence.rstrip().endswith((":", "：")):
            if leading_answer(sentence) is not None or sentence.rstrip().endswith((":", "：")):
                self._waiting.append(sentence)
        elif self._rests or any(addresses(checked, span, self._question) for span in self._marked):
            yield from self._say(sentence, checked)
        else:
            yield from self._say_quote()

    def finish(self) -> Iterator[Said]:
        """What is still to be said; the quote where no sentence with a source passed but something was said."""
        if self._waiting and not self._rests:
            self._waiting = [line for line in self._waiting if leading_answer(line) is not None]
            yield from self._say_quote()
        if self._mark is not None:
            yield Said(f" [{self._mark}]")
            self._mark = None

    def _say_quote(self) -> Iterator[Said]:
        known = forms(term for text in self._said for term in terms(text))
        if self._has_quoted or (self._rests and forms(terms(self._quoted.text)) <= known):
            return
        self._has_quoted = True
        yield from self._say(self._quoted.text, self._quoted, is_quote=True)

    def _say(self, sentence: str, checked: Checked, *, is_quote: bool = False) -> Iterator[Said]:
        is_item = list_marker_end(sentence) > 0
        text = ""
        if self._mark is not None and not (is_item and self._mark == checked.source):
            text = f" [{self._mark}]"
            self._mark = None
        for line in [*self._waiting, sentence]:
            if self._said:
                items = list_marker_end(line) > 0 or list_marker_end(self._said[-1]) > 0
                text += "\n" if items or self._said[-1].endswith((":", "：")) else " "
            text += line
            self._said.append(line)
        self._waiting = []
        self._rests = True
        if is_item or "\n" in sentence:
            self._mark = checked.source
        else:
            text += f" [{checked.source}]"
        yield Said(text, checked, is_quote)
