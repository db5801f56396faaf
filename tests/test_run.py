"""The trip that `make run` makes after installing, with tiny models: their answers mean nothing, all else is real."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.tiny import tiny_checkpoint, tiny_models

START_SECONDS = 400


class Launched:
    """A running `kb run` and what it has said on stderr so far."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.log, self.out = folder / "log", folder / "out"
        with self.log.open("wb") as log, self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kb", "run"], env=environment, stdout=out, stderr=log, start_new_session=True
            )

    def said(self) -> str:
        return self.log.read_text()

    def addresses(self) -> tuple[str, str]:
        """Wait for the addresses of API and chat."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.search(r"^API +(\S+)\nChat +(\S+)$", self.said(), re.MULTILINE)
            if found:
                return found[1], found[2]
            time.sleep(0.2)
        raise AssertionError(f"kb run did not start: {self.said()}")


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """A port that something else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, taken: int) -> Iterator[Launched]:
    folder = tmp_path_factory.mktemp("run")
    models = tiny_models(folder / "models")
    environment = {
        **os.environ,
        "KB_HOME": str(folder / "home"),
        "KB_MODELS": str(models),
        "KB_CHECKPOINT": str(tiny_checkpoint(folder / "checkpoint", models)),
        "KB_PRECISION": "fp32",
        "KB_THREADS": "1",
        "KB_PORT": str(taken),
        "KB_UI_PORT": str(taken),
    }
    running = Launched(folder, environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:  # a test failed: the launcher still stops what it started
            running.process.terminate()
            running.process.wait(60)


def test_the_guide_is_ingested_and_one_answer_printed_before_the_servers_start(launched):
    launched.addresses()
    out = launched.out.read_text()
    assert re.search(r"guide: \d\d added, 0 updated, 0 unchanged, \d+ skipped, 0 failed", out)
    assert re.search(r"^\[1\] .+$", out, re.MULTILINE)
    assert launched.said().index("kb ask") < launched.said().index("API ")


def test_taken_ports_move_to_free_ones_and_say_so(launched, taken):
    api, chat = launched.addresses()
    assert f"Port {taken} is taken; the API takes {api.rsplit(':', 1)[1]}." in launched.said()
    assert f"Port {taken} is taken; the chat takes {chat.rsplit(':', 1)[1]}." in launched.said()
    assert api != chat


def test_the_api_answers_from_the_guide(launched):
    api, _ = launched.addresses()
    collections = httpx.get(f"{api}/v1/collections").json()["items"]
    assert [item["name"] for item in collections] == ["guide"]
    answer = httpx.post(f"{api}/v1/query", json={"question": "Which ports does it listen on?"}, timeout=60).json()
    assert len(answer["passages"]) == 3
    for passage in answer["passages"]:
        text = httpx.get(f"{api}/v1/documents/{passage['document_id']}/text").json()["text"]
        assert text[passage["start"] : passage["end"]] == passage["text"]


def test_the_chat_is_served(launched):
    _, chat = launched.addresses()
    assert httpx.get(chat).status_code == httpx.codes.OK


def test_what_another_process_ingests_is_found_within_a_second(launched, tmp_path):
    api, _ = launched.addresses()
    (tmp_path / "note.md").write_text("# Zebra\n\nThe zebra crossing in front of the factory opens on Monday.\n")
    environment = _environment_of(launched.process.pid)
    done = subprocess.run(
        [sys.executable, "-m", "kb", "ingest", str(tmp_path), "--collection", "second", "--json"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["added"] == 1
    time.sleep(1)
    found = httpx.post(f"{api}/v1/search", json={"question": "zebra crossing", "collections": ["second"]}).json()
    assert "zebra crossing" in found["passages"][0]["text"]


def test_ctrl_c_stops_both_servers(launched):
    api, chat = launched.addresses()
    os.kill(launched.process.pid, signal.SIGINT)
    assert launched.process.wait(60) == 0
    assert launched.said().rstrip().endswith("Stopped.")
    for address in (api, chat):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)


def _environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)
