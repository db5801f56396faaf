"""The warm parser process: reads requests from stdin, forks one limited child for each, answers on stdout.

It never parses anything itself, holds no threads and no secrets, and ends when its stdin closes. The
children inherit its imported libraries and an empty network.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn, Self, cast

from ingest.parse import Source, parse_file, parser_for
from ingest.records import ParseFailure
from ingest.sandbox import as_json

_FRAME = struct.Struct(">I")
_ANSWER = 3  # the descriptor on which a child answers
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def main() -> None:
    """Serve until stdin closes."""
    gc.disable()  # nothing here makes cycles; a short-lived child has no use for collecting them
    sys.setrecursionlimit(3000)
    _leave_network()
    # spaCy's array library imports torch where it is installed: seconds, threads and 200 MB that no parser needs.
    sys.modules["torch"] = cast("ModuleType", None)
    while True:
        head = _read_exactly(0, _FRAME.size)
        if head is None:
            return
        body = _read_exactly(0, _FRAME.unpack(head)[0])
        if body is None:
            return
        answer = _serve(json.loads(body))
        _write_all(1, _FRAME.pack(len(answer)) + answer)


def _serve(request: dict[str, Any]) -> bytes:
    """Fork a child for one document and supervise it; always returns an answer."""
    name, limits, wall, cpu = str(request["name"]), request["limits"], float(request["wall"]), float(request["cpu"])
    known = len(sys.modules)
    try:
        parser_for(request["media_type"])  # imports here, so that the child and its successors inherit them
    except ParseFailure as error:
        return _failure(str(error), error.outcome)
    if len(sys.modules) != known:
        gc.collect()
        gc.freeze()  # keeps the collector off the libraries' memory, which the children share
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it died before it could be told to take us along
        os.close(reader)
        os.dup2(writer, _ANSWER)
        _be_child(request)
    os.close(writer)
    data, verdict = _collect(reader, child, time.monotonic() + wall, int(limits["output_bytes"]))
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if verdict == "wall":
        return _failure(f"{name} took longer than {wall:g} seconds to parse", "timed_out")
    if verdict == "output":
        megabytes = int(limits["output_bytes"]) // 2**20
        return _failure(f"{name} holds more than {megabytes} MB of text, which is the limit", "rejected")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return _failure(f"{name} took more than {cpu:.0f} seconds of processor time to parse", "timed_out")
        return _failure(f"{name} crashed its parser (signal {number})", "crashed")
    if not data or os.WEXITSTATUS(status) not in (0, 1):
        return _failure(f"{name} ended its parser without a result", "crashed")
    return data


def _collect(reader: int, child: int, deadline: float, cap: int) -> tuple[bytes, str]:
    """The child's answer, and "wall" or "output" where it was killed for that limit, else ""."""
    parts: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        ready = select.select([reader, 0], [], [], max(0.0, left))[0] if left > 0 else []
        if not ready:
            os.kill(child, signal.SIGKILL)
            return b"", "wall"
        if reader not in ready:
            # Nothing is asked before we answer: readable stdin means that the application is gone.
            os.kill(child, signal.SIGKILL)
            os._exit(0)
        part = os.read(reader, 1 << 20)
        if not part:
            return b"".join(parts), ""
        parts.append(part)
        size += len(part)
        if size > cap:
            os.kill(child, signal.SIGKILL)
            return b"", "output"


def _be_child(request: dict[str, Any]) -> NoReturn:
    """Limit this process, parse, write the answer, end. Never returns into the parent's loop."""
    with _LastWord(str(request["name"]), int(request["limits"]["memory_bytes"])) as answer:
        _limit(request["limits"], float(request["cpu"]))
        source = Source(Path(request["path"]), str(request["name"]), str(request["media_type"]))
        answer.data = json.dumps(as_json(parse_file(source)), ensure_ascii=False).encode("utf-8", "surrogatepass")
    raise AssertionError("unreachable: the last word ends the process")


class _LastWord:
    """Ends the child on leaving: with its answer, or with the sentence for whatever went wrong."""

    def __init__(self, name: str, memory: int) -> None:
        self.data = b""
        self._reserve = bytearray(2**20)  # given back where the memory limit was reached, to have room for a sentence
        self._name = name
        self._memory = memory

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = 0
        self._reserve.clear()
        if isinstance(error, ParseFailure):
            self.data = _failure(str(error), error.outcome)
        elif isinstance(error, MemoryError):
            self.data = _failure(
                f"{self._name} needs more than {self._memory // 2**20} MB of memory to parse", "crashed"
            )
        elif error is not None:
            detail = " ".join(str(error).split())[:200]
            self.data = _failure(f"{self._name} cannot be parsed ({type(error).__name__}: {detail})", "crashed")
            code = 1
        _write_all(_ANSWER, self.data)
        os._exit(code)


def _failure(message: str, outcome: str) -> bytes:
    return json.dumps({"failure": message, "outcome": outcome}).encode()


def _limit(limits: dict[str, Any], cpu: float) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(_ANSWER + 1, 1024)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    seconds = max(1, math.ceil(cpu))
    bounds = [
        (resource.RLIMIT_AS, _mapped_bytes() + int(limits["memory_bytes"])),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 64 * 2**20),
        (resource.RLIMIT_NOFILE, int(limits["open_files"])),
        (resource.RLIMIT_CORE, 0),
    ]
    for number, bound in bounds:
        hard = resource.getrlimit(number)[1]
        # The hard limit of processor time lies above the soft one, so that SIGXCPU comes before SIGKILL.
        wanted = bound + 5 if number == resource.RLIMIT_CPU else bound
        highest = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(number, (min(bound, highest), highest))
    for entry in ("socket", "create_connection", "create_server", "socketpair", "fromfd", "getaddrinfo"):
        setattr(socket, entry, _refuse_network)


def _refuse_network(*_: object, **__: object) -> NoReturn:
    raise PermissionError("a parser asked for the network, which the sandbox refuses")


def _mapped_bytes() -> int:
    """Address space in use (the libraries' own); limits count from there."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 512 * 2**20
    return pages * resource.getpagesize()


def _leave_network() -> None:
    """Move this process and its children into a network namespace without interfaces, where that is permitted."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        unshare = libc.unshare
    except (OSError, AttributeError):
        return  # not Linux: the socket module is still blocked in the children
    if unshare(_CLONE_NEWNET) != 0:
        unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _prctl(option: int, value: int) -> None:
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        return


def _read_exactly(descriptor: int, count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    main()
