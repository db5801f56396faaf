"""Trains the reader from the encoder, and writes the two files that are shipped.

Loss: cross entropy of start and of end over the passage's positions and position 0 ("no answer"), plus half the cross
entropy of yes / no / neither. The word table and the lowest layers stay as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from llm.base import file_sha256
from llm.encoder import Encoder, pad_ids
from llm.reader import FORMAT_VERSION, Calibration, ReaderNet, load_reader_weights
from llm.training.loop import LoopKnobs, Losses, Progress, length_sorted_batches, train
from llm.training.reader_data import ReaderExample

POLARITY_WEIGHT = 0.5


@dataclass(frozen=True)
class ReaderKnobs:
    """`frozen` lowest layers stay as they are; `batch` examples a step; `start` holds a reader to go on from.

    `keep` is the share of the start's weights in what is written (0 to 1).
    """

    rate: float = 1.5e-4
    batch: int = 24
    frozen: int = 3
    seed: int = 1
    start: Path | None = None
    keep: float = 0.0


def new_reader_net(encoder: Encoder, knobs: ReaderKnobs) -> ReaderNet:
    """The encoder's layers with fresh heads, or the weights of `knobs.start`; only what is to be trained needs grad."""
    torch.manual_seed(knobs.seed)
    net = ReaderNet(encoder.trunk.config, encoder.trunk.embeddings)
    heads = {name: p.detach().clone() for name, p in net.named_parameters() if name.startswith(("span", "polarity"))}
    load_reader_weights(net, encoder, load_file(knobs.start / "reader.safetensors") if knobs.start else heads)
    net.requires_grad_(True)
    net.trunk.embeddings.requires_grad_(False)
    net.trunk.layers[: knobs.frozen].requires_grad_(False)
    return net


def blend(net: ReaderNet, start: ReaderNet, keep: float) -> None:
    """Move what was trained back towards `start`: weights are `keep` * start + (1 - `keep`) * trained.

    Averaging along the way from one training to the next is better than either end (Wortsman et al. 2022,
    arXiv:2109.01903, eq. 1).
    """
    before = dict(start.named_parameters())
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.requires_grad:
                parameter.lerp_(before[name], keep)


def span_loss(logits: Tensor, targets: Tensor, allowed: Tensor) -> Tensor:
    """Cross entropy of position logits (B, T) against `targets` (B,), over `allowed` (B, T) positions."""
    return F.cross_entropy(logits.masked_fill(~allowed, -1e4), targets)


def reader_losses(net: ReaderNet, batch: Sequence[ReaderExample]) -> Losses:
    """Losses of one batch, by name."""
    ids, real = pad_ids([one.features.ids for one in batch])
    output = net(ids, real)
    positions = torch.arange(ids.shape[1])[None, :]
    first = torch.tensor([one.features.first for one in batch])[:, None]
    count = torch.tensor([len(one.features.offsets) for one in batch])[:, None]
    allowed = ((positions >= first) & (positions < first + count)) | (positions == 0)
    start = span_loss(output.start, torch.tensor([one.start for one in batch]), allowed)
    end = span_loss(output.end, torch.tensor([one.end for one in batch]), allowed)
    weights = torch.tensor([1.0, 1.0, 0.2])
    classes = torch.tensor([one.polarity for one in batch])
    polarity = F.cross_entropy(output.polarity, classes, weight=weights, ignore_index=-1, reduction="sum")
    polarity = polarity / len(batch)
    return {"loss": start + end + POLARITY_WEIGHT * polarity, "span": start + end, "polarity": polarity}


def train_reader(
    net: ReaderNet,
    examples: Sequence[ReaderExample],
    folder: Path,
    knobs: ReaderKnobs,
    report: Callable[[Progress], None],
) -> None:
    """One pass over `examples`; state and curve under `folder`, resumable."""
    lengths = [len(one.features.ids) for one in examples]
    batches = length_sorted_batches(lengths, knobs.batch, knobs.seed)
    loop = LoopKnobs(rate=knobs.rate)
    train(net, batches, lambda indices: reader_losses(net, [examples[i] for i in indices]), folder, loop, report)


def save_reader(
    net: ReaderNet, encoder: Encoder, folder: Path, calibration: Calibration, facts: dict[str, object]
) -> None:
    """Write `reader.safetensors` (fp16, only what differs from the encoder) and `reader.json` under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    base = {f"trunk.layers.{k}": v for k, v in encoder.trunk.layers.state_dict().items()}
    tensors = {
        name: value.detach().half().contiguous()
        for name, value in net.named_parameters()
        if not name.startswith("trunk.embeddings") and not (name in base and torch.equal(base[name], value))
    }
    weights, card = folder / "reader.safetensors", folder / "reader.json"
    save_file(tensors, weights.with_suffix(".tmp"))
    os.replace(weights.with_suffix(".tmp"), weights)
    settings = {
        "format_version": FORMAT_VERSION,
        "encoder": encoder.base_id,
        "sha256": file_sha256(weights),
        "calibration": asdict(calibration),
        "training": facts,
    }
    _write_card(card, settings)


def recalibrate(folder: Path, calibration: Calibration) -> None:
    """Store another calibration beside the weights in `folder`."""
    card = folder / "reader.json"
    _write_card(card, {**json.loads(card.read_text()), "calibration": asdict(calibration)})


def _write_card(card: Path, settings: dict[str, object]) -> None:
    card.with_suffix(".tmp").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    os.replace(card.with_suffix(".tmp"), card)
