"""Building blocks of the decoder: linear maps, RMSNorm, rotary positions, grouped attention, SwiGLU.

Axes: B batch, T tokens of this call, S all tokens seen, H model width, Q query heads, K key/value heads,
G = Q / K query heads a key/value head, D head width, I inner width of the FFN.
Names follow Hugging Face's Llama, so base weights load without a table. Activations are always float32; weights
may be bfloat16, then only the products run in it. Separate projections are for training (each takes its own
low-rank delta); `fuse` joins those that share an input, for serving.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llm.writer.cache import KVCache
from llm.writer.config import WriterConfig


class Linear(nn.Linear):
    """A map without bias that multiplies in the precision of its weights and returns float32."""

    def __init__(self, inner: int, outer: int) -> None:
        """Create the weights (outer, inner)."""
        super().__init__(inner, outer, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (… inner) to (… outer)."""
        weight = self.weight
        if weight.dtype == torch.float32:
            return F.linear(x, weight)
        return F.linear(x.to(weight.dtype), weight).float()


def join_rows(*maps: nn.Module) -> Linear:
    """Return one map whose output is the outputs of `maps` side by side."""
    weights = [part.weight for part in maps if isinstance(part.weight, Tensor)]
    if weights[0].is_meta:  # joining what is not there would import torch's compiler, which takes 1.5 s
        weight = torch.empty(sum(one.shape[0] for one in weights), weights[0].shape[1], device="meta")
    else:
        weight = torch.cat(weights)
    with torch.device("meta"):
        joined = Linear(weight.shape[1], weight.shape[0])
    joined.weight = nn.Parameter(weight, requires_grad=False)
    return joined


class RMSNorm(nn.Module):
    """Scale each vector to unit root mean square (Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4)."""

    def __init__(self, width: int, eps: float) -> None:
        """Create the gains (width,)."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.shape = (width,)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis of x."""
        return F.rms_norm(x, self.shape, self.weight, self.eps)


class Rope(nn.Module):
    """Rotary positions (Su et al. 2021, arXiv:2104.09864, eq. 34); pairs are (i, i + D/2), as in Llama."""

    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, theta: float, positions: int) -> None:
        """Compute the tables (positions, D); the first half of `sin` carries the minus sign of the rotation."""
        super().__init__()
        with torch.device("cpu"):
            frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
            angles = torch.outer(torch.arange(positions, dtype=torch.float32), frequencies)
            cos, sin = angles.cos(), angles.sin()
            self.register_buffer("cos", torch.cat((cos, cos), dim=-1), persistent=False)
            self.register_buffer("sin", torch.cat((-sin, sin), dim=-1), persistent=False)

    def forward(self, start: int, tokens: int) -> tuple[Tensor, Tensor]:
        """Return cosines and signed sines (T, D) of the positions start … start + T - 1."""
        return self.cos[start : start + tokens], self.sin[start : start + tokens]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the vectors x (… T D) by their positions' angles; `sin` is signed as `Rope` makes it."""
    half = x.shape[-1] // 2
    return torch.addcmul(x * cos, torch.roll(x, half, dims=-1), sin)


class Attention(nn.Module):
    """Causal self-attention with grouped key/value heads (Ainslie et al. 2023, arXiv:2305.13245)."""

    def __init__(self, config: WriterConfig, layer: int) -> None:
        """Create the four projections of one layer."""
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.q_proj: nn.Module = Linear(config.width, config.heads * config.head_dim)
        self.k_proj: nn.Module = Linear(config.width, config.kv_heads * config.head_dim)
        self.v_proj: nn.Module = Linear(config.width, config.kv_heads * config.head_dim)
        self.o_proj: nn.Module = Linear(config.heads * config.head_dim, config.width)
        self.qkv_proj: nn.Module | None = None

    def fuse(self) -> None:
        """Join the query, key and value maps into one; the deltas must be merged already."""
        self.qkv_proj = join_rows(self.q_proj, self.k_proj, self.v_proj)
        del self.q_proj, self.k_proj, self.v_proj

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: KVCache | None) -> Tensor:
        """Attend from x (B T H) to itself and, with a cache, to all earlier tokens.

        `mask` (T, S) is True where a token may look; None means plainly causal without earlier tokens, or a single
        token that may look at everything.
        """
        batch, tokens, _ = x.shape
        turned = self.heads + self.kv_heads
        if self.qkv_proj is not None:
            qkv = self.qkv_proj(x)  # B T (Q+K+K)*D
        else:
            qkv = torch.cat((self.q_proj(x), self.k_proj(x), self.v_proj(x)), dim=-1)
        heads = qkv.view(batch, tokens, turned + self.kv_heads, self.head_dim).transpose(1, 2)  # B Q+K+K T D
        qk = rotate(heads[:, :turned], cos, sin)
        queries, keys, values = qk[:, : self.heads], qk[:, self.heads :], heads[:, turned:]
        if cache is not None:
            keys, values = cache.append(self.layer, keys, values)
        if tokens == 1:  # every query head of a group looks at the same keys: no mask, no copies
            grouped = queries.reshape(batch, self.kv_heads, self.heads // self.kv_heads, self.head_dim)  # B K G D
            mixed = F.scaled_dot_product_attention(grouped, keys, values)
            return self._out(mixed.reshape(batch, 1, self.heads * self.head_dim))
        mixed = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )
        return self._out(mixed.transpose(1, 2).reshape(batch, tokens, self.heads * self.head_dim))

    def _out(self, mixed: Tensor) -> Tensor:
        return self.o_proj(mixed)  # type: ignore[no-any-return]


class SwiGLU(nn.Module):
    """The dense FFN: down(silu(gate(x)) * up(x)) (Shazeer 2020, arXiv:2002.05202, eq. 6)."""

    def __init__(self, config: WriterConfig) -> None:
        """Create the three maps."""
        super().__init__()
        self.gate_proj: nn.Module = Linear(config.width, config.ffn_width)
        self.up_proj: nn.Module = Linear(config.width, config.ffn_width)
        self.down_proj: nn.Module = Linear(config.ffn_width, config.width)
        self.gate_up_proj: nn.Module | None = None

    def fuse(self) -> None:
        """Join gate and up into one map; the deltas must be merged already."""
        self.gate_up_proj = join_rows(self.gate_proj, self.up_proj)
        del self.gate_proj, self.up_proj

    def forward(self, x: Tensor) -> Tensor:
        """Map (… H) to (… H)."""
        if self.gate_up_proj is not None:
            gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        else:
            gate, up = self.gate_proj(x), self.up_proj(x)
        return self.down_proj(F.silu(gate) * up)  # type: ignore[no-any-return]
