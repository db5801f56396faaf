"""Trains the writer: low-rank deltas, routers and experts on the frozen base, loss on the response's tokens only.

The router's balance and z losses (see `llm.writer.balance`) are added; one step is one batch, so the load is counted
over the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from llm.training.loop import LoopKnobs, Losses, Progress, length_sorted_batches, train
from llm.training.lora import restore_trained, trainable_writer, trained_tensors
from llm.training.writer_data import WriterExample
from llm.writer.balance import GlobalLoad, router_loss
from llm.writer.checkpoint import CheckpointInfo, base_info, read_checkpoint, save_checkpoint
from llm.writer.config import LoraShape, MoeConfig
from llm.writer.model import Decoder
from llm.writer.moe import Routing


@dataclass(frozen=True)
class WriterKnobs:
    """`start` holds a checkpoint to go on from, or None to begin at the upcycled base."""

    rate: float = 5e-4
    batch: int = 8
    seed: int = 1
    moe: MoeConfig = field(default_factory=MoeConfig)
    lora: LoraShape = field(default_factory=LoraShape)
    start: Path | None = None


def new_writer_net(base: Path, knobs: WriterKnobs) -> Decoder:
    """The decoder to train, from the base or from `knobs.start`. Raises ValueError when the two do not fit."""
    model = trainable_writer(base, knobs.moe, rank=knobs.lora.rank, alpha=knobs.lora.alpha, seed=knobs.seed)
    if knobs.start is not None:
        restore_trained(model, read_checkpoint(knobs.start, base).tensors, knobs.lora)
    return model


def padded(examples: Sequence[WriterExample]) -> tuple[Tensor, Tensor]:
    """Ids (B, T), padded on the right with 0, and the mask (B, T) of real tokens."""
    longest = max(len(one.ids) for one in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    for number, one in enumerate(examples):
        ids[number, : len(one.ids)] = torch.tensor(one.ids)
    lengths = torch.tensor([len(one.ids) for one in examples])
    return ids, torch.arange(longest)[None, :] < lengths[:, None]


def writer_losses(model: Decoder, batch: Sequence[WriterExample], load: GlobalLoad) -> Losses:
    """Losses of one batch, by name; `response` is the mean cross entropy of the response's tokens in nats."""
    ids, valid = padded(batch)
    routing: list[Routing] = []
    hidden = model.hidden(ids, routing=routing, valid=valid)  # (B, T, H)
    positions = torch.arange(ids.shape[1])[None, :]
    begin = torch.tensor([one.begin for one in batch])[:, None]
    predicts = valid & (positions >= begin)  # tokens of responses; each is predicted from the position before
    logits = model.logits(hidden[:, :-1][predicts[:, 1:]])  # vocabulary only where it counts
    response = F.cross_entropy(logits, ids[:, 1:][predicts[:, 1:]])
    load.reset()
    router = router_loss(routing, load)
    return {"loss": response + router, "response": response, "router": router}


def train_writer(
    model: Decoder,
    examples: Sequence[WriterExample],
    folder: Path,
    knobs: WriterKnobs,
    report: Callable[[Progress], None],
) -> None:
    """One pass over `examples`; state and curve under `folder`, resumable."""
    batches = length_sorted_batches([len(one.ids) for one in examples], knobs.batch, knobs.seed)
    load = GlobalLoad()
    loop = LoopKnobs(rate=knobs.rate, warmup=40, decay=0.0)

    def losses(chosen: Sequence[int]) -> Losses:
        return writer_losses(model, [examples[i] for i in chosen], load)

    train(model, batches, losses, folder, loop, report)


def save_writer(
    model: Decoder, base: Path, folder: Path, knobs: WriterKnobs, languages: tuple[str, ...], facts: dict[str, object]
) -> None:
    """Write `writer.safetensors` and `writer.json` under `folder`."""
    name, sha256 = base_info(base)
    info = CheckpointInfo(name, sha256, knobs.moe, knobs.lora, languages, facts)
    save_checkpoint(folder, info, trained_tensors(model))
