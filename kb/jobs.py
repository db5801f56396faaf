"""The queue of uploads and the one worker loop that empties it.

A job belongs to a worker only as long as its lease lasts. The worker renews it while it works; when the process dies,
the lease runs out and another worker, or the next start of the program, takes the job up again.
"""

import logging
import os
import socket
import threading
import uuid
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, or_, select, update

from kb.database import Database
from kb.errors import KbError
from kb.ingestion import ClaimedJob, fail, process
from kb.models import Document, Job, now
from kb.processing import IngestParts, originals_of

LEASE_S: Final = 15.0
POLL_S: Final = 0.5
MOST_ATTEMPTS: Final = 3

_log = logging.getLogger(__name__)


class Stopped(Exception):
    """The worker is to stop; the job goes back to the queue."""


def claim_job(database: Database, owner: str, lease_s: float = LEASE_S) -> ClaimedJob | None:
    """Take the oldest job that nobody works on; None where there is none."""
    with database.read() as session:  # most of the time there is nothing to do, and looking takes no lock
        if session.scalar(select(Job.id).where(_free(now())).limit(1)) is None:
            return None
    with database.write() as session:
        job = session.scalars(
            select(Job).where(_free(now())).order_by(Job.id).limit(1).with_for_update(skip_locked=True)
        ).first()
        if job is None:
            return None
        job.owner, job.lease_until, job.attempts = owner, now() + timedelta(seconds=lease_s), job.attempts + 1
        return ClaimedJob(job.id, owner, job.document_id, job.sha256, job.size, job.media_type, job.attempts)


def renew_lease(database: Database, job: ClaimedJob, lease_s: float = LEASE_S) -> None:
    """Keep a job for another while."""
    with database.write() as session:
        session.execute(
            update(Job)
            .where(Job.id == job.id, Job.owner == job.owner)
            .values(lease_until=now() + timedelta(seconds=lease_s))
        )


def release_job(database: Database, job: ClaimedJob) -> None:
    """Give a job back to the queue; stopping on purpose is not an attempt that failed."""
    with database.write() as session:
        row = session.scalars(select(Job).where(Job.id == job.id, Job.owner == job.owner).with_for_update()).first()
        if row is not None:
            row.owner, row.lease_until, row.attempts = "", None, row.attempts - 1
            session.execute(update(Document).where(Document.id == job.document_id).values(state="queued", stage=""))


class JobWorker:
    """The thread that processes uploads, from `start` to `stop`."""

    def __init__(self, parts: IngestParts, *, lease_s: float = LEASE_S, poll_s: float = POLL_S) -> None:
        self._parts = parts
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._owner = f"{socket.gethostname()[:20]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="kb-jobs", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def wake(self) -> None:
        """Look for work now instead of at the next poll."""
        self._wake.set()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Stop between two steps of the current job, which goes back to the queue."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _loop(self) -> None:
        originals_of(self._parts).sweep()
        while not self._stopping.is_set():
            try:
                if self._step():
                    continue
            except Exception:  # noqa: BLE001
                # The worker must outlive whatever a job or the database does; the job's lease brings it back.
                _log.exception("the worker met an error that it did not expect")
            self._wake.wait(self._poll_s)
            self._wake.clear()

    def _step(self) -> bool:
        job = claim_job(self._parts.database, self._owner, self._lease_s)
        if job is None:
            return False
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(job, done), name="kb-lease", daemon=True)
        keeper.start()
        try:
            self._work(job)
        finally:
            done.set()
            keeper.join()
        return True

    def _work(self, job: ClaimedJob) -> None:
        if job.attempts > MOST_ATTEMPTS:
            fail(self._parts, job, f"The program ended {MOST_ATTEMPTS} times while processing this file.")
            return
        try:
            process(self._parts, job, self._beat)
        except Stopped:
            release_job(self._parts.database, job)
        except KbError as error:
            _log.warning("document %s failed: %s", job.document_id, error.message)
            fail(self._parts, job, error.message)
        except Exception:  # noqa: BLE001
            _log.exception("document %s failed", job.document_id)
            fail(self._parts, job, "An unexpected error stopped it; the log of the program has the details.")

    def _beat(self) -> None:
        if self._stopping.is_set():
            raise Stopped

    def _keep(self, job: ClaimedJob, done: threading.Event) -> None:
        while not done.wait(self._lease_s / 3):
            try:
                renew_lease(self._parts.database, job, self._lease_s)
            except KbError as error:
                _log.warning("the lease of job %d could not be renewed: %s", job.id, error.message)


def _free(time: datetime) -> ColumnElement[bool]:
    return or_(Job.lease_until.is_(None), Job.lease_until < time)
