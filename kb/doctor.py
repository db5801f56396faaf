"""Examines an installation: processor, networks, models, database, index and disk, with advice for each finding.

It changes nothing, except that measured timings are remembered and, as every command does, an existing database is
brought up to date.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import func, select

from kb.changes import change_state
from kb.database import Database, open_database
from kb.errors import KbError
from kb.models import Chunk, Document
from kb.networks import Networks
from kb.precision import Choice, read_processor
from kb.settings import Settings
from llm.base import verify_models
from retrieval.embedder import VECTOR_DIM
from retrieval.generation import UnusableGeneration, generation_numbers, open_generation
from retrieval.vector_index import GraphShape

Level = Literal["ok", "warning", "problem"]
Say = Callable[[str], None]

MINIMUM_FREE_GB = 1.0
WANTED_FREE_GB = 5.0
MINIMUM_MEMORY_GB = 2.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found and, unless all is well, what to do."""

    topic: str
    level: Level
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, in the order in which they were made."""

    findings: tuple[Finding, ...]
    precisions: tuple[Choice, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is a problem; warnings are allowed."""
        return all(finding.level != "problem" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object."""
        return {
            "healthy": self.healthy,
            "findings": [vars(finding) for finding in self.findings],
            "precisions": [{**vars(choice), "timings_ms": dict(choice.timings_ms)} for choice in self.precisions],
        }


def examine(settings: Settings, *, quick: bool = False, progress: Say = lambda sentence: None) -> Report:
    """Look at everything; `quick` leaves out checksums and timings."""
    findings = [*_processor(settings), *_memory(), *_disk(settings), *_listening(settings)]
    progress("checking the models" + ("" if quick else " and their checksums"))
    models = list(_models(settings, thorough=not quick))
    findings += models
    precisions: tuple[Choice, ...] = ()
    if not quick and all(finding.level != "problem" for finding in models):
        progress("timing the networks, where no timing is remembered")
        timed, precisions = _networks(settings)
        findings += timed
    progress("looking at database and index")
    findings += _stored(settings, quick=quick)
    return Report(tuple(findings), precisions)


def _processor(settings: Settings) -> Iterator[Finding]:
    processor = read_processor()
    features = " ".join(processor.reported) or "none that the networks use"
    yield Finding("processor", "ok", f"{processor.name}, {processor.cores} cores, {settings.thread_count} threads")
    if processor.features and not {"avx2", "asimd"} & processor.features:
        advice = "Without AVX2 the networks are several times slower: use a newer processor."
        yield Finding("features", "warning", features, advice)
    else:
        yield Finding("features", "ok", features)
    if settings.thread_count > processor.cores:
        yield Finding(
            "threads",
            "warning",
            f"{settings.thread_count} threads on {processor.cores} cores",
            f"More threads than cores make everything slower: set KB_THREADS={processor.cores} or leave it out.",
        )


def _memory() -> Iterator[Finding]:
    meminfo = Path("/proc/meminfo")
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines()) if meminfo.exists() else {}
    if "MemAvailable" not in lines:
        return
    available = int(lines["MemAvailable"].split()[0]) / 2**20
    found = f"{available:.1f} GB available"
    if available < MINIMUM_MEMORY_GB:
        advice = f"The API needs up to {MINIMUM_MEMORY_GB:.0f} GB: close other programs or add memory."
        yield Finding("memory", "warning", found, advice)
    else:
        yield Finding("memory", "ok", found)


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    if not os.access(folder, os.W_OK):
        yield Finding(
            "home", "problem", f"{settings.home} cannot be written", "Give this user the folder, or set KB_HOME."
        )
    free = shutil.disk_usage(folder).free / 2**30
    found = f"{free:.1f} GB free for {settings.home}"
    if free < MINIMUM_FREE_GB:
        yield Finding("disk", "problem", found, "Free some space, or set KB_HOME to a folder on a larger disk.")
    elif free < WANTED_FREE_GB:
        yield Finding("disk", "warning", found, "Enough for small collections; 10,000 passages need about 200 MB.")
    else:
        yield Finding("disk", "ok", found)


def _listening(settings: Settings) -> Iterator[Finding]:
    local = settings.host in ("127.0.0.1", "::1", "localhost")
    if not local and settings.token is None:
        yield Finding(
            "network",
            "problem",
            f"KB_HOST={settings.host} without KB_TOKEN",
            "kb serve refuses to start like this: set KB_TOKEN, for example to the output of openssl rand -hex 32.",
        )
    else:
        guard = "with a token" if settings.token else "without a token"
        address = f"{settings.host}:{settings.port}"
        yield Finding("network", "ok", f"API on {address} {guard}, chat on port {settings.ui_port}")


def _models(settings: Settings, *, thorough: bool) -> Iterator[Finding]:
    for state in verify_models(settings.models, thorough=thorough):
        if state.problem:
            yield Finding("model", "problem", state.problem, "Install the base models: kb model install")
        else:
            checked = "checksums match" if thorough else "present"
            yield Finding("model", "ok", f"{state.name}: {checked} ({state.folder})")
    for network in ("reader", "writer"):
        if not (settings.checkpoint / f"{network}.json").is_file():
            yield Finding(
                "model",
                "warning",
                f"there is no trained {network} in {settings.checkpoint}",
                f"Set KB_CHECKPOINT to a folder that has one, or train it: kb train {network} --data FOLDER",
            )


def _networks(settings: Settings) -> tuple[list[Finding], tuple[Choice, ...]]:
    """Load each network, which checks the trained files too, and report formats and timings."""
    networks = Networks(settings, always_time=True)
    findings: list[Finding] = []
    try:
        networks.reader(networks.encoder())
        networks.writer()
    except KbError as error:
        advice = "Get the trained files again from the source, or point KB_CHECKPOINT at a whole checkpoint."
        findings.append(Finding("model", "problem", error.message, advice))
    for choice in networks.choices.values():
        timings = ", ".join(f"{name} {value:.0f} ms" for name, value in choice.timings_ms.items())
        found = f"{choice.network}: {choice.precision} ({choice.reason}; {timings or 'not timed'})"
        findings.append(Finding("precision", "ok", found))
    return findings, tuple(networks.choices.values())


def _stored(settings: Settings, *, quick: bool) -> Iterator[Finding]:
    url = settings.resolved_database_url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        yield Finding("database", "ok", f"none yet in {settings.home}", "Ingest something: kb ingest FOLDER")
        return
    try:
        database = open_database(settings)
    except KbError as error:
        advice = "Check KB_DATABASE_URL and that the server runs; a damaged file has to come from a backup."
        yield Finding("database", "problem", error.message, advice)
        return
    try:
        yield from _database(database)
        yield from _index(settings, database, thorough=not quick)
    except KbError as error:
        yield Finding("database", "problem", error.message, "Check that the database server runs, then try again.")
    finally:
        database.close()


def _database(database: Database) -> Iterator[Finding]:
    with database.read() as session:
        rows = session.execute(select(Document.state, func.count()).group_by(Document.state)).all()
        states = {state: count for state, count in rows}
        chunks = session.scalar(select(func.count()).select_from(Chunk)) or 0
    kept = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no documents"
    yield Finding("database", "ok", f"{database.description}: {kept}, {chunks} passages")
    if states.get("failed"):
        yield Finding(
            "documents",
            "warning",
            f"{states['failed']} documents failed",
            "See why with: kb list --state failed; mend the files and ingest them again.",
        )


def _index(settings: Settings, database: Database, *, thorough: bool) -> Iterator[Finding]:
    with database.read() as session:
        embedder_id = change_state(session).embedder_id
    numbers = generation_numbers(settings.index_folder)
    if not numbers or not embedder_id:
        yield Finding("index", "ok", "no generation on disk; collections this small are searched in memory")
        return
    newest = max(numbers)
    if not thorough:
        yield Finding("index", "ok", f"generation {newest} in {settings.index_folder}, not verified")
        return
    folder, ef = settings.index_folder, GraphShape().ef
    try:
        opened = open_generation(folder, newest, model_id=embedder_id, dim=VECTOR_DIM, ef=ef)
    except UnusableGeneration as error:
        advice = "Nothing is lost: the next kb serve or kb ask builds the index again from the database."
        yield Finding("index", "warning", f"generation {newest} is not used: {error}", advice)
        return
    graph = "HNSW graph" if opened.graph is not None else "scanned exactly, no graph needed yet"
    yield Finding("index", "ok", f"generation {newest}, {opened.size} passages, checksums match, {graph}")
