"""Shapes of the writer: one dense Llama-style decoder, with routed experts beside its FFN in some layers.

The dense part is read from the base model's `config.json` (the keys Hugging Face uses for Llama), the experts
and the low-rank deltas from the checkpoint. Plain frozen records; nothing here knows about tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class MoeConfig:
    """Routed experts beside the dense FFN, which acts as the shared expert.

    `every` = 5 puts experts into layers 4, 9, 14 … (counted from 0). `width` is the inner width of one expert.
    `normalise` makes the chosen experts' weights sum to 1 (as Mixtral and Qwen3-MoE do).
    """

    experts: int = 32
    top_k: int = 2
    width: int = 64
    every: int = 5
    normalise: bool = True

    def __post_init__(self) -> None:
        """Refuse shapes no router can serve."""
        if not 1 <= self.top_k <= self.experts:
            raise ValueError(f"top_k must lie between 1 and the number of experts ({self.experts}), not {self.top_k}.")
        if self.width < 1 or self.every < 1:
            raise ValueError(f"Expert width and layer step must be positive, not {self.width} and {self.every}.")


@dataclass(frozen=True)
class LoraShape:
    """Rank and alpha of the low-rank deltas; a delta is `alpha / rank * B @ A`."""

    rank: int = 32
    alpha: float = 64.0

    def __post_init__(self) -> None:
        """Refuse a rank that has no matrix."""
        if self.rank < 1 or self.alpha <= 0:
            raise ValueError(f"Rank and alpha must be positive, not {self.rank} and {self.alpha}.")

    @property
    def scale(self) -> float:
        """Factor in front of `B @ A`."""
        return self.alpha / self.rank


@dataclass(frozen=True)
class WriterConfig:
    """Shape of the decoder; the defaults are those of SmolLM2-135M. `moe` is None for the dense base."""

    vocab: int = 49152
    width: int = 576
    layers: int = 30
    heads: int = 9
    kv_heads: int = 3
    head_dim: int = 64
    ffn_width: int = 1536
    norm_eps: float = 1e-5
    rope_theta: float = 100_000.0
    max_tokens: int = 8192
    moe: MoeConfig | None = None

    def __post_init__(self) -> None:
        """Refuse head counts that cannot be grouped."""
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} query heads cannot share {self.kv_heads} key/value heads evenly.")
        if self.head_dim % 2:
            raise ValueError(f"Rotary positions need an even head width, not {self.head_dim}.")

    def has_experts(self, layer: int) -> bool:
        """Whether this layer (from 0) holds routed experts."""
        return self.moe is not None and (layer + 1) % self.moe.every == 0

    def with_moe(self, moe: MoeConfig | None) -> WriterConfig:
        """Return the same decoder with these experts."""
        return replace(self, moe=moe)


def config_from_llama(keys: Mapping[str, object]) -> WriterConfig:
    """Read Hugging Face's Llama keys, written by transformers 4 (`rope_theta`) or 5 (`rope_parameters`).

    Raises:
        ValueError: a key is missing, or the model uses something this decoder does not have.
    """
    if keys.get("model_type", "llama") != "llama":
        raise ValueError(f"The writer's base must be a Llama-style model, not {keys['model_type']!r}.")
    if keys.get("attention_bias") or keys.get("mlp_bias"):
        raise ValueError("The writer's base has biases, which this decoder does not support.")
    if not keys.get("tie_word_embeddings", False):
        raise ValueError("The writer's base must tie its output to its embeddings (tie_word_embeddings).")
    if keys.get("hidden_act", "silu") != "silu":
        raise ValueError(f"The writer's base must use silu, not {keys['hidden_act']!r}.")
    rope = keys.get("rope_parameters") or keys.get("rope_scaling") or {}
    if not isinstance(rope, Mapping) or rope.get("rope_type", rope.get("type", "default")) != "default":
        raise ValueError(f"The writer's base uses scaled rotary positions ({rope!r}), which are not supported.")
    theta = keys.get("rope_theta", rope.get("rope_theta"))
    heads = _integer(keys, "num_attention_heads")
    width = _integer(keys, "hidden_size")
    return WriterConfig(
        vocab=_integer(keys, "vocab_size"),
        width=width,
        layers=_integer(keys, "num_hidden_layers"),
        heads=heads,
        kv_heads=_integer(keys, "num_key_value_heads"),
        head_dim=_integer(keys, "head_dim") if keys.get("head_dim") else width // heads,
        ffn_width=_integer(keys, "intermediate_size"),
        norm_eps=_number(keys.get("rms_norm_eps"), "rms_norm_eps"),
        rope_theta=_number(theta, "rope_theta"),
        max_tokens=_integer(keys, "max_position_embeddings"),
    )


def llama_keys(config: WriterConfig) -> dict[str, object]:
    """Return the `config.json` of a dense base, the inverse of `config_from_llama`."""
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": config.vocab,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.ffn_width,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "max_position_embeddings": config.max_tokens,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
    }


def read_config(folder: Path) -> WriterConfig:
    """Read `config.json` of a base model's folder.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no JSON object or describes another kind of model.
    """
    path = folder / "config.json"
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(keys, dict):
        raise ValueError(f"{path} must hold a JSON object.")
    return config_from_llama(keys)


def _integer(keys: Mapping[str, object], name: str) -> int:
    value = keys.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"config.json must give {name} as a positive whole number, not {value!r}.")
    return value


def _number(value: object, name: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"config.json must give {name} as a positive number, not {value!r}.")
    return float(value)
