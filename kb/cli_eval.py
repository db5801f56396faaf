"""`kb eval reader|retrieval|writer|answers FILE`: quality, measured the same way everywhere."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from kb.cli_output import AsJson, Home, emit, note, plain, settings_for, show
from kb.errors import InvalidInput, ModelMissing

evaluation = typer.Typer(help="Measure quality on a file of questions.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="Questions as JSON Lines, plain or .gz.")]
Pools = Annotated[list[Path] | None, typer.Option("--pool", help="More passages to search among; may be repeated.")]
Sources = Annotated[list[str] | None, typer.Option("--source", help="Only rows of this source; may be repeated.")]
Excluded = Annotated[
    list[str] | None, typer.Option("--exclude-source", help="No rows and pool entries of this source; may be repeated.")
]
RowsFile = Annotated[Path | None, typer.Option("--rows", help="Write one JSON line a question to this file.")]


@evaluation.command("reader")
def reader(
    context: typer.Context,
    file: File,
    sources: Sources = None,
    exclude_sources: Excluded = None,
    rows: RowsFile = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Given the right passage, is the right span marked, and is it seen when there is none?"""
    from kb.bootstrap import open_components
    from kb.evaluation.reader import ReaderOptions, run_reader

    settings = settings_for(context, home)
    with open_components(settings, need={"read"}) as components, _rows_to(rows) as on_row:
        if components.reader is None:
            raise ModelMissing(f"There is no trained reader in {settings.checkpoint}; train one: kb train reader")
        options = ReaderOptions(
            file=file,
            reader=components.reader,
            sources=tuple(sources or ()),
            exclude_sources=tuple(exclude_sources or ()),
            on_progress=note,
            on_row=on_row,
        )
        result = run_reader(options)
    _report(result, as_json)


@evaluation.command("retrieval")
def retrieval(
    context: typer.Context,
    file: File,
    pools: Pools = None,
    sources: Sources = None,
    exclude_sources: Excluded = None,
    rows: RowsFile = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Does the right passage come up? Each stage of the search is measured on its own."""
    from kb.bootstrap import INGEST_ONLY, open_components
    from kb.evaluation.retrieval import RetrievalOptions, run_retrieval

    settings = settings_for(context, home)
    with open_components(settings, need=INGEST_ONLY) as components, _rows_to(rows) as on_row:
        options = RetrievalOptions(
            file=file,
            embedder=components.embedder,
            pools=tuple(pools or ()),
            sources=tuple(sources or ()),
            exclude_sources=tuple(exclude_sources or ()),
            cache=settings.home / "evaluation" / "vectors.sqlite3",
            on_progress=note,
            on_row=on_row,
        )
        result = run_retrieval(options)
    _report(result, as_json)


@contextmanager
def _rows_to(path: Path | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A callable that writes a row as one JSON line, or does nothing."""
    if path is None:
        yield lambda row: None
        return
    try:
        stream = path.open("w", encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from error
    with stream:
        yield lambda row: print(json.dumps(plain(row), ensure_ascii=False), file=stream)


def _report(result: Any, as_json: bool) -> None:
    if as_json:
        emit(result)
    else:
        _show_figures(plain(result), "")


def _show_figures(figures: Mapping[str, Any], indent: str) -> None:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            show(f"{indent}{name}")
            _show_figures(value, indent + "  ")
        else:
            show(f"{indent}{name:<20} {'-' if value is None else value}")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(evaluation, name="eval")
