"""The bytes of ingested files, stored under their SHA-256: equal bytes are kept once, no name comes from outside.

Bytes are first staged (written and fsynced under a random name) and then kept (renamed) inside the transaction that
makes a row point to them, under the lock that `discard` needs too. So an acknowledged row always has its bytes, and a
crash leaves at most a stray file.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from kb.errors import TooLarge

_BLOCK: Final = 1 << 20
_STRAY_AFTER_S: Final = 24 * 3600


@dataclass(frozen=True)
class Staged:
    """Bytes on disk that no row points to yet."""

    path: Path
    sha256: str
    size: int

    def drop(self) -> None:
        """Delete them, if they are still there."""
        self.path.unlink(missing_ok=True)


class Originals:
    """The folder of original bytes; stateless, any number of processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._incoming = folder / "incoming"

    def path(self, sha256: str) -> Path:
        """Where the bytes with this hash lie, if they are kept."""
        return self.folder / sha256

    def stage(self, stream: BinaryIO, limit: int) -> Staged:
        """Write a stream down durably. Raises TooLarge beyond `limit` bytes, OSError where disk or stream fail."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._incoming.mkdir(exist_ok=True, mode=0o700)
        target = self._incoming / uuid.uuid4().hex
        digest, size = hashlib.sha256(), 0
        try:
            with target.open("xb") as file:
                for block in _blocks(stream):
                    size += len(block)
                    if size > limit:
                        raise TooLarge(too_large(limit))
                    digest.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return Staged(target, digest.hexdigest(), size)

    def keep(self, staged: Iterable[Staged]) -> None:
        """Give staged bytes their lasting names. Call it inside the transaction whose rows will point to them."""
        renamed = False
        for one in staged:
            target = self.path(one.sha256)
            if one.path != target:  # else it was kept when the upload was accepted
                os.replace(one.path, target)
                renamed = True
        if renamed:
            _sync_folder(self.folder)

    def discard(self, sha256: str) -> None:
        """Delete kept bytes. Call it inside a transaction that has made sure that no row points to them."""
        if sha256:
            self.path(sha256).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Delete what crashed processes staged and never kept; return how many files."""
        strays = 0
        for path in self._incoming.glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STRAY_AFTER_S:
                    path.unlink()
                    strays += 1
        return strays


def too_large(limit: int) -> str:
    """The sentence for a file over the limit."""
    return f"The file is larger than {limit >> 20} MB, the largest that is read (KB_MAX_UPLOAD_MB)."


def hash_file(path: Path) -> str:
    """SHA-256 of a file, as hex. Raises OSError where it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in _blocks(file):
            digest.update(block)
    return digest.hexdigest()


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # folders cannot be fsynced elsewhere
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
