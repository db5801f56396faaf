"""Several processes on one home, and processes that are killed."""

import io
import random
import signal
import time
from pathlib import Path

from sqlalchemy import func, select

from kb import documents
from kb.access import LOCAL
from kb.ingestion import Upload, accept, delete_document, ingest_paths
from kb.models import Chunk, Document, Job
from kb.processing import originals_of
from tests.kb.parts import Parts, finish, start


def write_pages(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"page-{number}.md").write_text(
            f"# Page {number}\n\n"
            + "".join(f"## Part {part}\n\nPart {part} of page {number}.\n\n" for part in range(5))
        )


def ready(parts: Parts) -> int:
    with parts.database.read() as session:
        return session.scalar(select(func.count()).select_from(Document).where(Document.state == "ready")) or 0


def assert_whole(parts: Parts) -> None:
    """Every document that is there is there with all its chunks, its text and its bytes."""
    with parts.database.read() as session:
        for item in documents.list_documents(session, LOCAL, limit=10_000).items:
            chunks = documents.document_chunks(session, LOCAL, item.id, limit=1000)
            text = documents.document_text(session, LOCAL, item.id)
            assert item.state == "ready"
            assert [chunk.ordinal for chunk in chunks.items] == list(range(item.chunks))
            assert item.chunks > 0
            assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks.items)
            assert originals_of(parts).path(item.sha256).exists()
        stray = select(func.count()).select_from(Chunk).where(Chunk.document_id.not_in(select(Document.id)))
        assert session.scalar(stray) == 0


def ask(server, query: str) -> list[str]:
    server.stdin.write(f"{query}\n")
    server.stdin.flush()
    return server.stdout.readline().split()


def test_an_ingest_that_is_killed_leaves_whole_documents_and_is_finished_by_the_next(parts: Parts, tmp_path: Path):
    folder, chance, total = tmp_path / "pages", random.Random(3), 150
    write_pages(folder, total)
    for after in (1, 40):
        with start("ingest and die", parts, str(after), str(chance.random() * 0.1), folder) as process:
            assert process.wait(240) == -signal.SIGKILL
        assert_whole(parts)
    survived = ready(parts)
    assert 0 < survived < total, "the process was killed in the middle"
    summary = ingest_paths(parts, [folder])
    assert (summary.added, summary.unchanged, summary.updated, summary.failed) == (total - survived, survived, 0, ())
    assert_whole(parts)
    parts.index.sync()
    with parts.database.read() as session:
        assert parts.index.stats().live == session.scalar(select(func.count()).select_from(Chunk))


def test_what_one_process_ingests_another_finds_with_its_next_search(parts: Parts, folder: Path):
    with start("serve", parts) as server:
        assert server.stdout.readline() == "ready\n"
        assert ask(server, "vacation") == []
        ingest_paths(parts, [folder])
        assert ask(server, "vacation")[0] == "vacation.md"


def test_what_one_process_deletes_another_finds_no_more(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    with parts.database.read() as session:
        ids = {item.path: item.id for item in documents.list_documents(session, LOCAL).items}
    with start("serve", parts) as server:
        assert server.stdout.readline() == "ready\n"
        for path in ("vacation.md", "printer.txt", "sub/password.md"):
            assert path in ask(server, "vacation printer password")
            delete_document(parts, LOCAL, ids[path])
            assert path not in ask(server, "vacation printer password")


def test_two_processes_ingest_one_folder_at_once(parts: Parts, tmp_path: Path):
    write_pages(tmp_path / "pages", 60)
    outputs = [finish(process) for process in [start("ingest", parts, tmp_path / "pages") for _ in range(2)]]
    counted = [[int(number) for number in output.split()] for output in outputs]
    assert sum(added for added, *_ in counted) == 60
    assert all(added + unchanged == 60 and not updated and not failed for added, updated, unchanged, failed in counted)
    assert ready(parts) == 60
    assert_whole(parts)


def test_a_server_keeps_up_with_a_long_ingest_of_another_process(parts: Parts, tmp_path: Path):
    write_pages(tmp_path / "pages", 60)
    parts.index.start()
    counts: list[int] = []
    with start("ingest", parts, tmp_path / "pages") as process:
        while process.poll() is None:
            parts.found("part of page")
            counts.append(parts.index.stats().live)
            time.sleep(0.1)
    parts.index.sync()
    counts.append(parts.index.stats().live)
    assert counts == sorted(counts)
    assert len(set(counts)) > 2, "what was committed meanwhile was found meanwhile"
    with parts.database.read() as session:
        assert counts[-1] == session.scalar(select(func.count()).select_from(Chunk))


def test_an_accepted_upload_survives_the_death_of_its_process(parts: Parts, tmp_path: Path):
    accepted = accept(parts, LOCAL, Upload("default", "note.md", io.BytesIO(b"# Note\n\nThe note is safe.\n")))
    with start("die", parts) as process:
        assert process.wait(180) == -signal.SIGKILL
    with parts.database.read() as session:
        assert session.scalars(select(Job.owner)).one() != ""
    finish(start("work", parts))
    with parts.database.read() as session:
        assert documents.get_document(session, LOCAL, accepted.id).state == "ready"
    assert parts.found("note") == ["note.md"]


def test_restart_finds_the_same(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    expected = parts.found("vacation of the employee")
    with start("serve", parts) as server:
        assert server.stdout.readline() == "ready\n"
        assert ask(server, "vacation of the employee") == expected
