import pytest
import torch
import torch.nn.functional as F

from llm.writer.balance import GlobalLoad, balance_loss, router_loss, z_loss
from llm.writer.config import MoeConfig
from llm.writer.moe import RoutedExperts, Routing, expert_load
from llm.writer.upcycle import upcycle
from tests.llm.writer_cases import TINY_MOE, some_ids, tiny_decoder


def random_experts(moe: MoeConfig = TINY_MOE, width: int = 48) -> RoutedExperts:
    experts = RoutedExperts(width, moe)
    generator = torch.Generator().manual_seed(5)
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return experts


def token_by_token(experts: RoutedExperts, x: torch.Tensor) -> torch.Tensor:
    """The definition, with nothing grouped."""
    rows = []
    for token in x:
        probabilities = torch.softmax(experts.router @ token, dim=0)
        shares = probabilities.tolist()
        best = sorted(range(experts.experts), key=lambda number: -shares[number])[: experts.top_k]
        total = sum(probabilities[number] for number in best) if experts.normalise else 1.0
        out = torch.zeros_like(token)
        for number in best:
            gate, up = experts.gate_up_proj[number].chunk(2)
            inner = F.silu(gate @ token) * (up @ token)
            out = out + probabilities[number] / total * (experts.down_proj[number] @ inner)
        rows.append(out)
    return torch.stack(rows)


@pytest.mark.parametrize("tokens", [1, 3, 4, 5, 40])
@pytest.mark.parametrize("normalise", [True, False])
def test_experts_equal_the_loop_over_tokens(tokens: int, normalise: bool) -> None:
    experts = random_experts(MoeConfig(experts=8, top_k=2, width=16, normalise=normalise))
    x = torch.randn(tokens, 48, generator=torch.Generator().manual_seed(tokens))
    expected = token_by_token(experts, x)
    torch.testing.assert_close(experts(x), expected, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        torch.testing.assert_close(experts(x), expected, atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_of_the_loop_over_tokens() -> None:
    fast, slow = random_experts(), random_experts()
    x = torch.randn(30, 48, generator=torch.Generator().manual_seed(1))
    fast(x).square().sum().backward()
    token_by_token(slow, x).square().sum().backward()
    for got, expected in zip(fast.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(got.grad, expected.grad, atol=1e-3, rtol=1e-4)


def test_no_token_is_dropped_when_all_choose_the_same_expert() -> None:
    experts = random_experts()
    with torch.no_grad():
        experts.router[0] += 10.0
    x = torch.rand(50, 48, generator=torch.Generator().manual_seed(2))
    routing: list[Routing] = []
    torch.testing.assert_close(experts(x, routing), token_by_token(experts, x), atol=1e-5, rtol=1e-5)
    assert float(expert_load(routing)[0, 0]) == 0.5  # one of every token's two choices


def routing_of(probabilities: list[list[float]], top_k: int = 1) -> Routing:
    table = torch.tensor(probabilities)
    return Routing(table.log(), table, table.topk(top_k).indices)


def test_balance_loss_by_hand() -> None:
    # Three of four tokens choose expert 0: f = (3/4, 1/4); P = (0.6, 0.4); 2 * (0.45 + 0.1) = 1.1
    routing = [routing_of([[0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.3, 0.7]])]
    load = GlobalLoad()
    load.add(routing)
    assert float(balance_loss(routing, load)) == pytest.approx(1.1)


def test_balance_loss_is_one_for_even_load_and_the_number_of_experts_for_one_expert() -> None:
    even, load = [routing_of([[0.51, 0.49], [0.49, 0.51]])], GlobalLoad()
    load.add(even)
    assert float(balance_loss(even, load)) == pytest.approx(1.0)
    lonely, load = [routing_of([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])], GlobalLoad()
    load.add(lonely)
    assert float(balance_loss(lonely, load)) == pytest.approx(3.0)


def test_z_loss_by_hand() -> None:
    # logits log(1), log(3): logsumexp = log 4; and 0, 0: log 2
    routing = [Routing(torch.tensor([[1.0, 3.0], [1.0, 1.0]]).log(), torch.ones(2, 2) / 2, torch.tensor([[1], [0]]))]
    assert float(z_loss(routing)) == pytest.approx((1.3862944**2 + 0.6931472**2) / 2)


def test_global_load_lets_micro_batches_specialise_where_the_micro_batch_load_would_not() -> None:
    first, second = [routing_of([[0.9, 0.1], [0.9, 0.1]])], [routing_of([[0.1, 0.9], [0.1, 0.9]])]
    whole, alone = GlobalLoad(), GlobalLoad()
    whole.add(first)
    whole.add(second)
    alone.add(second)
    assert float(balance_loss(second, whole)) == pytest.approx(1.0)
    assert float(balance_loss(second, alone)) == pytest.approx(1.8)
    whole.reset()
    with pytest.raises(ValueError, match="since the last reset"):
        whole.shares()


def test_router_loss_reaches_the_router_and_ignores_padding() -> None:
    experts, padded = random_experts(), random_experts()
    x = torch.randn(20, 48, generator=torch.Generator().manual_seed(4))
    routing: list[Routing] = []
    experts(x, routing)
    router_loss(routing, GlobalLoad()).backward()
    masked: list[Routing] = []
    padded(torch.cat((x, torch.ones(7, 48))), masked, torch.arange(27) < 20)
    router_loss(masked, GlobalLoad()).backward()
    assert experts.router.grad is not None and float(experts.router.grad.abs().sum()) > 0
    torch.testing.assert_close(padded.router.grad, experts.router.grad)
    assert experts.gate_up_proj.grad is None


def test_a_decoder_without_experts_has_no_router_loss() -> None:
    assert float(router_loss([], GlobalLoad())) == 0.0


@torch.inference_mode()
def test_an_upcycled_decoder_equals_its_base_exactly_before_training() -> None:
    base = tiny_decoder()
    sparse = upcycle(base, TINY_MOE, seed=0)
    assert [layer.moe is not None for layer in sparse.layers] == [False, True, False, True]
    for tokens in (1, 3, 30):
        ids = some_ids(tokens)
        assert torch.equal(sparse(ids), base(ids))


def test_upcycling_is_repeatable_and_needs_a_dense_unfused_base() -> None:
    one, two, other = (upcycle(tiny_decoder(), TINY_MOE, seed=seed).state_dict() for seed in (7, 7, 8))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["layers.1.moe.router"], other["layers.1.moe.router"])
    with pytest.raises(ValueError, match="already has routed experts"):
        upcycle(upcycle(tiny_decoder(), TINY_MOE, seed=0), TINY_MOE, seed=0)
    fused = tiny_decoder()
    fused.fuse()
    with pytest.raises(ValueError, match="fused decoder"):
        upcycle(fused, TINY_MOE, seed=0)


@torch.inference_mode()
def test_the_decoder_reports_one_routing_a_layer_with_experts() -> None:
    routing: list[Routing] = []
    valid = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    upcycle(tiny_decoder(), TINY_MOE, seed=0).hidden(some_ids(6, batch=2), routing=routing, valid=valid)
    load = expert_load(routing)
    assert load.shape == (2, 8) and [one.logits.shape[0] for one in routing] == [10, 10]
    torch.testing.assert_close(load.sum(dim=1), torch.ones(2))


def test_impossible_expert_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="top_k"):
        MoeConfig(experts=2, top_k=3)
    with pytest.raises(ValueError, match="positive"):
        MoeConfig(width=0)
