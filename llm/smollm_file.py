"""Reads SmolLM2-135M-Instruct out of a GGUF file into the names and layout of a Llama checkpoint.

The only door to the `gguf` package, which dequantises the blocks. llama.cpp interleaves the two halves of every
query and key head for its rotary kernel; here the rows are put back into the half-split order that Llama uses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, dequantize
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

_GLOBAL_NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True)
class LlamaFile:
    """A parsed file: the JSON configuration, float32 tensors under Llama names, and the tokenizer."""

    config: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    tokenizer: Tokenizer


def split_rotary_halves(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Undo the pairwise interleaving of llama.cpp on a (heads x head width, columns) projection."""
    width = rows.shape[0] // heads
    return rows.reshape(heads, width // 2, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _llama_name(name: str) -> str:
    if name in _GLOBAL_NAMES:
        return _GLOBAL_NAMES[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{_LAYER_NAMES[part]}.weight"


def byte_level_tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]], special: list[str]) -> Tokenizer:
    """GPT-2's byte-level BPE with each digit a token of its own, as SmolLM2 was trained."""
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return tokenizer


def read_smollm(path: Path) -> LlamaFile:
    """Parse the GGUF file at `path`. Raises ValueError when it is not a Llama model."""
    reader = GGUFReader(str(path))
    field = {name: value.contents() for name, value in reader.fields.items()}
    if field.get("general.architecture") != "llama":
        raise ValueError(f"{path.name} holds a {field.get('general.architecture')!r} model, not a llama one")
    heads = int(field["llama.attention.head_count"])
    kv_heads = int(field["llama.attention.head_count_kv"])
    width = int(field["llama.embedding_length"])
    config = {
        "model_type": "llama",
        "hidden_size": width,
        "num_hidden_layers": int(field["llama.block_count"]),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": width // heads,
        "intermediate_size": int(field["llama.feed_forward_length"]),
        "vocab_size": int(field["llama.vocab_size"]),
        "max_position_embeddings": int(field["llama.context_length"]),
        "rms_norm_eps": 1e-5,
        "rope_theta": float(field["llama.rope.freq_base"]),
        "tie_word_embeddings": True,
        "bos_token_id": int(field["tokenizer.ggml.bos_token_id"]),
        "eos_token_id": int(field["tokenizer.ggml.eos_token_id"]),
    }
    tensors: dict[str, torch.Tensor] = {}
    for tensor in reader.tensors:
        values = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if ".attn_q." in tensor.name or ".attn_k." in tensor.name:
            values = split_rotary_halves(values, heads if ".attn_q." in tensor.name else kv_heads)
        tensors[_llama_name(tensor.name)] = torch.from_numpy(np.array(values))
    tokens: list[str] = list(field["tokenizer.ggml.tokens"])
    kinds = list(field["tokenizer.ggml.token_type"])
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == 3]
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in field["tokenizer.ggml.merges"])]
    tokenizer = byte_level_tokenizer({token: i for i, token in enumerate(tokens)}, merges, special)
    return LlamaFile(config, tensors, tokenizer)


def llama_config(config: dict[str, Any]) -> str:
    """The configuration as JSON."""
    return json.dumps(config, indent=2)
