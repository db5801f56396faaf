"""Every answer that was served is a stored row, with what it rested on.

`body` is the JSON object the caller got. When a document is deleted, the text that answers show of it goes too:
deleted means deleted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from kb.access import Principal
from kb.errors import NotFound
from kb.models import Answer, AnswerSource, Document


@dataclass(frozen=True)
class StoredAnswer:
    """An answer as served. `documents` are the ids of all documents whose text `body` shows."""

    id: str
    question: str
    answered: bool
    mode: str
    language: str
    confidence: float | None
    body: dict[str, Any]
    documents: frozenset[str] = frozenset()
    created_at: datetime | None = None


def save_answer(session: Session, principal: Principal, answer: StoredAnswer) -> None:
    """Store an answer; its id is a uuid in hex, made by the caller.

    Text of documents that were deleted while it was made is not stored.
    """
    here = set(session.scalars(select(Document.id).where(Document.id.in_(answer.documents)).with_for_update(read=True)))
    gone = set(answer.documents) - here
    session.add(
        Answer(
            id=answer.id,
            principal_id=principal.id,
            question=answer.question,
            answered=answer.answered and not gone,
            mode=answer.mode,
            language=answer.language,
            confidence=answer.confidence,
            body=_withdrawn(answer.body, gone) if gone else answer.body,
        )
    )
    session.flush()
    session.add_all(AnswerSource(answer_id=answer.id, document_id=document) for document in sorted(here))


def load_answer(session: Session, principal: Principal, answer_id: str) -> StoredAnswer:
    """Return one answer of this principal. Raises NotFound, also for somebody else's."""
    row = session.get(Answer, answer_id)
    if row is None or row.principal_id != principal.id:
        raise NotFound(f"There is no answer {answer_id!r}.")
    return _record(session, row)


def list_answers(session: Session, principal: Principal, limit: int = 50, offset: int = 0) -> tuple[StoredAnswer, ...]:
    """Return a page of this principal's answers, newest first."""
    rows = session.scalars(
        select(Answer)
        .where(Answer.principal_id == principal.id)
        .order_by(Answer.created_at.desc(), Answer.id)
        .limit(limit)
        .offset(offset)
    )
    return tuple(_record(session, row) for row in rows)


def withdraw(session: Session, documents: Iterable[str]) -> None:
    """Take the text of deleted documents out of the answers that show it; the questions stay."""
    gone = set(documents)
    ids = select(AnswerSource.answer_id).where(AnswerSource.document_id.in_(gone))
    for row in session.scalars(select(Answer).where(Answer.id.in_(ids))):
        row.body = _withdrawn(row.body, gone)
        row.answered = False
    session.execute(delete(AnswerSource).where(AnswerSource.document_id.in_(gone)))


def _withdrawn(body: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    kept = {
        name: [item for item in body.get(name) or [] if item.get("document_id") not in gone]
        for name in ("citations", "passages")
    }
    return {**body, **kept, "answer": "", "quote": "", "answered": False, "withdrawn": True}


def _record(session: Session, row: Answer) -> StoredAnswer:
    documents = session.scalars(select(AnswerSource.document_id).where(AnswerSource.answer_id == row.id))
    return StoredAnswer(
        id=row.id,
        question=row.question,
        answered=row.answered,
        mode=row.mode,
        language=row.language,
        confidence=row.confidence,
        body=row.body,
        documents=frozenset(documents),
        created_at=row.created_at,
    )
