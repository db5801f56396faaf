"""Collections: list, create, delete."""

from __future__ import annotations

from fastapi import APIRouter, Response

from kb import collections, ingestion
from kb.api.deps import Caller, Parts
from kb.api.errors import failures
from kb.api.schemas import CollectionIn, CollectionOut, CollectionsOut

router = APIRouter(prefix="/v1/collections", tags=["collections"])


@router.get("")
def list_collections(parts: Parts, caller: Caller) -> CollectionsOut:
    """All collections the caller may read."""
    with parts.database.read() as session:
        found = collections.list_collections(session, caller)
    return CollectionsOut(items=[CollectionOut.model_validate(item) for item in found])


@router.post("", status_code=201, responses=failures(409))
def create_collection(body: CollectionIn, parts: Parts, caller: Caller) -> CollectionOut:
    """Make an empty collection."""
    with parts.database.write() as session:
        made = collections.create_collection(session, caller, body.name)
    return CollectionOut.model_validate(made)


@router.delete("/{name}", status_code=204, responses=failures(404))
def delete_collection(name: str, parts: Parts, caller: Caller) -> Response:
    """Delete a collection with all its documents; it cannot be undone."""
    ingestion.delete_collection(parts, caller, name)
    return Response(status_code=204)
