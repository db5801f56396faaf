from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.access import LOCAL, Principal, readable_groups, writable_group
from kb.collections import create_collection, delete_collection, ensure_collection, list_collections
from kb.database import Database, open_database
from kb.errors import Conflict, InvalidInput, NotFound
from kb.settings import Settings

STRANGER = Principal("stranger", "Stranger")


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    database = open_database(Settings(home=tmp_path, database_url=database_url))
    yield database
    database.close()


def test_collections_are_listed_by_name_with_what_they_hold(database: Database):
    with database.write() as session:
        for name in ("manuals", "合同", "Contracts 2026"):
            create_collection(session, LOCAL, name)
    with database.read() as session:
        found = list_collections(session, LOCAL)
    assert {(item.name, item.documents, item.chunks) for item in found} == {
        ("Contracts 2026", 0, 0),
        ("manuals", 0, 0),
        ("合同", 0, 0),
    }


def test_a_name_is_taken_once(database: Database):
    with database.write() as session:
        create_collection(session, LOCAL, "one")
        ensure_collection(session, LOCAL, "one")
        with pytest.raises(Conflict):
            create_collection(session, LOCAL, "one")
    with database.read() as session:
        assert len(list_collections(session, LOCAL)) == 1


@pytest.mark.parametrize("name", ["", " ", "../up", "a/b", "x" * 65, "end ", "new\nline", "-x"])
def test_a_bad_name_is_refused(database: Database, name: str):
    with database.write() as session, pytest.raises(InvalidInput):
        create_collection(session, LOCAL, name)


def test_groups_are_never_used_twice(database: Database):
    numbers = []
    for _ in range(2):
        with database.write() as session:
            create_collection(session, LOCAL, "one")
        with database.read() as session:
            numbers += readable_groups(session, LOCAL, ["one"])
        with database.write() as session:
            assert delete_collection(session, LOCAL, "one") == frozenset()
    assert numbers[0] < numbers[1]


def test_deleting_what_is_not_there_says_so(database: Database):
    with database.write() as session, pytest.raises(NotFound):
        delete_collection(session, LOCAL, "nowhere")


def test_a_principal_reads_all_collections_or_those_named(database: Database):
    with database.write() as session:
        create_collection(session, LOCAL, "one")
        create_collection(session, LOCAL, "two")
    with database.read() as session:
        one, two = readable_groups(session, LOCAL, ["one"]), readable_groups(session, LOCAL, ["two"])
        assert len(one) == len(two) == 1
        assert readable_groups(session, LOCAL) == one | two == readable_groups(session, LOCAL, ["one", "two", "one"])
        assert readable_groups(session, LOCAL, []) == frozenset()
        with pytest.raises(NotFound, match="'three'"):
            readable_groups(session, LOCAL, ["one", "three"])


def test_a_stranger_reads_and_writes_nothing_and_learns_no_names(database: Database):
    with database.write() as session:
        create_collection(session, LOCAL, "one")
        with pytest.raises(NotFound):
            create_collection(session, STRANGER, "mine")
        with pytest.raises(NotFound):
            delete_collection(session, STRANGER, "one")
    with database.read() as session:
        assert readable_groups(session, STRANGER) == frozenset()
        assert list_collections(session, STRANGER) == ()
        with pytest.raises(NotFound):
            readable_groups(session, STRANGER, ["one"])
        with pytest.raises(NotFound):
            writable_group(session, STRANGER, "one")
