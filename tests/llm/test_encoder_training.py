"""The encoder's deltas: they learn which passage answers, are merged exactly, and are refused where they do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from llm.base import source_hash
from llm.bert import Bert
from llm.deltas import merge_deltas, save_deltas
from llm.encoder import Encoder
from llm.reader import Calibration, Reader
from llm.training.encoder import (
    EncoderKnobs,
    contrastive_loss,
    encoder_losses,
    new_deltas,
    save_encoder,
    train_encoder,
    unit_vectors,
)
from llm.training.pairs import Pair, PairBatch, pair_batches
from llm.training.reader import ReaderKnobs, new_reader_net, save_reader
from llm.training.rows import Row
from tests.tiny import tiny_models

KNOBS = EncoderKnobs(rate=3e-3, batch=4, frozen=0, rank=4, alpha=8.0)
QUESTIONS = ("who has access", "what time", "which server", "how many pages")
PASSAGES = ("the admin of the account", "on a day in the year", "it is on this data model", "an index by page")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(tiny_models(tmp_path_factory.mktemp("models")) / "encoder")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"))


def ids(encoder: Encoder, kind: str, text: str) -> tuple[int, ...]:
    return (0, *encoder.tokenizer.encode(f"{kind}: {text}", add_special_tokens=False).ids, 2)


def batch(encoder: Encoder, *, older: bool = False) -> PairBatch:
    texts = zip(QUESTIONS, PASSAGES, strict=True)
    return PairBatch(tuple(Pair(ids(encoder, "query", q), ids(encoder, "passage", p)) for q, p in texts), older)


def row(number: int, context: str, lang: str = "en", family: str = "hand") -> Row:
    asked = f"question {number}"
    return Row(str(number), lang, family, family, "short", "Title", context, asked, (context.split()[-1],), "")


def values(trunk: Bert, encoder: Encoder, one: PairBatch) -> dict[str, float]:
    with torch.no_grad():
        return {name: float(loss) for name, loss in encoder_losses(trunk, encoder.trunk, one, 0.02).items()}


def test_a_trained_encoder_puts_each_question_nearest_to_its_passage(models: Path, tmp_path: Path) -> None:
    encoder = Encoder.load(models / "encoder")
    trunk = new_deltas(encoder, KNOBS)
    one = batch(encoder)
    torch.testing.assert_close(
        unit_vectors(trunk, [p.passage for p in one.pairs]),
        torch.from_numpy(encoder.encode(PASSAGES, "passage")),
        atol=1e-5,
        rtol=0,
    )
    train_encoder(trunk, encoder, [one] * 60, tmp_path / "work", KNOBS, lambda _: None)
    save_encoder(trunk, source_hash(models / "encoder"), tmp_path / "out", KNOBS, {"pairs": 240})
    served = Encoder.load(models / "encoder", tmp_path / "out")
    similarity = served.encode(QUESTIONS, "query") @ served.encode(PASSAGES, "passage").T
    assert similarity.argmax(1).tolist() == [0, 1, 2, 3]
    with torch.no_grad():
        expected = unit_vectors(trunk, [p.question for p in one.pairs]).numpy()
    np.testing.assert_allclose(served.encode(QUESTIONS, "query"), expected, atol=2e-3)  # fp16 on disk
    assert served.base_id == encoder.model_id
    assert served.model_id not in (encoder.model_id, served.base_id)


def test_the_contrastive_loss_is_the_mean_of_both_directions() -> None:
    similarity = torch.tensor([[3.0, 1.0], [2.0, 0.5]])
    rows = [-torch.log_softmax(similarity[i], 0)[i] for i in range(2)]
    columns = [-torch.log_softmax(similarity[:, i], 0)[i] for i in range(2)]
    assert float(contrastive_loss(similarity)) == pytest.approx(float(sum(rows + columns)) / 4, abs=1e-6)


def test_on_older_pairs_the_base_is_the_teacher(encoder: Encoder) -> None:
    trunk = new_deltas(encoder, KNOBS)
    same = values(trunk, encoder, batch(encoder, older=True))
    assert same["kept"] == pytest.approx(0.0, abs=1e-5)
    drawn = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in trunk.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=drawn) * 0.1)
    moved = values(trunk, encoder, batch(encoder, older=True))
    assert moved["kept"] > 0.01
    assert moved["loss"] == pytest.approx((moved["older"] + moved["kept"]) / 2)
    assert set(values(trunk, encoder, batch(encoder))) == {"loss", "contrastive"}


def test_a_batch_has_one_language_and_no_passage_twice_and_neighbours_side_by_side(encoder: Encoder) -> None:
    rows = [row(i, f"{'ab'[i % 2]} text {i // 2}") for i in range(16)]
    rows += [row(i, f"文 {i}", "zh") for i in range(20, 28)]
    rows += [row(100 + i, f"a text {i}") for i in range(4)]  # passages asked twice

    def neighbours(part: list[Row], passages: list[str]) -> list[list[int]]:  # the same letter is near
        return [[i for i, p in enumerate(passages) if p[0] == r.context[0] and p != r.context] for r in part]

    batches = pair_batches(rows, encoder.tokenizer, neighbours, 4, seed=3)
    assert batches == pair_batches(rows, encoder.tokenizer, neighbours, 4, seed=3)
    assert batches
    for one in batches:
        assert len(one.pairs) == 4
        assert not one.older
        assert len({pair.passage for pair in one.pairs}) == 4
        texts = [encoder.tokenizer.decode(list(pair.passage)) for pair in one.pairs]
        assert len({"文" in text for text in texts}) == 1
    english = [b for b in batches if "文" not in encoder.tokenizer.decode(list(b.pairs[0].passage))]
    letters = [{encoder.tokenizer.decode(list(p.passage)).split()[-3] for p in b.pairs} for b in english]
    assert sum(len(found) == 1 for found in letters) >= len(letters) // 2


def test_deltas_that_do_not_fit_are_refused(models: Path, tmp_path: Path) -> None:
    base = source_hash(models / "encoder")
    good = {"layers.0.qkv.lora_A": torch.zeros(2, 384), "layers.0.qkv.lora_B": torch.zeros(3 * 384, 2)}
    save_deltas(tmp_path, good, base_sha256=base, scale=1.0, facts={})
    assert Encoder.load(models / "encoder", tmp_path).adapted == {"layers.0.qkv.weight"}
    with pytest.raises(ValueError, match="was trained on the encoder"):
        merge_deltas(Encoder.load(models / "encoder").trunk, tmp_path, "0" * 64)
    card = tmp_path / "encoder.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "format_version": 9}))
    with pytest.raises(ValueError, match="has format 9"):
        Encoder.load(models / "encoder", tmp_path)
    save_deltas(tmp_path, {**good, "layers.7.up.lora_A": torch.zeros(2, 384)}, base_sha256=base, scale=1.0, facts={})
    with pytest.raises(ValueError, match=r"a delta of layers\.7\.up"):
        Encoder.load(models / "encoder", tmp_path)
    save_deltas(tmp_path, good, base_sha256=base, scale=1.0, facts={})
    (tmp_path / "encoder.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(ValueError, match="is damaged"):
        Encoder.load(models / "encoder", tmp_path)
    (tmp_path / "encoder.safetensors").unlink()
    with pytest.raises(ValueError, match="is missing"):
        Encoder.load(models / "encoder", tmp_path)
    with pytest.raises(ValueError, match="values that fp16 cannot"):
        save_deltas(tmp_path, {"layers.0.up.lora_A": torch.full((2, 2), 1e9)}, base_sha256=base, scale=1.0, facts={})


def test_a_reader_that_borrows_a_changed_layer_is_refused(models: Path, tmp_path: Path) -> None:
    base = Encoder.load(models / "encoder")
    save_reader(new_reader_net(base, ReaderKnobs(frozen=1)), base, tmp_path / "reader", Calibration(), {})
    trunk = new_deltas(base, KNOBS)
    drawn = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in trunk.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=drawn) * 0.1)
    save_encoder(trunk, source_hash(models / "encoder"), tmp_path / "deltas", KNOBS, {})
    changed = Encoder.load(models / "encoder", tmp_path / "deltas")
    with pytest.raises(ValueError, match=r"lacks layers\.0\.\w+\.weight, which the encoder's deltas have changed"):
        Reader.load(tmp_path / "reader", changed)
    assert Reader.load(tmp_path / "reader", base).threshold == 0.5
