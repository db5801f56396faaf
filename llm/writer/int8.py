"""Linear maps in 8 bits: weights rounded once with a scale a row, activations at each call with a scale a token.

A decoding step reads every weight once, so a quarter of the bytes is most of the gain; integer units give the rest.
Few input channels are far larger than the others, and 8 bits would drown those; so each token is read as two rows,
its rounded value and what rounding left over (together about 16 bits), at the price of more arithmetic but no more
reading. Sums are exact integers and each token has its own scale: its result does not depend on which others are in
the same pass, so drafts verified together choose what single steps would.
Method: vector-wise quantisation (Dettmers et al. 2022, LLM.int8(), arXiv:2208.07339, §2.1); the second row is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST = 1e-8  # keeps the scale of an all-zero row finite
REST = 254  # what rounding leaves lies in -1/2 … 1/2, this makes it -127 … 127


class Int8Linear(nn.Module):
    """A map without bias, from float32 to float32, multiplied in 8 bits."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor) -> None:
        """Round `weight` (outer, inner)."""
        super().__init__()
        levels = weight_levels()
        scale = weight.float().abs().amax(dim=1).clamp_(min=SMALLEST).div_(levels)
        rounded = (weight.float() / scale[:, None]).round_().to(torch.int8)
        self.register_buffer("weight", rounded.t(), persistent=False)  # inner outer, a view: rows stay contiguous
        self.register_buffer("scale", scale, persistent=False)  # outer

    def forward(self, x: Tensor) -> Tensor:
        """Map (… inner) to (… outer)."""
        rows = x.reshape(-1, x.shape[-1])
        scale = rows.abs().amax(dim=1, keepdim=True).clamp_(min=SMALLEST).div_(127)
        rows = rows / scale
        coarse = rows.round()
        rest = rows.sub_(coarse).mul_(REST).round_()
        sums = torch._int_mm(torch.cat((coarse, rest)).to(torch.int8), self.weight)
        coarse_sums, rest_sums = sums.chunk(2)
        whole = torch.add(coarse_sums.float(), rest_sums, alpha=1 / REST)
        return whole.mul_(self.scale).mul_(scale).view(*x.shape[:-1], -1)


def weight_levels() -> int:
    """Return the largest rounded weight: 127, or 63 where the processor adds pairs of products in 16 bits.

    Without VNNI the kernels shift activations to 0 … 255 and add two products with saturation; 2 * 255 * 63 still fits.
    """
    able = torch.cpu.get_capabilities()
    if able.get("architecture") != "x86_64" or able.get("avx512_vnni") or able.get("avx_vnni"):
        return 127
    return 63
