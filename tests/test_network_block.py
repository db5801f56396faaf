import socket
import subprocess
import sys
import threading

import pytest

from tests.network_block import NetworkBlockedError

DOCUMENTATION_ADDRESS = "192.0.2.1"  # RFC 5737: never a real machine


def test_a_socket_to_another_machine_is_refused():
    with socket.socket() as client, pytest.raises(NetworkBlockedError):
        client.connect((DOCUMENTATION_ADDRESS, 80))


def test_a_name_outside_is_not_looked_up():
    with pytest.raises(NetworkBlockedError):
        socket.getaddrinfo("example.org", 443)


def test_a_child_python_process_is_blocked_too():
    code = f"import socket; socket.create_connection(('{DOCUMENTATION_ADDRESS}', 80), 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "NetworkBlockedError" in done.stderr


def test_loopback_stays_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=lambda: server.accept()[0].close())
        accepting.start()
        socket.create_connection(server.getsockname(), 5).close()
        accepting.join()
