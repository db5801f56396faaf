"""A knowledge base for the length of a measurement: passages go in, questions are asked, nothing is left.

It lies in a temporary home, so neither its documents nor its answers reach the user's database.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kb.bootstrap import EVERYTHING, open_components
from kb.components import Components
from kb.errors import InvalidInput
from kb.evaluation.answers import write_contexts
from kb.evaluation.rows import Context, Row
from kb.folders import Progress, ingest_paths
from kb.precision import MEMORY_FILE
from kb.settings import Settings

COLLECTION = "measured"


@contextmanager
def ingested_contexts(
    settings: Settings, rows: Sequence[Row], progress: Callable[[Progress], None]
) -> Iterator[tuple[Components, list[Context]]]:
    """Components over the distinct passages of `rows`, one document each, in the order of the returned list.

    Raises InvalidInput where a passage cannot be ingested.
    """
    with tempfile.TemporaryDirectory(prefix="kb-eval-") as folder:
        home, passages = Path(folder) / "home", Path(folder) / "passages"
        for path in (home, passages):
            path.mkdir()
        remembered = settings.home / MEMORY_FILE
        if remembered.exists():  # timings of this processor need not be taken again
            shutil.copy(remembered, home)
        contexts = write_contexts(passages, rows)
        there = settings.model_copy(update={"home": home, "database_url": None, "max_upload_mb": 100})
        with open_components(there, need=EVERYTHING) as components:
            summary = ingest_paths(components, [passages], COLLECTION, progress=progress)
            if summary.failed:
                raise InvalidInput(f"A passage cannot be ingested: {summary.failed[0].reason}")
            components.index.sync()
            components.index.build()
            yield components, contexts
