"""Loads the networks in the number format that suits this processor, and times them where that is not known yet.

A network is timed on what it does all day: the encoder on a passage, the reader on three, the writer on a prompt and a
few steps. The faster of several runs counts, since other programs only ever slow it down.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from kb.errors import ModelMissing
from kb.precision import Choice, Network, PrecisionMemory, PrecisionPolicy, read_processor
from kb.settings import Settings
from llm.base import MANIFEST, file_sha256, verify_models
from llm.deltas import has_deltas
from llm.encoder import Encoder
from llm.reader import Passage, Reader
from llm.writer.checkpoint import LoadedWriter, load_writer
from llm.writer.generate import generate

SAMPLE = (
    "Travel costs are paid back when the trip was approved before it began. Send the receipts within thirty days; "
    "a taxi is paid where no public transport runs, and the cheaper fare counts where both were possible. "
)
QUESTION = "Who pays for a taxi when no train runs at night?"
WRITER_STEPS = 12
_RUNS = 3

N = TypeVar("N")


class Networks:
    """Loads networks in the format the policy chooses, and keeps the choices in `choices`.

    With `always_time` a network whose timing is not remembered is timed even where there is only one format to choose.
    Raises ModelMissing, with the command that helps, where a base model or a trained file is missing or damaged.
    """

    def __init__(self, settings: Settings, *, always_time: bool = False) -> None:
        self._settings = settings
        self._always_time = always_time
        self._policy = PrecisionPolicy(
            settings.precision, read_processor(), settings.thread_count, PrecisionMemory(settings.home)
        )
        self.choices: dict[Network, Choice] = {}
        torch.set_num_threads(settings.thread_count)

    def encoder(self) -> Encoder:
        """The encoder with the checkpoint's deltas, in the same format everywhere: stored vectors depend on both."""
        folder, trained = self._base("encoder"), self._settings.checkpoint
        deltas = trained if has_deltas(trained) else None

        def load(precision: str) -> Encoder:
            return Encoder.load(folder, deltas, precision=precision)

        return self._load("encoder", folder / MANIFEST, load, time_encoder)

    def reader(self, encoder: Encoder) -> Reader | None:
        """The trained reader; None where the checkpoint folder holds none."""
        folder = self._settings.checkpoint
        if not (folder / "reader.json").is_file():
            return None

        def load(precision: str) -> Reader:
            return Reader.load(folder, encoder, precision=precision)

        return self._load("reader", folder / "reader.json", load, time_reader)

    def writer(self) -> LoadedWriter | None:
        """The trained writer; None where the checkpoint folder holds none."""
        base, folder = self._base("writer"), self._settings.checkpoint
        if not (folder / "writer.json").is_file():
            return None

        def load(precision: str) -> LoadedWriter:
            return load_writer(base, folder, precision=precision)

        return self._load("writer", folder / "writer.json", load, time_writer)

    def _base(self, name: str) -> Path:
        folder = self._settings.models / name
        problem = next(state.problem for state in verify_models(self._settings.models) if state.folder == folder)
        if problem:
            raise ModelMissing(f"{problem.split('; run:')[0]}. Install the base models with: kb model install")
        return folder

    def _load(self, network: Network, description: Path, load: Callable[[str], N], clock: Callable[[N], float]) -> N:
        """`description` is the small file that holds the weights' checksum: its own hash names the model."""
        fastest: list[tuple[float, str, N]] = []  # at most one: the others need not stay in memory

        def measure(precision: str) -> float:
            candidate = load(precision)
            milliseconds = 1000 * min(clock(candidate) for _ in range(_RUNS))
            if not fastest or milliseconds < fastest[0][0]:
                fastest[:] = [(milliseconds, precision, candidate)]
            return milliseconds

        try:
            choice = self._policy.choose(network, file_sha256(description)[:16], measure, always_time=self._always_time)
            self.choices[network] = choice
            if fastest and fastest[0][1] == choice.precision:
                return fastest[0][2]
            return load(choice.precision)
        except (ValueError, FileNotFoundError) as error:
            raise ModelMissing(f"The {network} cannot be loaded: {error}") from error


def time_encoder(encoder: Encoder) -> float:
    """Seconds for one passage of about 130 tokens."""
    return _seconds(lambda: encoder.encode([SAMPLE * 3], "passage"))


def time_reader(reader: Reader) -> float:
    """Seconds for one question over three passages of about 130 tokens."""
    return _seconds(lambda: reader.read(QUESTION, [Passage("Travel", SAMPLE * 3)] * 3))


def time_writer(writer: LoadedWriter) -> float:
    """Seconds for a prompt of about 110 tokens and a few steps without drafts."""
    prompt = writer.tokenizer.encode(f"{SAMPLE * 2}\n\n{QUESTION}")
    return _seconds(lambda: list(generate(writer.model, prompt, max_tokens=WRITER_STEPS, draft=False)))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
