"""The loop: the curve it takes, and that a stopped run ends where an unstopped one does."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from llm.training.loop import LoopKnobs, Progress, learning_rate, length_sorted_batches, train

KNOBS = LoopKnobs(rate=0.05, warmup=3, checkpoint_minutes=0.0)
DATA = torch.arange(12.0).reshape(12, 1) / 12


class Stop(Exception):
    """Stands for a killed process."""


def new_net() -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(1, 1)


def run(folder: Path, steps: Sequence[Sequence[int]], stop_before: int | None = None) -> nn.Linear:
    net = new_net()
    taken = [0]

    def losses(batch: Sequence[int]) -> dict[str, Tensor]:
        if stop_before is not None and taken[0] == stop_before:
            raise Stop
        taken[0] += 1
        x = DATA[list(batch)]
        return {"loss": ((net(x) - 2 * x - 1) ** 2).mean()}

    train(net, steps, losses, folder, KNOBS, lambda _: None)
    return net


def test_a_stopped_run_goes_on_and_ends_where_an_unstopped_one_does(tmp_path: Path) -> None:
    steps = length_sorted_batches([1] * 12, 3, seed=5) * 5
    whole = run(tmp_path / "whole", steps)
    with pytest.raises(Stop):
        run(tmp_path / "cut", steps, stop_before=9)
    resumed = run(tmp_path / "cut", steps)
    assert torch.equal(whole.weight, resumed.weight)
    assert torch.equal(whole.bias, resumed.bias)


def test_training_lowers_the_loss_and_writes_its_curve(tmp_path: Path) -> None:
    seen: list[Progress] = []
    net = new_net()

    def losses(batch: Sequence[int]) -> dict[str, Tensor]:
        x = DATA[list(batch)]
        return {"loss": ((net(x) - 2 * x - 1) ** 2).mean()}

    train(net, length_sorted_batches([1] * 12, 3, seed=5) * 20, losses, tmp_path, KNOBS, seen.append)
    assert seen[-1].losses["loss"] < 0.2 * seen[0].losses["loss"]
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert lines[0] == "step,loss"
    assert lines[-1].startswith("80,")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    net = new_net()
    with pytest.raises(FloatingPointError, match="at step 0; lower the rate"):
        train(net, [[0]], lambda _: {"loss": net.weight.sum() * float("nan")}, tmp_path, KNOBS, lambda _: None)


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [learning_rate(step, 20, LoopKnobs(rate=1.0, warmup=5)) for step in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 < rates[-1] < 0.1


def test_batches_hold_every_example_once_and_similar_lengths() -> None:
    lengths = [(i * 37) % 101 for i in range(1000)]
    batches = length_sorted_batches(lengths, 8, seed=1)
    assert sorted(i for batch in batches for i in batch) == list(range(1000))
    assert batches == length_sorted_batches(lengths, 8, seed=1) != length_sorted_batches(lengths, 8, seed=2)
    padded = sum(len(b) * max(lengths[i] for i in b) for b in batches)
    assert padded < 1.15 * sum(lengths)
