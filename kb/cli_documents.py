"""`kb ingest`, `kb list`, `kb delete` and `kb collection …`: what is in the knowledge base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kb.access import LOCAL
from kb.cli_output import AsJson, Home, emit, note, settings_for, show
from kb.collections import DEFAULT_COLLECTION, create_collection, list_collections
from kb.database import Database, open_database
from kb.documents import list_documents
from kb.settings import Settings

if TYPE_CHECKING:  # these bring the networks along, which listing does not need
    from kb.ingestion import FileNote, Summary

NOTES_SHOWN = 20
collection = typer.Typer(help="Collections: named sets of documents that are asked together.", no_args_is_help=True)


def ingest(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders (with all below) and files.")],
    into: Annotated[str, typer.Option("--collection", help="Where the documents belong.")] = DEFAULT_COLLECTION,
    prune: Annotated[bool, typer.Option("--prune", help="Remove documents whose files are gone.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Add folders and files. Unchanged files are skipped, changed ones replaced."""
    from kb.bootstrap import INGEST_ONLY, open_components
    from kb.cli_progress import ingest_progress
    from kb.ingestion import ingest_paths

    with open_components(settings_for(context, home), need=INGEST_ONLY) as components, ingest_progress() as progress:
        summary = ingest_paths(components, paths, into, prune=prune, progress=progress)
        if summary.chunks:
            components.index.open()
            components.index.build()  # only where it pays; a running server may be at it already
    if as_json:
        emit(summary)
    else:
        _show_summary(summary)
    raise typer.Exit(1 if summary.failed else 0)


def _show_summary(summary: Summary) -> None:
    _note_files("skipped", summary.skipped)
    _note_files("failed", summary.failed)
    if summary.gone and not summary.pruned:
        note(f"{len(summary.gone)} stored documents have no file any more; --prune removes them here too:")
        for path in summary.gone[:NOTES_SHOWN]:
            note(f"gone: {path}")
    show(
        f"{summary.collection}: {summary.added} added, {summary.updated} updated, {summary.unchanged} unchanged, "
        f"{len(summary.skipped)} skipped, {len(summary.failed)} failed"
        + (f", {summary.pruned} pruned" if summary.pruned else "")
    )
    if summary.chunks:
        rate = summary.tokens / max(summary.embed_seconds, 0.001)
        show(f"{summary.chunks} passages in {summary.seconds:.1f} seconds; the encoder read {rate:.0f} tokens a second")


def _note_files(what: str, files: Sequence[FileNote]) -> None:
    for file in files[:NOTES_SHOWN]:
        note(f"{what}: {file.path}: {file.reason}")
    if len(files) > NOTES_SHOWN:
        note(f"{what}: {len(files) - NOTES_SHOWN} more; --json lists them all")


def list_stored(
    context: typer.Context,
    of: Annotated[str | None, typer.Option("--collection", help="Only documents of this collection.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only queued, processing, ready or failed ones.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Documents at most.")] = 1000,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Documents to pass over.")] = 0,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List the documents with their state and number of passages."""
    with _database(settings_for(context, home)) as database, database.read() as session:
        page = list_documents(session, LOCAL, of, state=state, limit=limit, offset=offset)
    if as_json:
        emit(page)
        return
    for item in page.items:
        show(f"{item.id}  {item.state:<10} {item.chunks:>6}  {item.collection}  {item.path}")
        if item.error:
            show(f"{'':34}{item.error}")
    note(f"{len(page.items)} of {page.total} documents")


def delete(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="DOCUMENT_ID...", help="Ids as kb list prints them.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Delete documents with their passages and original bytes. There is no undo."""
    from kb.bootstrap import INGEST_ONLY, open_components
    from kb.ingestion import delete_document

    with open_components(settings_for(context, home), need=INGEST_ONLY) as components:
        for document_id in ids:
            delete_document(components, LOCAL, document_id)
            note(f"deleted {document_id}")
    if as_json:
        emit({"deleted": ids})


def reindex(context: typer.Context, home: Home = None, as_json: AsJson = False) -> None:
    """Embed every stored passage again: needed once after the embedding model has changed."""
    from kb.bootstrap import INGEST_ONLY, open_components
    from kb.cli_progress import line_now_and_then
    from kb.reindexing import reindex as embed_again

    with open_components(settings_for(context, home), need=INGEST_ONLY) as components:
        done = embed_again(components, line_now_and_then("passages"))
        components.index.open()
        components.index.build()
    if as_json:
        emit({"passages": done, "model": components.embedder.model_id})
    else:
        show(f"{done} passages embedded with {components.embedder.model_id}")


@collection.command("list")
def collections_list(context: typer.Context, home: Home = None, as_json: AsJson = False) -> None:
    """List the collections with their numbers of documents and passages."""
    with _database(settings_for(context, home)) as database, database.read() as session:
        found = list_collections(session, LOCAL)
    if as_json:
        emit({"collections": found})
        return
    for item in found:
        show(f"{item.documents:>7} documents {item.chunks:>8} passages  {item.name}")


@collection.command("create")
def collections_create(context: typer.Context, name: str, home: Home = None, as_json: AsJson = False) -> None:
    """Make an empty collection."""
    with _database(settings_for(context, home)) as database, database.write() as session:
        made = create_collection(session, LOCAL, name)
    if as_json:
        emit(made)
    else:
        show(f"created {made.name}")


@collection.command("delete")
def collections_delete(context: typer.Context, name: str, home: Home = None, as_json: AsJson = False) -> None:
    """Delete a collection with everything in it. There is no undo."""
    from kb.bootstrap import INGEST_ONLY, open_components
    from kb.ingestion import delete_collection

    with open_components(settings_for(context, home), need=INGEST_ONLY) as components:
        delete_collection(components, LOCAL, name)
    if as_json:
        emit({"deleted": name})
    else:
        show(f"deleted {name}")


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    """The database alone: listing needs no network."""
    database = open_database(settings)
    try:
        yield database
    finally:
        database.close()


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("ingest")(ingest)
    app.command("list")(list_stored)
    app.command("delete")(delete)
    app.command("reindex")(reindex)
    app.add_typer(collection, name="collection")
