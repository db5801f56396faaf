import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from kb.errors import ConfigError, NotReady
from kb.launch import await_answer, claim_port, free_port, stop


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_taken_port_moves_to_the_next_free_one_and_says_so(taken):
    said: list[str] = []
    port = claim_port("127.0.0.1", taken, "API", said.append)
    assert port > taken
    assert said == [f"Port {taken} is taken; the API takes {port}."]


def test_a_free_port_is_taken_without_a_word(taken):
    free = free_port("127.0.0.1", taken)
    said: list[str] = []
    assert claim_port("127.0.0.1", free, "API", said.append) == free
    assert said == []


def test_two_servers_never_get_the_same_port(taken):
    first = free_port("127.0.0.1", taken)
    assert free_port("127.0.0.1", taken, taken=(first,)) > first


def test_when_every_port_is_taken_the_sentence_names_the_setting(taken):
    with pytest.raises(ConfigError, match="KB_PORT"):
        free_port("127.0.0.1", taken, taken=range(taken, taken + 50))


def test_a_server_that_ends_before_it_is_ready_is_an_error_at_once():
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    started = time.monotonic()
    with pytest.raises(NotReady, match="status 3"):
        await_answer("http://127.0.0.1:9/", process, "API")
    assert time.monotonic() - started < 30


def test_stopping_reaches_the_children_of_a_process():
    code = "import subprocess, sys; c = subprocess.Popen(['sleep', '600']); print(c.pid, flush=True); c.wait()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    with process.stdout as out:
        child = int(out.readline())
        stop(process)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _runs(child):
        time.sleep(0.05)
    assert not _runs(child)
    assert process.returncode == -signal.SIGTERM


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
