"""The gate in front of every route: who is asking, from which page, and how much they may send.

Nothing is reachable unless it is let through here: a request gets its principal from this middleware alone, and
the routes refuse a request that has none. On a loopback address without a token, the Host header must name the
loopback (a page that rebinds its own name to 127.0.0.1 is refused) and a browser's Origin must be this very
server (a page elsewhere cannot post here). Any other address needs the token, which is compared in constant
time.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kb.access import LOCAL
from kb.api.errors import error_response

# Reachable without a token: liveness probes, and the description of the API, which holds nothing of the documents.
PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
PUBLIC_PREFIX = "/docs/assets/"

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


def is_loopback(host: str) -> bool:
    """True for `localhost` and every loopback address, with or without the brackets of IPv6."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header without its port; empty when it cannot be read."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


class Gate:
    """ASGI middleware that lets a request pass with a principal, or answers 401, 403 or 421 itself."""

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        self.app = app
        self.token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on; websockets are not spoken here and are closed."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            status, message = refusal
            challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            await error_response(status, message, headers=challenge)(scope, receive, _with_headers(send))
            return
        if self.token is None or not _is_public(scope["path"]):
            scope.setdefault("state", {})["principal"] = LOCAL
        await self.app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Why this request may not pass, as status and sentence; None when it may."""
        if self.token is None:
            server = scope.get("server")
            if server is not None and not is_loopback(server[0]):
                return 403, "This address is not the local one: set KB_TOKEN to serve other machines."
            if not is_loopback(host_name(headers.get("host", ""))):
                return 421, "The Host header must name this machine (127.0.0.1 or localhost)."
        if not _same_origin(scope, headers):
            return 403, "Requests from other web pages are refused."
        if self.token is None or _is_public(scope["path"]):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self.token):
            return 401, "Send the token as `Authorization: Bearer …` (KB_TOKEN)."
        return None


def _is_public(path: str) -> bool:
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX)


def _same_origin(scope: Scope, headers: Headers) -> bool:
    """True unless a browser says that the request comes from a page of another origin.

    The scheme is not compared: behind a proxy that ends TLS it is another one, and no foreign page has our host and
    port.
    """
    origin = headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
        except ValueError:
            return False
    site = headers.get("sec-fetch-site")
    return site in (None, "same-origin", "none") or scope["method"] in SAFE_METHODS


def _with_headers(send: Send) -> Send:
    """Add the protective headers to a response that does not set them itself."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return guarded


class BodyLimit:
    """ASGI middleware that stops reading a body past its limit and answers 413.

    `upload_bytes` bounds uploads of documents, `other_bytes` everything else. The limit holds while reading, so
    that a client that announces no length, or a false one, cannot fill memory or disk.
    """

    def __init__(self, app: ASGIApp, *, upload_path: str, upload_bytes: int, other_bytes: int) -> None:
        self.app = app
        self.upload_path = upload_path
        self.upload_bytes = upload_bytes
        self.other_bytes = other_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse an announced length at once, count the rest."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.upload_bytes if scope["path"] == self.upload_path else self.other_bytes
        message = f"The body is larger than the limit of {_readable(limit)}."
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            await error_response(413, message)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            part = await receive()
            seen += len(part.get("body", b""))
            if seen > limit:
                raise HTTPException(413, message)
            return part

        await self.app(scope, counted, send)


def _readable(size: int) -> str:
    """A size in bytes as people write it."""
    return f"{size // 2**20} MB" if size >= 2**20 else f"{size // 2**10} KB"
