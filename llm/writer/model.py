"""The writer's decoder: pre-norm layers of grouped attention and SwiGLU, some with routed experts beside it.

Axes: B batch, T tokens of this call, S tokens seen so far, H model width, V vocabulary.
Without experts and deltas it is a Llama: the same names, the same logits. It knows nothing about files, tokens'
meaning or sampling.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llm.writer.cache import KVCache
from llm.writer.config import WriterConfig
from llm.writer.layers import Attention, RMSNorm, Rope, SwiGLU
from llm.writer.moe import RoutedExperts, Routing


class DecoderLayer(nn.Module):
    """One layer; `moe` is None where the FFN stands alone."""

    def __init__(self, config: WriterConfig, layer: int) -> None:
        """Create the parts of layer number `layer`, from 0."""
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.width, config.norm_eps)
        self.mlp = SwiGLU(config)
        moe = config.moe
        self.moe = RoutedExperts(config.width, moe) if moe is not None and config.has_experts(layer) else None

    def forward(
        self,
        x: Tensor,
        rope: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: KVCache | None,
        routing: list[Routing] | None,
        valid: Tensor | None,
    ) -> Tensor:
        """Map the residual stream (B T H) to the next one."""
        x = x + self.self_attn(self.input_layernorm(x), rope[0], rope[1], mask, cache)
        inner = self.post_attention_layernorm(x)
        x = x + self.mlp(inner)
        if self.moe is not None:
            x = x + self.moe(inner.view(-1, inner.shape[-1]), routing, valid).view_as(x)
        return x


class Decoder(nn.Module):
    """The language model: token numbers in, logits out."""

    def __init__(self, config: WriterConfig) -> None:
        """Create the layers; build under `torch.device("meta")` and load with `assign=True` to allocate nothing."""
        super().__init__()
        self.config = config
        table = torch.empty(config.vocab, config.width)
        if not table.is_meta:  # filling a table that is not there would import torch's compiler, which takes 1.5 s
            nn.init.normal_(table)
        self.embed_tokens = nn.Embedding(config.vocab, config.width, _weight=table)
        self.layers = nn.ModuleList(DecoderLayer(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.rope = Rope(config.head_dim, config.rope_theta, config.max_tokens)
        self.head: nn.Module | None = None  # None: the embedding itself

    def fuse(self) -> None:
        """Join the projections that share an input; for serving, once the deltas are merged. Not reversible."""
        for layer in self.layers:
            assert isinstance(layer, DecoderLayer)
            layer.self_attn.fuse()
            layer.mlp.fuse()

    def new_cache(self, capacity: int, batch: int = 1) -> KVCache:
        """Return an empty cache for up to `capacity` tokens a sequence."""
        return KVCache(self.config, capacity, batch)

    def hidden(
        self,
        ids: Tensor,
        cache: KVCache | None = None,
        *,
        routing: list[Routing] | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Return the normalised last states (B T H) of `ids` (B T).

        With a cache, `ids` continue what it holds and are added to it. Sequences of unequal length are padded on the
        right: no real token ever looks at padding. `routing` collects every router's decision, for the tokens where
        `valid` (B T) is True.

        Raises:
            ValueError: more tokens than the cache, or without one the model, has positions for.
        """
        tokens = ids.shape[1]
        start = cache.length if cache is not None else 0
        room = cache.capacity if cache is not None else self.config.max_tokens
        if start + tokens > room:
            raise ValueError(f"{start + tokens} tokens do not fit into {room} positions.")
        rope = self.rope(start, tokens)
        mask = None
        if start and tokens > 1:  # T S: token t of this call is number start + t
            mask = torch.ones(tokens, start + tokens, dtype=torch.bool, device=ids.device).tril_(start)
        flat = valid.flatten() if valid is not None else None
        x = F.embedding(ids, self.embed_tokens.weight).float()
        for layer in self.layers:
            x = layer(x, rope, mask, cache, routing, flat)
        if cache is not None:
            cache.advance(tokens)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 logits (… V) of states (… H), through the embedding (tied) or a rounded copy of it."""
        rows = hidden.reshape(-1, hidden.shape[-1])  # one product, not one a sequence, whatever the strides
        weight = self.embed_tokens.weight
        flat = F.linear(rows.to(weight.dtype), weight).float() if self.head is None else self.head(rows)
        return flat.view(*hidden.shape[:-1], weight.shape[0])

    def forward(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        """Return the logits (B T V) of `ids` (B T); see `hidden` for the cache."""
        return self.logits(self.hidden(ids, cache))
