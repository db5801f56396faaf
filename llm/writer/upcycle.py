"""Sparse upcycling: the dense base becomes a mixture of experts that gives exactly the same output at first.

Komatsuzaki et al. 2022 (arXiv:2212.05055) copy a whole FFN into every expert. Here the FFN stays, as the shared
expert, and the routed ones are narrow: each starts from rows of the FFN's own gate and up matrices (fine-grained
slices, as the virtual groups of arXiv:2410.07524), so its features mean something from the first step, while its
output projection is zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from llm.writer.config import MoeConfig
from llm.writer.layers import SwiGLU
from llm.writer.model import Decoder, DecoderLayer
from llm.writer.moe import RoutedExperts

ROUTER_DEVIATION = 0.02  # the initialiser range of Llama: probabilities start close to even


def upcycle(dense: Decoder, moe: MoeConfig, *, seed: int) -> Decoder:
    """Return a decoder with fresh float32 experts, sharing the weights of `dense` (which must not be fused).

    The same seed gives the same experts. The new parameters have `requires_grad`, the shared ones keep theirs.

    Raises:
        ValueError: `dense` already has experts or is fused.
    """
    if dense.config.moe is not None:
        raise ValueError("This decoder already has routed experts.")
    config = dense.config.with_moe(moe)
    with torch.device("meta"):
        sparse = Decoder(config)
    sparse.embed_tokens, sparse.norm, sparse.rope = dense.embed_tokens, dense.norm, dense.rope
    generator = torch.Generator().manual_seed(seed)
    for fresh, old in zip(sparse.layers, dense.layers, strict=True):
        assert isinstance(fresh, DecoderLayer) and isinstance(old, DecoderLayer)
        fresh.input_layernorm, fresh.self_attn = old.input_layernorm, old.self_attn
        fresh.post_attention_layernorm, fresh.mlp = old.post_attention_layernorm, old.mlp
        if fresh.moe is not None:
            fresh.moe = _experts_from(old.mlp, config.width, moe, generator)
    return sparse


def _experts_from(ffn: SwiGLU, width: int, moe: MoeConfig, generator: torch.Generator) -> RoutedExperts:
    """Deal the FFN's inner neurons to the experts, shuffling them anew whenever all have been dealt."""
    if ffn.gate_up_proj is not None:
        raise ValueError("A fused decoder cannot be upcycled; load the base with load_base.")
    gate, up = _weight(ffn.gate_proj), _weight(ffn.up_proj)  # I H each
    needed = moe.experts * moe.width
    deals = -(-needed // gate.shape[0])
    neurons = torch.cat([torch.randperm(gate.shape[0], generator=generator) for _ in range(deals)])[:needed]
    chosen = neurons.view(moe.experts, moe.width)
    experts = RoutedExperts(width, moe)
    with torch.no_grad():
        experts.gate_up_proj.copy_(torch.cat((gate[chosen], up[chosen]), dim=1))
        experts.router.normal_(0.0, ROUTER_DEVIATION, generator=generator)
    return experts


def _weight(part: nn.Module) -> Tensor:
    weight = part.weight
    assert isinstance(weight, Tensor)
    return weight.detach().float()
