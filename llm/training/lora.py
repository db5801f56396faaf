"""Low-rank deltas while they are trained (Hu et al. 2021, arXiv:2106.09685, eq. 3); the only door to peft.

The base is frozen. Of the writer, router, experts and the deltas on attention and FFN of all layers learn; of the
encoder's trunk, deltas of chosen layers. Trained tensors leave under the names of `llm.writer.checkpoint` and
`llm.deltas`, without peft's, and serving needs no peft at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from llm.bert import Bert
from llm.writer.checkpoint import ADAPTED, EXPERT_PARTS, load_base, trained_shapes
from llm.writer.config import LoraShape, MoeConfig
from llm.writer.layers import Linear
from llm.writer.model import Decoder
from llm.writer.upcycle import upcycle

ADAPTER = "default"


def trainable_writer(
    base_folder: Path,
    moe: MoeConfig,
    *,
    rank: int = 32,
    alpha: float = 64.0,
    seed: int = 0,
    base_dtype: torch.dtype = torch.float32,
) -> Decoder:
    """Return base, fresh experts and fresh deltas; only what is trained has `requires_grad`, all of it float32.

    The first output equals the base's. `base_dtype` bfloat16 runs the frozen products in it, where that is faster.

    Raises:
        FileNotFoundError: the folder holds no model.
        ValueError: weights and configuration do not fit.
    """
    model = upcycle(load_base(base_folder), moe, seed=seed)
    if base_dtype != torch.float32:
        for part in model.modules():
            if isinstance(part, Linear):
                part.to(base_dtype)
    return attach_lora(model, LoraShape(rank, alpha), seed=seed)


def attach_lora(model: Decoder, lora: LoraShape, *, seed: int) -> Decoder:
    """Put fresh deltas on `model` (changed in place and returned); freeze all but deltas and experts."""
    _inject(model, list(ADAPTED), lora.rank, lora.alpha, seed)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name or ".moe." in name)
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def attach_to_trunk(
    trunk: Bert, layers: Iterable[int], matrices: Sequence[str], *, rank: int, alpha: float, seed: int
) -> Bert:
    """Put fresh deltas on the named matrices of some layers (changed in place and returned); freeze all else."""
    _inject(trunk, [f"layers.{layer}.{name}" for layer in layers for name in matrices], rank, alpha, seed)
    for name, parameter in trunk.named_parameters():
        parameter.requires_grad_(".lora_" in name)
    return trunk


def trunk_deltas(trunk: Bert) -> dict[str, Tensor]:
    """Return the deltas of a trunk of `attach_to_trunk`, under the names of `llm.deltas`, as detached views."""
    found = {name: parameter for name, parameter in trunk.named_parameters() if ".lora_" in name}
    return {name.removesuffix(f".{ADAPTER}.weight"): parameter.detach() for name, parameter in found.items()}


def _inject(model: nn.Module, targets: list[str], rank: int, alpha: float, seed: int) -> None:
    """Add deltas that change nothing yet to the modules whose names end with one of `targets`."""
    settings = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, bias="none", target_modules=targets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(settings, model)


def trained_tensors(model: Decoder) -> dict[str, Tensor]:
    """Return what was trained, under checkpoint names, as detached views of the live parameters."""
    return {name: parameter.detach() for name, parameter in _trained(model)}


def restore_trained(model: Decoder, tensors: Mapping[str, Tensor], lora: LoraShape) -> None:
    """Copy checkpoint tensors into a model of `trainable_writer`, to go on training.

    Raises:
        ValueError: a tensor is missing or has another shape.
    """
    shapes = trained_shapes(model.config, lora)
    with torch.no_grad():
        for name, parameter in _trained(model):
            if name not in tensors or tuple(tensors[name].shape) != shapes[name]:
                raise ValueError(f"The checkpoint's {name} is missing or does not have shape {list(shapes[name])}.")
            parameter.copy_(tensors[name])


def _trained(model: Decoder) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            yield name.removesuffix(f".{ADAPTER}.weight"), parameter
        elif ".moe." in name and name.rpartition(".")[2] in EXPERT_PARTS:
            yield name, parameter
