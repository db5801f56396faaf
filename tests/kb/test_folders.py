import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from ingest.records import passage_text
from kb import documents
from kb.access import LOCAL
from kb.errors import InvalidInput, NotReady
from kb.folders import Progress
from kb.ingestion import ingest_paths
from kb.models import Chunk, Document
from kb.processing import originals_of
from retrieval.embedder import HybridEmbedder
from tests.kb.parts import Parts, open_parts


def stored(parts: Parts) -> dict[str, documents.DocumentRecord]:
    with parts.database.read() as session:
        return {item.path: item for item in documents.list_documents(session, LOCAL).items}


def counts(summary) -> tuple[int, int, int, int, int]:
    return summary.added, summary.updated, summary.unchanged, len(summary.skipped), len(summary.failed)


def test_every_file_becomes_a_ready_document(parts: Parts, folder: Path):
    summary = ingest_paths(parts, [folder])
    assert counts(summary) == (3, 0, 0, 0, 0)
    assert {path: item.state for path, item in stored(parts).items()} == {
        "printer.txt": "ready",
        "sub/password.md": "ready",
        "vacation.md": "ready",
    }
    assert {item.source for item in stored(parts).values()} == {str(folder)}


def test_chunks_are_spans_of_the_stored_text(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    with parts.database.read() as session:
        for document in documents.list_documents(session, LOCAL).items:
            text = documents.document_text(session, LOCAL, document.id)
            page = documents.document_chunks(session, LOCAL, document.id)
            assert page.total == len(page.items) == document.chunks > 0
            assert all(chunk.text == text[chunk.start : chunk.end] for chunk in page.items)


def test_vectors_are_stored_as_embedded_with_title_and_heading(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    with parts.database.read() as session:
        rows = session.execute(
            select(Document.title, Chunk.heading, Chunk.text, Chunk.vector).join(
                Document, Document.id == Chunk.document_id
            )
        ).all()
    for title, heading, text, vector in rows:
        expected = parts.embedder.embed_passages([passage_text(title, heading, text)])[0]
        assert vector == expected.astype("<f4").tobytes()


def test_original_bytes_are_kept_under_their_hash(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    data = (folder / "vacation.md").read_bytes()
    assert stored(parts)["vacation.md"].sha256 == hashlib.sha256(data).hexdigest()
    assert originals_of(parts).path(hashlib.sha256(data).hexdigest()).read_bytes() == data
    assert not list((parts.settings.originals_folder / "incoming").iterdir())


def test_unchanged_files_are_not_embedded_again(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    before = stored(parts)
    again = ingest_paths(parts, [folder])
    assert counts(again) == (0, 0, 3, 0, 0)
    assert again.chunks == 0
    assert stored(parts) == before


def test_a_changed_file_replaces_its_version(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    before = stored(parts)["vacation.md"]
    (folder / "vacation.md").write_text("# Vacation\n\nEvery employee has 30 days of vacation.\n")
    assert counts(ingest_paths(parts, [folder])) == (0, 1, 2, 0, 0)
    after = stored(parts)["vacation.md"]
    assert after.id == before.id
    assert after.sha256 != before.sha256
    assert not originals_of(parts).path(before.sha256).exists()
    with parts.database.read() as session:
        assert "30 days" in documents.document_text(session, LOCAL, after.id)
        texts = session.scalars(select(Chunk.text).where(Chunk.document_id == after.id)).all()
    assert all("25 days" not in text for text in texts)


def test_a_bad_file_fails_alone_and_with_a_sentence(parts: Parts, folder: Path):
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is no pdf at all")
    summary = ingest_paths(parts, [folder])
    assert counts(summary) == (3, 0, 0, 0, 1)
    assert summary.failed[0].path == str(folder / "broken.pdf")
    failed = stored(parts)["broken.pdf"]
    assert (failed.state, failed.error, failed.chunks) == ("failed", summary.failed[0].reason, 0)
    assert "broken.pdf" not in parts.found("pdf")


def test_a_version_that_fails_leaves_the_one_before_searchable(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    good = (folder / "printer.txt").read_bytes()
    (folder / "printer.txt").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(500))
    assert counts(ingest_paths(parts, [folder])) == (0, 0, 2, 0, 1)
    failed = stored(parts)["printer.txt"]
    assert (failed.state, failed.sha256) == ("failed", hashlib.sha256(good).hexdigest())
    assert "printer.txt" in parts.found("printer colour")
    (folder / "printer.txt").write_bytes(good)
    assert counts(ingest_paths(parts, [folder])) == (0, 1, 2, 0, 0)
    assert stored(parts)["printer.txt"].state == "ready"


def test_files_over_the_limit_fail(own_home: Path, tiny: Path, folder: Path):
    (own_home).mkdir(parents=True)
    (own_home / "settings.toml").write_text("max_upload_mb = 1\n")
    (folder / "huge.txt").write_text("word " * 300_000)
    with open_parts(own_home, tiny) as parts:
        summary = ingest_paths(parts, [folder])
    assert [note.reason for note in summary.failed] == [
        "The file is larger than 1 MB, the largest that is read (KB_MAX_UPLOAD_MB)."
    ]


def test_empty_and_unsupported_files_of_a_walk_are_skipped(parts: Parts, folder: Path):
    (folder / "empty.md").write_text("")
    (folder / "blank.md").write_text("  \n\n")
    (folder / "image.png").write_bytes(b"\x89PNG\r\n")
    summary = ingest_paths(parts, [folder])
    assert counts(summary) == (3, 0, 0, 3, 0)
    assert set(stored(parts)) == {"printer.txt", "sub/password.md", "vacation.md"}


def test_a_path_that_does_not_exist_fails_and_the_rest_goes_on(parts: Parts, folder: Path):
    summary = ingest_paths(parts, [folder / "nowhere", folder])
    assert counts(summary) == (3, 0, 0, 0, 1)


def test_gone_files_are_reported_and_kept_without_prune(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    (folder / "printer.txt").unlink()
    summary = ingest_paths(parts, [folder])
    assert (summary.gone, summary.pruned) == ((f"{folder}/printer.txt",), 0)
    assert "printer.txt" in stored(parts)


def test_prune_removes_gone_files_everywhere(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    sha256 = stored(parts)["printer.txt"].sha256
    (folder / "printer.txt").unlink()
    summary = ingest_paths(parts, [folder], prune=True)
    assert (len(summary.gone), summary.pruned) == (1, 1)
    assert "printer.txt" not in stored(parts)
    assert "printer.txt" not in parts.found("printer colour")
    assert not originals_of(parts).path(sha256).exists()


def test_a_file_emptied_later_counts_as_gone(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    (folder / "printer.txt").write_text(" \n")
    summary = ingest_paths(parts, [folder], prune=True)
    assert (len(summary.skipped), summary.pruned) == (1, 1)
    assert "printer.txt" not in stored(parts)


def test_prune_of_one_root_leaves_other_roots_and_single_files_alone(parts: Parts, folder: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.md").write_text("Alpha is the first letter.\n")
    ingest_paths(parts, [folder, other])
    (other / "a.md").unlink()
    assert ingest_paths(parts, [folder], prune=True).gone == ()
    assert ingest_paths(parts, [folder / "vacation.md"], prune=True).gone == ()
    assert "a.md" in stored(parts)


def test_one_file_named_is_the_same_document_as_in_its_folder(parts: Parts, folder: Path):
    ingest_paths(parts, [folder])
    assert counts(ingest_paths(parts, [folder / "vacation.md"])) == (0, 0, 1, 0, 0)


def test_the_same_folder_in_two_collections_is_two_sets_of_documents(parts: Parts, folder: Path):
    ingest_paths(parts, [folder], "one")
    assert counts(ingest_paths(parts, [folder], "two")) == (3, 0, 0, 0, 0)
    with parts.database.read() as session:
        assert documents.list_documents(session, LOCAL, "one").total == 3
        assert documents.list_documents(session, LOCAL).total == 6


def test_two_ingests_of_a_folder_at_once_store_every_file_once(parts: Parts, folder: Path):
    for number in range(40):
        (folder / f"page-{number}.md").write_text(f"# Page {number}\n\nThe answer of page {number} is {number * 7}.\n")
    summaries, errors = [], []

    def run() -> None:
        try:
            summaries.append(ingest_paths(parts, [folder]))
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(summary.added for summary in summaries) == 43
    assert all(summary.added + summary.unchanged == 43 for summary in summaries)
    with parts.database.read() as session:
        documents_stored = session.scalar(select(func.count()).select_from(Document))
        chunks = session.execute(select(Chunk.document_id, Chunk.ordinal)).all()
    assert documents_stored == 43
    assert len(chunks) == len(set(chunks))


def test_progress_ends_with_every_file_done(sqlite_parts: Parts, folder: Path):
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is no pdf at all")
    (folder / "empty.md").write_text("")
    seen: list[Progress] = []
    summary = ingest_paths(sqlite_parts, [folder], progress=seen.append)
    assert (seen[-1].done, seen[-1].total) == (5, 5)
    assert (seen[-1].chunks, seen[-1].tokens) == (summary.chunks, summary.tokens)
    assert summary.chunks > 0
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_a_name_that_is_no_unicode_is_reported_and_the_rest_goes_on(parts: Parts, folder: Path):
    try:
        (folder / b"caf\xe9.md".decode("utf-8", "surrogateescape")).write_text("The cafeteria opens at nine.\n")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names; run on ext4")
    assert counts(ingest_paths(parts, [folder])) == (3, 0, 0, 1, 0)


def test_text_with_null_characters_is_stored(parts: Parts, folder: Path):
    (folder / "null.txt").write_bytes(b"The first\x00 line of a file with a null byte in it.\n")
    summary = ingest_paths(parts, [folder])
    assert summary.added + len(summary.failed) == 4


def test_a_bad_collection_name_is_refused(sqlite_parts: Parts, folder: Path):
    with pytest.raises(InvalidInput, match="cannot name a collection"):
        ingest_paths(sqlite_parts, [folder], "../x")


def test_vectors_of_two_models_are_never_mixed(own_home: Path, tiny: Path, folder: Path):
    with open_parts(own_home, tiny) as parts:
        ingest_paths(parts, [folder])
    with open_parts(own_home, tiny, model_id="another") as parts:
        with pytest.raises(NotReady, match="kb reindex"):
            ingest_paths(parts, [folder])
        with pytest.raises(NotReady, match="kb reindex"):
            parts.index.open()


def test_a_text_that_the_encoder_makes_nothing_of_fails_alone(sqlite_parts: Parts, folder: Path):
    encode = sqlite_parts.encoder.encode

    def meaning(texts, kind):
        return encode(texts, kind) * np.float32("vacation" not in texts[0])

    parts = replace(sqlite_parts, embedder=HybridEmbedder(meaning, sqlite_parts.encoder.model_id))
    summary = ingest_paths(parts, [folder])
    assert counts(summary) == (2, 0, 0, 0, 1)
    assert "cannot be embedded" in summary.failed[0].reason
    assert stored(parts)["vacation.md"].state == "failed"
    assert not list((parts.settings.originals_folder / "incoming").iterdir())
