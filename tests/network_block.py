"""Refuses every socket that would leave this machine.

Loopback addresses and Unix sockets stay open: tests start real servers. Child Python processes are blocked too,
through `tests/offline/sitecustomize.py` on their PYTHONPATH. Name look-ups other than of loopback names raise as well.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "testserver", "", "0.0.0.0", "::"})


class NetworkBlockedError(RuntimeError):
    """A test tried to reach another machine."""


def is_local(host: object) -> bool:
    """Whether `host` (a name, an address or None for "any") stays on this machine."""
    if host is None:
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.split("%")[0]).is_loopback
    except ValueError:
        return False


def block() -> None:
    """Patch the socket module of this process, once."""
    if getattr(socket, "_kb_blocked", False):
        return

    def guarded(method: Callable[..., Any], position: int) -> Callable[..., Any]:
        def call(self: socket.socket, *arguments: Any) -> Any:
            address = arguments[position] if len(arguments) > position else None
            if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
                refuse_unless_local(address[0])
            return method(self, *arguments)

        return call

    def refuse_unless_local(host: object) -> None:
        if not is_local(host):
            raise NetworkBlockedError(f"tests may not reach {host!r}: only loopback addresses are open")

    def look_up(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(host: Any, *arguments: Any, **named: Any) -> Any:
            refuse_unless_local(host)
            return method(host, *arguments, **named)

        return call

    for name, position in (("connect", 0), ("connect_ex", 0), ("sendto", -1)):
        setattr(socket.socket, name, guarded(getattr(socket.socket, name), position))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, name, look_up(getattr(socket, name)))
    socket._kb_blocked = True  # type: ignore[attr-defined]
