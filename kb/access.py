"""What a principal may read and write: the single place that answers these questions.

Permission hangs on groups; every chunk carries the number of one. Retrieval filters by these numbers, and
the SQL join filters again.
There are no accounts yet: the one local principal may do everything, anybody else nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from kb.errors import NotFound
from kb.models import Collection, Group


@dataclass(frozen=True)
class Principal:
    """Who acts. `id` is stable, `name` is shown."""

    id: str
    name: str


LOCAL = Principal("local", "local")
"""The person at this machine."""


def readable_groups(session: Session, principal: Principal, collections: Sequence[str] | None = None) -> frozenset[int]:
    """Return the groups the principal may read in the named collections; None means in all of them.

    Raises NotFound for a name that does not exist or that this principal may not know of.
    """
    rows = (
        []
        if principal != LOCAL
        else session.execute(select(Collection.name, Group.id).join(Group, Group.collection_id == Collection.id)).all()
    )
    if collections is None:
        return frozenset(group for _, group in rows)
    known = {name for name, _ in rows}
    for name in collections:
        if name not in known:
            raise NotFound(f"There is no collection named {name!r}.")
    return frozenset(group for name, group in rows if name in collections)


def writable_group(session: Session, principal: Principal, collection: str) -> Group:
    """Return the group that new documents of a collection belong to. Raises NotFound as `readable_groups` does."""
    group = (
        None
        if principal != LOCAL
        else session.scalars(
            select(Group)
            .join(Collection, Group.collection_id == Collection.id)
            .where(Collection.name == collection)
            .order_by(Group.id)
            .limit(1)
        ).first()
    )
    if group is None:
        raise NotFound(f"There is no collection named {collection!r}.")
    return group


def require_owner(principal: Principal) -> None:
    """Let only the owner of this installation pass: creating and deleting collections needs it. Raises NotFound."""
    if principal != LOCAL:
        raise NotFound("There is nothing here for this account.")
