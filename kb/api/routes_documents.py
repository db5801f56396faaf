"""Documents: upload, list, look into, delete."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Response, UploadFile
from fastapi.responses import FileResponse

from kb import documents, ingestion
from kb.api.deps import DEFAULT_LIMIT, Caller, Limit, Offset, Parts, Worker
from kb.api.errors import failures
from kb.api.schemas import (
    AcceptedOut,
    ChunkOut,
    ChunksOut,
    CollectionName,
    DocumentDetailOut,
    DocumentOut,
    DocumentsOut,
    TextOut,
)
from kb.collections import DEFAULT_COLLECTION
from kb.errors import InvalidInput, NotFound
from kb.processing import originals_of

PREFIX = "/v1/documents"
MISSING = failures(404)

router = APIRouter(prefix=PREFIX, tags=["documents"])


@router.post(
    "",
    status_code=202,
    responses=failures(404, 413, 415, 429),
)
def upload_document(
    parts: Parts,
    caller: Caller,
    worker: Worker,
    file: Annotated[UploadFile, File(description="The file; its name with its extension says how it is read.")],
    collection: Annotated[CollectionName, Form()] = DEFAULT_COLLECTION,
) -> AcceptedOut:
    """Take a file in. It is safe on disk when this answers, and is processed after that: ask for its state."""
    if not file.filename:
        raise InvalidInput("The file needs a name: its extension says how it is read.")
    upload = ingestion.Upload(collection=collection, path=file.filename, stream=file.file)
    accepted = ingestion.accept(parts, caller, upload)
    worker.wake()
    return AcceptedOut(id=accepted.id, state=accepted.state, unchanged=accepted.unchanged)


@router.get("", responses=MISSING)
def list_documents(
    parts: Parts,
    caller: Caller,
    collection: CollectionName | None = None,
    state: Literal["queued", "processing", "ready", "failed"] | None = None,
    limit: Limit = DEFAULT_LIMIT,
    offset: Offset = 0,
) -> DocumentsOut:
    """A page of the documents the caller may read, by source and path."""
    with parts.database.read() as session:
        page = documents.list_documents(session, caller, collection, state=state, limit=limit, offset=offset)
    items = [DocumentOut.model_validate(item) for item in page.items]
    return DocumentsOut(items=items, total=page.total, limit=limit, offset=offset)


@router.get("/{document_id}", responses=MISSING)
def get_document(document_id: str, parts: Parts, caller: Caller) -> DocumentDetailOut:
    """One document: its state, the stage it has reached, and what was left out of it."""
    with parts.database.read() as session:
        return DocumentDetailOut.model_validate(documents.get_document(session, caller, document_id))


@router.get("/{document_id}/text", responses=MISSING)
def get_text(document_id: str, parts: Parts, caller: Caller) -> TextOut:
    """The stored text, in which every `start` and `end` of this API counts characters."""
    with parts.database.read() as session:
        record = documents.get_document(session, caller, document_id)
        text = documents.document_text(session, caller, document_id)
    return TextOut(id=record.id, title=record.title, text=text)


@router.get("/{document_id}/content", response_class=FileResponse, responses=MISSING)
def get_content(document_id: str, parts: Parts, caller: Caller) -> FileResponse:
    """The original bytes, as a download: a browser never shows them as part of this site."""
    with parts.database.read() as session:
        record = documents.get_document(session, caller, document_id)
    path = originals_of(parts).path(record.sha256)
    if not record.sha256 or not path.is_file():
        raise NotFound(f"The original of document {document_id!r} is not kept.")
    name = record.path.rpartition("/")[2]
    return FileResponse(
        path,
        media_type=record.media_type or "application/octet-stream",
        filename=name,
        content_disposition_type="attachment",
        headers={"Content-Security-Policy": "sandbox; default-src 'none'"},
    )


@router.get("/{document_id}/chunks", responses=MISSING)
def list_chunks(
    document_id: str, parts: Parts, caller: Caller, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
) -> ChunksOut:
    """A page of the passages a document was cut into, in their order."""
    with parts.database.read() as session:
        page = documents.document_chunks(session, caller, document_id, limit=limit, offset=offset)
    items = [ChunkOut.model_validate(item) for item in page.items]
    return ChunksOut(items=items, total=page.total, limit=limit, offset=offset)


@router.delete("/{document_id}", status_code=204, responses=MISSING)
def delete_document(document_id: str, parts: Parts, caller: Caller) -> Response:
    """Delete a document with its text, passages, vectors and original; it cannot be undone."""
    ingestion.delete_document(parts, caller, document_id)
    return Response(status_code=204)
