"""Serves the API: takes the address first, then loads what is needed, then answers until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
from contextlib import suppress

import uvicorn

from kb.api.app import create_app
from kb.api.security import is_loopback
from kb.bootstrap import open_components
from kb.errors import ConfigError
from kb.settings import Settings

STOP_S = 10  # for requests in progress when the program is told to stop


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises ConfigError where the address is taken, or open without a token."""
    if not is_loopback(settings.host) and settings.token is None:
        raise ConfigError(
            f"KB_HOST is {settings.host}, which other machines can reach: set KB_TOKEN (openssl rand -hex 32) first."
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # says at every start that there is nothing to migrate
    with _bound(settings.host, settings.port) as listener, open_components(settings) as components:
        config = uvicorn.Config(
            create_app(components),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_S,
        )
        # Uvicorn ends its work at a signal and then sends it again: as an exception it lets the components be closed.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _bound(host: str, port: int) -> socket.socket:
    """A socket that holds the address but does not listen yet."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigError(f"KB_HOST {host!r} is not an address of this machine: {error.strerror}.") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(f"{host}:{port} cannot be served: {error.strerror}. Choose another with --port.") from error
    return listener
