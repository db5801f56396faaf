import pytest
import torch

from llm.writer.int8 import Int8Linear, weight_levels


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_product_is_that_of_the_rounded_weights() -> None:
    weight, x = random(24, 40), random(3, 5, 40, seed=1)
    part = Int8Linear(weight)
    rounded = (part.weight.t().double() * part.scale.double()[:, None]).float()
    torch.testing.assert_close(part(x), x @ rounded.t(), atol=2e-3, rtol=0)


def test_weights_are_rounded_to_the_nearest_level_of_their_row() -> None:
    weight = random(24, 40)
    part = Int8Linear(weight)
    error = (part.weight.t() * part.scale[:, None] - weight).abs()
    assert bool((error <= part.scale[:, None] * 0.501).all())
    assert int(part.weight.abs().max()) == weight_levels()


def test_one_large_channel_does_not_drown_the_others() -> None:
    weight, x = random(24, 40), random(6, 40, seed=1)
    x[:, 3] = 300.0
    weight[:, 3] = 0.0
    part = Int8Linear(weight)
    rounded = part.weight.t() * part.scale[:, None]
    error = (part(x) - x @ rounded.t()).norm() / (x @ rounded.t()).norm()
    assert float(error) < 0.01


@pytest.mark.parametrize("tokens", [2, 7, 33])
def test_a_token_gives_the_same_result_whatever_is_read_beside_it(tokens: int) -> None:
    part, x = Int8Linear(random(24, 40)), random(tokens, 40, seed=1)
    together = part(x)
    assert all(torch.equal(part(x[place : place + 1]), together[place : place + 1]) for place in range(tokens))


def test_zeros_stay_zeros() -> None:
    assert torch.equal(Int8Linear(torch.zeros(8, 16))(torch.zeros(2, 16)), torch.zeros(2, 8))


def test_processors_without_vnni_get_weights_that_cannot_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, levels in [
        ({"architecture": "x86_64", "avx2": True}, 63),
        ({"architecture": "x86_64", "avx_vnni": True}, 127),
        ({"architecture": "aarch64"}, 127),
    ]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert weight_levels() == levels
