"""One database: SQLite (WAL, synchronous=FULL) in the home folder, or PostgreSQL by URL, upgraded when opened.

`read` gives a session on one unchanging view of the data, `write` one whose work is kept whole or not at all. SQLite
takes its write lock when a `write` begins, so two writers wait for each other instead of failing half-way. It knows
no table.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from kb.errors import Busy, ConfigError, NotReady
from kb.settings import Settings

HEAD: Final = "0001"
"""The newest migration; a database that has it is opened without loading the migration machinery."""
MIGRATIONS: Final = Path(__file__).resolve().parent / "migrations"
BUSY_SECONDS: Final = 30
_UPGRADE_LOCK: Final = 0x6B62_0001
_BEGIN: Final = "kb_begin"


class Database:
    """The engine and its sessions, from `open_database` until `close`. Safe to use from many threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        reading: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._read = sessionmaker(engine.execution_options(**reading), autoflush=False)
        self._write = sessionmaker(engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"}), expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading: every statement in it sees the same state. Nothing written in it is kept."""
        with self._sentences(), self._read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose work is committed when the block ends and rolled back when it raises. Raises Busy."""
        with self._sentences(), self._write.begin() as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @property
    def description(self) -> str:
        """Which database this is, for people; without the password."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            reason = str(error.orig).strip()
            if "database is locked" in reason:
                raise Busy(f"The database was busy for {BUSY_SECONDS} seconds; try again.") from error
            raise NotReady(f"The database {self.description} does not answer: {reason}.") from error


def open_database(settings: Settings) -> Database:
    """Open the database of the settings, creating or upgrading it. Safe when two processes do it at once.

    Raises ConfigError for a URL that cannot be used or a database of a newer program, NotReady when it does not answer.
    """
    url = _checked_url(settings.resolved_database_url)
    if url.get_backend_name() == "sqlite":
        folder = Path(str(url.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"The folder {folder} for the database cannot be made: {error.strerror}.") from error
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, pool_size=20, max_overflow=40)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=30)
    database = Database(engine)
    try:
        _upgrade(database)
    except OperationalError as error:
        database.close()
        raise NotReady(f"The database {database.description} cannot be opened: {str(error.orig).strip()}.") from error
    except DatabaseError as error:
        database.close()
        raise ConfigError(f"The database {database.description} cannot be used: {str(error.orig).strip()}.") from error
    except KeyError as error:
        database.close()
        raise ConfigError(
            f"The database {database.description} was made by a newer version of this program; update the program."
        ) from error
    return database


def _checked_url(given: str) -> URL:
    try:
        url = make_url(given)
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername="postgresql+psycopg")
        url.get_dialect()
    except ArgumentError as error:
        raise ConfigError("KB_DATABASE_URL is not a database URL such as postgresql://user@host/name.") from error
    except NoSuchModuleError as error:
        raise ConfigError("KB_DATABASE_URL must begin with sqlite: or postgresql:.") from error
    except ImportError as error:
        raise ConfigError("PostgreSQL needs its driver: pip install 'kb[postgres]'.") from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError("KB_DATABASE_URL must begin with sqlite: or postgresql:.")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigError("KB_DATABASE_URL must name a file: a database in memory would lose every document.")
    return url


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not where the driver guesses
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            # SQLite does not wait when two processes turn WAL on in a new file at the same moment.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def _upgrade(database: Database) -> None:
    """Run the missing migrations in one transaction that a second process waits for. KeyError: unknown version."""
    with database.engine.connect() as connection:
        if connection.dialect.has_table(connection, "alembic_version") and _version(connection) == HEAD:
            return
    import alembic.command
    import alembic.config
    import alembic.util

    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with database.engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"}).begin() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        config.attributes["connection"] = connection
        try:
            alembic.command.upgrade(config, "head")
        except alembic.util.CommandError as error:
            raise KeyError(str(error)) from error


def _version(connection: Connection) -> str | None:
    value = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if value is None else str(value)
