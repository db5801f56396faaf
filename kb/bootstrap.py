"""The only wiring: settings become one `Components` record. Nothing is built at import.

`need` says what the program is going to do, so that `kb list` loads no network and `kb ingest` no writer.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Literal

from ingest.sandbox import Limits, ParseServer
from kb.components import Components
from kb.database import Database, open_database
from kb.indexing import LiveIndex
from kb.networks import Networks
from kb.settings import Settings
from llm.writer.writer import Writer
from retrieval.embedder import HybridEmbedder
from retrieval.search import SearchIndex, SearchKnobs

Need = Literal["search", "read", "write"]
EVERYTHING: frozenset[Need] = frozenset({"search", "read", "write"})
INGEST_ONLY: frozenset[Need] = frozenset()


@contextmanager
def open_components(settings: Settings, *, need: Collection[Need] = EVERYTHING) -> Iterator[Components]:
    """Open what a program needs and close it at the end; ingesting is always possible.

    With `search` the index is loaded and brought up to date; whoever runs for long also calls `index.start()`.
    Raises ModelMissing, ConfigError or NotReady, each with what to do.
    """
    database = open_database(settings)
    try:
        components = _wire(settings, database, need)
    except BaseException:
        database.close()
        raise
    try:
        if "search" in need:
            components.index.open()
        yield components
    finally:
        components.close()


def _wire(settings: Settings, database: Database, need: Collection[Need]) -> Components:
    networks = Networks(settings)
    encoder = networks.encoder()
    embedder = HybridEmbedder(encoder.encode, encoder.model_id)
    written = networks.writer() if "write" in need else None
    search = SearchIndex(settings.index_folder, embedder, SearchKnobs())
    return Components(
        settings=settings,
        database=database,
        encoder=encoder,
        embedder=embedder,
        index=LiveIndex(database, search, embedder.model_id, settings.index_folder),
        parser=ParseServer(Limits(file_bytes=settings.max_upload_mb << 20)),
        reader=networks.reader(encoder) if "read" in need else None,
        writer=Writer(written) if written is not None else None,
        precisions=networks.choices,
    )
