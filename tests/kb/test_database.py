import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, text

from kb.database import HEAD, MIGRATIONS, Database, open_database
from kb.errors import ConfigError, NotReady
from kb.models import Base, Change, Collection
from kb.settings import Settings


def settings_for(url: str, home: Path) -> Settings:
    return Settings(home=home, database_url=url)


@pytest.fixture
def database(database_url: str, tmp_path: Path):
    database = open_database(settings_for(database_url, tmp_path))
    yield database
    database.close()


def test_migrations_lead_to_exactly_the_tables_of_the_models(database: Database):
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_new_database_starts_at_change_zero(database: Database):
    with database.read() as session:
        assert [(row.id, row.number, row.embedder_id) for row in session.scalars(select(Change))] == [(1, 0, "")]


def test_two_processes_may_open_a_new_database_at_once(database_url: str, tmp_path: Path):
    program = (
        "import sys; from pathlib import Path\n"
        "from kb.settings import Settings; from kb.database import open_database\n"
        "open_database(Settings(home=Path(sys.argv[1]), database_url=sys.argv[2])).close()"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), database_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [(process.communicate(timeout=240)[1], process.returncode) for process in started] == [(b"", 0)] * 3


def test_a_database_of_a_newer_program_is_refused(database_url: str, tmp_path: Path):
    first = open_database(settings_for(database_url, tmp_path))
    with first.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'f00d'"))
    first.close()
    with pytest.raises(ConfigError, match="newer version"):
        open_database(settings_for(database_url, tmp_path))


def test_a_write_that_raises_leaves_nothing(database: Database):
    with pytest.raises(RuntimeError), database.write() as session:
        session.add(Collection(name="half"))
        session.flush()
        raise RuntimeError
    with database.read() as session:
        assert session.scalars(select(Collection)).all() == []


def test_a_reader_sees_one_state_while_another_writes(database: Database):
    with database.read() as reader:
        assert reader.scalars(select(Collection.name)).all() == []
        with database.write() as writer:
            writer.add(Collection(name="new"))
        assert reader.scalars(select(Collection.name)).all() == []
    with database.read() as reader:
        assert reader.scalars(select(Collection.name)).all() == ["new"]


def test_sqlite_is_durable_and_checks_references(tmp_path: Path):
    database = open_database(Settings(home=tmp_path / "home"))
    with database.read() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    database.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX; run on Linux or macOS")
def test_a_new_home_is_closed_to_others(tmp_path: Path):
    open_database(Settings(home=tmp_path / "home")).close()
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "is not a database URL"),
        ("oracle://x", "must begin with sqlite: or postgresql:"),
        ("sqlite://", "must name a file"),
        ("sqlite:////dev/null/x/kb.db", "cannot be made"),
    ],
)
def test_a_wrong_url_is_refused_with_a_sentence(url: str, sentence: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=sentence):
        open_database(settings_for(url, tmp_path))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / "kb.sqlite3").write_bytes(b"not a database " * 100)
    with pytest.raises(ConfigError, match="cannot be used"):
        open_database(Settings(home=tmp_path))


def test_a_server_that_does_not_answer_is_reported_without_its_password(tmp_path: Path):
    pytest.importorskip("psycopg", reason="pip install 'kb[postgres]'")
    with pytest.raises(NotReady) as caught:
        open_database(settings_for(f"postgresql://me:hunter2@/kb?host={tmp_path}", tmp_path))
    assert "hunter2" not in caught.value.message
