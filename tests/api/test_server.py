"""The server as a process: it takes its address, answers, and ends in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kb.launch import await_answer, command, free_port, stop


@pytest.fixture
def environment(tiny: tuple[Path, Path], own_home: Path) -> dict[str, str]:
    models, checkpoint = tiny
    return {
        **os.environ,
        "KB_HOME": str(own_home),
        "KB_MODELS": str(models),
        "KB_CHECKPOINT": str(checkpoint),
        "KB_PRECISION": "fp32",
        "KB_THREADS": "1",
    }


@pytest.fixture
def server(environment: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port("127.0.0.1", 0)
    process = subprocess.Popen(
        command("serve", "--port", str(port)), env=environment, start_new_session=True, stderr=subprocess.PIPE
    )
    try:
        await_answer(f"http://127.0.0.1:{port}/readyz", process, "API")
        yield f"http://127.0.0.1:{port}", process
    finally:
        stop(process)
        assert process.stderr is not None
        process.stderr.close()


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_when_told_to(server: tuple[str, subprocess.Popen[bytes]], told: signal.Signals):
    address, process = server
    files = {"file": ("a.md", b"# A\n\nSomething to parse.")}
    assert httpx.post(f"{address}/v1/documents", files=files, trust_env=False).status_code == 202
    process.send_signal(told)
    assert process.wait(30) == 0
    assert group_is_empty(process.pid), "a child outlived the server"


def test_a_taken_address_is_a_sentence(environment: dict[str, str]):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ended = subprocess.run(
            command("serve", "--port", str(port)), env=environment, capture_output=True, text=True, timeout=120
        )
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_stream_left_by_its_client_does_not_hold_the_server(server: tuple[str, subprocess.Popen[bytes]]):
    address, process = server
    body = {"question": "Anything?", "stream": True}

    def leave() -> None:
        with httpx.stream("POST", f"{address}/v1/query", json=body, trust_env=False, timeout=30) as response:
            next(response.iter_raw())

    threads = [threading.Thread(target=leave) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert httpx.get(f"{address}/healthz", trust_env=False, timeout=10).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
