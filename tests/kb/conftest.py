from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sandbox import ParseServer
from tests.kb.parts import Parts, open_parts
from tests.tiny import tiny_models


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of tiny models."""
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def parser() -> Iterator[ParseServer]:
    """One warm parser for all tests."""
    with ParseServer() as parser:
        yield parser


@pytest.fixture
def parts(own_home: Path, tiny: Path, database_url: str, parser: ParseServer) -> Iterator[Parts]:
    """Open parts on an empty home, once on SQLite and once on PostgreSQL; the index is open."""
    with open_parts(own_home, tiny, database_url, parser=parser) as parts:
        parts.index.open()
        yield parts


@pytest.fixture
def sqlite_parts(own_home: Path, tiny: Path, parser: ParseServer) -> Iterator[Parts]:
    """Open parts on an empty home with the default database; the index is open."""
    with open_parts(own_home, tiny, parser=parser) as parts:
        parts.index.open()
        yield parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three small documents."""
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "vacation.md").write_text(
        "# Vacation\n\nEvery employee has 25 days of vacation a year.\n", encoding="utf-8"
    )
    (folder / "sub" / "password.md").write_text(
        "# Password\n\nReset the password in the account settings page.\n", encoding="utf-8"
    )
    (folder / "printer.txt").write_text("The printer on the third floor prints in colour.\n", encoding="utf-8")
    return folder
