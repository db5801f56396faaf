"""No container engine runs here: the files are checked, and the containers' commands are run as they are."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from tests.tiny import tiny_checkpoint, tiny_models

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
WITH_SECRETS = ROOT / "deploy" / "with_secrets.sh"
OURS = ("secrets", "api", "ui")


def has_compose_plugin() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_file_holds_only_what_the_format_knows():
    jsonschema.validate(COMPOSE, json.loads((Path(__file__).parent / "compose.schema.json").read_text()))


@pytest.mark.skipif(not has_compose_plugin(), reason="needs the plugin: apt-get install docker-compose-plugin")
def test_docker_compose_itself_accepts_the_file():
    done = subprocess.run(["docker", "compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_services_refer_to_exists():
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"]), name


def test_a_service_that_others_wait_for_has_a_health_check():
    for service in SERVICES.values():
        for other, condition in service.get("depends_on", {}).items():
            assert condition["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]


def test_every_port_is_published_on_this_machine_alone():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in SERVICES["postgres"]


def test_no_secret_stands_in_the_file():
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("TOKEN|PASSWORD(?!_FILE)|SECRET", name):
                assert value == f"${{{name}:-}}"
    assert not re.search(r"://[^/@\s]+:[^/@\s]+@", (ROOT / "docker-compose.yml").read_text())


def test_our_containers_are_unprivileged():
    for name in OURS:
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["kb"]


def test_the_image_builds_hnswlib_for_other_processors_too():
    assert "HNSWLIB_NO_NATIVE=1" in DOCKERFILE
    assert "CXXFLAGS=-march=x86-64-v3" in DOCKERFILE


def test_what_the_image_copies_is_let_through_to_the_build():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = [
        name
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for name in [part for part in line.split()[1:-1] if not part.startswith("--")]
    ]
    assert copied
    assert {name.split("/")[0] for name in copied} <= let_through
    assert all((ROOT / name).exists() for name in copied)


def with_secrets(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "KB_SECRETS": str(folder), **environment}
    return subprocess.run([WITH_SECRETS, *command], env=settings, capture_output=True, text=True, check=True)


def test_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path):
    first = with_secrets(tmp_path, "sh", "-c", 'echo "$KB_TOKEN $PGPASSWORD"').stdout.split()
    again = with_secrets(tmp_path, "sh", "-c", 'echo "$KB_TOKEN $PGPASSWORD"').stdout.split()
    assert first == again
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in first)
    assert first[0] != first[1]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert {path.name for path in tmp_path.iterdir()} == {"token", "database_password"}


def test_a_token_from_the_environment_comes_first(tmp_path):
    printed = with_secrets(tmp_path, "sh", "-c", 'echo "$KB_TOKEN"', KB_TOKEN="given-by-the-operator").stdout
    assert printed.strip() == "given-by-the-operator"


def test_containers_that_start_together_agree_on_the_secrets(tmp_path):
    settings = {**os.environ, "KB_SECRETS": str(tmp_path)}
    command = [WITH_SECRETS, "sh", "-c", 'echo "$KB_TOKEN"']
    started = [subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    assert len({process.communicate()[0] for process in started}) == 1


class Container:
    """A service of the compose file as a process: its command and environment, at other addresses."""

    def __init__(self, name: str, ports: dict[str, str], folder: Path, extra: dict[str, str]) -> None:
        self.name = name
        self.ports = ports
        service = SERVICES[name]
        declared = {key: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for key, value in service["environment"].items()}
        self.environment = {
            **os.environ,
            **declared,
            **extra,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KB_SECRETS": str(folder / "secrets"),
            "KB_HOME": str(folder / "data"),
        }
        self.log = folder / f"{name}.log"
        command = [self._here(part) for part in service["command"]]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [WITH_SECRETS, *command], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def _here(self, text: str) -> str:
        for there, here in self.ports.items():
            text = text.replace(there, here)
        return text

    def is_healthy(self) -> bool:
        """Run the health check of the compose file."""
        kind, *test = SERVICES[self.name]["healthcheck"]["test"]
        assert kind == "CMD"
        command = [self._here(part) for part in test]
        return subprocess.run(command, env=self.environment, capture_output=True).returncode == 0

    def wait_until_healthy(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.is_healthy():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.5)

    def stop(self) -> int:
        """Stop it as an engine does, and return its exit status."""
        os.killpg(self.process.pid, signal.SIGTERM)
        return self.process.wait(60)


def test_the_commands_of_the_containers_serve_and_stop(tmp_path, postgres):
    (tmp_path / "secrets").mkdir()
    url = postgres.create()
    models = tiny_models(tmp_path / "models")
    small = {
        "KB_MODELS": str(models),
        "KB_CHECKPOINT": str(tiny_checkpoint(tmp_path / "checkpoint", models)),
        "KB_THREADS": "1",
        "KB_DATABASE_URL": url,
    }
    ports = {"8000": str(free_port()), "8501": str(free_port())}
    here = {"0.0.0.0": "127.0.0.1", "http://api:": "http://127.0.0.1:", **ports}
    started: list[Container] = []
    try:
        api = Container("api", here, tmp_path, {**small, "KB_PORT": ports["8000"]})
        started.append(api)
        api.wait_until_healthy(240)
        screens = Container("ui", here, tmp_path, {})
        started.append(screens)
        screens.wait_until_healthy(240)
        token = (tmp_path / "secrets" / "token").read_text()
        address = f"http://127.0.0.1:{ports['8000']}/v1/documents"
        assert httpx.get(address).status_code == httpx.codes.UNAUTHORIZED
        assert httpx.get(address, headers={"Authorization": f"Bearer {token}"}).json()["total"] == 0
        assert (tmp_path / "data").exists()
        assert not list((tmp_path / "data").glob("*.sqlite3"))
        assert api.stop() == 0
    finally:
        for container in started:
            if container.process.poll() is None:
                os.killpg(container.process.pid, signal.SIGKILL)
                container.process.wait()
        postgres.drop(url)
