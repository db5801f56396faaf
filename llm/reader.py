"""Question and passage to evidence: a span pointer with a no-answer score and a yes/no head on the encoder's trunk.

Input `<s> question </s></s> title </s> passage </s>`. Span and no-answer follow BERT's SQuAD 2.0 head (Devlin et al.
2018, section 4.3): one linear layer gives start and end logits, position 0 stands for "no answer", and a span's score
is its start plus end logit minus the two of position 0. The best score, through a fitted logistic, is the confidence
that the passage answers. Encoder and reader share one frozen word table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from llm.base import file_sha256
from llm.bert import Bert, BertConfig, Embeddings
from llm.encoder import BEGIN, END, Encoder, length_batches, pad_ids, torch_precision

Polarity = Literal["yes", "no", "undecided"]
POLARITIES: tuple[Polarity, ...] = ("yes", "no", "undecided")
FORMAT_VERSION = 1
QUESTION_TOKENS = 48
TITLE_TOKENS = 24
PASSAGE_TOKENS = 256  # of one window; longer passages are read in overlapping windows
STRIDE = 128
LONGEST_SPAN = 110  # tokens
TOKEN_COST = 0.01  # logits a token of a span; of 0 to 0.05 the best on held-out questions of both languages
_SPANS = 6


@dataclass(frozen=True)
class Passage:
    """What is read: the heading path (may be empty) and the text that spans point into."""

    title: str
    text: str


@dataclass(frozen=True)
class Span:
    """Characters [start, end) of the passage text; `score` is in logits, above 0 where it beats "no answer"."""

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Reading:
    """What the reader says of one passage: confidence in 0..1 that it answers, spans best first, yes or no.

    `yes` and `no` are the probabilities behind the polarity; what they lack to 1 is "neither".
    """

    confidence: float
    spans: tuple[Span, ...]
    polarity: Polarity
    yes: float = 0.0
    no: float = 0.0


class EvidenceReader(Protocol):
    """The seam: whatever reads passages for a question."""

    threshold: float

    def read(self, question: str, passages: Sequence[Passage]) -> list[Reading]:
        """One reading a passage, in order."""
        ...


@dataclass(frozen=True)
class Calibration:
    """From score to decision: confidence = sigmoid(scale x score + offset).

    Answers below `threshold` are refused; a yes or no is said only where its probability reaches `polarity`.
    """

    scale: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5
    polarity: float = 0.7


@dataclass(frozen=True)
class Features:
    """One network input: ids, and where the passage's tokens lie: positions [first, first + len(offsets))."""

    ids: tuple[int, ...]
    first: int
    offsets: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ReaderOutput:
    """Logits of a batch: start and end (B, T), polarity (B, 3)."""

    start: Tensor
    end: Tensor
    polarity: Tensor


class ReaderNet(nn.Module):
    """Trunk with a span layer (W to 2) and a polarity layer (W to 3) that reads position 0."""

    def __init__(self, config: BertConfig, embeddings: Embeddings) -> None:
        super().__init__()
        self.trunk = Bert(config, embeddings)
        self.span = nn.Linear(config.width, 2)
        self.polarity = nn.Linear(config.width, len(POLARITIES))

    def forward(self, ids: Tensor, real: Tensor | None) -> ReaderOutput:
        """Logits of ids (B, T); `real` as in `Bert.forward`."""
        hidden = self.trunk(ids, real).float()  # (B, T, W); the heads stay in fp32 where the layers run in bf16
        start, end = self.span(hidden).unbind(-1)
        return ReaderOutput(start, end, self.polarity(hidden[:, 0]))


def window_features(
    question: Sequence[int], title: Sequence[int], ids: Sequence[int], offsets: Sequence[tuple[int, int]]
) -> Features:
    """Assemble one input from token ids without special tokens; `offsets` are the characters of each passage token."""
    head = [BEGIN, *question[:QUESTION_TOKENS], END, END]
    if title:
        head += [*title[:TITLE_TOKENS], END]
    return Features(tuple([*head, *ids, END]), len(head), tuple(offsets))


class Reader:
    """The loaded network with its calibration; safe to call from several threads."""

    def __init__(self, net: ReaderNet, tokenizer: Tokenizer, calibration: Calibration, model_id: str) -> None:
        self.net = net.eval()
        self.tokenizer = tokenizer
        self.calibration = calibration
        self.model_id = model_id
        self.threshold = calibration.threshold

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, *, precision: str = "fp32") -> Reader:
        """Load `reader.json` and `reader.safetensors` beside the encoder they were trained from.

        Layers that training left as they were are not in the file: they are the encoder's own. Raises ValueError when
        a file is missing, damaged, of another format, or made for another encoder.
        """
        card, weights = folder / "reader.json", folder / "reader.safetensors"
        if not card.is_file() or not weights.is_file():
            raise ValueError(f"{folder} holds no reader: {card.name} and {weights.name} are needed")
        settings = json.loads(card.read_text())
        if settings.get("format_version") != FORMAT_VERSION:
            found_version = settings.get("format_version")
            raise ValueError(f"{card} has format {found_version!r}, this program reads {FORMAT_VERSION}")
        if settings["encoder"] != encoder.base_id:
            trained_on = settings["encoder"]
            raise ValueError(f"{card} was trained on encoder {trained_on}, but {encoder.base_id} is installed")
        found = file_sha256(weights)
        if found != settings["sha256"]:
            raise ValueError(f"{weights} is damaged: SHA-256 {found}, expected {settings['sha256']}")
        net = ReaderNet(encoder.trunk.config, encoder.trunk.embeddings)
        load_reader_weights(net, encoder, load_file(weights))
        net.trunk.layers.to(torch_precision(precision))
        net.requires_grad_(False)
        calibration = Calibration(**settings["calibration"])
        return cls(net, encoder.tokenizer, calibration, f"reader@{found[:12]}")

    def with_calibration(self, calibration: Calibration) -> Reader:
        """The same network judged by other numbers."""
        return Reader(self.net, self.tokenizer, calibration, self.model_id)

    def with_threshold(self, threshold: float) -> Reader:
        """The same reader refusing below another confidence."""
        return self.with_calibration(replace(self.calibration, threshold=threshold))

    def read(self, question: str, passages: Sequence[Passage]) -> list[Reading]:
        """One reading a passage, in order."""
        return self.read_pairs([(question, passage) for passage in passages])

    def read_pairs(self, pairs: Sequence[tuple[str, Passage]]) -> list[Reading]:
        """One reading a (question, passage) pair, in order, batched by length."""
        features: list[Features] = []
        owner: list[int] = []
        for number, (question, passage) in enumerate(pairs):
            for window in self._windows(question, passage):
                features.append(window)
                owner.append(number)
        spans: list[list[Span]] = [[] for _ in pairs]
        polarity: list[Tensor | None] = [None] * len(pairs)
        best = [-math.inf] * len(pairs)
        with torch.inference_mode():
            for batch in length_batches([len(one.ids) for one in features]):
                ids, real = pad_ids([features[i].ids for i in batch])
                output = self.net(ids, real)
                for row, i in enumerate(batch):
                    found = best_spans(output.start[row], output.end[row], features[i])
                    spans[owner[i]] += found
                    if found and found[0].score > best[owner[i]]:
                        best[owner[i]] = found[0].score
                        polarity[owner[i]] = torch.softmax(output.polarity[row], -1)
        return [self._reading(pairs[i][1].text, spans[i], polarity[i]) for i in range(len(pairs))]

    def _windows(self, question: str, passage: Passage) -> list[Features]:
        asked, title, text = self.tokenizer.encode_batch(
            [question, passage.title, passage.text], add_special_tokens=False
        )
        title_ids = title.ids[-TITLE_TOKENS:]  # the end of a heading path says most
        starts = [0]
        while starts[-1] + PASSAGE_TOKENS < len(text.ids):
            starts.append(min(starts[-1] + STRIDE, len(text.ids) - PASSAGE_TOKENS))
        cuts = [slice(start, start + PASSAGE_TOKENS) for start in starts]
        return [window_features(asked.ids, title_ids, text.ids[cut], text.offsets[cut]) for cut in cuts]

    def _polarity(self, yes: float, no: float) -> Polarity:
        likely, probability = max(("yes", yes), ("no", no), key=lambda pair: pair[1])
        said: Polarity = "yes" if likely == "yes" else "no"
        return said if probability >= self.calibration.polarity else "undecided"

    def _reading(self, text: str, spans: list[Span], polarity: Tensor | None) -> Reading:
        kept: list[Span] = []
        for span in sorted(spans, key=lambda s: (-s.score, s.start, s.end)):
            span = _trimmed(text, span)
            if span.start < span.end and all(span.end <= k.start or span.start >= k.end for k in kept):
                kept.append(span)
        if not kept or polarity is None:
            return Reading(0.0, (), "undecided")
        logit = self.calibration.scale * kept[0].score + self.calibration.offset
        confidence = 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))
        yes, no, _ = polarity.tolist()
        return Reading(confidence, tuple(kept[:_SPANS]), self._polarity(yes, no), yes, no)


def _trimmed(text: str, span: Span) -> Span:
    start, end = span.start, span.end
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end, span.score)


def best_spans(start: Tensor, end: Tensor, features: Features) -> list[Span]:
    """The best non-overlapping spans of one row of logits (T,), as characters; scores relative to "no answer".

    Every token costs a little: start and end are chosen apart from each other, so that the start of one candidate and
    the end of another make spans that are too long more often than too short.
    """
    count = len(features.offsets)
    if count == 0:
        return []
    first = features.first
    none = float(start[0] + end[0])
    scores = start[first : first + count, None] + end[None, first : first + count] - none  # (start, end)
    places = torch.arange(count)
    scores = scores - TOKEN_COST * (places[None, :] - places[:, None])
    allowed = torch.ones_like(scores, dtype=torch.bool).triu().tril(LONGEST_SPAN - 1)
    scores = scores.masked_fill(~allowed, -math.inf)
    spans: list[Span] = []
    for _ in range(_SPANS):
        flat = int(scores.argmax())
        low, high = divmod(flat, count)
        score = float(scores[low, high])
        if score == -math.inf:
            break
        spans.append(Span(features.offsets[low][0], features.offsets[high][1], score))
        scores[: high + 1, low:] = -math.inf  # whatever starts before its end and ends after its start overlaps
    return spans


def load_reader_weights(net: ReaderNet, encoder: Encoder, tensors: dict[str, Tensor]) -> None:
    """Start from the encoder's layers and lay `tensors` (names of ReaderNet, without the word table) over them.

    Raises ValueError for a tensor that the network does not have or that has another shape, and where a layer would
    come from the encoder that deltas have changed since.
    """
    net.trunk.layers.load_state_dict(encoder.trunk.layers.state_dict())
    own = dict(net.named_parameters())
    for name, tensor in tensors.items():
        if name not in own or own[name].shape != tensor.shape:
            raise ValueError(f"the reader file holds {name} {tuple(tensor.shape)}, which this network does not have")
        own[name].data.copy_(tensor)
    lost = sorted(name for name in encoder.adapted if f"trunk.{name}" not in tensors)
    if lost:
        raise ValueError(f"the reader file lacks {lost[0]}, which the encoder's deltas have changed")
    missing = [name for name in ("span.weight", "span.bias", "polarity.weight", "polarity.bias") if name not in tensors]
    if missing:
        raise ValueError(f"the reader file lacks {', '.join(missing)}")
