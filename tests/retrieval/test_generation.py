"""Files of the index: damaged, foreign and half-written ones are noticed, named and never searched."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from retrieval import generation
from retrieval.embedder import HybridEmbedder
from retrieval.search import Entry, GraphShape, SearchIndex, SearchKnobs

BOTH = frozenset({1, 2})
KNOBS = SearchKnobs(graph_from=1, scan_up_to=0)
FILES = [
    "df_counts.u32",
    "df_hashes.u32",
    "graph.hnsw",
    "groups.i64",
    "ids.i64",
    "term_ends.i64",
    "terms.bin",
    "vectors.f32",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, embedder: HybridEmbedder, entries: list[Entry]) -> Path:
    folder = tmp_path_factory.mktemp("built")
    index = SearchIndex(folder, embedder, KNOBS)
    index.add(entries[:60])
    index.build()
    return folder


@pytest.fixture
def stored(built: Path, folder: Path) -> Path:
    """The folder of one generation, free to be damaged."""
    shutil.copytree(built, folder)
    return folder / "generation-00000001"


def opened(stored: Path, embedder: HybridEmbedder) -> SearchIndex:
    return SearchIndex(stored.parent, embedder, KNOBS)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def test_the_files_are_exactly_those_of_the_manifest(stored: Path) -> None:
    listed = json.loads((stored / "manifest.json").read_text())["files"]
    assert sorted(listed) == FILES == sorted(path.name for path in stored.iterdir() if path.name != "manifest.json")


def test_an_undamaged_generation_opens(stored: Path, embedder: HybridEmbedder) -> None:
    index = opened(stored, embedder)
    assert index.load() == frozenset(range(1, 61))
    assert index.refused == () and index.stats().has_graph


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path, 0),
        lambda path: flip(path, path.stat().st_size // 2),
        lambda path: flip(path, path.stat().st_size - 1),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        lambda path: path.unlink(),
    ],
    ids=["first bit", "middle bit", "last bit", "truncated", "emptied", "lengthened", "missing"],
)
def test_any_damage_is_noticed(
    stored: Path, embedder: HybridEmbedder, name: str, damage: Callable[[Path], None]
) -> None:
    damage(stored / name)
    index = opened(stored, embedder)
    assert index.load() is None
    assert len(index.refused) == 1 and index.ids() == frozenset()


def rewritten(stored: Path, **changes: object) -> None:
    """Change the manifest and seal it again, as another version or model would have written it."""
    path = stored / "manifest.json"
    body = json.loads(path.read_text())
    del body["self_sha256"]
    body |= changes
    path.write_text(json.dumps({**body, "self_sha256": generation._digest(body)}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_id": "other-model"}, "made with model_id 'other-model'"),
        ({"dim": 768}, "made with dim 768"),
        ({"space": "l2"}, "made with space 'l2'"),
        ({"format": 0}, "made with format 0"),
        ({"count": 59}, "."),
        ({"files": None}, "incomplete"),
    ],
)
def test_a_generation_made_for_something_else_is_refused_with_the_reason(
    stored: Path, embedder: HybridEmbedder, changes: dict[str, object], sentence: str
) -> None:
    rewritten(stored, **changes)
    index = opened(stored, embedder)
    assert index.load() is None
    assert sentence in index.refused[0]


def test_an_older_usable_generation_is_taken_when_the_newest_is_damaged(
    stored: Path, embedder: HybridEmbedder, entries: list[Entry]
) -> None:
    index = opened(stored, embedder)
    index.load()
    index.add(entries[60:70])
    assert index.build() == 2
    flip(stored.parent / "generation-00000002" / "vectors.f32", 9)
    fallback = opened(stored, embedder)
    assert fallback.load() == frozenset(range(1, 61))
    assert fallback.generation == 1 and "vectors.f32" in fallback.refused[0]


def test_the_next_generation_takes_a_new_number_even_after_a_damaged_one(
    stored: Path, embedder: HybridEmbedder, entries: list[Entry]
) -> None:
    (stored / "manifest.json").unlink()
    index = opened(stored, embedder)
    assert index.load() is None
    index.add(entries[:60])
    assert index.build() == 2
    assert opened(stored, embedder).load() == frozenset(range(1, 61))


def test_old_generations_and_abandoned_builds_are_cleared_away(
    stored: Path, embedder: HybridEmbedder, entries: list[Entry]
) -> None:
    abandoned, running = stored.parent / ".building-1-1", stored.parent / ".building-2-2"
    abandoned.mkdir()
    running.mkdir()
    os.utime(abandoned, (0, 0))
    index = opened(stored, embedder)
    index.load()
    for row in entries[60:63]:
        index.add([row])
        index.build()
    names = sorted(path.name for path in stored.parent.iterdir())
    assert names == [".building-2-2", "generation-00000003", "generation-00000004"]


def test_a_half_written_generation_is_never_seen(stored: Path, embedder: HybridEmbedder) -> None:
    shutil.copytree(stored, stored.parent / ".building-7-7")
    shutil.rmtree(stored)
    assert opened(stored, embedder).load() is None


def test_a_failed_build_leaves_the_index_as_it_was(
    stored: Path, embedder: HybridEmbedder, entries: list[Entry], texts: list[str]
) -> None:
    index = opened(stored, embedder)
    index.load()
    index.add(entries[60:70])
    shutil.rmtree(stored.parent)
    stored.parent.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="File exists|Not a directory"):
        index.build()
    assert index.generation == 1 and len(index.ids()) == 70
    assert index.search(texts[64], 1, BOTH).hits[0].id == 65


def test_the_graph_shape_is_kept_and_ef_follows_the_setting(stored: Path, embedder: HybridEmbedder) -> None:
    assert json.loads((stored / "manifest.json").read_text())["shape"]["ef_construction"] == 200
    found = generation.open_generation(stored.parent, 1, model_id=embedder.model_id, dim=1536, ef=99)
    assert found.graph is not None and found.graph.shape == GraphShape(ef=99)


def test_a_damaged_newer_generation_does_not_displace_the_one_in_use(
    stored: Path, embedder: HybridEmbedder, entries: list[Entry]
) -> None:
    index, other = opened(stored, embedder), opened(stored, embedder)
    index.load()
    other.load()
    other.build()
    flip(stored.parent / "generation-00000002" / "graph.hnsw", 50)
    assert index.load() == frozenset(range(1, 61))
    assert index.generation == 1 and "graph.hnsw" in index.refused[0]
