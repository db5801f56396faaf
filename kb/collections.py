"""Collections: named sets of documents asked together. Each has one group, `default`, whose number its chunks carry."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kb.access import Principal, readable_groups, require_owner
from kb.changes import lock_changes
from kb.documents import remove_documents
from kb.errors import Conflict, InvalidInput, NotFound
from kb.models import Collection, Document, Group

DEFAULT_COLLECTION: Final = "default"
"""Where documents go when no collection is named; made when it is first needed."""
_NAME: Final = re.compile(r"\w(?:[\w .-]{0,62}[\w.-])?")


@dataclass(frozen=True)
class CollectionRecord:
    """A collection and how much it holds."""

    name: str
    documents: int
    chunks: int
    created_at: datetime


def list_collections(session: Session, principal: Principal) -> tuple[CollectionRecord, ...]:
    """Return the collections in which the principal may read anything, by name."""
    return _records(session, readable_groups(session, principal))


def create_collection(session: Session, principal: Principal, name: str) -> CollectionRecord:
    """Make a new collection. Raises InvalidInput for a bad name, Conflict when it exists."""
    require_owner(principal)
    if not _ensure(session, name):
        raise Conflict(f"There is already a collection named {name!r}.")
    groups = readable_groups(session, principal, [name])
    return _records(session, groups)[0]


def ensure_collection(session: Session, principal: Principal, name: str) -> None:
    """Make the collection unless it exists. Raises InvalidInput for a bad name."""
    require_owner(principal)
    _ensure(session, name)


def delete_collection(session: Session, principal: Principal, name: str) -> frozenset[str]:
    """Delete a collection with all its documents; return the hashes of their bytes, for `discard_unused`."""
    require_owner(principal)
    lock_changes(session)
    collection = session.scalars(select(Collection).where(Collection.name == name)).first()
    if collection is None:
        raise NotFound(f"There is no collection named {name!r}.")
    hashes = remove_documents(
        session, session.scalars(select(Document.id).where(Document.collection_id == collection.id)).all()
    )
    session.execute(delete(Group).where(Group.collection_id == collection.id))
    session.execute(delete(Collection).where(Collection.id == collection.id))
    return hashes


def _ensure(session: Session, name: str) -> bool:
    """Make the collection; False when it is there already, even if another process made it a moment ago."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot name a collection: 1 to 64 letters, digits, spaces, dots, hyphens and underscores can."
        )
    if session.scalars(select(Collection.id).where(Collection.name == name)).first() is not None:
        return False
    try:
        with session.begin_nested():
            collection = Collection(name=name)
            session.add(collection)
            session.flush()
            session.add(Group(collection_id=collection.id, name="default"))
    except IntegrityError:
        return False
    return True


def _records(session: Session, groups: frozenset[int]) -> tuple[CollectionRecord, ...]:
    rows = session.execute(
        select(
            Collection.name,
            func.count(Document.id),
            func.coalesce(func.sum(Document.chunk_count), 0),
            Collection.created_at,
        )
        .join(Group, Group.collection_id == Collection.id)
        .outerjoin(Document, Document.group_id == Group.id)
        .where(Group.id.in_(groups))
        .group_by(Collection.id, Collection.name, Collection.created_at)
        .order_by(Collection.name)
    )
    return tuple(CollectionRecord(*row) for row in rows)
