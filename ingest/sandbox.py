"""Parses documents in killable child processes with limits; the caller sees a Parsed record or one sentence.

A ParseServer keeps one warm, single-threaded process beside the application. That process forks a
child for every document, so a small file costs milliseconds, while memory, processor time, wall time
and output of each document are bounded and a crash harms that document only. Thread-safe: documents
are parsed one after the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ingest.detect import media_type_of, unsupported_reason
from ingest.records import Dropped, Element, Parsed, ParseFailure

_FRAME = struct.Struct(">I")
_START_SECONDS = 120.0  # importing the office libraries on a cold disk
_KEPT_ENVIRONMENT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "SYSTEMROOT",
    "PYTHONHASHSEED",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
)


@dataclass(frozen=True)
class Limits:
    """Bounds for one document. Processor time grows with its size: base + per megabyte; wall time is a multiple."""

    file_bytes: int = 100 * 2**20
    memory_bytes: int = 1536 * 2**20
    output_bytes: int = 64 * 2**20
    cpu_seconds: float = 30.0
    cpu_seconds_per_mb: float = 3.0
    wall_factor: float = 2.0  # a busy machine gives a process half its time
    open_files: int = 64

    def cpu(self, size: int) -> float:
        """Processor seconds that a file of `size` bytes may take."""
        return self.cpu_seconds + self.cpu_seconds_per_mb * size / 2**20

    def wall(self, size: int) -> float:
        """Seconds until a file of `size` bytes must be parsed."""
        return self.wall_factor * self.cpu(size)


class ParseServer:
    """A warm parser process as a context manager; it starts with the first document and restarts if it dies."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the warm process, None while there is none."""
        return self._process.pid if self._process is not None else None

    def parse(
        self, path: Path, media_type: str | None = None, limits: Limits | None = None, *, name: str | None = None
    ) -> Parsed:
        """Parse one file. `name` is what people call it, by default the path's last part.

        Without `media_type` the name's extension decides. Raises ParseFailure with one sentence for
        everything that is wrong with the file, its limits or its parser.
        """
        bounds = limits or self.limits
        called = name or path.name
        kind = media_type or media_type_of(called)
        if kind is None:
            raise ParseFailure(unsupported_reason(called))
        size = _readable_size(path, called, bounds)
        request = {
            "path": str(path.absolute()),
            "name": called,
            "media_type": kind,
            "wall": bounds.wall(size),
            "cpu": bounds.cpu(size),
            "limits": asdict(bounds),
        }
        with self._lock:
            answer = self._ask(json.dumps(request).encode(), bounds.wall(size) + _START_SECONDS, called)
        if "failure" in answer:
            raise ParseFailure(answer["failure"], answer["outcome"])
        return _parsed(answer)

    def close(self) -> None:
        """Stop the warm process; a later parse starts another."""
        with self._lock:
            self._stop()

    def _ask(self, request: bytes, seconds: float, name: str) -> dict[str, Any]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(_FRAME.pack(len(request)) + request)
            process.stdin.flush()
            data = _read_frame(process.stdout.fileno(), time.monotonic() + seconds)
        except (BrokenPipeError, EOFError) as error:
            self._stop()
            raise ParseFailure(f"{name} ended the parser process", "crashed") from error
        except TimeoutError as error:
            self._stop()
            raise ParseFailure(f"{name} took longer than {seconds:.0f} seconds to parse", "timed_out") from error
        answer: dict[str, Any] = json.loads(data)
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        self._folder = Path(tempfile.mkdtemp(prefix="kb-parse-"))
        environment = {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ}
        # One thread only: the process forks. No secrets: a parser is the first thing an attacker meets.
        environment |= {key: "1" for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        environment |= {"TMPDIR": str(self._folder), "HOME": str(self._folder), "PYTHONPATH": _source_root()}
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "ingest.sandbox_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the application, which then closes us
        )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            try:
                process.wait(timeout=1)  # a closed pipe is its signal to end
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _source_root() -> str:
    return str(Path(__file__).resolve().parent.parent)


def _readable_size(path: Path, name: str, limits: Limits) -> int:
    try:
        status = path.stat()
        with path.open("rb") if path.is_file() else contextlib.nullcontext():
            pass
    except FileNotFoundError as error:
        raise ParseFailure(f"{name} does not exist (looked for {path})") from error
    except OSError as error:
        raise ParseFailure(f"{name} cannot be read: {error.strerror or error}") from error
    if not path.is_file():
        raise ParseFailure(f"{name} is not a regular file")
    if status.st_size == 0:
        raise ParseFailure(f"{name} is empty (0 bytes)", "empty")
    if status.st_size > limits.file_bytes:
        raise ParseFailure(
            f"{name} has {status.st_size / 2**20:.1f} MB; at most {limits.file_bytes / 2**20:.0f} MB are allowed"
        )
    return status.st_size


def _read_frame(descriptor: int, deadline: float) -> bytes:
    head = _read_exactly(descriptor, _FRAME.size, deadline)
    return _read_exactly(descriptor, _FRAME.unpack(head)[0], deadline)


def _read_exactly(descriptor: int, count: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    while count:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise TimeoutError
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def as_json(parsed: Parsed) -> dict[str, Any]:
    """The record as plain values; elements carry offsets instead of their text."""
    return {
        "title": parsed.title,
        "text": parsed.text,
        "media_type": parsed.media_type,
        "elements": [[e.kind, list(e.heading), e.page, e.start, e.end, e.header] for e in parsed.elements],
        "dropped": [[d.what, d.reason, d.count] for d in parsed.dropped],
    }


def _parsed(answer: dict[str, Any]) -> Parsed:
    text = str(answer["text"])
    elements = tuple(
        Element(kind, text[start:end], tuple(heading), page, start, end, header)
        for kind, heading, page, start, end, header in answer["elements"]
    )
    dropped = tuple(Dropped(what, reason, count) for what, reason, count in answer["dropped"])
    return Parsed(str(answer["title"]), text, elements, str(answer["media_type"]), dropped)
