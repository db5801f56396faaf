"""What training adds to the base, on disk: `writer.safetensors` (fp16) and `writer.json`, and how both are loaded.

The base model stays as it was installed; its identity (SHA-256 of the file it was made from) is recorded, and a
checkpoint made on another base is refused. Deltas are merged into the base's weights while loading, so serving
pays nothing for them. Tensor names: `layers.N.self_attn.q_proj.lora_A` (rank, in) and `.lora_B` (out, rank),
`layers.N.moe.router`, `.gate_up_proj`, `.down_proj`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from llm.base import read_manifest
from llm.writer.config import LoraShape, MoeConfig, WriterConfig, read_config
from llm.writer.int8 import Int8Linear
from llm.writer.layers import Linear
from llm.writer.model import Decoder
from llm.writer.tokenizer import WriterTokenizer, load_tokenizer

FORMAT_VERSION = 1
WEIGHTS, DESCRIPTION = "writer.safetensors", "writer.json"
ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
EXPERT_PARTS = ("router", "gate_up_proj", "down_proj")
JOINED = {  # parameters of a fused decoder, and the stored tensors whose rows they hold
    "self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "mlp.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj"),
}
PRECISIONS = ("fp32", "bf16", "int8")


@dataclass(frozen=True)
class CheckpointInfo:
    """What `writer.json` says: the base it belongs to, its shapes, its languages; `training` is free-form notes."""

    base_name: str
    base_sha256: str
    moe: MoeConfig
    lora: LoraShape
    languages: tuple[str, ...] = ("en",)
    training: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A checked pair of files; `digest` is the SHA-256 of the weights."""

    info: CheckpointInfo
    tensors: Mapping[str, Tensor]
    digest: str


@dataclass(frozen=True)
class LoadedWriter:
    """A decoder ready to serve. `model_id` changes when base or trained weights change."""

    model: Decoder
    tokenizer: WriterTokenizer
    config: WriterConfig
    model_id: str
    languages: frozenset[str]


def base_info(base_folder: Path) -> tuple[str, str]:
    """Return the base's name and the SHA-256 of the file it was made from."""
    manifest = read_manifest(base_folder)
    return str(manifest["name"]), str(manifest["source_sha256"])


def trained_shapes(config: WriterConfig, lora: LoraShape) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor a checkpoint of this decoder holds."""
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    maps = {
        "self_attn.q_proj": (config.width, queries),
        "self_attn.k_proj": (config.width, keys),
        "self_attn.v_proj": (config.width, keys),
        "self_attn.o_proj": (queries, config.width),
        "mlp.gate_proj": (config.width, config.ffn_width),
        "mlp.up_proj": (config.width, config.ffn_width),
        "mlp.down_proj": (config.ffn_width, config.width),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(config.layers):
        for name, (inner, outer) in maps.items():
            shapes[f"layers.{layer}.{name}.lora_A"] = (lora.rank, inner)
            shapes[f"layers.{layer}.{name}.lora_B"] = (outer, lora.rank)
        moe = config.moe
        if moe is not None and config.has_experts(layer):
            shapes[f"layers.{layer}.moe.router"] = (moe.experts, config.width)
            shapes[f"layers.{layer}.moe.gate_up_proj"] = (moe.experts, 2 * moe.width, config.width)
            shapes[f"layers.{layer}.moe.down_proj"] = (moe.experts, config.width, moe.width)
    return shapes


def save_checkpoint(folder: Path, info: CheckpointInfo, tensors: Mapping[str, Tensor]) -> None:
    """Write both files, each under a temporary name first; matrices as fp16.

    Raises:
        ValueError: a value is not finite or too large for fp16.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in tensors.items()}
    for name, tensor in stored.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds values that fp16 cannot; the checkpoint was not written.")
    fresh = folder / f"{WEIGHTS}.new"
    save_file(stored, fresh)
    description = {
        "format_version": FORMAT_VERSION,
        "base": {"name": info.base_name, "sha256": info.base_sha256},
        "weights_sha256": _digest(fresh),
        "moe": asdict(info.moe),
        "lora": asdict(info.lora),
        "languages": list(info.languages),
        "training": dict(info.training),
    }
    described = folder / f"{DESCRIPTION}.new"
    described.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    os.replace(fresh, folder / WEIGHTS)
    os.replace(described, folder / DESCRIPTION)


def read_checkpoint(folder: Path, base_folder: Path) -> Checkpoint:
    """Read a checkpoint and check it against itself and against the installed base.

    Raises:
        FileNotFoundError: one of the two files is missing.
        ValueError: a file is damaged, of another format, or made for another base; the sentence says which.
    """
    path = folder / DESCRIPTION
    info, expected = _read_description(path)
    name, sha256 = base_info(base_folder)
    if info.base_sha256 != sha256:
        raise ValueError(
            f"{path} was trained on {info.base_name} ({info.base_sha256[:12]}), "
            f"but {base_folder} holds {name} ({sha256[:12]}). Install the matching base or another checkpoint."
        )
    weights = folder / WEIGHTS
    digest = _digest(weights)
    if digest != expected:
        raise ValueError(f"{weights} does not match the checksum in {path.name}: the file is damaged or incomplete.")
    tensors = _read_tensors(weights)
    shapes = trained_shapes(read_config(base_folder).with_moe(info.moe), info.lora)
    _check_shapes(weights, tensors, shapes)
    return Checkpoint(info, tensors, digest)


def load_base(base_folder: Path) -> Decoder:
    """Load the dense base, float32, frozen, with separate projections.

    Raises:
        FileNotFoundError: the folder holds no model.
        ValueError: weights and `config.json` do not belong together.
    """
    return _assemble(base_folder, None, "fp32", fused=False)


def load_writer(base_folder: Path, checkpoint_folder: Path | None, *, precision: str = "fp32") -> LoadedWriter:
    """Load base and, if given, checkpoint into one fused decoder for serving.

    `precision` is that of the large products: fp32, bf16 or int8 (norms, router and the stream between layers stay
    fp32; with int8 the experts, too).

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: the precision is unknown, or a file is damaged or does not fit the others.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Precision must be one of {', '.join(PRECISIONS)}, not {precision!r}.")
    name, sha256 = base_info(base_folder)
    checkpoint = read_checkpoint(checkpoint_folder, base_folder) if checkpoint_folder is not None else None
    model = _assemble(base_folder, checkpoint, precision, fused=True)
    model.eval()
    if checkpoint is None or checkpoint_folder is None:
        model_id, languages = f"{name}@{sha256[:8]}", frozenset[str]()
    else:
        model_id = f"{checkpoint_folder.name}-writer@{checkpoint.digest[:8]}"
        languages = frozenset(checkpoint.info.languages)
    return LoadedWriter(model, load_tokenizer(base_folder), model.config, model_id, languages)


def _assemble(base_folder: Path, checkpoint: Checkpoint | None, precision: str, *, fused: bool) -> Decoder:
    """Build the decoder without allocating, then give it its weights: each is written once, into its last place."""
    config = read_config(base_folder)
    if checkpoint is not None:
        config = config.with_moe(checkpoint.info.moe)
    with torch.device("meta"):
        model = Decoder(config)
        if fused:
            model.fuse()
    weights = base_folder / "model.safetensors"
    base = {name.removeprefix("model."): tensor for name, tensor in _read_tensors(weights).items()}
    for name, parameter in list(model.named_parameters()):
        parts = [_merged(part, base, checkpoint, weights) for part in _parts(name)]
        shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        if shape != tuple(parameter.shape):
            raise ValueError(f"{weights}: {name} has shape {list(shape)}, not {list(parameter.shape)}.")
        _place(model, name, parts, precision)
    return model.requires_grad_(False)


def _place(model: Decoder, name: str, parts: Sequence[Tensor], precision: str) -> None:
    """Give the decoder one parameter in the precision it is served in."""
    path, _, leaf = name.rpartition(".")
    owner = model.get_submodule(path)
    rounded = precision == "int8" and ".moe." not in name
    if rounded and isinstance(owner, Linear):
        parent, _, place = path.rpartition(".")
        setattr(model.get_submodule(parent), place, Int8Linear(_stacked(parts, torch.float32)))
        return
    if rounded and owner is model.embed_tokens:  # rows are looked up as stored; only the product is rounded
        model.head = Int8Linear(parts[0])
        owner.weight = nn.Parameter(parts[0], requires_grad=False)
        return
    exact = precision != "bf16" or name.endswith(("norm.weight", ".router"))
    value = _stacked(parts, torch.float32 if exact else torch.bfloat16)
    setattr(owner, leaf, nn.Parameter(value, requires_grad=False))


def _parts(name: str) -> list[str]:
    """Return the stored tensors that make up one parameter of the decoder."""
    for joined, parts in JOINED.items():
        if name.endswith(f"{joined}.weight"):
            return [name.replace(joined, part) for part in parts]
    return [name]


def _merged(name: str, base: Mapping[str, Tensor], checkpoint: Checkpoint | None, weights: Path) -> Tensor:
    """Return one stored tensor, with its delta added if it has one."""
    trained = checkpoint.tensors if checkpoint is not None else {}
    source = trained if ".moe." in name else base
    if name not in source:
        raise ValueError(f"{weights} lacks {name}; it does not belong to its config.json.")
    path = name.removesuffix(".weight")
    if checkpoint is None or f"{path}.lora_A" not in trained:
        return source[name]
    down, up = trained[f"{path}.lora_A"].float(), trained[f"{path}.lora_B"].float()
    if source[name].shape != (up.shape[0], down.shape[1]):
        raise ValueError(f"{weights}: {name} has shape {list(source[name].shape)}, not that of its delta.")
    return torch.addmm(source[name].float(), up, down, alpha=checkpoint.info.lora.scale)


def _stacked(parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Write the rows of `parts` below each other, converted on the way; one part alone is copied only if it must be."""
    if len(parts) == 1:
        return parts[0].to(dtype)
    whole = torch.empty((sum(part.shape[0] for part in parts), parts[0].shape[1]), dtype=dtype)
    for place, part in zip(torch.split(whole, [part.shape[0] for part in parts]), parts, strict=True):
        place.copy_(part)
    return whole


def _read_description(path: Path) -> tuple[CheckpointInfo, str]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(f"{path} has checkpoint format {version!r}; this program reads format {FORMAT_VERSION}.")
    try:
        info = CheckpointInfo(
            base_name=str(data["base"]["name"]),
            base_sha256=str(data["base"]["sha256"]),
            moe=MoeConfig(**data["moe"]),
            lora=LoraShape(**data["lora"]),
            languages=tuple(data["languages"]),
            training=dict(data.get("training", {})),
        )
        return info, str(data["weights_sha256"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is incomplete or has unknown entries: {error}.") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Map a safetensors file; nothing is copied until a tensor is converted."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no readable safetensors file: {error}.") from error


def _check_shapes(path: Path, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    missing, unknown = sorted(shapes.keys() - tensors.keys()), sorted(tensors.keys() - shapes.keys())
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"holds the unknown tensor {unknown[0]}"
        raise ValueError(f"{path} {what}; it does not fit the shapes in {DESCRIPTION}.")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{path}: {name} has shape {list(tensors[name].shape)}, not {list(shape)}.")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
