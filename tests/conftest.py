"""Fixtures of every test: no network, a clean environment, real databases, and the installed models.

A test that needs something this machine lacks skips with the command that brings it, and fails instead where
KB_TEST_REQUIRE names it (see tests/needs.py).
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs, postgres_server
from tests.network_block import block

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("KB_TEST_", "KB_MODELS")

block()
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT / "tests" / "offline"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
)


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> None:
    """Settings come from the test alone: what the caller's shell exports for kb is dropped."""
    for name in [name for name in os.environ if name.startswith("KB_") and not name.startswith(KEPT)]:
        del os.environ[name]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A KB_HOME of its own for each test, so that none touches the user's."""
    home = tmp_path / "home"
    monkeypatch.setenv("KB_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.PostgresServer]:
    """A running PostgreSQL server."""
    programs = postgres_server.find_programs()
    if programs is None:
        needs.missing("postgres", postgres_server.ENABLE)
    with postgres_server.running(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once of SQLite and once of PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'kb.db'}"
        return
    server: postgres_server.PostgresServer = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """The folder of the installed base models (`encoder/` and `writer/`)."""
    folder = Path(os.environ.get("KB_MODELS") or Path(sys.prefix) / "share" / "kb" / "models")
    if not all((folder / name / "model.safetensors").exists() for name in ("encoder", "writer")):
        needs.missing("models", "kb model install")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to drive with Playwright; as root it must be started with --no-sandbox."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        needs.missing("chromium", "apt-get install chromium")
    return path


@pytest.fixture(autouse=True)
def installed_models(request: pytest.FixtureRequest) -> None:
    """Tests marked `real_models` need the installed models."""
    if request.node.get_closest_marker("real_models"):
        request.getfixturevalue("models_folder")
