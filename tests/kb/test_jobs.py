import io
import time
from pathlib import Path

import pytest
from sqlalchemy import select, update

from kb import documents
from kb.access import LOCAL
from kb.ingestion import Upload, accept, delete_document, process
from kb.jobs import MOST_ATTEMPTS, JobWorker, claim_job, release_job, renew_lease
from kb.models import Job
from tests.kb.parts import Parts, until

NOTE = b"# Vacation\n\nEvery employee has 25 days of vacation a year.\n"


def put(parts: Parts, path: str = "vacation.md", data: bytes = NOTE) -> str:
    return accept(parts, LOCAL, Upload("default", path, io.BytesIO(data))).id


def state(parts: Parts, document_id: str) -> str:
    with parts.database.read() as session:
        return documents.get_document(session, LOCAL, document_id).state


def test_jobs_are_claimed_oldest_first_and_once(parts: Parts):
    first, second = put(parts, "a.md"), put(parts, "b.md", NOTE + b"More.\n")
    assert claim_job(parts.database, "one").document_id == first
    assert claim_job(parts.database, "two").document_id == second
    assert claim_job(parts.database, "three") is None


def test_a_lease_that_ran_out_frees_the_job(parts: Parts):
    put(parts)
    dead = claim_job(parts.database, "dead", lease_s=0.05)
    time.sleep(0.1)
    taken = claim_job(parts.database, "alive")
    assert (taken.id, taken.attempts) == (dead.id, 2)


def test_a_renewed_lease_keeps_the_job(parts: Parts):
    put(parts)
    job = claim_job(parts.database, "one", lease_s=0.05)
    renew_lease(parts.database, job, lease_s=30)
    time.sleep(0.1)
    assert claim_job(parts.database, "two") is None


def test_a_released_job_is_queued_again_without_counting_an_attempt(parts: Parts):
    document = put(parts)
    release_job(parts.database, claim_job(parts.database, "one"))
    assert state(parts, document) == "queued"
    assert claim_job(parts.database, "two").attempts == 1


def test_a_worker_that_lost_its_lease_commits_nothing(parts: Parts):
    document = put(parts)
    slow = claim_job(parts.database, "slow", lease_s=0.01)
    time.sleep(0.05)
    assert claim_job(parts.database, "fast") is not None
    assert not process(parts, slow, lambda: None)
    assert state(parts, document) != "ready"
    assert parts.found("vacation") == []


def test_a_document_deleted_while_it_is_processed_stays_deleted(parts: Parts):
    document = put(parts)
    job = claim_job(parts.database, "one")
    beats = iter([lambda: delete_document(parts, LOCAL, document)])
    assert not process(parts, job, lambda: next(beats, lambda: None)())
    with parts.database.read() as session:
        assert documents.list_documents(session, LOCAL).total == 0
    assert parts.found("vacation") == []
    assert list(parts.settings.originals_folder.glob("?" * 64)) == []


def test_an_upload_replaced_while_it_is_processed_gives_the_newer_one(parts: Parts):
    document = put(parts)
    job = claim_job(parts.database, "one")
    beats = iter([lambda: put(parts, data=NOTE.replace(b"25", b"30"))])
    assert not process(parts, job, lambda: next(beats, lambda: None)())
    assert process(parts, claim_job(parts.database, "two"), lambda: None)
    with parts.database.read() as session:
        assert "30 days" in documents.document_text(session, LOCAL, document)


def test_a_job_that_kills_its_worker_is_given_up(parts: Parts):
    document = put(parts)
    with parts.database.write() as session:
        session.execute(update(Job).values(attempts=MOST_ATTEMPTS))
    worker = JobWorker(parts, poll_s=0.01)
    worker.start()
    until(lambda: state(parts, document) == "failed")
    worker.stop()
    with parts.database.read() as session:
        assert session.scalars(select(Job)).all() == []
        assert "ended 3 times" in documents.get_document(session, LOCAL, document).error


def test_an_error_nobody_expected_fails_the_document_and_the_worker_goes_on(parts: Parts):
    lost, good = put(parts, "lost.md", b"# Lost\n\nIts bytes vanish.\n"), put(parts)
    for path in parts.settings.originals_folder.glob("?" * 64):
        if b"Lost" in path.read_bytes():
            path.unlink()
    worker = JobWorker(parts, poll_s=0.01)
    worker.start()
    until(lambda: state(parts, good) == "ready")
    worker.stop()
    assert state(parts, lost) == "failed"


def test_a_stopped_worker_gives_its_job_back(sqlite_parts: Parts, tmp_path: Path):
    document = put(
        sqlite_parts, "long.md", b"".join(b"# Part %d\n\nThe text of part %d.\n\n" % (n, n) for n in range(3000))
    )
    worker = JobWorker(sqlite_parts, poll_s=0.01)
    worker.start()
    until(lambda: state(sqlite_parts, document) == "processing")
    worker.stop()
    if state(sqlite_parts, document) == "ready":
        pytest.skip("the worker was done before it could be stopped; run on a slower machine")
    assert state(sqlite_parts, document) == "queued"
    assert claim_job(sqlite_parts.database, "next").attempts == 1
