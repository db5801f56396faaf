"""Use cases of training: the data folder goes in, trained files come out. Wires networks to the search's words.

`llm` trains without knowing a search engine; the nearest wrong passages of a question come from here, by BM25.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from llm.base import source_hash
from llm.encoder import Encoder
from llm.reader import Calibration, Passage, Reader
from llm.training.calibrate import PolarityGuess, Scored, calibrate
from llm.training.encoder import EncoderKnobs, new_deltas, save_encoder, train_encoder
from llm.training.loop import Progress
from llm.training.pairs import pair_batches
from llm.training.reader import ReaderKnobs, blend, new_reader_net, recalibrate, save_reader, train_reader
from llm.training.reader_data import is_own, polarity_class, reader_examples
from llm.training.rows import Row, read_training_rows, split_by_passage
from llm.training.writer import WriterKnobs, new_writer_net, save_writer, train_writer
from llm.training.writer_data import writer_examples
from llm.writer.tokenizer import load_tokenizer
from retrieval.lexical import count_terms, inverse_document_frequency, saturation

HELD_OUT_ONE_IN = 30
"""One passage in so many is kept from training: calibration is fitted on them, never on a dev file."""
_NEAREST = 9


@dataclass(frozen=True)
class TrainingRun:
    """Where a run reads and writes; `examples` bounds how many are seen (None: all).

    `data` holds the rows, `models` the installed bases, `work` the resumable state, `output` the files to ship.
    """

    data: Path
    models: Path
    work: Path
    output: Path
    examples: int | None = None


Say = Callable[[str], None]


def _report(say: Say) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        losses = ", ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
        say(f"step {progress.step}/{progress.steps}: {losses}; {progress.seconds_left / 60:.1f} minutes left")

    return report


def run_reader_training(run: TrainingRun, knobs: ReaderKnobs, say: Say) -> None:
    """Train the reader on the rows of `run.data` and write it to `run.output`; a stopped run goes on from `run.work`.

    The written reader carries a neutral calibration: `run_calibration` fits it. Raises ValueError for unusable data.
    """
    encoder = Encoder.load(run.models / "encoder")
    rows = read_training_rows(run.data)
    train_rows, _ = split_by_passage(rows.kept, HELD_OUT_ONE_IN)
    say(f"{len(train_rows)} rows to train on; dropped: {rows.dropped or 'none'}")
    made = reader_examples(train_rows, encoder.tokenizer, nearest_passages, knobs.seed)
    order = np.random.default_rng(knobs.seed).permutation(len(made.examples))[: run.examples]
    examples = [made.examples[i] for i in order]
    say(f"{len(examples)} of {len(made.examples)} examples; {made.counts}")
    net = new_reader_net(encoder, knobs)
    train_reader(net, examples, run.work / "reader", knobs, _report(say))
    if knobs.start is not None and knobs.keep:
        blend(net, new_reader_net(encoder, knobs), knobs.keep)
    facts: dict[str, object] = {
        "start": json.loads((knobs.start / "reader.json").read_text())["sha256"] if knobs.start else None,
        "keep": knobs.keep,
        "examples": len(examples),
        "rate": knobs.rate,
        "batch": knobs.batch,
        "frozen_layers": knobs.frozen,
        "seed": knobs.seed,
    }
    save_reader(net, encoder, run.output, Calibration(), facts)
    say(f"reader written to {run.output}")


def run_calibration(run: TrainingRun, say: Say) -> Calibration:
    """Fit the calibration of the reader in `run.output` on the held-out rows of `run.data` and store it there.

    Each question is read with its own passage and the two nearest wrong ones, as an answer would read its top three.
    """
    encoder = Encoder.load(run.models / "encoder")
    reader = Reader.load(run.output, encoder).with_calibration(Calibration())
    rows = read_training_rows(run.data).kept
    _, held = split_by_passage(rows, HELD_OUT_ONE_IN)
    own = [row for row in held if is_own(row)][: run.examples]
    passages = list({(row.title, row.context): None for row in rows if is_own(row)})
    nearest = nearest_passages(own, [text for _, text in passages])
    scored: list[Scored] = []
    guesses: list[PolarityGuess] = []
    for number, (row, near) in enumerate(zip(own, nearest, strict=True), 1):
        others = [Passage(*passages[i]) for i in near[:2]]
        readings = reader.read(row.question, [Passage(row.title, row.context), *others])
        scored.append(Scored(max(r.spans[0].score for r in readings if r.spans), bool(row.answers)))
        if (polarity := polarity_class(row)) in (0, 1) and row.answers:
            yes, no = readings[0].yes, readings[0].no
            guesses.append(PolarityGuess(max(yes, no), (yes > no) == (polarity == 0)))
        if number % 100 == 0:
            say(f"{number} of {len(own)} held-out questions read")
    found = calibrate(scored, guesses)
    recalibrate(run.output, found)
    say(f"calibrated on {len(scored)} questions and {len(guesses)} of yes or no: {found}")
    return found


def run_encoder_training(run: TrainingRun, knobs: EncoderKnobs, say: Say) -> None:
    """Train deltas of the encoder on the answerable rows of `run.data` and write them to `run.output`; resumable.

    `run.examples` bounds the pairs. Raises ValueError for unusable data.
    """
    encoder = Encoder.load(run.models / "encoder")
    rows = read_training_rows(run.data)
    train_rows, _ = split_by_passage(rows.kept, HELD_OUT_ONE_IN)
    made = pair_batches(train_rows, encoder.tokenizer, nearest_passages, knobs.batch, knobs.seed)
    batches = made if run.examples is None else made[: max(1, run.examples // knobs.batch)]
    older = sum(batch.older for batch in batches)
    say(f"{len(batches)} of {len(made)} batches of {knobs.batch} pairs, {older} of them of the older sets")
    if not batches:
        raise ValueError(f"{run.data} holds too few questions with answers for one batch of {knobs.batch}")
    trunk = new_deltas(encoder, knobs)
    train_encoder(trunk, encoder, batches, run.work / "encoder", knobs, _report(say))
    facts: dict[str, object] = {"pairs": len(batches) * knobs.batch, **asdict(knobs)}
    save_encoder(trunk, source_hash(run.models / "encoder"), run.output, knobs, facts)
    say(f"encoder written to {run.output}")


def run_writer_training(run: TrainingRun, knobs: WriterKnobs, say: Say) -> None:
    """Train the writer on the English rows that have a response and write it to `run.output`; resumable as above."""
    base = run.models / "writer"
    rows = read_training_rows(run.data)
    train_rows, _ = split_by_passage(rows.kept, HELD_OUT_ONE_IN)
    languages = ("en",)
    made = writer_examples(train_rows, load_tokenizer(base), nearest_passages, frozenset(languages), knobs.seed)
    order = np.random.default_rng(knobs.seed).permutation(len(made))[: run.examples]
    examples = [made[i] for i in order]
    say(f"{len(examples)} of {len(made)} examples; dropped rows: {rows.dropped or 'none'}")
    model = new_writer_net(base, knobs)
    train_writer(model, examples, run.work / "writer", knobs, _report(say))
    facts: dict[str, object] = {
        "examples": len(examples),
        "rate": knobs.rate,
        "batch": knobs.batch,
        "seed": knobs.seed,
    }
    save_writer(model, base, run.output, knobs, languages, facts)
    say(f"writer written to {run.output}")


def nearest_passages(rows: Sequence[Row], passages: Sequence[str]) -> list[list[int]]:
    """For each row the indices of the passages nearest to its question by BM25, best first, its own left out."""
    counted = [count_terms(text) for text in passages]
    mean = float(np.mean([one.length for one in counted])) if counted else 1.0
    postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, one in enumerate(counted):
        for term, weight in zip(one.hashes.tolist(), saturation(one.counts, one.length, mean).tolist(), strict=True):
            postings[term].append((number, weight))
    found: list[list[int]] = []
    for row in rows:
        scores: dict[int, float] = defaultdict(float)
        for term in count_terms(row.question).hashes.tolist():
            held = postings.get(term, [])
            idf = float(inverse_document_frequency(len(passages), np.array([len(held)]))[0])
            for number, weight in held:
                scores[number] += idf * weight
        best = sorted(scores, key=lambda i: (-scores[i], i))[: _NEAREST + 1]
        found.append([i for i in best if passages[i] != row.context][:_NEAREST])
    return found
