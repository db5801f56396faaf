from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from kb.access import LOCAL, Principal, writable_group
from kb.answers import StoredAnswer, list_answers, load_answer, save_answer
from kb.collections import ensure_collection
from kb.database import Database, open_database
from kb.documents import remove_documents
from kb.errors import NotFound
from kb.models import UPLOAD, Document
from kb.settings import Settings


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    database = open_database(Settings(home=tmp_path, database_url=database_url))
    with database.write() as session:
        ensure_collection(session, LOCAL, "default")
        group = writable_group(session, LOCAL, "default")
        for name in ("d1", "d2"):
            session.add(
                Document(
                    id=name,
                    collection_id=group.collection_id,
                    group_id=group.id,
                    source=UPLOAD,
                    path=name,
                    state="ready",
                )
            )
    yield database
    database.close()


def answer(question: str = "How many days?") -> StoredAnswer:
    body = {
        "question": question,
        "answer": "25 days [1].",
        "answered": True,
        "quote": "25 days",
        "citations": [{"n": 1, "document_id": "d1", "quote": "25 days"}],
        "passages": [{"document_id": "d1", "text": "25 days a year"}, {"document_id": "d2", "text": "年假为 25 天"}],
    }
    return StoredAnswer(uuid4().hex, question, True, "write", "en", 0.9, body, frozenset({"d1", "d2"}))


def test_an_answer_is_read_back_as_it_was_served(database: Database):
    saved = answer()
    with database.write() as session:
        save_answer(session, LOCAL, saved)
    with database.read() as session:
        loaded = load_answer(session, LOCAL, saved.id)
    assert (loaded.body, loaded.documents, loaded.confidence) == (saved.body, saved.documents, 0.9)
    assert loaded.created_at is not None
    assert loaded.created_at.tzinfo is not None


def test_an_answer_belongs_to_who_asked(database: Database):
    saved = answer()
    with database.write() as session:
        save_answer(session, LOCAL, saved)
    with database.read() as session:
        stranger = Principal("stranger", "Stranger")
        assert list_answers(session, stranger) == ()
        with pytest.raises(NotFound):
            load_answer(session, stranger, saved.id)


def test_answers_are_listed_newest_first(database: Database):
    for number in range(3):
        with database.write() as session:
            save_answer(session, LOCAL, answer(f"Question {number}?"))
    with database.read() as session:
        listed = list_answers(session, LOCAL, limit=2)
    assert [item.question for item in listed] == ["Question 2?", "Question 1?"]


def test_text_of_a_deleted_document_leaves_the_answers(database: Database):
    saved = answer()
    with database.write() as session:
        save_answer(session, LOCAL, saved)
    with database.write() as session:
        remove_documents(session, ["d1"])
    with database.read() as session:
        loaded = load_answer(session, LOCAL, saved.id)
    assert "25 days" not in str(loaded.body)
    assert loaded.body["passages"] == [{"document_id": "d2", "text": "年假为 25 天"}]
    assert (loaded.answered, loaded.question, loaded.documents) == (False, "How many days?", frozenset({"d2"}))


def test_text_of_a_document_deleted_before_the_answer_is_saved_is_not_stored(database: Database):
    saved = answer()
    with database.write() as session:
        remove_documents(session, ["d2"])
    with database.write() as session:
        save_answer(session, LOCAL, saved)
    with database.read() as session:
        loaded = load_answer(session, LOCAL, saved.id)
    assert "年假" not in str(loaded.body)
    assert (loaded.answered, loaded.body["withdrawn"], loaded.documents) == (False, True, frozenset({"d1"}))
