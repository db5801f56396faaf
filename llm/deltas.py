"""What training adds to the encoder, on disk: `encoder.safetensors` (fp16) and `encoder.json`.

Low-rank deltas (Hu et al. 2021, arXiv:2106.09685, eq. 3) on the matrices of some layers: W + scale x B A. They are
merged while loading, so that an encoder with deltas costs what the base costs. Tensor names: `layers.N.qkv.lora_A`
(rank, in) and `.lora_B` (out, rank), the same for `out`, `up` and `down`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from llm.base import file_sha256
from llm.bert import Bert

FORMAT_VERSION = 1
WEIGHTS, DESCRIPTION = "encoder.safetensors", "encoder.json"
ADAPTED = ("qkv", "out", "up", "down")


def has_deltas(folder: Path) -> bool:
    """Whether `folder` says that it holds a trained encoder."""
    return (folder / DESCRIPTION).is_file()


def save_deltas(
    folder: Path, tensors: Mapping[str, Tensor], *, base_sha256: str, scale: float, facts: Mapping[str, object]
) -> None:
    """Write both files, each under a temporary name first. Raises ValueError for values that fp16 cannot hold."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}
    for name, tensor in stored.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds values that fp16 cannot; the encoder was not written")
    fresh, described = folder / f"{WEIGHTS}.tmp", folder / f"{DESCRIPTION}.tmp"
    save_file(stored, fresh)
    description = {
        "format_version": FORMAT_VERSION,
        "base_sha256": base_sha256,
        "sha256": file_sha256(fresh),
        "scale": scale,
        "training": dict(facts),
    }
    described.write_text(json.dumps(description, indent=2) + "\n")
    os.replace(fresh, folder / WEIGHTS)
    os.replace(described, folder / DESCRIPTION)


def merge_deltas(trunk: Bert, folder: Path, base_sha256: str) -> tuple[str, frozenset[str]]:
    """Add the deltas in `folder` to the float32 layers of `trunk`.

    Returns the SHA-256 of the weights and the names of the parameters that were changed. Raises ValueError when a file
    is missing, damaged, of another format, made for another base, or does not fit the trunk.
    """
    card, weights = folder / DESCRIPTION, folder / WEIGHTS
    if not weights.is_file():
        raise ValueError(f"{weights} is missing, but {card.name} stands beside it")
    settings = json.loads(card.read_text())
    if settings.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"{card} has format {settings.get('format_version')!r}, this program reads {FORMAT_VERSION}")
    if settings["base_sha256"] != base_sha256:
        trained_on = settings["base_sha256"][:12]
        raise ValueError(f"{card} was trained on the encoder {trained_on}, but {base_sha256[:12]} is installed")
    found = file_sha256(weights)
    if found != settings["sha256"]:
        raise ValueError(f"{weights} is damaged: SHA-256 {found}, expected {settings['sha256']}")
    tensors = load_file(weights)
    own = dict(trunk.named_parameters())
    changed = {name.rpartition(".")[0] for name in tensors}
    for path in sorted(changed):
        name, down, up = f"{path}.weight", tensors.get(f"{path}.lora_A"), tensors.get(f"{path}.lora_B")
        if down is None or up is None or name not in own or own[name].shape != (up.shape[0], down.shape[1]):
            raise ValueError(f"{weights} holds a delta of {path}, which does not fit this encoder")
        own[name].data.addmm_(up.float(), down.float(), alpha=settings["scale"])
    return found, frozenset(f"{path}.weight" for path in changed)
