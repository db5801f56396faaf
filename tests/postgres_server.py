"""A real PostgreSQL server in a temporary folder, for the length of a test run.

It listens on a Unix socket alone, keeps nothing (no fsync), and runs as an unprivileged user where the tests run as
root, because the server refuses root.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

ENABLE = "apt-get install postgresql"


def find_programs() -> Path | None:
    """The folder that holds initdb and postgres, newest version first."""
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    folders = sorted(installed, key=lambda folder: int(folder.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        folders.insert(0, Path(on_path).resolve().parent)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def unprivileged_user() -> str | None:
    """The account that runs the server when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    accounts = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in accounts else "nobody"


class PostgresServer:
    """One running server; `create` gives a fresh database, `drop` removes it."""

    def __init__(self, socket_folder: Path) -> None:
        self.socket_folder = socket_folder
        self._count = 0

    def _administer(self, statement: str) -> None:
        with psycopg.connect(host=str(self.socket_folder), user="kb", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def create(self) -> str:
        """A new empty database; returns its SQLAlchemy URL."""
        self._count += 1
        name = f"kb_test_{self._count}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        return f"postgresql+psycopg://kb@/{name}?host={self.socket_folder}"

    def drop(self, url: str) -> None:
        """Remove a database made by `create`, cutting open connections."""
        name = url.split("@/")[1].split("?")[0]
        self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def running(programs: Path) -> Iterator[PostgresServer]:
    """Start a server in a temporary folder, stop it and remove the folder at the end."""
    folder = Path(tempfile.mkdtemp(prefix="kb-pg-"))
    user = unprivileged_user()
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    process: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "kb", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        options = ["listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        command = [programs / "postgres", "-D", data, "-k", folder, "-c", "max_connections=60"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *(part for option in options for part in ("-c", option))],
                user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        await_start(folder, process)
        yield PostgresServer(folder)
    finally:
        if process is not None:
            process.terminate()
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def await_start(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server takes connections; raise with its log when it ends or takes over 30 seconds."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(host=str(folder), user="kb", dbname="postgres", connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")
