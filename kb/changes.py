"""The change number: how every process learns, with one cheap read, that chunks came or went.

A transaction that touches chunks calls `next_change` before anything else. The row lock it takes puts such
transactions in a line, so chunk ids are committed in the order in which they are given out, and "ids above the last
one seen" misses none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from kb.errors import NotReady
from kb.models import Change, Removal

KEPT_CHANGES: Final = 2_000
"""For so many changes the removed ids are logged; a process further behind compares all ids."""
TRIM_EVERY: Final = 100
"""Changes from one shortening of the log to the next."""


@dataclass(frozen=True)
class ChangeState:
    """Where the data stands; `embedder_id` is empty as long as nothing was ever embedded."""

    number: int
    log_floor: int
    embedder_id: str


def change_state(session: Session) -> ChangeState:
    """Read the change number: one row by its key."""
    row = session.execute(select(Change.number, Change.log_floor, Change.embedder_id).where(Change.id == 1)).one()
    return ChangeState(*row)


def removed_since(session: Session, number: int) -> bool:
    """Whether any change after `number` removed chunks."""
    state = change_state(session)
    if state.number == number:
        return False
    logged = session.scalar(select(Removal.chunk_id).where(Removal.number > number).limit(1))
    return logged is not None or state.log_floor > number


def check_embedder(stored: str, current: str) -> None:
    """Refuse to mix vectors of two models. Raises NotReady with the command that helps."""
    if stored and stored != current:
        raise NotReady(
            f"The stored passages were embedded by {stored}, but this program embeds with {current}; "
            "run `kb reindex` once to embed them again."
        )


def lock_changes(session: Session) -> Change:
    """Wait for other writers of documents and keep them waiting until this transaction ends."""
    return session.scalars(select(Change).where(Change.id == 1).with_for_update()).one()


def next_change(session: Session, embedder_id: str | None = None) -> int:
    """Lock the line of writers and take the next number. With `embedder_id`, vectors of that model may be added."""
    change = lock_changes(session)
    if embedder_id is not None:
        check_embedder(change.embedder_id, embedder_id)
        change.embedder_id = embedder_id
    change.number += 1
    if change.number % TRIM_EVERY == 0 and change.number - KEPT_CHANGES > change.log_floor:
        change.log_floor = change.number - KEPT_CHANGES
        session.execute(delete(Removal).where(Removal.number <= change.log_floor))
    session.flush()
    return change.number


def log_removals(session: Session, number: int, chunk_ids: Iterable[int]) -> None:
    """Note which chunks the change `number` removes."""
    rows = [{"chunk_id": chunk_id, "number": number} for chunk_id in chunk_ids]
    if rows:
        session.execute(insert(Removal), rows)
