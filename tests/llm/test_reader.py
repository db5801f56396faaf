"""The reader: spans that lie where they say, windows that lose nothing, files that fit or are refused."""

import json
from pathlib import Path

import pytest
import torch

from llm.encoder import Encoder
from llm.reader import LONGEST_SPAN, TOKEN_COST, Calibration, Features, Passage, Reader, best_spans
from llm.training.reader import ReaderKnobs, new_reader_net, recalibrate, save_reader
from tests.tiny import tiny_checkpoint, tiny_models

TEXT = "The index is rebuilt each day. 默认端口是 8000。 Access is for users and the admin only."


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def encoder(models: Path) -> Encoder:
    return Encoder.load(models / "encoder")


@pytest.fixture
def checkpoint(tmp_path: Path, models: Path) -> Path:
    return tiny_checkpoint(tmp_path / "kb-mini", models)


def slow_best(start: list[float], end: list[float], features: Features) -> tuple[int, int, float]:
    """Every span, one after the other."""
    count = len(features.offsets)
    best = (0, 0, float("-inf"))
    for low in range(count):
        for high in range(low, min(count, low + LONGEST_SPAN)):
            score = start[features.first + low] + end[features.first + high] - start[0] - end[0]
            score -= TOKEN_COST * (high - low)
            if score > best[2]:
                best = (features.offsets[low][0], features.offsets[high][1], score)
    return best


@pytest.mark.parametrize("seed", range(5))
def test_the_best_span_is_that_of_an_exhaustive_search(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = Features(tuple(range(40)), 8, tuple((3 * i, 3 * i + 2) for i in range(30)))
    start, end = torch.randn(40, generator=generator), torch.randn(40, generator=generator)
    found = best_spans(start, end, features)
    low, high, score = slow_best(start.tolist(), end.tolist(), features)
    assert (found[0].start, found[0].end) == (low, high)
    assert found[0].score == pytest.approx(score, abs=1e-5)


def test_spans_do_not_overlap_and_come_best_first(encoder: Encoder, checkpoint: Path) -> None:
    reading = Reader.load(checkpoint, encoder).read("when is the index rebuilt?", [Passage("Index", TEXT)])[0]
    assert [s.score for s in reading.spans] == sorted((s.score for s in reading.spans), reverse=True)
    ordered = sorted(reading.spans, key=lambda s: s.start)
    assert all(a.end <= b.start for a, b in zip(ordered, ordered[1:], strict=False))
    assert all(TEXT[s.start : s.end].strip() == TEXT[s.start : s.end] != "" for s in reading.spans)
    assert 0 <= reading.confidence <= 1
    assert reading.yes + reading.no <= 1 + 1e-6


def test_a_reading_does_not_depend_on_the_other_passages(encoder: Encoder, checkpoint: Path) -> None:
    reader = Reader.load(checkpoint, encoder)
    passages = [Passage("", "short"), Passage("Heading > path", TEXT), Passage("x", TEXT * 9)]
    together = reader.read("who has access?", passages)
    for passage, reading in zip(passages, together, strict=True):
        alone = reader.read("who has access?", [passage])[0]
        assert alone.spans[0].start == reading.spans[0].start
        assert alone.confidence == pytest.approx(reading.confidence, abs=1e-4)


def test_a_long_passage_is_read_to_its_end(encoder: Encoder, checkpoint: Path) -> None:
    reader = Reader.load(checkpoint, encoder)
    windows = reader._windows("who?", Passage("", TEXT * 30))
    assert windows[-1].offsets[-1][1] == len(TEXT * 30)
    assert all(a.offsets[-1][1] > b.offsets[0][0] for a, b in zip(windows, windows[1:], strict=False))


def test_a_blank_passage_answers_nothing(encoder: Encoder, checkpoint: Path) -> None:
    reading = Reader.load(checkpoint, encoder).read("who?", [Passage("Title", "  ")])[0]
    assert (reading.confidence, reading.spans, reading.polarity) == (0.0, (), "undecided")


def test_reader_and_encoder_share_one_word_table(encoder: Encoder, checkpoint: Path) -> None:
    reader = Reader.load(checkpoint, encoder)
    assert reader.net.trunk.embeddings.word is encoder.trunk.embeddings.word
    assert "word" not in json.loads((checkpoint / "reader.json").read_text())


def test_an_untrained_reader_has_the_encoders_layers(encoder: Encoder) -> None:
    net = new_reader_net(encoder, ReaderKnobs(frozen=0))
    ids = torch.tensor([[0, 10, 11, 12, 2]])
    with torch.inference_mode():
        assert torch.equal(net.trunk(ids, None), encoder.trunk(ids, None))


def test_saving_and_loading_keeps_what_was_trained(tmp_path: Path, encoder: Encoder) -> None:
    net = new_reader_net(encoder, ReaderKnobs(frozen=0))
    with torch.no_grad():
        net.trunk.layers[0].up.weight.add_(0.25)
    save_reader(net, encoder, tmp_path, Calibration(threshold=0.3), {"examples": 1})
    loaded = Reader.load(tmp_path, encoder)
    assert loaded.threshold == 0.3
    assert torch.allclose(loaded.net.trunk.layers[0].up.weight, net.trunk.layers[0].up.weight, atol=1e-3)
    assert torch.equal(loaded.net.trunk.layers[0].down.weight, encoder.trunk.layers[0].down.weight)
    recalibrate(tmp_path, Calibration(threshold=0.6))
    assert Reader.load(tmp_path, encoder).threshold == 0.6


def test_damaged_or_foreign_files_are_refused_with_the_reason(checkpoint: Path, encoder: Encoder) -> None:
    card = json.loads((checkpoint / "reader.json").read_text())
    weights = (checkpoint / "reader.safetensors").read_bytes()
    (checkpoint / "reader.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(ValueError, match="is damaged"):
        Reader.load(checkpoint, encoder)
    (checkpoint / "reader.json").write_text(json.dumps({**card, "encoder": "another@1"}))
    with pytest.raises(ValueError, match="trained on encoder another@1"):
        Reader.load(checkpoint, encoder)
    (checkpoint / "reader.json").write_text(json.dumps({**card, "format_version": 7}))
    with pytest.raises(ValueError, match="has format 7"):
        Reader.load(checkpoint, encoder)
    (checkpoint / "reader.safetensors").unlink()
    with pytest.raises(ValueError, match="holds no reader"):
        Reader.load(checkpoint, encoder)


def test_the_threshold_of_polarity_decides_when_yes_or_no_is_said(encoder: Encoder, checkpoint: Path) -> None:
    reader = Reader.load(checkpoint, encoder)
    passages = [Passage("", TEXT)]
    eager = reader.with_calibration(Calibration(polarity=0.0)).read("is it open?", passages)[0]
    never = reader.with_calibration(Calibration(polarity=1.1)).read("is it open?", passages)[0]
    assert eager.polarity == ("yes" if eager.yes > eager.no else "no")
    assert never.polarity == "undecided"
