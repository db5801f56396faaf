import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from llm.writer.config import WriterConfig, config_from_llama, llama_keys
from llm.writer.model import Decoder
from tests.llm.writer_cases import TINY, TINY_MOE, some_ids, tiny_decoder


@pytest.fixture(scope="module")
def llama() -> LlamaForCausalLM:
    keys = {key: value for key, value in llama_keys(TINY).items() if key not in ("model_type", "architectures")}
    reference = LlamaForCausalLM(LlamaConfig(**keys, attn_implementation="eager")).eval()
    state = {f"model.{name}": value for name, value in tiny_decoder().state_dict().items()}
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert missing in ([], ["lm_head.weight"]) and not unexpected
    reference.tie_weights()
    return reference


@torch.inference_mode()
def test_logits_equal_the_llama_of_transformers(llama: LlamaForCausalLM) -> None:
    ids = some_ids(23, batch=3)
    torch.testing.assert_close(tiny_decoder()(ids), llama(ids).logits, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_cached_steps_equal_the_llama_of_transformers(llama: LlamaForCausalLM) -> None:
    ids = some_ids(20, batch=2)
    model = tiny_decoder()
    cache = model.new_cache(20, batch=2)
    model(ids[:, :9], cache)
    ours = torch.cat([model(ids[:, place : place + 1], cache) for place in range(9, 20)], dim=1)
    theirs = [llama(ids[:, : place + 1], use_cache=False).logits[:, -1:] for place in range(9, 20)]
    torch.testing.assert_close(ours, torch.cat(theirs, dim=1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("cuts", [(1, 2, 3), (7,), (5, 11, 12, 18), tuple(range(1, 20))])
@pytest.mark.parametrize("moe", [None, TINY_MOE], ids=["dense", "experts"])
@torch.inference_mode()
def test_reading_in_pieces_through_the_cache_equals_reading_at_once(cuts: tuple[int, ...], moe: object) -> None:
    model = tiny_decoder(TINY.with_moe(moe))  # type: ignore[arg-type]
    ids = some_ids(20)
    cache = model.new_cache(20)
    pieces = [model(piece, cache) for piece in torch.tensor_split(ids, cuts, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_tokens_cut_from_the_cache_leave_no_trace() -> None:
    model = tiny_decoder()
    ids = some_ids(12)
    cache = model.new_cache(30)
    model(ids[:, :8], cache)
    model(some_ids(6, seed=9), cache)
    cache.truncate(8)
    torch.testing.assert_close(model(ids[:, 8:], cache), model(ids)[:, 8:], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_padding_on_the_right_changes_no_real_token() -> None:
    model = tiny_decoder(TINY.with_moe(TINY_MOE))
    ids = some_ids(10)
    padded = torch.cat((ids, torch.zeros(1, 5, dtype=torch.long)), dim=1)
    torch.testing.assert_close(model(padded)[:, :10], model(ids), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_fused_projections_give_the_same_logits() -> None:
    plain, fused = tiny_decoder(), tiny_decoder()
    fused.fuse()
    ids = some_ids(15)
    torch.testing.assert_close(fused(ids), plain(ids), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_bf16_weights_stay_near_fp32() -> None:
    exact, rounded = tiny_decoder(), tiny_decoder()
    for name, parameter in rounded.named_parameters():
        if not name.endswith("norm.weight"):
            parameter.data = parameter.data.bfloat16()
    ids = some_ids(15)
    got = rounded(ids)
    assert got.dtype == torch.float32
    assert float((got - exact(ids)).norm() / exact(ids).norm()) < 0.03


def test_more_tokens_than_the_cache_holds_are_refused() -> None:
    model = tiny_decoder()
    with pytest.raises(ValueError, match="9 tokens do not fit into 8"):
        model(some_ids(9), model.new_cache(8))
    with pytest.raises(ValueError, match="does not fit a model of 128"):
        model.new_cache(129)


def test_the_tables_of_transformers_5_are_read_too() -> None:
    old = llama_keys(TINY)
    new = {key: value for key, value in old.items() if key != "rope_theta"}
    new["rope_parameters"] = {"rope_type": "default", "rope_theta": 10_000.0}
    assert config_from_llama(new) == config_from_llama(old) == TINY


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model_type": "gpt2"}, "Llama-style"),
        ({"attention_bias": True}, "biases"),
        ({"tie_word_embeddings": False}, "tie its output"),
        ({"rope_scaling": {"type": "yarn"}}, "scaled rotary"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"num_key_value_heads": 4}, "cannot share"),
        ({"rope_theta": None}, "rope_theta"),
    ],
)
def test_a_base_this_decoder_cannot_run_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        config_from_llama({**llama_keys(TINY), **change})


def test_the_default_shape_is_that_of_smollm2_135m() -> None:
    with torch.device("meta"):
        model = Decoder(WriterConfig())
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
