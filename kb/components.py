"""What a running program is made of: one record, wired by `kb.bootstrap`, handed to every use case.

The parts that a program does not need are None: a collection can be listed without loading a network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.sandbox import ParseServer
from kb.database import Database
from kb.indexing import LiveIndex
from kb.precision import Choice, Network
from kb.settings import Settings
from llm.encoder import Encoder
from llm.reader import Reader
from llm.writer.writer import Writer
from retrieval.embedder import HybridEmbedder


@dataclass(frozen=True)
class Components:
    """The parts of one process. `reader` and `writer` are None where they were not asked for or are not trained yet."""

    settings: Settings
    database: Database
    encoder: Encoder
    embedder: HybridEmbedder
    index: LiveIndex
    parser: ParseServer
    reader: Reader | None = None
    writer: Writer | None = None
    precisions: Mapping[Network, Choice] = field(default_factory=dict)

    def close(self) -> None:
        """Stop background work and close what is open."""
        self.index.close()
        self.parser.close()
        self.database.close()
