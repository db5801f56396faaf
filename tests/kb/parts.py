"""The real parts of ingestion and search on tiny models, here or in another process that a test starts and kills."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from ingest.sandbox import ParseServer
from kb.access import LOCAL, readable_groups
from kb.database import Database, open_database
from kb.indexing import LiveIndex
from kb.ingestion import Progress, ingest_paths
from kb.jobs import JobWorker, claim_job
from kb.models import Job
from kb.settings import Settings
from llm.encoder import Encoder
from retrieval.embedder import HybridEmbedder
from retrieval.search import SearchIndex, SearchKnobs

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Parts:
    settings: Settings
    database: Database
    encoder: Encoder
    embedder: HybridEmbedder
    parser: ParseServer
    index: LiveIndex

    def found(self, query: str, k: int = 10) -> list[str]:
        """The paths of the passages found, best first."""
        with self.database.read() as session:
            groups = readable_groups(session, LOCAL)
        return [passage.chunk.path for passage in self.index.find(query, k, groups).passages]


@contextmanager
def open_parts(
    home: Path,
    models: Path,
    database_url: str = "",
    *,
    model_id: str = "",
    knobs: SearchKnobs | None = None,
    parser: ParseServer | None = None,
) -> Iterator[Parts]:
    """Everything but reader and writer; `model_id` pretends that another model is installed.

    A `parser` that is handed in stays open, which saves its start.
    """
    settings = Settings(home=home, models=models, database_url=database_url)
    database = open_database(settings)
    encoder = Encoder.load(models / "encoder")
    embedder = HybridEmbedder(encoder.encode, model_id or encoder.model_id)
    search = SearchIndex(settings.index_folder, embedder, knobs)
    used = parser or ParseServer()
    index = LiveIndex(database, search, embedder.model_id, settings.index_folder)
    parts = Parts(settings, database, encoder, embedder, used, index)
    try:
        yield parts
    finally:
        index.close()
        if parser is None:
            used.close()
        database.close()


def start(action: str, parts: Parts, *arguments: str | Path) -> subprocess.Popen[str]:
    """Run an action of `main` in another process on the same home and database."""
    command = [sys.executable, "-m", "tests.kb.parts", action, str(parts.settings.home), str(parts.settings.models)]
    command += [parts.settings.resolved_database_url, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], timeout: float = 180) -> str:
    """Wait for its good end and return what it wrote."""
    output, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0
    return output


def until(condition, timeout: float = 120.0, step: float = 0.01) -> float:
    """Wait until a condition holds; return the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, "the condition did not come true"
        time.sleep(step)
    return time.monotonic() - began


def waiting(parts: Parts) -> int:
    """How many versions wait for a worker, or are with one."""
    with parts.database.read() as session:
        return len(session.scalars(select(Job.id)).all())


def say(*values: object) -> None:
    """Write a line that the starting process reads at once."""
    sys.stdout.write(" ".join(map(str, values)) + "\n")
    sys.stdout.flush()


def main(action: str, home: str, models: str, url: str, *arguments: str) -> None:
    """What the other process does."""
    with open_parts(Path(home), Path(models), url) as parts:
        if action == "ingest":
            summary = ingest_paths(parts, [Path(argument) for argument in arguments])
            say(summary.added, summary.updated, summary.unchanged, len(summary.failed))
        elif action == "ingest and die":
            # Is killed by its own hand a moment after so many files are done: in a commit, in the encoder, anywhere.
            after, delay_s, folder = int(arguments[0]), float(arguments[1]), Path(arguments[2])

            def watch(progress: Progress) -> None:
                if progress.done >= after:
                    threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()

            ingest_paths(parts, [folder], progress=watch)
            time.sleep(60)
        elif action == "serve":
            # Answers each line of input with the paths found for it, as a running server would.
            parts.index.open()
            parts.index.start()
            say("ready")
            for line in sys.stdin:
                say(*parts.found(line.strip()))
        elif action == "die":
            # Is killed while it holds a job.
            assert claim_job(parts.database, "about to die", lease_s=0.5) is not None
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "work":
            worker = JobWorker(parts, poll_s=0.05)
            worker.start()
            until(lambda: not waiting(parts))
            worker.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
