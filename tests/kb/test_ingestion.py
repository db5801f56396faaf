import io
from pathlib import Path

import pytest

from kb import collections, documents
from kb.access import LOCAL, Principal
from kb.errors import Busy, InvalidInput, NotFound, TooLarge, UnsupportedType
from kb.ingestion import Upload, accept, delete_collection, delete_document, ingest_paths
from kb.jobs import JobWorker
from kb.processing import originals_of
from tests.kb.parts import Parts, open_parts, until, waiting

NOTE = b"# Vacation\n\nEvery employee has 25 days of vacation a year.\n"


def upload(data: bytes = NOTE, path: str = "vacation.md", collection: str = "default") -> Upload:
    return Upload(collection, path, io.BytesIO(data))


def record(parts: Parts, document_id: str) -> documents.DocumentRecord:
    with parts.database.read() as session:
        return documents.get_document(session, LOCAL, document_id)


def work(parts: Parts) -> None:
    """Let a worker empty the queue."""
    worker = JobWorker(parts, poll_s=0.01)
    worker.start()
    try:
        until(lambda: not waiting(parts))
    finally:
        worker.stop()


def test_an_accepted_upload_is_queued_with_its_bytes_kept(parts: Parts):
    accepted = accept(parts, LOCAL, upload())
    assert (accepted.state, accepted.unchanged) == ("queued", False)
    stored = record(parts, accepted.id)
    assert (stored.source, stored.path, stored.state, stored.chunks) == ("upload", "vacation.md", "queued", 0)
    assert originals_of(parts).path(stored.sha256).read_bytes() == NOTE


def test_a_processed_upload_is_found(parts: Parts):
    accepted = accept(parts, LOCAL, upload())
    assert parts.found("vacation") == []
    work(parts)
    assert record(parts, accepted.id).state == "ready"
    assert parts.found("vacation") == ["vacation.md"]


def test_the_same_bytes_again_change_nothing(parts: Parts):
    first = accept(parts, LOCAL, upload())
    assert accept(parts, LOCAL, upload()).unchanged
    work(parts)
    again = accept(parts, LOCAL, upload())
    assert (again.id, again.state, again.unchanged) == (first.id, "ready", True)


def test_the_old_version_stays_visible_until_the_new_one_is_ready(parts: Parts):
    accepted = accept(parts, LOCAL, upload())
    work(parts)
    replaced = accept(parts, LOCAL, upload(NOTE.replace(b"25", b"30")))
    assert replaced.id == accepted.id
    waiting_now = record(parts, accepted.id)
    assert (waiting_now.state, waiting_now.chunks) == ("queued", 1)
    assert parts.found("vacation") == ["vacation.md"]
    work(parts)
    with parts.database.read() as session:
        assert "30 days" in documents.document_text(session, LOCAL, accepted.id)
    assert parts.found("vacation") == ["vacation.md"]
    assert not originals_of(parts).path(waiting_now.sha256).exists()


def test_an_upload_that_fails_says_why_and_keeps_its_bytes(parts: Parts):
    accepted = accept(parts, LOCAL, upload(b"%PDF-1.7\nno pdf", "broken.pdf"))
    work(parts)
    failed = record(parts, accepted.id)
    assert (failed.state, failed.stage, failed.chunks) == ("failed", "parse", 0)
    assert failed.error
    assert originals_of(parts).path(failed.sha256).exists()


def test_a_newer_version_that_fails_leaves_the_older_one_and_drops_its_bytes(parts: Parts):
    accepted = accept(parts, LOCAL, upload())
    work(parts)
    good = record(parts, accepted.id).sha256
    accept(parts, LOCAL, upload(b"\x7fELF" + bytes(100)))
    work(parts)
    failed = record(parts, accepted.id)
    assert (failed.state, failed.sha256, failed.chunks) == ("failed", good, 1)
    assert parts.found("vacation") == ["vacation.md"]
    assert [path.name for path in parts.settings.originals_folder.glob("?" * 64)] == [good]


def test_deleting_removes_rows_text_bytes_and_index_entries(parts: Parts):
    accepted = accept(parts, LOCAL, upload())
    work(parts)
    assert parts.found("vacation") == ["vacation.md"]
    delete_document(parts, LOCAL, accepted.id)
    assert parts.found("vacation") == []
    assert parts.index.stats().live == 0
    assert list(parts.settings.originals_folder.glob("?" * 64)) == []
    with parts.database.read() as session, pytest.raises(NotFound):
        documents.document_text(session, LOCAL, accepted.id)


def test_bytes_shared_with_another_document_stay(parts: Parts):
    first = accept(parts, LOCAL, upload())
    second = accept(parts, LOCAL, upload(path="copy.md"))
    work(parts)
    delete_document(parts, LOCAL, first.id)
    assert originals_of(parts).path(record(parts, second.id).sha256).read_bytes() == NOTE
    assert parts.found("vacation") == ["copy.md"]


def test_deleting_a_waiting_upload_takes_its_job_along(parts: Parts):
    accepted = accept(parts, LOCAL, upload())
    delete_document(parts, LOCAL, accepted.id)
    work(parts)
    assert parts.found("vacation") == []
    assert list(parts.settings.originals_folder.glob("?" * 64)) == []


def test_deleting_a_collection_deletes_its_documents(parts: Parts, folder: Path):
    ingest_paths(parts, [folder], "one")
    ingest_paths(parts, [folder], "two")
    delete_collection(parts, LOCAL, "one")
    with parts.database.read() as session:
        assert [item.name for item in collections.list_collections(session, LOCAL)] == ["two"]
        assert documents.list_documents(session, LOCAL).total == 3
    assert sorted(parts.found("vacation")) == ["printer.txt", "sub/password.md", "vacation.md"]
    delete_collection(parts, LOCAL, "two")
    assert parts.found("vacation") == []
    assert list(parts.settings.originals_folder.glob("?" * 64)) == []


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (upload(b""), InvalidInput),
        (upload(path=""), InvalidInput),
        (upload(path="../.."), InvalidInput),
        (upload(path="a.exe"), UnsupportedType),
        (upload(collection="nowhere"), NotFound),
        (upload(path="long" * 600 + ".md"), InvalidInput),
    ],
    ids=["empty", "nameless", "dots", "type", "collection", "long"],
)
def test_what_cannot_be_accepted_leaves_nothing(sqlite_parts: Parts, given: Upload, error: type[Exception]):
    with pytest.raises(error):
        accept(sqlite_parts, LOCAL, given)
    with sqlite_parts.database.read() as session:
        assert documents.list_documents(session, LOCAL).total == 0
    assert [path for path in sqlite_parts.settings.originals_folder.rglob("*") if path.is_file()] == []


def test_an_upload_over_the_limit_leaves_nothing(own_home: Path, tiny: Path):
    own_home.mkdir(parents=True)
    (own_home / "settings.toml").write_text("max_upload_mb = 1\n")
    with open_parts(own_home, tiny) as parts:
        with pytest.raises(TooLarge):
            accept(parts, LOCAL, upload(b"x" * (1 << 20) + b"y"))
        assert [path for path in parts.settings.originals_folder.rglob("*") if path.is_file()] == []


def test_a_full_queue_refuses(own_home: Path, tiny: Path):
    own_home.mkdir(parents=True)
    (own_home / "settings.toml").write_text("queue_limit = 2\n")
    with open_parts(own_home, tiny) as parts:
        for number in range(2):
            accept(parts, LOCAL, upload(path=f"{number}.md"))
        with pytest.raises(Busy):
            accept(parts, LOCAL, upload(path="2.md"))


def test_paths_of_uploads_cannot_leave_their_folder(sqlite_parts: Parts):
    accepted = accept(sqlite_parts, LOCAL, upload(path="..\\..//etc/./pass\x00word.md"))
    assert record(sqlite_parts, accepted.id).path == "etc/password.md"


def test_a_stranger_may_neither_upload_nor_delete(sqlite_parts: Parts):
    stranger = Principal("stranger", "Stranger")
    accepted = accept(sqlite_parts, LOCAL, upload())
    with pytest.raises(NotFound):
        accept(sqlite_parts, stranger, upload(path="x.md"))
    with pytest.raises(NotFound):
        delete_document(sqlite_parts, stranger, accepted.id)
    with sqlite_parts.database.read() as session:
        assert documents.list_documents(session, stranger).total == 0
