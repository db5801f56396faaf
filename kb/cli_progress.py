"""How far a long command is: a bar with rate and time left on a terminal, now and then a plain line elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kb.cli_output import note, notes
from kb.ingestion import Progress as IngestProgress

LINE_SECONDS = 10.0
"""Between two plain lines."""


@contextmanager
def ingest_progress() -> Iterator[Callable[[IngestProgress], None]]:
    """A callable to give to an ingest; what it shows is gone from the terminal when the block ends."""
    if not notes.is_terminal:
        yield _PlainLines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=notes, transient=True) as bar:
        task = bar.add_task("Reading files", total=None, rate="")
        started = time.monotonic()

        def report(progress: IngestProgress) -> None:
            rate = _rate(progress, time.monotonic() - started)
            bar.update(task, completed=progress.done, total=progress.total, rate=rate)

        yield report


def line_now_and_then(what: str) -> Callable[[int, int], None]:
    """A callable for `done` and `total` that notes them every ten seconds."""
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            note(f"{done} of {total} {what}")

    return report


class _PlainLines:
    """Every ten seconds a line, for logs."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()

    def __call__(self, progress: IngestProgress) -> None:
        now = time.monotonic()
        if now - self._last < LINE_SECONDS or not progress.done:
            return
        self._last = now
        elapsed = now - self._started
        left = elapsed / progress.done * (progress.total - progress.done)
        rate = _rate(progress, elapsed)
        note(f"{progress.done} of {progress.total} files, {rate}, about {left:.0f} seconds left")


def _rate(progress: IngestProgress, elapsed: float) -> str:
    seconds = max(elapsed, 0.001)
    return f"{progress.done / seconds:.1f} files/s, {progress.tokens / seconds:.0f} tokens/s"
