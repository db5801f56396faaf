"""The transformer trunk of encoder and reader: BERT (Devlin et al. 2018, arXiv 1810.04805) with fused projections.

Axes: B texts, T tokens, W width, H heads. The word table is huge (250k rows) and frozen, so it stays in fp16, is
mapped from disk and may be shared by several trunks; everything after the look-up runs in the trunk's own precision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_ATTENTION = ("query", "key", "value")


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a trunk; `positions` bounds the tokens of one text."""

    width: int
    layers: int
    heads: int
    ffn: int
    vocabulary: int
    positions: int
    eps: float = 1e-12

    @classmethod
    def from_file(cls, path: Path) -> BertConfig:
        """Read a BERT `config.json`. Raises ValueError for another model type."""
        raw = json.loads(path.read_text())
        if raw.get("model_type") != "bert":
            raise ValueError(f"{path} describes a {raw.get('model_type')!r} model, not bert")
        return cls(
            width=raw["hidden_size"],
            layers=raw["num_hidden_layers"],
            heads=raw["num_attention_heads"],
            ffn=raw["intermediate_size"],
            vocabulary=raw["vocab_size"],
            positions=raw["max_position_embeddings"],
            eps=raw["layer_norm_eps"],
        )


class Embeddings(nn.Module):
    """Word, position and type rows summed and normalised: ids (B, T) to (B, T, W). Frozen."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word = nn.Parameter(torch.zeros(0, config.width), requires_grad=False)
        self.position = nn.Parameter(torch.zeros(config.positions, config.width), requires_grad=False)
        self.norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (B, T) to (B, T, W)."""
        rows = F.embedding(ids, self.word).to(self.position.dtype)  # (B, T, W)
        summed: Tensor = self.norm(rows + self.position[: ids.shape[1]])
        return summed


class BertLayer(nn.Module):
    """Post-norm block: self-attention, then a GELU feed-forward; `mask` (B, 1, 1, T) is True where a token is real."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.up = nn.Linear(config.width, config.ffn)
        self.down = nn.Linear(config.ffn, config.width)
        self.ffn_norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """States (B, T, W) to states of the same shape."""
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, H, T, W / H)
        x = self.attention_norm(x + self.out(attended.transpose(1, 2).reshape(batch, tokens, width)))
        normed: Tensor = self.ffn_norm(x + self.down(F.gelu(self.up(x))))
        return normed


class Bert(nn.Module):
    """The whole trunk: ids (B, T) and lengths to hidden states (B, T, W)."""

    def __init__(self, config: BertConfig, embeddings: Embeddings | None = None) -> None:
        super().__init__()
        self.config = config
        self.embeddings = embeddings if embeddings is not None else Embeddings(config)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.layers))

    @property
    def dtype(self) -> torch.dtype:
        """Precision the layers compute in."""
        dtype: torch.dtype = next(self.layers.parameters()).dtype
        return dtype

    def forward(self, ids: Tensor, real: Tensor | None) -> Tensor:
        """`real` (B, T) is True for tokens, False for padding; None when nothing is padded."""
        mask = None if real is None else real[:, None, None, :]
        x: Tensor = self.embeddings(ids).to(self.dtype)
        for layer in self.layers:
            x = layer(x, mask)
        return x


def load_embeddings(embeddings: Embeddings, tensors: Mapping[str, Tensor]) -> None:
    """Fill from BERT names; the one type row in use is added to the positions. The word table is not copied."""
    embeddings.word = nn.Parameter(tensors["embeddings.word_embeddings.weight"], requires_grad=False)
    position = tensors["embeddings.position_embeddings.weight"].float()
    position = position + tensors["embeddings.token_type_embeddings.weight"][0].float()
    embeddings.position = nn.Parameter(position, requires_grad=False)
    embeddings.norm.weight.data.copy_(tensors["embeddings.LayerNorm.weight"])
    embeddings.norm.bias.data.copy_(tensors["embeddings.LayerNorm.bias"])
    embeddings.requires_grad_(False)


def load_layers(trunk: Bert, tensors: Mapping[str, Tensor]) -> None:
    """Fill the layers from BERT names, fusing query, key and value."""
    names = (
        ("out", "attention.output.dense"),
        ("attention_norm", "attention.output.LayerNorm"),
        ("up", "intermediate.dense"),
        ("down", "output.dense"),
        ("ffn_norm", "output.LayerNorm"),
    )
    for number, layer in enumerate(trunk.layers):
        prefix = f"encoder.layer.{number}."
        for kind in ("weight", "bias"):
            fused = torch.cat([tensors[f"{prefix}attention.self.{part}.{kind}"].float() for part in _ATTENTION])
            getattr(layer.qkv, kind).data.copy_(fused)
            for ours, theirs in names:
                getattr(getattr(layer, ours), kind).data.copy_(tensors[f"{prefix}{theirs}.{kind}"])
