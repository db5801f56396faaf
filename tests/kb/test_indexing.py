import threading
from pathlib import Path

import pytest
from filelock import FileLock
from sqlalchemy import event, select

from kb import changes, documents
from kb.access import LOCAL, readable_groups
from kb.errors import NotReady
from kb.indexing import BUILDER_LOCK
from kb.ingestion import delete_document, ingest_paths
from kb.models import Chunk, Removal
from kb.reindexing import reindex
from retrieval.search import SearchKnobs
from tests.kb.parts import Parts, open_parts, until

EAGER = SearchKnobs(rebuild_rows=2, rebuild_share=0.25)


def pages(folder: Path, numbers: range) -> None:
    for number in numbers:
        (folder / f"page-{number}.md").write_text(f"# Page {number}\n\nThe answer of page {number} is {number * 7}.\n")


def chunk_ids(parts: Parts) -> set[int]:
    with parts.database.read() as session:
        return set(session.scalars(select(Chunk.id)))


def files_of_generation(parts: Parts) -> list[Path]:
    return sorted(
        path for path in parts.settings.index_folder.rglob("*") if path.is_file() and path.name != BUILDER_LOCK
    )


def test_what_is_committed_is_found_by_the_next_search(parts: Parts, folder: Path):
    assert parts.found("vacation") == []
    ingest_paths(parts, [folder])
    assert parts.found("vacation")[0] == "vacation.md"


def test_a_search_without_changes_reads_one_row(sqlite_parts: Parts, folder: Path):
    ingest_paths(sqlite_parts, [folder])
    sqlite_parts.found("vacation")
    statements: list[str] = []
    event.listen(sqlite_parts.database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    sqlite_parts.index.sync()
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 1


def test_an_index_opened_later_holds_the_same(own_home: Path, tiny: Path, folder: Path):
    with open_parts(own_home, tiny) as parts:
        ingest_paths(parts, [folder])
        parts.index.open()
        expected = parts.found("vacation of the employee")
        assert parts.index.build(even_if_not_due=True)
    with open_parts(own_home, tiny) as parts:
        parts.index.open()
        assert parts.index.generation == 1
        assert parts.index.stats().buffered == 0
        assert parts.found("vacation of the employee") == expected


def test_changes_after_a_generation_are_applied_to_it(own_home: Path, tiny: Path, folder: Path):
    with open_parts(own_home, tiny) as parts:
        ingest_paths(parts, [folder])
        parts.index.open()
        parts.index.build(even_if_not_due=True)
    (folder / "printer.txt").unlink()
    (folder / "parking.md").write_text("Parking is free for guests.\n")
    with open_parts(own_home, tiny) as parts:
        ingest_paths(parts, [folder], prune=True)
    with open_parts(own_home, tiny) as parts:
        parts.index.open()
        stats = parts.index.stats()
        assert (stats.generation, stats.live, stats.buffered, stats.removed) == (1, 3, 1, 1)
        assert set(parts.found("guests printer vacation")) == {"parking.md", "vacation.md", "sub/password.md"}


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "empty folder"])
def test_a_damaged_index_is_noticed_and_rebuilt(own_home: Path, tiny: Path, folder: Path, damage: str):
    with open_parts(own_home, tiny) as parts:
        ingest_paths(parts, [folder])
        parts.index.open()
        parts.index.build(even_if_not_due=True)
        expected = parts.found("vacation of the employee")
        for path in files_of_generation(parts):
            data = bytearray(path.read_bytes())
            if damage == "truncate":
                path.write_bytes(data[: len(data) // 2])
            elif damage == "flip" and data:
                data[len(data) // 2] ^= 1
                path.write_bytes(data)
            elif damage == "delete":
                path.unlink()
                break
            elif damage == "empty folder":
                path.unlink()
    with open_parts(own_home, tiny) as parts:
        parts.index.open()
        assert parts.found("vacation of the employee") == expected
        assert parts.index.build(even_if_not_due=True)
    with open_parts(own_home, tiny) as parts:
        parts.index.open()
        assert (parts.index.generation > 0, parts.index.stats().buffered) == (True, 0)
        assert parts.found("vacation of the employee") == expected


def test_the_follower_builds_when_it_pays(own_home: Path, tiny: Path, folder: Path):
    with open_parts(own_home, tiny, knobs=EAGER) as parts:
        parts.index.open()
        parts.index.start()
        ingest_paths(parts, [folder])
        until(lambda: parts.index.generation == 1 and parts.index.stats().buffered == 0)
        pages(folder, range(1))
        (folder / "vacation.md").unlink()
        (folder / "printer.txt").unlink()
        ingest_paths(parts, [folder], prune=True)
        until(lambda: parts.index.generation == 2 and parts.index.stats().removed == 0)
        assert set(parts.found("page")) == {"page-0.md", "sub/password.md"}


def test_only_one_process_builds(own_home: Path, tiny: Path, folder: Path):
    with open_parts(own_home, tiny) as parts:
        ingest_paths(parts, [folder])
        parts.index.open()
        parts.settings.index_folder.mkdir(parents=True, exist_ok=True)
        with FileLock(parts.settings.index_folder / BUILDER_LOCK):
            assert not parts.index.build(even_if_not_due=True)
        assert parts.index.build(even_if_not_due=True)


def test_a_generation_another_process_built_is_taken_over(own_home: Path, tiny: Path, folder: Path):
    with open_parts(own_home, tiny, knobs=EAGER) as first, open_parts(own_home, tiny, knobs=EAGER) as second:
        ingest_paths(first, [folder])
        first.index.open()
        second.index.open()
        assert first.index.build()
        assert second.index.build()
        assert (second.index.generation, second.index.stats().buffered) == (1, 0)


def test_a_process_that_the_log_no_longer_reaches_compares_all_ids(parts: Parts, folder: Path):
    pages(folder, range(3))
    ingest_paths(parts, [folder])
    parts.found("page")
    with parts.database.read() as session:
        ids = [item.id for item in documents.list_documents(session, LOCAL).items if item.path.startswith("page")]
    for document_id in ids:
        delete_document(parts, LOCAL, document_id)
    with parts.database.write() as session:
        for _ in range(changes.KEPT_CHANGES + changes.TRIM_EVERY):
            changes.next_change(session)
    with parts.database.read() as session:
        assert changes.change_state(session).log_floor > 0
        assert session.scalars(select(Removal.chunk_id)).all() == []
    parts.index.sync()
    assert parts.index.stats().live == len(chunk_ids(parts)) == 3


def test_a_document_that_is_replaced_is_always_found_in_exactly_one_version(parts: Parts, folder: Path):
    page = folder / "page.md"
    page.write_text("# Zebra\n\nThe zebra of version 0.\n")
    ingest_paths(parts, [folder])
    parts.index.start()
    stop = threading.Event()
    seen: list[list[str]] = []

    def read() -> None:
        with parts.database.read() as session:
            groups = readable_groups(session, LOCAL)
        while not stop.is_set():
            found = parts.index.find("zebra", 10, groups).passages
            seen.append([passage.chunk.text for passage in found if passage.chunk.path == "page.md"])

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(1, 15):
        page.write_text(f"# Zebra\n\nThe zebra of version {version}.\n")
        ingest_paths(parts, [page])
    stop.set()
    reader.join()
    assert len(seen) > 10
    assert [texts for texts in seen if len(texts) != 1] == []
    versions = [int(texts[0].rstrip(".").rpartition(" ")[2]) for texts in seen]
    assert versions == sorted(versions)


def test_groups_are_applied_again_when_passages_are_loaded(parts: Parts, folder: Path):
    ingest_paths(parts, [folder], "one")
    ingest_paths(parts, [folder], "two")
    with parts.database.read() as session:
        one = readable_groups(session, LOCAL, ["one"])
        two = readable_groups(session, LOCAL, ["two"])
    found = [passage.hit.id for passage in parts.index.find("vacation", 5, one).passages]
    with parts.database.read() as session:
        assert documents.load_chunks(session, found, two) == []
        assert len(documents.load_chunks(session, found, one)) == len(found) == 3
    assert parts.index.find("vacation", 5, frozenset()).passages == ()


def test_reindex_embeds_every_passage_with_the_new_model(own_home: Path, tiny: Path, folder: Path, database_url: str):
    with open_parts(own_home, tiny, database_url) as parts:
        ingest_paths(parts, [folder])
        parts.index.open()
        parts.index.build(even_if_not_due=True)
        before = chunk_ids(parts)
    with open_parts(own_home, tiny, database_url, model_id="another") as parts:
        steps: list[tuple[int, int]] = []
        assert reindex(parts, lambda done, total: steps.append((done, total))) == 3
        assert steps == [(3, 3)]
        parts.index.open()
        assert parts.found("vacation")[0] == "vacation.md"
        assert chunk_ids(parts) == before
        assert parts.index.build(even_if_not_due=True)


def test_a_reindex_cut_short_is_refused_until_it_is_finished(own_home: Path, tiny: Path, folder: Path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with open_parts(own_home, tiny) as parts:
        ingest_paths(parts, [folder])
        parts.index.open()
        with pytest.raises(KeyboardInterrupt):
            reindex(parts, stop)
        with pytest.raises(NotReady, match="kb reindex"):
            parts.found("vacation")
        reindex(parts)
        assert parts.found("vacation")[0] == "vacation.md"
