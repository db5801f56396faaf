"""A few steps on tiny networks: what is to be learned is learned, what is frozen stays, losses are the stated ones."""

from pathlib import Path

import pytest
import torch

from llm.encoder import Encoder
from llm.reader import Calibration, Features, Passage, Reader
from llm.training.calibrate import (
    PolarityGuess,
    Scored,
    calibrate,
    choose_polarity,
    choose_threshold,
    fit_logistic,
)
from llm.training.reader import ReaderKnobs, blend, new_reader_net, reader_losses, save_reader, train_reader
from llm.training.reader_data import ReaderExample
from llm.training.writer import WriterKnobs, new_writer_net, save_writer, train_writer, writer_losses
from llm.training.writer_data import WriterExample
from llm.writer.balance import GlobalLoad
from llm.writer.checkpoint import load_writer
from tests.tiny import LORA, MOE, tiny_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"))


def example(encoder: Encoder, text: str, answer: str | None, polarity: int = 2) -> ReaderExample:
    encoded = encoder.tokenizer.encode(text, add_special_tokens=False)
    features = Features((0, 20, 2, 2, *encoded.ids, 2), 4, tuple(encoded.offsets))
    if answer is None:
        return ReaderExample(features, 0, 0, polarity)
    at = [i for i, (a, b) in enumerate(encoded.offsets) if text[a:b].strip() == answer]
    return ReaderExample(features, 4 + at[0], 4 + at[0], polarity)


def test_the_reader_learns_a_word_and_leaves_the_frozen_part_alone(models: Path, tmp_path: Path) -> None:
    encoder = Encoder.load(models / "encoder")
    examples = [
        example(encoder, text, word, polarity)
        for text, word, polarity in [
            ("the index on the server", "index", 0),
            ("a page and the index", "index", 1),
            ("the user and the page", None, 2),
            ("index of users", "index", 0),
        ]
    ] * 10
    knobs = ReaderKnobs(rate=5e-3, batch=8, frozen=0)
    net = new_reader_net(encoder, knobs)
    before = float(reader_losses(net, examples[:4])["loss"].detach())
    words = encoder.trunk.embeddings.word.clone()
    train_reader(net, examples * 6, tmp_path / "work", knobs, lambda _: None)
    assert float(reader_losses(net, examples[:4])["loss"].detach()) < 0.3 * before
    assert torch.equal(net.trunk.embeddings.word, words)
    save_reader(net, encoder, tmp_path / "out", Calibration(), {})
    reading = Reader.load(tmp_path / "out", encoder).read("the", [Passage("", "the server and an index")])[0]
    assert "the server and an index"[reading.spans[0].start : reading.spans[0].end] == "index"


def test_a_blend_stands_between_the_start_and_what_was_trained(models: Path, tmp_path: Path) -> None:
    encoder = Encoder.load(models / "encoder")
    old = new_reader_net(encoder, ReaderKnobs(frozen=0))
    with torch.no_grad():
        old.trunk.layers[0].out.weight.fill_(0.25)
    save_reader(old, encoder, tmp_path, Calibration(), {})
    net = new_reader_net(encoder, ReaderKnobs(frozen=0, start=tmp_path))
    with torch.no_grad():
        net.trunk.layers[0].out.weight.fill_(1.0)
        net.span.bias.fill_(2.0)
    blend(net, new_reader_net(encoder, ReaderKnobs(frozen=0, start=tmp_path)), 0.75)
    assert net.trunk.layers[0].out.weight.detach().unique().tolist() == [0.4375]
    torch.testing.assert_close(net.span.bias, 0.5 + 0.75 * old.span.bias, atol=1e-3, rtol=0)


def test_span_loss_looks_at_the_passage_and_position_zero_only(models: Path) -> None:
    encoder = Encoder.load(models / "encoder")
    net = new_reader_net(encoder, ReaderKnobs())
    one = example(encoder, "the index", "index")
    with torch.no_grad():
        output = net(torch.tensor([one.features.ids]), None)
        allowed = [0, *range(4, 4 + len(one.features.offsets))]
        expected = sum(
            -torch.log_softmax(logits[0, allowed], 0)[allowed.index(target)]
            for logits, target in ((output.start, one.start), (output.end, one.end))
        )
        assert float(reader_losses(net, [one])["span"]) == pytest.approx(float(expected), abs=1e-4)


def test_the_writer_learns_a_response_and_its_checkpoint_serves_it(models: Path, tmp_path: Path) -> None:
    knobs = WriterKnobs(rate=0.03, batch=4, moe=MOE, lora=LORA)
    model = new_writer_net(models / "writer", knobs)
    examples = [WriterExample((1, 40, 41, 42, 43, 50, 51, 2), 4), WriterExample((1, 45, 46, 60, 61, 2), 3)] * 4
    before = float(writer_losses(model, examples[:2], GlobalLoad())["response"].detach())
    train_writer(model, examples * 20, tmp_path / "work", knobs, lambda _: None)
    after = float(writer_losses(model, examples[:2], GlobalLoad())["response"].detach())
    assert after < before - 1
    save_writer(model, models / "writer", tmp_path / "out", knobs, ("en",), {"examples": len(examples)})
    served = load_writer(models / "writer", tmp_path / "out")
    with torch.inference_mode():
        ids = torch.tensor([examples[0].ids])
        assert torch.allclose(served.model(ids), model.logits(model.hidden(ids)), atol=2e-2)
    again = new_writer_net(models / "writer", WriterKnobs(moe=MOE, lora=LORA, start=tmp_path / "out"))
    continued = float(writer_losses(again, examples[:2], GlobalLoad())["response"].detach())
    assert continued == pytest.approx(after, abs=0.02)


def test_only_the_responses_tokens_count(models: Path) -> None:
    model = new_writer_net(models / "writer", WriterKnobs(moe=MOE, lora=LORA))
    short, long = WriterExample((1, 40, 41, 50, 2), 3), WriterExample((1, 9, 8, 7, 40, 41, 42, 60, 61, 62, 2), 7)
    both = float(writer_losses(model, [short, long], GlobalLoad())["response"].detach())
    expected = []
    for one in (short, long):
        with torch.no_grad():
            logs = torch.log_softmax(model(torch.tensor([one.ids]))[0], -1)
        expected += [-float(logs[i - 1, one.ids[i]]) for i in range(one.begin, len(one.ids))]
    assert both == pytest.approx(sum(expected) / len(expected), abs=1e-4)


def test_the_logistic_recovers_the_curve_that_made_the_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = (torch.rand(4000, generator=generator) * 12 - 6).tolist()
    chances = torch.rand(4000, generator=generator).tolist()
    scored = [Scored(s, c < 1 / (1 + 2.718281828 ** -(0.8 * s - 1))) for s, c in zip(scores, chances, strict=True)]
    scale, offset = fit_logistic(scored)
    assert scale == pytest.approx(0.8, abs=0.08)
    assert offset == pytest.approx(-1.0, abs=0.15)
    with pytest.raises(ValueError, match="answerable and unanswerable"):
        fit_logistic(scored[:0] + [Scored(1.0, True)])


def test_the_threshold_refuses_what_it_can_without_losing_the_answerable() -> None:
    confidences = [0.1] * 40 + [0.3] * 5 + [0.6] * 95
    answerable = [False] * 40 + [True] * 5 + [True] * 95
    assert choose_threshold(confidences, answerable) == 0.3
    mixed = [0.1] * 50 + [0.9] * 50
    assert choose_threshold(mixed, [True, False] * 50) == 0.1  # half of the answerable would be lost above it


def test_yes_and_no_are_said_only_where_they_are_mostly_right() -> None:
    sure = [PolarityGuess(0.95, True)] * 20
    unsure = [PolarityGuess(0.6, i % 2 == 0) for i in range(20)]
    assert choose_polarity(sure + unsure) == 0.95
    assert choose_polarity([PolarityGuess(0.9, False)] * 12) == 1.0
    found = calibrate([Scored(3.0, True), Scored(2.0, True), Scored(-3.0, False)] * 10, sure)
    assert found.scale > 0
    assert 0 < found.threshold < 1
