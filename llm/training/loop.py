"""One training loop for every network; the loss is passed in.

AdamW (Loshchilov and Hutter 2019) with linear warm-up and decay, gradient clipping, a CSV curve and resumable state.
State is safetensors and JSON only. The order of batches is given by the caller and depends on a seed alone, so a
stopped run that is started again does exactly the steps that were left.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class LoopKnobs:
    """How to step: peak learning rate, warm-up in steps, weight decay, gradient norm, minutes between checkpoints."""

    rate: float
    warmup: int = 60
    decay: float = 0.01
    clip: float = 1.0
    checkpoint_minutes: float = 4.0


@dataclass(frozen=True)
class Progress:
    """Where a run stands: steps done of all, mean losses since the last report, seconds left at this speed."""

    step: int
    steps: int
    losses: Mapping[str, float]
    seconds_left: float


Losses = Mapping[str, Tensor]
"""Named scalars of one step; the one called `loss` is minimised."""


def learning_rate(step: int, steps: int, knobs: LoopKnobs) -> float:
    """Linear from 0 to the peak over the warm-up, then linear to 0 at `steps`."""
    if step < knobs.warmup:
        return knobs.rate * (step + 1) / knobs.warmup
    return knobs.rate * max(0.0, (steps - step) / max(1, steps - knobs.warmup))


def trained_parameters(net: nn.Module) -> dict[str, nn.Parameter]:
    """What training changes, by name."""
    return {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}


def _groups(parameters: Mapping[str, nn.Parameter], knobs: LoopKnobs) -> list[dict[str, object]]:
    """Vectors (biases, norms) do not decay."""
    matrices = [p for p in parameters.values() if p.ndim > 1]
    vectors = [p for p in parameters.values() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": knobs.decay}, {"params": vectors, "weight_decay": 0.0}]


def _save(folder: Path, step: int, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.AdamW) -> None:
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        tensors[f"weight/{name}"] = parameter.detach()
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}/{name}"] = value
    work = folder / "state.tmp"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, work, {"step": str(step)})
    os.replace(work, folder / "state.safetensors")
    (folder / "step.json.tmp").write_text(json.dumps({"step": step}))
    os.replace(folder / "step.json.tmp", folder / "step.json")


def _resume(folder: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.AdamW) -> int:
    """Put the saved state back; the step to go on from, 0 without a saved state."""
    path = folder / "state.safetensors"
    if not path.is_file() or not (folder / "step.json").is_file():
        return 0
    tensors = load_file(path)
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[f"weight/{name}"])
        optimizer.state[parameter] = {k: tensors[f"{k}/{name}"].clone() for k in ("step", "exp_avg", "exp_avg_sq")}
    step: int = json.loads((folder / "step.json").read_text())["step"]
    return step


def train(
    net: nn.Module,
    batches: Sequence[Sequence[int]],
    losses: Callable[[Sequence[int]], Losses],
    folder: Path,
    knobs: LoopKnobs,
    report: Callable[[Progress], None],
) -> None:
    """Take one step a batch of example indices, from where the state in `folder` stands; writes `curve.csv` there.

    `losses` runs the network on one batch. Raises FloatingPointError when the loss is no longer finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parameters = trained_parameters(net)
    optimizer = torch.optim.AdamW(_groups(parameters, knobs), lr=knobs.rate, betas=(0.9, 0.98), foreach=True)
    begun = _resume(folder, parameters, optimizer)
    (folder / "knobs.json").write_text(json.dumps({**asdict(knobs), "steps": len(batches)}))
    net.train()
    started = saved = time.monotonic()
    seen: dict[str, list[float]] = {}
    for step in range(begun, len(batches)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, len(batches), knobs)
        optimizer.zero_grad(set_to_none=True)
        found = losses(batches[step])
        if not bool(torch.isfinite(found["loss"])):
            raise FloatingPointError(f"the loss is {float(found['loss'].detach())} at step {step}; lower the rate")
        found["loss"].backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), knobs.clip)
        optimizer.step()
        for name, value in found.items():
            seen.setdefault(name, []).append(float(value.detach()))
        now = time.monotonic()
        if (step + 1) % 10 == 0 or step + 1 == len(batches):
            means = {name: sum(values) / len(values) for name, values in seen.items()}
            left = (now - started) / (step + 1 - begun) * (len(batches) - step - 1)
            _append_curve(folder / "curve.csv", step + 1, means)
            report(Progress(step + 1, len(batches), means, left))
            seen = {}
        if now - saved > 60 * knobs.checkpoint_minutes or step + 1 == len(batches):
            _save(folder, step + 1, parameters, optimizer)
            saved = now
    net.eval()


def _append_curve(path: Path, step: int, means: Mapping[str, float]) -> None:
    new = not path.is_file()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(["step", *means])
        writer.writerow([step, *(f"{value:.5f}" for value in means.values())])


def length_sorted_batches(lengths: Sequence[int], size: int, seed: int, chunk: int = 400) -> list[list[int]]:
    """Indices in seeded random order, sorted by length inside chunks so that little is padded, `size` a batch."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(order), chunk):
        part = sorted(order[start : start + chunk], key=lambda i: lengths[i])
        cut = [part[i : i + size] for i in range(0, len(part), size)]
        batches += [cut[i] for i in torch.randperm(len(cut), generator=generator).tolist()]
    return batches
