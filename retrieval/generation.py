"""A generation: rows and graph of the index as immutable files, with a manifest that proves them.

A generation is a folder `generation-00000007` of raw little-endian arrays, one graph file and `manifest.json`. It is
written under a temporary name, synced and renamed; it is opened only when format, model, dimension, space, sizes and
SHA-256 of every file agree. Vectors are memory-mapped: exact scans and rescoring read them in place, processes share
the pages, and nothing is copied.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical import TermCounts, unpack_terms
from retrieval.term_statistics import GroupTerms
from retrieval.vector_index import SPACE, Graph, GraphShape

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_GRAPH: Final = "graph.hnsw"
_NAME: Final = re.compile(r"generation-(\d{8})")
_BUILDING: Final = ".building-"
_ABANDONED_SECONDS: Final = 3600.0
_BLOCK_ROWS: Final = 2048


class UnusableGeneration(ValueError):
    """The files are damaged, incomplete or made for another model; the message says which. Rebuild from the rows."""


@dataclass(frozen=True)
class Rows:
    """A block of rows on their way into a generation, ascending by id."""

    ids: NDArray[np.int64]
    groups: NDArray[np.int64]
    vectors: NDArray[np.float32]
    terms: Sequence[bytes]


@dataclass(frozen=True)
class Generation:
    """An opened, verified generation."""

    number: int
    ids: NDArray[np.int64]
    groups: NDArray[np.int64]
    vectors: NDArray[np.float32]
    graph: Graph | None
    statistics: Mapping[int, GroupTerms]
    _term_ends: NDArray[np.int64]
    _terms: NDArray[np.uint8]

    @property
    def size(self) -> int:
        """Number of rows, removed ones included."""
        return len(self.ids)

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the row of each id, -1 where the generation does not hold it."""
        if not self.size:
            return np.full(len(ids), -1, dtype=np.intp)
        at = np.minimum(np.searchsorted(self.ids, ids), self.size - 1)
        return np.where(self.ids[at] == ids, at, -1)

    def packed_terms(self, row: int) -> bytes:
        """Return the packed terms of one row."""
        start = int(self._term_ends[row - 1]) if row else 0
        return self._terms[start : int(self._term_ends[row])].tobytes()

    def term_counts(self, rows: Sequence[int]) -> list[TermCounts]:
        """Return the terms of `rows`."""
        return [unpack_terms(self.packed_terms(row)) for row in rows]


def generation_numbers(folder: Path) -> list[int]:
    """Return the numbers of the generations in `folder`, newest first, whether usable or not."""
    if not folder.is_dir():
        return []
    found = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted((int(match.group(1)) for match in found if match), reverse=True)


def remove_outdated(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` generations, and what a killed build left behind an hour ago or more."""
    for number in generation_numbers(folder)[keep:]:
        shutil.rmtree(_path(folder, number), ignore_errors=True)
    for path in folder.glob(f"{_BUILDING}*"):
        try:
            abandoned = time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
        except FileNotFoundError:
            continue
        if abandoned:
            shutil.rmtree(path, ignore_errors=True)


def write_generation(
    folder: Path,
    blocks: Iterator[Rows],
    statistics: Mapping[int, GroupTerms],
    *,
    model_id: str,
    dim: int,
    graph_from: int,
    shape: GraphShape,
    threads: int,
) -> int:
    """Write a new generation and return its number; rows come in blocks ascending by id.

    A graph is built from `graph_from` rows on; smaller generations are scanned. OSError (disk full, no permission)
    leaves the folder as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    building = folder / f"{_BUILDING}{os.getpid()}-{time.monotonic_ns()}"
    building.mkdir()
    try:
        count = _write_rows(building, blocks)
        groups = _write_statistics(building, statistics)
        if count >= graph_from:
            vectors = np.memmap(building / "vectors.f32", dtype="<f4", mode="r", shape=(count, dim))
            ids = np.fromfile(building / "ids.i64", dtype="<i8")
            starts = range(0, count, _BLOCK_ROWS)
            parts = ((ids[at : at + _BLOCK_ROWS], vectors[at : at + _BLOCK_ROWS]) for at in starts)
            Graph.build(parts, dim=dim, count=count, shape=shape, threads=threads).save(building / _GRAPH)
        body = {
            "format": FORMAT,
            "model_id": model_id,
            "dim": dim,
            "space": SPACE,
            "count": count,
            "shape": asdict(shape),
            "groups": groups,
        }
        return _publish(folder, building, body)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def open_generation(folder: Path, number: int, *, model_id: str, dim: int, ef: int) -> Generation:
    """Verify and open generation `number`; UnusableGeneration where anything is not as its manifest says."""
    path = _path(folder, number)
    try:
        manifest = _read_manifest(path)
        _check_made_for(manifest, model_id, dim)
        for name, listed in manifest["files"].items():
            _check_file(path / name, listed["size"], listed["sha256"])
        return _open(path, number, manifest, dim, ef)
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise UnusableGeneration(f"{path.name} is incomplete: {type(error).__name__}: {error}") from error


def _path(folder: Path, number: int) -> Path:
    return folder / f"generation-{number:08d}"


def _write_rows(building: Path, blocks: Iterator[Rows]) -> int:
    last, end, count = -1, 0, 0
    with (
        (building / "ids.i64").open("wb") as ids,
        (building / "groups.i64").open("wb") as groups,
        (building / "vectors.f32").open("wb") as vectors,
        (building / "term_ends.i64").open("wb") as term_ends,
        (building / "terms.bin").open("wb") as terms,
    ):
        for block in blocks:
            if not len(block.ids):
                continue
            if int(block.ids[0]) <= last or np.any(np.diff(block.ids) <= 0):
                raise ValueError("rows must come in ascending order of their ids")
            last = int(block.ids[-1])
            ends = end + np.cumsum([len(packed) for packed in block.terms], dtype=np.int64)
            end = int(ends[-1])
            _write_array(ids, block.ids, "<i8")
            _write_array(groups, block.groups, "<i8")
            _write_array(vectors, block.vectors, "<f4")
            _write_array(term_ends, ends, "<i8")
            terms.write(b"".join(block.terms))
            count += len(block.ids)
    return count


def _write_statistics(building: Path, statistics: Mapping[int, GroupTerms]) -> list[dict[str, int]]:
    """Write the frequencies of all groups one behind the other; return where each group's lie."""
    listed = []
    with (building / "df_hashes.u32").open("wb") as hashes, (building / "df_counts.u32").open("wb") as counts:
        for number, terms in sorted(statistics.items()):
            _write_array(hashes, terms.hashes, "<u4")
            _write_array(counts, terms.frequencies, "<u4")
            size = len(terms.hashes)
            listed.append({"group": number, "passages": terms.passages, "length": terms.length, "terms": size})
    return listed


def _write_array(file: IO[bytes], array: NDArray[Any], kind: str) -> None:
    file.write(np.ascontiguousarray(array, dtype=kind).tobytes())


def _publish(folder: Path, building: Path, body: dict[str, Any]) -> int:
    """Sync the files, write the manifest over them and rename the folder to the next free number."""
    files = {}
    for path in sorted(building.iterdir()):
        _sync(path)
        files[path.name] = {"size": path.stat().st_size, "sha256": _sha256(path)}
    body = {**body, "files": files}
    with (building / MANIFEST).open("w", encoding="utf-8") as manifest:
        json.dump({**body, "self_sha256": _digest(body)}, manifest, indent=1, sort_keys=True)
    _sync(building / MANIFEST)
    _sync(building)
    number = max(generation_numbers(folder), default=0) + 1
    while True:
        try:
            building.rename(_path(folder, number))
        except OSError:
            if not _path(folder, number).exists():
                raise
            number += 1  # another process was faster
        else:
            _sync(folder)
            return number


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnusableGeneration(f"the manifest of {path.name} is damaged: {error}") from error
    if not isinstance(manifest, dict):
        raise UnusableGeneration(f"the manifest of {path.name} is not an object")
    if manifest.pop("self_sha256", None) != _digest(manifest):
        raise UnusableGeneration(f"the manifest of {path.name} does not match its own checksum")
    return manifest


def _check_made_for(manifest: Mapping[str, Any], model_id: str, dim: int) -> None:
    expected = {"format": FORMAT, "model_id": model_id, "dim": dim, "space": SPACE}
    for name, value in expected.items():
        if manifest[name] != value:
            raise UnusableGeneration(f"the index was made with {name} {manifest[name]!r}, this program needs {value!r}")


def _check_file(path: Path, size: int, sha256: str) -> None:
    if path.stat().st_size != size:
        raise UnusableGeneration(f"{path.name} has {path.stat().st_size} bytes, its manifest says {size}")
    if _sha256(path) != sha256:
        raise UnusableGeneration(f"{path.name} does not match its checksum")


def _open(path: Path, number: int, manifest: Mapping[str, Any], dim: int, ef: int) -> Generation:
    count = manifest["count"]
    shape = GraphShape(**{**manifest["shape"], "ef": ef})
    graph = None
    if _GRAPH in manifest["files"]:
        try:
            graph = Graph.load(path / _GRAPH, dim=dim, count=count, shape=shape)
        except ValueError as error:
            raise UnusableGeneration(str(error)) from error
    return Generation(
        number=number,
        ids=np.fromfile(path / "ids.i64", dtype="<i8"),
        groups=np.fromfile(path / "groups.i64", dtype="<i8"),
        vectors=_mapped(path / "vectors.f32", "<f4").reshape(count, dim),
        graph=graph,
        statistics=_read_statistics(path, manifest["groups"]),
        _term_ends=np.fromfile(path / "term_ends.i64", dtype="<i8"),
        _terms=_mapped(path / "terms.bin", "u1"),
    )


def _mapped(path: Path, kind: str) -> NDArray[Any]:
    """Map a file read-only; an empty file cannot be mapped and becomes an empty array."""
    if path.stat().st_size == 0:
        return np.empty(0, dtype=kind)
    return np.asarray(np.memmap(path, dtype=kind, mode="r"))


def _read_statistics(path: Path, groups: Sequence[Mapping[str, int]]) -> dict[int, GroupTerms]:
    hashes, counts = _mapped(path / "df_hashes.u32", "<u4"), _mapped(path / "df_counts.u32", "<u4")
    statistics, start = {}, 0
    for listed in groups:
        end = start + listed["terms"]
        statistics[listed["group"]] = GroupTerms(
            listed["passages"], listed["length"], hashes[start:end], counts[start:end]
        )
        start = end
    return statistics
