"""Keys and values of the tokens read so far, in buffers that are allocated once and filled from the left.

Axes: L layers, B batch, K key/value heads, C capacity in tokens, D head width.
Rejected drafts are dropped by moving `length` back; nothing is copied.
"""

from __future__ import annotations

import torch
from torch import Tensor

from llm.writer.config import WriterConfig


class KVCache:
    """Contiguous key and value buffers of one running generation."""

    def __init__(self, config: WriterConfig, capacity: int, batch: int = 1) -> None:
        """Allocate room for `capacity` tokens a sequence.

        Raises:
            ValueError: the capacity is beyond the positions the model knows.
        """
        if not 1 <= capacity <= config.max_tokens:
            raise ValueError(f"A cache of {capacity} tokens does not fit a model of {config.max_tokens} positions.")
        shape = (config.layers, batch, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.empty(shape)  # L B K C D
        self.values = torch.empty(shape)  # L B K C D
        self.capacity = capacity
        self.length = 0

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store `keys` and `values` (B K T D) behind what is there; return views of all (B K length+T D).

        `length` moves only with `advance`, after every layer has stored its part.
        """
        end = self.length + keys.shape[2]
        layer_keys, layer_values = self.keys[layer], self.values[layer]
        layer_keys[:, :, self.length : end].copy_(keys)
        layer_values[:, :, self.length : end].copy_(values)
        return layer_keys[:, :, :end], layer_values[:, :, :end]

    def advance(self, tokens: int) -> None:
        """Count `tokens` more as read."""
        self.length += tokens

    def truncate(self, length: int) -> None:
        """Forget everything behind the first `length` tokens."""
        if not 0 <= length <= self.length:
            raise ValueError(f"Cannot cut a cache of {self.length} tokens to {length}.")
        self.length = length
