"""Training losses of the router: even load over the *global* batch, and small logits.

Load balance is N * sum_i f_i * P_i (Fedus et al. 2021, Switch Transformers, arXiv:2101.03961, eq. 4), with f_i the
share of choices expert i got and P_i its mean probability. f_i is counted over every micro-batch of an optimiser
step (Qiu et al. 2025, "Demons in the Detail", arXiv:2501.11873): within one small micro-batch the loss would force
each single document to use all experts, and no expert could become good at anything.
The z-loss keeps the router's logits small (Zoph et al. 2022, ST-MoE, arXiv:2202.08906, eq. 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from llm.writer.moe import Routing

BALANCE_WEIGHT = 0.01  # Switch Transformers and OLMoE
Z_WEIGHT = 0.001  # ST-MoE and OLMoE


class GlobalLoad:
    """Choices counted per layer and expert since the optimiser step began.

    Call `add` for every micro-batch before its loss is taken, `reset` after the optimiser's step. The counts carry no
    gradient. The last micro-batch of a step sees the whole batch, the first only itself: the buffer of §3 of the paper.
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.counts: Tensor | None = None  # layers E

    def add(self, routing: Sequence[Routing]) -> None:
        """Count the choices of one micro-batch."""
        fresh = torch.stack(
            [torch.bincount(one.chosen.flatten(), minlength=one.logits.shape[-1]).float() for one in routing]
        )
        self.counts = fresh if self.counts is None else self.counts + fresh

    def reset(self) -> None:
        """Begin the next optimiser step."""
        self.counts = None

    def shares(self) -> Tensor:
        """Return f (layers, E): the share of choices, each row summing to 1; zeros where nothing was counted."""
        if self.counts is None:
            raise ValueError("No routing has been counted since the last reset.")
        return self.counts / self.counts.sum(dim=-1, keepdim=True).clamp(min=1)


def balance_loss(routing: Sequence[Routing], load: GlobalLoad) -> Tensor:
    """Return the mean over layers of E * sum_i f_i * P_i; 1 when the load is even, E when one expert takes all."""
    mean = torch.stack([one.probabilities.mean(dim=0) for one in routing])  # layers E
    return (load.shares() * mean).sum(dim=-1).mean() * mean.shape[-1]


def z_loss(routing: Sequence[Routing]) -> Tensor:
    """Return the mean over layers and tokens of (log sum_i exp logit_i)^2."""
    return torch.stack([one.logits.logsumexp(dim=-1).square().mean() for one in routing]).mean()


def router_loss(
    routing: Sequence[Routing], load: GlobalLoad, *, balance: float = BALANCE_WEIGHT, z: float = Z_WEIGHT
) -> Tensor:
    """Count this micro-batch and return both losses, weighted; a decoder without experts costs 0."""
    if not routing:
        return torch.zeros(())
    load.add(routing)
    return balance * balance_loss(routing, load) + z * z_loss(routing)
