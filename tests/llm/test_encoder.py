"""The encoder against an independent BERT on the same weights, and its promises about vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig as ReferenceConfig
from transformers import BertModel

from llm.encoder import Encoder, length_batches, torch_precision
from tests.tiny import tiny_models

TEXTS = [
    "How do I reset my password?",
    "部署需要多少内存？",
    "The index is rebuilt when a quarter of its entries are tombstones. " * 6,
    "",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"))


def reference_vectors(folder: Path, encoder: Encoder, texts: list[str], kind: str) -> np.ndarray:
    """transformers' BERT, one text at a time, mean pooling and normalisation."""
    net = BertModel(ReferenceConfig.from_pretrained(folder), add_pooling_layer=False).eval()
    state = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    net.load_state_dict(state)
    rows = []
    for text in texts:
        ids = torch.tensor([encoder.tokenizer.encode(f"{kind}: {text}").ids])
        with torch.inference_mode():
            hidden = net(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].mean(0)
        rows.append(torch.nn.functional.normalize(hidden, dim=0).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("kind", ["query", "passage"])
def test_vectors_equal_those_of_an_independent_bert(models: Path, kind: str) -> None:
    encoder = Encoder.load(models / "encoder")
    found = encoder.encode(TEXTS, kind)
    assert np.abs(found - reference_vectors(models / "encoder", encoder, TEXTS, kind)).max() < 1e-4


@pytest.mark.real_models
def test_the_installed_encoder_equals_an_independent_bert(models_folder: Path) -> None:
    encoder = Encoder.load(models_folder / "encoder")
    found = encoder.encode(TEXTS, "passage")
    assert np.abs(found - reference_vectors(models_folder / "encoder", encoder, TEXTS, "passage")).max() < 1e-4


@pytest.mark.real_models
def test_the_installed_encoder_knows_what_belongs_together_in_both_languages(models_folder: Path) -> None:
    encoder = Encoder.load(models_folder / "encoder")
    questions = encoder.encode(["How do I reset my password?", "如何重置密码？"], "query")
    passages = encoder.encode(["To choose a new password, open Settings.", "The Eiffel Tower is in Paris."], "passage")
    scores = questions @ passages.T
    assert (scores[:, 0] > scores[:, 1] + 0.05).all()


def test_vectors_have_unit_length_and_keep_the_order_of_the_texts(models: Path) -> None:
    encoder = Encoder.load(models / "encoder")
    together = encoder.encode(TEXTS, "passage")
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for number, text in enumerate(TEXTS):
        assert np.abs(encoder.encode([text], "passage")[0] - together[number]).max() < 1e-5


def test_questions_and_passages_are_told_apart(models: Path) -> None:
    encoder = Encoder.load(models / "encoder")
    assert np.abs(encoder.encode(["index"], "query") - encoder.encode(["index"], "passage")).max() > 1e-4


def test_a_text_beyond_the_positions_is_read_to_its_end(models: Path) -> None:
    encoder = Encoder.load(models / "encoder")
    long = "server " * 700
    assert encoder.count_tokens(long) > encoder.trunk.config.positions
    changed = encoder.encode([long, long + "database " * 40], "passage")
    assert np.abs(changed[0] - changed[1]).max() > 1e-4


def test_no_texts_give_no_rows(models: Path) -> None:
    assert Encoder.load(models / "encoder").encode([], "query").shape == (0, 384)


def test_token_offsets_cut_the_text(models: Path) -> None:
    encoder = Encoder.load(models / "encoder")
    text = "the server 问题 on  day 12"
    offsets = encoder.token_offsets(text)
    assert len(offsets) == encoder.count_tokens(text)
    assert "".join(text[a:b] for a, b in offsets if b - a).replace(" ", "") != ""
    assert all(0 <= start <= end <= len(text) for start, end in offsets)


def test_batches_hold_similar_lengths_within_the_budget() -> None:
    lengths = [5, 400, 7, 390, 3, 1]
    batches = list(length_batches(lengths, budget=800))
    assert sorted(i for batch in batches for i in batch) == list(range(6))
    assert batches[0] == [1, 3]
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 800 for b in batches)


def test_an_unknown_precision_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'fp8' is not one of fp32, bf16"):
        torch_precision("fp8")


def test_a_missing_encoder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kb model install"):
        Encoder.load(tmp_path)
