"""`kb eval reader|retrieval|writer|answers FILE`: quality, measured the same way everywhere."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

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
Baseline = Annotated[Path | None, typer.Option("--baseline", help="Earlier --json output; exit 1 where it was better.")]
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
    reranked: Annotated[bool, typer.Option("--rerank", help="Also with the reader as judge (slow).")] = False,
    rows: RowsFile = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Does the right passage come up? Each stage of the search is measured on its own."""
    from kb.bootstrap import open_components
    from kb.evaluation.retrieval import RetrievalOptions, run_retrieval

    settings = settings_for(context, home)
    with open_components(settings, need={"read"} if reranked else set()) as components, _rows_to(rows) as on_row:
        if reranked and components.reader is None:
            raise ModelMissing(f"{settings.checkpoint} lacks a trained reader; see kb train")
        options = RetrievalOptions(
            file=file,
            embedder=components.embedder,
            pools=tuple(pools or ()),
            sources=tuple(sources or ()),
            exclude_sources=tuple(exclude_sources or ()),
            reader=components.reader,
            cache=settings.home / "evaluation" / "vectors.sqlite3",
            on_progress=note,
            on_row=on_row,
        )
        result = run_retrieval(options)
    _report(result, as_json)


@evaluation.command("writer")
def writer(
    context: typer.Context,
    file: File,
    sources: Sources = None,
    exclude_sources: Excluded = None,
    rows: RowsFile = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Given the sentences that hold the answer, is what is written right and true to them?"""
    from kb.bootstrap import open_components
    from kb.evaluation.writer import WriterOptions, run_writer

    settings = settings_for(context, home)
    with open_components(settings, need={"read", "write"}) as components, _rows_to(rows) as on_row:
        if components.reader is None or components.writer is None:
            raise ModelMissing(f"{settings.checkpoint} lacks a trained reader or writer; see kb train")
        options = WriterOptions(
            file=file,
            reader=components.reader,
            writer=components.writer,
            sources=tuple(sources or ()),
            exclude_sources=tuple(exclude_sources or ()),
            on_progress=note,
            on_row=on_row,
        )
        result = run_writer(options)
    _report(result, as_json)


@evaluation.command("answers")
def answers(
    context: typer.Context,
    file: File,
    pools: Pools = None,
    sources: Sources = None,
    exclude_sources: Excluded = None,
    collection: Annotated[str | None, typer.Option("--collection", help="Ask this collection (else all).")] = None,
    mode: Annotated[Literal["quote", "write"], typer.Option("--mode", help="How to answer.")] = "write",
    budget_ms: Annotated[int | None, typer.Option("--budget-ms", min=0, help="Time an answer; 0: no limit.")] = None,
    rows: RowsFile = None,
    baseline: Baseline = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """The whole trip: from a question to its cited answer.

    Rows that name a document ask what is ingested; rows that bring their passage are asked in a temporary collection.
    """
    from kb.bootstrap import EVERYTHING, open_components
    from kb.cli_progress import ingest_progress
    from kb.evaluation.answers import AnswersOptions, read_questions, run_answers, with_documents
    from kb.evaluation.rows import read_rows
    from kb.evaluation.temporary import COLLECTION, ingested_contexts

    settings = settings_for(context, home)
    excluded = tuple(exclude_sources or ())
    asked = read_questions(file, tuple(sources or ()), excluded)
    with ExitStack() as stack:
        on_row = stack.enter_context(_rows_to(rows))
        if any(row.context is not None for row in asked):
            kept = [row for path in (file, *(pools or ())) for row in read_rows(path, exclude_sources=excluded)]
            progress = stack.enter_context(ingest_progress())
            components, contexts = stack.enter_context(ingested_contexts(settings, kept, progress))
            asked, collection = with_documents(asked, contexts), COLLECTION
        else:
            components = stack.enter_context(open_components(settings, need=EVERYTHING))
        options = AnswersOptions(components, asked, collection, mode, budget_ms, on_progress=note, on_row=on_row)
        result = run_answers(options)
    _report(result, as_json, baseline)


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


def _report(result: Any, as_json: bool, baseline: Path | None = None) -> None:
    """Print the figures; exit with 1 where one fell below its baseline."""
    from kb.evaluation.baseline import read_baseline, regressions

    if as_json:
        emit(result)
    else:
        _show_figures(plain(result), "")
    if baseline is not None:
        fallen = regressions(plain(result), read_baseline(baseline))
        for regression in fallen:
            note(f"regressed: {regression}")
        if fallen:
            raise typer.Exit(1)
        note(f"no figure fell below {baseline}")


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
