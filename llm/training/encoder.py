"""Trains low-rank deltas of the encoder so that a question lies nearest to the passage that answers it.

Loss: InfoNCE in both directions over the batch (van den Oord et al. 2018, arXiv:1807.03748, eq. 4, with cosine and
a temperature). On batches of the older sets the base is a teacher: half of the loss is the divergence from the order
in which the base would put the passages, so that what it could do before is not forgotten.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from llm.bert import Bert
from llm.deltas import ADAPTED, save_deltas
from llm.encoder import Encoder, mean_pool, pad_ids
from llm.training.loop import LoopKnobs, Losses, Progress, train
from llm.training.lora import attach_to_trunk, trunk_deltas
from llm.training.pairs import PairBatch


@dataclass(frozen=True)
class EncoderKnobs:
    """`frozen` lowest layers stay as they are; `batch` pairs a step; a delta is alpha / rank x B A."""

    rate: float = 3e-4
    batch: int = 32
    frozen: int = 3
    rank: int = 32
    alpha: float = 64.0
    temperature: float = 0.02
    seed: int = 1


def new_deltas(encoder: Encoder, knobs: EncoderKnobs) -> Bert:
    """A trunk with the base's weights, frozen, and fresh deltas that change nothing yet."""
    trunk = Bert(encoder.trunk.config, encoder.trunk.embeddings)
    trunk.layers.load_state_dict(copy.deepcopy(encoder.trunk.layers.state_dict()))
    layers = range(knobs.frozen, encoder.trunk.config.layers)
    return attach_to_trunk(trunk, layers, ADAPTED, rank=knobs.rank, alpha=knobs.alpha, seed=knobs.seed)


def unit_vectors(trunk: Bert, rows: Sequence[Sequence[int]]) -> Tensor:
    """Unit vectors (n, W) of rows of token ids, as the encoder pools them."""
    ids, real = pad_ids(rows)
    return F.normalize(mean_pool(trunk(ids, real).float(), real), dim=-1)


def contrastive_loss(similarity: Tensor) -> Tensor:
    """InfoNCE over scaled similarities (questions, passages), right pairs on the diagonal, both directions."""
    right = torch.arange(len(similarity))
    return (F.cross_entropy(similarity, right) + F.cross_entropy(similarity.T, right)) / 2


def encoder_losses(trunk: Bert, teacher: Bert, batch: PairBatch, temperature: float) -> Losses:
    """Losses of one batch, by name."""
    questions, passages = [one.question for one in batch.pairs], [one.passage for one in batch.pairs]
    similarity = unit_vectors(trunk, questions) @ unit_vectors(trunk, passages).T / temperature
    contrastive = contrastive_loss(similarity)
    if not batch.older:
        return {"loss": contrastive, "contrastive": contrastive}
    with torch.no_grad():
        before = unit_vectors(teacher, questions) @ unit_vectors(teacher, passages).T / temperature
    kept = F.kl_div(similarity.log_softmax(-1), before.log_softmax(-1), log_target=True, reduction="batchmean")
    return {"loss": (contrastive + kept) / 2, "older": contrastive, "kept": kept}


def train_encoder(
    trunk: Bert,
    encoder: Encoder,
    batches: Sequence[PairBatch],
    folder: Path,
    knobs: EncoderKnobs,
    report: Callable[[Progress], None],
) -> None:
    """One pass over `batches`; state and curve under `folder`, resumable."""

    def losses(chosen: Sequence[int]) -> Losses:
        return encoder_losses(trunk, encoder.trunk, batches[chosen[0]], knobs.temperature)

    loop = LoopKnobs(rate=knobs.rate, warmup=30, decay=0.0)
    train(trunk, [[i] for i in range(len(batches))], losses, folder, loop, report)


def save_encoder(trunk: Bert, base_sha256: str, folder: Path, knobs: EncoderKnobs, facts: dict[str, object]) -> None:
    """Write `encoder.safetensors` and `encoder.json` under `folder`."""
    scale = knobs.alpha / knobs.rank
    save_deltas(folder, trunk_deltas(trunk), base_sha256=base_sha256, scale=scale, facts=facts)
