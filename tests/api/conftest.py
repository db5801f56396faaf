"""The API over real components with tiny models, in a home of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from kb.api.app import create_app
from kb.bootstrap import open_components
from kb.components import Components
from kb.settings import Settings
from tests.tiny import tiny_checkpoint, tiny_models

LOCAL_URL = "http://127.0.0.1:8000"
HOLIDAY = b"# Holiday\n\nEvery employee has 30 days of paid holiday a year. Requests go to the team lead.\n"
TRAVEL = "# 差旅\n\n出差前须提交申请。住宿费每晚不超过 600 元。\n".encode()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Tiny models and a checkpoint that fits them."""
    folder = tmp_path_factory.mktemp("tiny")
    models = tiny_models(folder / "models")
    return models, tiny_checkpoint(folder / "checkpoint", models)


@pytest.fixture(scope="module")
def settings(tiny: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    models, checkpoint = tiny
    home = tmp_path_factory.mktemp("home")
    return Settings(home=home, models=models, checkpoint=checkpoint, precision="fp32", threads=1, max_upload_mb=1)


@pytest.fixture(scope="module")
def parts(settings: Settings) -> Iterator[Components]:
    with open_components(settings) as components:
        yield components


@pytest.fixture(scope="module")
def client(parts: Components) -> Iterator[TestClient]:
    """A client on this machine, with the background work running."""
    with TestClient(create_app(parts), base_url=LOCAL_URL, raise_server_exceptions=False) as client:
        yield client


def upload(client: TestClient, name: str, content: bytes, collection: str = "default") -> str:
    """Hand in a file and wait until it is through; returns the document's id."""
    response = client.post("/v1/documents", files={"file": (name, content)}, data={"collection": collection})
    assert response.status_code == 202, response.text
    document_id: str = response.json()["id"]
    deadline = time.monotonic() + 60
    while client.get(f"/v1/documents/{document_id}").json()["state"] in ("queued", "processing"):
        assert time.monotonic() < deadline, "the document was not processed within a minute"
        time.sleep(0.05)
    return document_id
