import time
from collections.abc import Sequence

import pytest
import torch

from llm.writer.generate import PromptLookup, generate
from llm.writer.int8 import Int8Linear
from llm.writer.model import Decoder
from tests.llm.writer_cases import TINY, TINY_MOE, some_ids, tiny_decoder


class CountingDecoder(Decoder):
    """A decoder that counts its passes."""

    passes = 0

    def hidden(self, ids: torch.Tensor, *rest: object, **named: object) -> torch.Tensor:
        self.passes += 1
        return super().hidden(ids, *rest, **named)  # type: ignore[arg-type]


def counting(seed: int = 0, *, experts: bool = True) -> CountingDecoder:
    config = TINY.with_moe(TINY_MOE if experts else None)
    model = CountingDecoder(config)
    model.load_state_dict(tiny_decoder(config, seed).state_dict())
    return model.requires_grad_(False)


def slow_greedy(model: Decoder, prompt: Sequence[int], count: int) -> list[int]:
    """The definition: read everything again for every token."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


def in_int8(seed: int) -> CountingDecoder:
    """The same decoder with its products rounded, as `load_writer` builds it."""
    model = counting(seed)
    for layer in model.layers:
        for owner in (layer.self_attn, layer.mlp):
            for name, part in list(owner.named_children()):
                setattr(owner, name, Int8Linear(part.weight))
    model.head = Int8Linear(model.embed_tokens.weight)
    return model


class OddTokens:
    """Allows odd tokens only, never the last one again; remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def allowed(self, logits: torch.Tensor, generated: Sequence[int]) -> int:
        self.asked.append(tuple(generated))
        scores = logits.clone()
        scores[::2] = -torch.inf
        if generated:
            scores[generated[-1]] = -torch.inf
        return int(scores.argmax())


class Reciting:
    """Lets only one text pass, as a constraint that follows its evidence does."""

    def __init__(self, text: Sequence[int]) -> None:
        self.text = list(text)

    def allowed(self, logits: torch.Tensor, generated: Sequence[int]) -> int:
        return self.text[len(generated)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("draft", [False, True])
def test_output_equals_reading_everything_again_for_every_token(seed: int, draft: bool) -> None:
    model = counting(seed)
    prompt = some_ids(24, seed=seed)[0].tolist()
    assert list(generate(model, prompt, max_tokens=40, draft=draft)) == slow_greedy(model, prompt, 40)


@pytest.mark.parametrize("seed", range(4))
def test_a_constraint_sees_the_same_steps_with_and_without_drafts(seed: int) -> None:
    model = counting(seed)
    prompt = [*some_ids(20, seed=seed)[0].tolist()] * 2
    plain, drafted = OddTokens(), OddTokens()
    one = list(generate(model, prompt, constraint=plain, max_tokens=50, draft=False))
    two = list(generate(model, prompt, constraint=drafted, max_tokens=50, draft=True))
    assert one == two and len(one) == 50
    assert plain.asked == drafted.asked == [tuple(one[:place]) for place in range(50)]


@pytest.mark.parametrize("seed", range(3))
def test_drafts_change_nothing_in_int8_either(seed: int) -> None:
    model = in_int8(seed)
    prompt = [*some_ids(20, seed=seed)[0].tolist()] * 2
    one, two = (list(generate(model, prompt, max_tokens=60, draft=draft)) for draft in (False, True))
    assert one == two == slow_greedy(model, prompt, 60)


def test_copied_runs_need_fewer_passes() -> None:
    prompt = some_ids(60)[0].tolist()
    text = [*prompt[10:40], 7, *prompt[45:58]]
    passes = []
    for draft in (False, True):
        model = counting()
        written = list(generate(model, prompt, constraint=Reciting(text), max_tokens=len(text), draft=draft))
        assert written == text
        passes.append(model.passes)
    assert passes[0] == len(text) and passes[1] < len(text) / 2


def test_a_wrong_guess_leaves_no_trace_in_the_cache() -> None:
    # The prompt always goes on from (3, 5) with 8; the constraint writes 3 5 9 instead, then the model is free.
    prompt = [3, 5, 8, 8, 8, 8, 8, 1, 2]
    forced = [3, 5, 9]

    class ThenFree:
        def allowed(self, logits: torch.Tensor, generated: Sequence[int]) -> int:
            return forced[len(generated)] if len(generated) < len(forced) else int(logits.argmax())

    model = counting()
    written = list(generate(model, prompt, constraint=ThenFree(), max_tokens=20, draft=True))
    assert written[:3] == forced and written[3:] == slow_greedy(model, [*prompt, *forced], 17)


def test_writing_stops_before_a_stop_token() -> None:
    model = counting()
    prompt = some_ids(15)[0].tolist()
    free = slow_greedy(model, prompt, 12)
    place = free.index(free[6])
    assert list(generate(model, prompt, stop=frozenset({free[6]}), max_tokens=12)) == free[:place]


def test_a_stop_token_among_the_guesses_ends_the_answer() -> None:
    prompt = some_ids(40)[0].tolist()
    text = prompt[5:20]
    written = list(generate(counting(), prompt, constraint=Reciting(text), stop=frozenset({text[9]}), max_tokens=30))
    assert written == text[: text.index(text[9])]


def test_the_limit_of_tokens_holds_with_drafts() -> None:
    prompt = some_ids(40)[0].tolist()
    for limit in range(1, 12):
        text = prompt[2:30]
        assert list(generate(counting(), prompt, constraint=Reciting(text), max_tokens=limit)) == text[:limit]


def test_a_deadline_in_the_past_writes_nothing_and_one_in_the_middle_cuts() -> None:
    prompt = some_ids(20)[0].tolist()
    model = counting()
    assert list(generate(model, prompt, deadline=time.monotonic() - 1, max_tokens=9)) == []
    assert model.passes == 0
    steps = generate(model, prompt, deadline=time.monotonic() + 0.3, max_tokens=90, draft=False)
    first = [next(steps) for _ in range(3)]
    time.sleep(0.4)
    assert [*first, *steps] == slow_greedy(model, prompt, 3)


def test_the_last_position_of_the_model_ends_the_answer() -> None:
    prompt = some_ids(TINY.max_tokens - 5)[0].tolist()
    assert len(list(generate(counting(), prompt, max_tokens=50))) == 5
    with pytest.raises(ValueError, match="fills all 128 positions"):
        generate(counting(), some_ids(128)[0].tolist())
    with pytest.raises(ValueError, match="at least one token"):
        generate(counting(), [])


def test_gradients_are_possible_again_between_two_tokens() -> None:
    steps = generate(counting(), some_ids(9)[0].tolist(), max_tokens=3)
    next(steps)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_lookup_prefers_the_longest_match_and_the_later_place() -> None:
    lookup = PromptLookup([1, 2, 3, 9, 9, 2, 3, 4, 5, 6])
    assert lookup.draft([7, 2, 3], 2) == [4, 5]
    assert lookup.draft([1, 2, 3], 2) == [9, 9]
    assert lookup.draft([3], 2) == lookup.draft([5, 6], 2) == lookup.draft([8, 8], 2) == []
