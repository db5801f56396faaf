"""Routed experts: a float32 softmax router picks the top k of many narrow SwiGLU experts for each token.

Axes: N tokens (batch and positions together), E experts, k experts a token, H model width, I width of an expert.
Dropless: every token reaches all of its k experts, however uneven the load. Experts are stored fused, gate rows
before up rows, as transformers 5 and peft hold them. The dense FFN beside them is the shared expert; this module
only returns what the routed ones add. The training losses of the router are in `balance.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llm.writer.config import MoeConfig

SINGLE_TOKENS = 4  # up to this many tokens, visiting each token's experts beats sorting tokens by expert


@dataclass(frozen=True)
class Routing:
    """What the router of one layer decided for N tokens; gradients flow through `logits` and `probabilities`."""

    logits: Tensor  # N E, float32
    probabilities: Tensor  # N E, softmax of the logits
    chosen: Tensor  # N k, expert numbers


class RoutedExperts(nn.Module):
    """Many narrow experts and their router; the output projection starts at zero, so that nothing changes at first."""

    def __init__(self, width: int, moe: MoeConfig) -> None:
        """Create router (E, H), `gate_up_proj` (E, 2I, H) and `down_proj` (E, H, I)."""
        super().__init__()
        self.experts, self.top_k, self.normalise = moe.experts, moe.top_k, moe.normalise
        self.router = nn.Parameter(torch.empty(moe.experts, width))
        self.gate_up_proj = nn.Parameter(torch.empty(moe.experts, 2 * moe.width, width))
        self.down_proj = nn.Parameter(torch.zeros(moe.experts, width, moe.width))

    def route(self, x: Tensor) -> tuple[Tensor, Routing]:
        """Return the weights (N, k) of the chosen experts of x (N, H), and the decision behind them."""
        logits = F.linear(x.float(), self.router.float())
        probabilities = logits.softmax(dim=-1)
        weights, chosen = probabilities.topk(self.top_k, dim=-1)
        if self.normalise:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return weights, Routing(logits, probabilities, chosen)

    def forward(self, x: Tensor, routing: list[Routing] | None = None, valid: Tensor | None = None) -> Tensor:
        """Return what the chosen experts add to x (N, H).

        With `routing`, the decision is appended to it, for the tokens where `valid` (N,) is True.
        """
        weights, decision = self.route(x)
        if routing is not None:
            routing.append(decision if valid is None else _only(decision, valid))
        if x.shape[0] <= SINGLE_TOKENS and not torch.is_grad_enabled():
            return self._visit(x, weights, decision.chosen)
        return self._grouped(x, weights, decision.chosen)

    def _expert(self, x: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        gate, up = F.linear(x.to(gate_up.dtype), gate_up).chunk(2, dim=-1)
        return F.linear(F.silu(gate) * up, down).float()

    def _visit(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Few tokens: read only the weights of the experts that were hit."""
        rows = []
        for row, numbers, shares in zip(torch.split(x, 1), chosen.tolist(), weights.tolist(), strict=True):
            total = torch.zeros_like(row)
            for expert, share in zip(numbers, shares, strict=True):
                total.add_(self._expert(row, self.gate_up_proj[expert], self.down_proj[expert]), alpha=share)
            rows.append(total)
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def _grouped(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Many tokens: bring those of one expert together, so that each expert multiplies once.

        `unbind` instead of indexing: its backward pass writes the gradient of all experts once, not once an expert.
        """
        flat = chosen.flatten()  # N*k
        order = flat.argsort()
        counts = torch.bincount(flat, minlength=self.experts).tolist()
        tokens = order.div(self.top_k, rounding_mode="floor")
        parts = torch.split(x.index_select(0, tokens), counts)
        outputs = [
            self._expert(part, gate_up, down)
            for part, gate_up, down in zip(parts, self.gate_up_proj.unbind(), self.down_proj.unbind(), strict=True)
            if part.shape[0]
        ]
        shares = weights.flatten().index_select(0, order).unsqueeze(-1)
        return torch.zeros_like(x).index_add(0, tokens, torch.cat(outputs) * shares)


def expert_load(routing: list[Routing]) -> Tensor:
    """Return the share of choices each expert got (layers, E), rows sum to 1; 1/E everywhere is perfect balance."""
    rows = []
    for decision in routing:
        counts = torch.bincount(decision.chosen.flatten(), minlength=decision.logits.shape[-1]).float()
        rows.append(counts / counts.sum().clamp(min=1))
    return torch.stack(rows)


def _only(decision: Routing, valid: Tensor) -> Routing:
    keep = valid.nonzero().flatten()
    return Routing(decision.logits[keep], decision.probabilities[keep], decision.chosen[keep])
