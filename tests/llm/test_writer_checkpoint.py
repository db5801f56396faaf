import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from llm.training.lora import restore_trained, trainable_writer, trained_tensors
from llm.writer.checkpoint import (
    CheckpointInfo,
    base_info,
    load_base,
    load_writer,
    read_checkpoint,
    save_checkpoint,
)
from llm.writer.config import LoraShape
from llm.writer.model import Decoder
from tests.llm.writer_cases import TINY_MOE, some_ids, tiny_decoder, trained_like, write_base

LORA = LoraShape(4, 8.0)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "writer")


def save(folder: Path, base: Path, model: Decoder) -> Path:
    name, sha256 = base_info(base)
    save_checkpoint(folder, CheckpointInfo(name, sha256, TINY_MOE, LORA, training={"steps": 3}), trained_tensors(model))
    return folder


def test_loading_does_not_import_the_compiler_of_torch(base: Path) -> None:
    """It takes longer than all the rest of a short command."""
    code = (
        "import sys; from pathlib import Path; from llm.writer.checkpoint import load_writer; "
        "load_writer(Path(sys.argv[1]), None); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(base)], check=False).returncode == 0


@torch.inference_mode()
def test_the_loaded_base_equals_what_was_stored(base: Path) -> None:
    ids = some_ids(12)
    assert torch.equal(load_base(base)(ids), tiny_decoder()(ids))
    loaded = load_writer(base, None)
    torch.testing.assert_close(loaded.model(ids), tiny_decoder()(ids), atol=1e-5, rtol=0)
    assert loaded.model_id == "tiny-llama@00000000" and loaded.languages == frozenset()


@torch.inference_mode()
def test_the_writer_equals_its_base_before_training(base: Path) -> None:
    ids = some_ids(12)
    assert torch.equal(trainable_writer(base, TINY_MOE, rank=4, alpha=8.0, seed=0)(ids), load_base(base)(ids))


def test_only_deltas_and_experts_are_trained(base: Path) -> None:
    model = trainable_writer(base, TINY_MOE, rank=4, alpha=8.0, seed=0)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained and all(".lora_" in name or ".moe." in name for name in trained)
    assert len(trained) == 4 * 7 * 2 + 2 * 3
    model(some_ids(9)).square().mean().backward()
    assert all(parameter.grad is None for name, parameter in model.named_parameters() if name not in trained)
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == trained


def test_a_base_in_bf16_trains_float32_deltas(base: Path) -> None:
    model = trainable_writer(base, TINY_MOE, rank=4, alpha=8.0, seed=0, base_dtype=torch.bfloat16)
    kinds = {parameter.dtype for parameter in model.parameters() if parameter.requires_grad}
    assert kinds == {torch.float32}
    assert model.get_parameter("layers.0.mlp.up_proj.base_layer.weight").dtype == torch.bfloat16
    model(some_ids(9)).square().mean().backward()
    with torch.inference_mode():
        exact = load_base(base)(some_ids(9))
        assert float((model(some_ids(9)) - exact).norm() / exact.norm()) < 0.03


@torch.inference_mode()
def test_merged_deltas_give_the_logits_of_the_unmerged_model(base: Path, tmp_path: Path) -> None:
    model = trained_like(base)
    loaded = load_writer(base, save(tmp_path / "kb-tiny", base, model))
    ids = some_ids(20)
    torch.testing.assert_close(loaded.model(ids), model(ids), atol=1e-5, rtol=1e-5)
    assert float((model(ids) - load_base(base)(ids)).abs().max()) > 0.1
    assert loaded.model_id.startswith("kb-tiny-writer@") and loaded.languages == {"en"}


@torch.inference_mode()
def test_training_goes_on_from_a_checkpoint(base: Path, tmp_path: Path) -> None:
    model = trained_like(base)
    checkpoint = read_checkpoint(save(tmp_path / "kb-tiny", base, model), base)
    assert checkpoint.info.training == {"steps": 3}
    fresh = trainable_writer(base, TINY_MOE, rank=4, alpha=8.0, seed=99)
    restore_trained(fresh, checkpoint.tensors, LORA)
    assert torch.equal(fresh(some_ids(9)), model(some_ids(9)))
    with pytest.raises(ValueError, match="is missing or does not have shape"):
        restore_trained(fresh, {}, LORA)


@torch.inference_mode()
def test_bf16_serving_stays_near_fp32(base: Path, tmp_path: Path) -> None:
    folder = save(tmp_path / "kb-tiny", base, trained_like(base))
    exact = load_writer(base, folder).model(some_ids(12))
    rounded = load_writer(base, folder, precision="bf16").model(some_ids(12))
    assert float((rounded - exact).norm() / exact.norm()) < 0.05
    with pytest.raises(ValueError, match="Precision must be one of fp32, bf16, int8, not 'int3'"):
        load_writer(base, folder, precision="int3")


@torch.inference_mode()
def test_int8_serving_stays_near_fp32(base: Path, tmp_path: Path) -> None:
    folder = save(tmp_path / "kb-tiny", base, trained_like(base))
    exact = load_writer(base, folder).model(some_ids(12))
    rounded = load_writer(base, folder, precision="int8").model(some_ids(12))
    # Random weights amplify rounding far more than trained ones; what a product loses is in test_writer_int8.py.
    assert float((rounded - exact).norm() / exact.norm()) < 0.1


def test_other_weights_have_another_model_id(base: Path, tmp_path: Path) -> None:
    one = load_writer(base, save(tmp_path / "kb-tiny", base, trained_like(base, seed=3)))
    two = load_writer(base, save(tmp_path / "kb-tiny", base, trained_like(base, seed=4)))
    assert one.model_id != two.model_id


def test_a_checkpoint_of_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    folder = save(tmp_path / "kb-tiny", base, trained_like(base))
    other = write_base(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="was trained on tiny-llama"):
        load_writer(other, folder)


def test_a_damaged_checkpoint_is_refused(base: Path, tmp_path: Path) -> None:
    folder = save(tmp_path / "kb-tiny", base, trained_like(base))
    weights = folder / "writer.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8] + bytes(8 * [0x5A]))
    with pytest.raises(ValueError, match="does not match the checksum"):
        load_writer(base, folder)
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="does not match the checksum"):
        load_writer(base, folder)
    weights.unlink()
    with pytest.raises(FileNotFoundError):
        load_writer(base, folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format_version": 2}, "format 2; this program reads format 1"),
        ({"lora": {"rank": 2, "alpha": 8.0}}, "has shape"),
        ({"moe": {"experts": 8, "top_k": 2, "width": 16, "every": 4}}, "unknown tensor layers.1.moe"),
        ({"moe": {"wings": 2}}, "unknown entries"),
        ({"languages": None}, "incomplete"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    base: Path, tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    folder = save(tmp_path / "kb-tiny", base, trained_like(base))
    path = folder / "writer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=sentence):
        load_writer(base, folder)
    path.write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        load_writer(base, folder)


def test_a_base_cut_short_is_refused(base: Path) -> None:
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match="no readable safetensors file"):
        load_base(base)


def test_values_beyond_fp16_are_not_written(base: Path, tmp_path: Path) -> None:
    model = trained_like(base)
    with torch.no_grad():
        model.get_parameter("layers.1.moe.router").fill_(1e6)
    with pytest.raises(ValueError, match="fp16 cannot"):
        save(tmp_path / "kb-tiny", base, model)
    assert not (tmp_path / "kb-tiny" / "writer.safetensors").exists()
