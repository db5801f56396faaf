"""Finds the files to ingest under folders and named files, in one fixed order, and says what it passes by.

Inside a folder hidden, unsupported, empty and outward-linked files are skipped with a reason; a file
or folder that was named explicitly and cannot be taken has failed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ingest.detect import media_type_of, unsupported_reason
from ingest.records import Found, Skipped, Walk


@dataclass
class _Progress:
    found: list[Found] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    failed: list[Skipped] = field(default_factory=list)
    roots: list[Path] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)


def walk(paths: Iterable[Path | str]) -> Walk:
    """Look at each path: folders are searched through, files are taken as they are.

    Paths come out sorted by name inside each folder; a file reached twice is found once.
    """
    progress = _Progress()
    for given in paths:
        path = Path(given).expanduser()
        try:
            resolved = path.resolve(strict=True)
            mode = resolved.stat().st_mode
        except FileNotFoundError:
            progress.failed.append(Skipped(path, f"{path} does not exist"))
            continue
        except (OSError, RuntimeError) as error:
            progress.failed.append(Skipped(path, f"{path} cannot be read: {_words(error)}"))
            continue
        if stat.S_ISDIR(mode):
            progress.roots.append(resolved)
            _search(resolved, resolved, progress, named=True)
        else:
            # The name as given counts, so that a link keeps its own name.
            folder = path.absolute().parent.resolve()
            _take(folder, folder / path.name, progress, named=True)
    return Walk(tuple(progress.found), tuple(progress.skipped), tuple(progress.failed), tuple(progress.roots))


def _search(root: Path, folder: Path, progress: _Progress, *, named: bool = False) -> None:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        reason = f"{folder} cannot be listed: {_words(error)}"
        (progress.failed if named else progress.skipped).append(Skipped(folder, reason))
        return
    for name in names:
        path = folder / name
        if not path.is_symlink() and path.is_dir() and not _hidden(name):
            _search(root, path, progress)
        else:
            _take(root, path, progress, named=False)


def _hidden(name: str) -> bool:
    """Dot files and the lock and index files that programs leave beside documents."""
    return name.startswith((".", "~$")) or name in ("Thumbs.db", "desktop.ini")


def _take(root: Path, path: Path, progress: _Progress, *, named: bool) -> None:
    """Accept one file, or record the sentence that says why not."""
    sentence = _objection(root, path)
    if sentence:
        (progress.failed if named else progress.skipped).append(Skipped(path, sentence))
        return
    if path in progress.seen:
        return
    progress.seen.add(path)
    relative = path.relative_to(root).as_posix()
    progress.found.append(Found(root, relative, path, media_type_of(path.name) or "", path.stat().st_size))


def _objection(root: Path, path: Path) -> str:
    name = path.name
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return f"{name.encode('utf-8', 'backslashreplace').decode()} is not a valid UTF-8 name"
    if _hidden(name):
        return f"{name} is hidden"
    try:
        if path.is_symlink():
            target = path.resolve(strict=True)
            if not target.is_relative_to(root):
                return f"{name} is a link to {target}, which lies outside {root}"
            if target.is_dir():
                return f"{name} is a link to a folder inside the same root"
        status = path.stat()
    except FileNotFoundError:
        return f"{name} is a link to nothing" if path.is_symlink() else f"{name} does not exist"
    except (OSError, RuntimeError) as error:
        return f"{name} cannot be read: {_words(error)}"
    if not stat.S_ISREG(status.st_mode):
        return f"{name} is not a regular file"
    if media_type_of(name) is None:
        return unsupported_reason(name)
    if status.st_size == 0:
        return f"{name} is empty (0 bytes)"
    return ""


def _words(error: OSError | RuntimeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
