"""Embed every stored passage again: needed when the model that makes vectors has changed.

Texts and offsets stay as they are. While it runs the vectors are marked unfinished, so that no process mixes two
models; a run that was cut short is simply started again.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import bindparam, func, select, update

from ingest.records import passage_text
from kb.changes import change_state, lock_changes
from kb.errors import Conflict
from kb.models import Chunk, Document
from kb.processing import IngestParts
from retrieval.lexical import pack_terms

_AT_ONCE: Final = 256  # chunks embedded and committed together


def reindex(parts: IngestParts, progress: Callable[[int, int], None] | None = None) -> int:
    """Embed all passages with the program's model; return how many.

    `progress` gets the passages done and their number. Raises Conflict when another model's reindex interferes.
    """
    model = parts.embedder.model_id
    unfinished = f"{model} (unfinished)"
    _mark(parts, unfinished)
    done, last = 0, 0
    with parts.database.read() as session:
        total = session.scalar(select(func.count()).select_from(Chunk)) or 0
    while rows := _block(parts, last):
        last = rows[-1][0]
        vectors = parts.embedder.embed_passages([text for _, text in rows])
        updates = [
            {"row": chunk_id, "new_vector": vector.astype("<f4").tobytes(), "new_terms": pack_terms(text)}
            for (chunk_id, text), vector in zip(rows, vectors, strict=True)
        ]
        with parts.database.write() as session:
            lock_changes(session)
            if change_state(session).embedder_id != unfinished:
                raise Conflict("Another reindex has begun; this one ends here.")
            statement = (
                update(Chunk.__table__)  # type: ignore[arg-type]
                .where(Chunk.__table__.c.id == bindparam("row"))
                .values(vector=bindparam("new_vector"), terms=bindparam("new_terms"))
            )
            session.connection().execute(statement, updates)
        done += len(rows)
        if progress is not None:
            progress(done, total)
    _mark(parts, model)
    return done


def _mark(parts: IngestParts, embedder_id: str) -> None:
    """Say whose vectors the rows hold, and make every process compare all of them."""
    with parts.database.write() as session:
        change = lock_changes(session)
        change.embedder_id = embedder_id
        change.number += 1
        change.log_floor = change.number


def _block(parts: IngestParts, last: int) -> Sequence[tuple[int, str]]:
    with parts.database.read() as session:
        rows = session.execute(
            select(Chunk.id, Document.title, Chunk.heading, Chunk.text)
            .join(Document, Document.id == Chunk.document_id)
            .where(Chunk.id > last)
            .order_by(Chunk.id)
            .limit(_AT_ONCE)
        ).all()
    return [(row.id, passage_text(row.title, row.heading, row.text)) for row in rows]
