"""The first five minutes of a newcomer: sample corpus in, one cited answer out, then API and chat until Ctrl-C.

Every step is one of the commands a user would type, in a process of its own: what is shown here is what they get. The
two servers get their own process groups, so that Ctrl-C reaches this process alone, which stops both in order.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx

from kb.errors import ConfigError, NotReady
from kb.settings import Settings

SAMPLE_COLLECTION = "guide"
SAMPLE_QUESTION = "What should I do when a port is already in use?"
PORTS_TRIED = 50
START_SECONDS = 180
STOP_SECONDS = 10

Say = Callable[[str], None]


@dataclass(frozen=True)
class Addresses:
    """Where the two servers listen."""

    api: str
    ui: str


class _Stopped(BaseException):
    """SIGTERM came: leave by the same door as Ctrl-C."""


def command(*arguments: str) -> list[str]:
    """A kb command as a process of this very environment."""
    return [sys.executable, "-m", "kb", *arguments]


def free_port(host: str, wanted: int, taken: Sequence[int] = ()) -> int:
    """The first port from `wanted` on that nothing listens on and that is not in `taken`. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if port in taken:
            continue
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError as error:
                raise ConfigError(
                    f"Port {port} on {host} needs administrator rights; set KB_PORT above 1023."
                ) from error
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigError(
        f"Ports {wanted} to {wanted + PORTS_TRIED - 1} on {host} are all taken; set KB_PORT and KB_UI_PORT."
    )


def claim_port(host: str, wanted: int, what: str, say: Say, taken: Sequence[int] = ()) -> int:
    """As `free_port`, and says so when it is not the wanted one."""
    port = free_port(host, wanted, taken)
    if wanted not in (0, port):
        say(f"Port {wanted} is taken; the {what} takes {port}.")
    return port


def guide_folder() -> Path:
    """The user guide that comes with the source. Raises ConfigError where it is not at hand."""
    folder = Path(__file__).resolve().parent.parent / "docs"
    if not folder.is_dir():
        raise ConfigError(f"The sample corpus {folder} is not there; use kb ingest, kb serve and kb ui instead.")
    return folder


def launch(settings: Settings, say: Say, *, question: str = SAMPLE_QUESTION, serve: bool = True) -> int:
    """Ingest the guide, print one answer, and serve until stopped; returns the exit status."""
    environment = {**os.environ, "KB_HOME": str(settings.home)}
    guide = str(guide_folder())
    with _terminable():
        try:
            say(f"Reading the user guide ({guide}) into the collection {SAMPLE_COLLECTION!r} of {settings.home}")
            status = _run(environment, "ingest", guide, "--collection", SAMPLE_COLLECTION)
            if status > 1:  # 1 says that some file failed, which the summary has named
                return status
            say(f"\n$ kb ask {question!r}")
            status = _run(environment, "ask", question, "--collection", SAMPLE_COLLECTION)
            if status or not serve:
                return status
            say("\nStarting the API and the chat; the networks load first.")
            with servers(settings, environment, say) as (addresses, processes):
                say(f"\nAPI   {addresses.api}\nChat  {addresses.ui}\n\nCtrl-C stops both.")
                return _watch(processes, say)
        except (KeyboardInterrupt, _Stopped):
            say("\nStopped.")
            return 0


def _run(environment: Mapping[str, str], *arguments: str) -> int:
    return subprocess.run(command(*arguments), env=environment).returncode


@contextmanager
def servers(
    settings: Settings, environment: Mapping[str, str], say: Say
) -> Iterator[tuple[Addresses, dict[str, subprocess.Popen[bytes]]]]:
    """Start API and chat, wait until both answer, stop both at the end. Raises NotReady when one does not come up."""
    api_port = claim_port(settings.host, settings.port, "API", say)
    ui_port = claim_port("127.0.0.1", settings.ui_port, "chat", say, taken=(api_port,))
    reachable = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    bracketed = f"[{reachable}]" if ":" in reachable else reachable
    addresses = Addresses(api=f"http://{bracketed}:{api_port}", ui=f"http://127.0.0.1:{ui_port}")
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        processes["API"] = subprocess.Popen(
            command("serve", "--port", str(api_port)), env=environment, start_new_session=True
        )
        processes["chat"] = subprocess.Popen(
            command("ui", "--port", str(ui_port), "--api", addresses.api),
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,  # Streamlit's own banner; the addresses are printed once, when both answer
        )
        await_answer(f"{addresses.api}/readyz", processes["API"], "API")
        await_answer(f"{addresses.ui}/_stcore/health", processes["chat"], "chat")
        yield addresses, processes
    finally:
        for process in reversed(processes.values()):
            stop(process)


def await_answer(url: str, process: subprocess.Popen[bytes], what: str) -> None:
    """Wait until `url` answers with 200. Raises NotReady when the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotReady(
                f"The {what} ended with status {process.returncode} before it was ready; its message is above."
            )
        try:
            # A proxy of the environment is for the internet, not for this machine.
            if httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise NotReady(f"The {what} did not become ready within {START_SECONDS} seconds.")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: politely first, then by force."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            try:
                os.killpg(process.pid, signal_number)
            except ProcessLookupError:
                return
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def _watch(processes: Mapping[str, subprocess.Popen[bytes]], say: Say) -> int:
    """Wait until one of the servers ends, which is an error: both are meant to run until stopped."""
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                say(f"The {name} ended with status {process.returncode}; stopping the other.")
                return 1
        time.sleep(0.3)


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into exceptions for the length of the block.

    SIGINT too: a shell script starts its background commands with that signal ignored.
    """

    def raise_stopped(_number: int, _frame: FrameType | None) -> None:
        raise _Stopped

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, raise_stopped),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
