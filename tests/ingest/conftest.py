"""One warm parser for all tests of this folder."""

from collections.abc import Iterator

import pytest

from ingest.sandbox import ParseServer


@pytest.fixture(scope="session")
def parser() -> Iterator[ParseServer]:
    with ParseServer() as server:
        yield server
