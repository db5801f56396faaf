"""Who gets past the gate: hosts, origins, tokens, sizes, on every route there is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import anyio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from starlette.routing import BaseRoute, Route
from starlette.types import Message

from kb.api.app import create_app
from kb.api.security import PUBLIC_PATHS, is_loopback
from kb.api.server import run
from kb.components import Components
from kb.errors import ConfigError
from kb.settings import Settings
from tests.api.conftest import LOCAL_URL

TOKEN = "k7Jq2mVx9RtB4cNz8LwPd3Hs"
OPEN = PUBLIC_PATHS | {"/docs/assets/{name}"}


def leaves(routes: Sequence[BaseRoute]) -> Iterator[Route]:
    """Every route, those of included routers too."""
    for route in routes:
        if isinstance(route, Route):
            yield route
        else:
            yield from leaves(route.original_router.routes)


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every route."""
    found = [(method, route.path) for route in leaves(app.routes) for method in route.methods if method != "HEAD"]
    assert len(found) >= 16
    return sorted(found)


def filled(path: str) -> str:
    return path.replace("{document_id}", "0" * 32).replace("{name}", "nothing")


@pytest.fixture(scope="module")
def guarded(parts: Components) -> TestClient:
    """The same components behind a token, without their background work."""
    settings = parts.settings.model_copy(update={"token": SecretStr(TOKEN)})
    app = create_app(replace(parts, settings=settings))
    return TestClient(app, base_url="http://kb.example:8000", raise_server_exceptions=False)


def test_every_route_but_the_public_ones_wants_the_token(guarded: TestClient):
    refused = {path for method, path in routes(guarded.app) if guarded.request(method, filled(path)).status_code == 401}
    assert {path for _, path in routes(guarded.app)} - refused == OPEN


def test_a_wrong_token_is_refused_with_a_challenge(guarded: TestClient):
    response = guarded.get("/v1/collections", headers={"Authorization": f"Bearer {TOKEN[:-1]}x"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("header", ["", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN} extra", TOKEN, "Bearer \u00e9"])
def test_anything_but_the_bearer_token_is_refused(guarded: TestClient, header: str):
    response = guarded.get("/v1/collections", headers={"Authorization": header.encode("latin-1")})
    assert response.status_code == 401


def test_the_token_opens_under_any_host_name(guarded: TestClient):
    response = guarded.get("/v1/collections", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200


def test_every_route_refuses_a_foreign_host_name(parts: Components):
    app = create_app(parts)
    client = TestClient(app, base_url=LOCAL_URL, raise_server_exceptions=False)
    for method, path in routes(app):
        response = client.request(method, filled(path), headers={"Host": "rebound.example"})
        assert response.status_code == 421, f"{method} {path}"
        assert response.json()["error"]["code"] == "wrong_host"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "127.0.0.1", "LOCALHOST"])
def test_loopback_names_are_served_without_a_token(client: TestClient, host: str):
    assert client.get("/v1/collections", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["", "rebound.example", "127.0.0.1.rebound.example", "127.0.0.1@rebound.example", "[::1"]
)
def test_other_names_are_not(client: TestClient, host: str):
    assert client.get("/v1/collections", headers={"Host": host}).status_code == 421


def test_without_a_token_only_the_loopback_address_is_served(parts: Components):
    client = TestClient(create_app(parts), base_url="http://192.0.2.7:8000")
    response = client.get("/v1/collections", headers={"Host": "127.0.0.1:8000"})
    assert response.status_code == 403


def test_every_route_refuses_a_page_of_another_origin(parts: Components):
    app = create_app(parts)
    client = TestClient(app, base_url=LOCAL_URL, raise_server_exceptions=False)
    for method, path in routes(app):
        for origin in ("https://evil.example", "http://127.0.0.1:8501", "http://[", "null", ""):
            response = client.request(method, filled(path), headers={"Origin": origin})
            assert response.status_code == 403, f"{method} {path} from {origin}"


def test_a_page_that_a_proxy_serves_over_tls_may_post(guarded: TestClient):
    headers = {"Origin": "https://kb.example:8000", "Authorization": f"Bearer {TOKEN}"}
    assert guarded.post("/v1/search", json={"question": "holiday"}, headers=headers).status_code == 200


def test_a_form_of_another_page_cannot_post(client: TestClient):
    response = client.post("/v1/documents", files={"file": ("a.md", b"# a")}, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403


def test_the_own_origin_may_post(client: TestClient):
    headers = {"Origin": LOCAL_URL, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/v1/search", json={"question": "holiday"}, headers=headers).status_code == 200


def test_a_link_from_elsewhere_may_be_followed(client: TestClient):
    assert client.get("/docs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_responses_forbid_sniffing_framing_and_caching(client: TestClient):
    headers = client.get("/v1/collections").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers


def test_every_data_route_asks_for_the_caller(parts: Components):
    """A route that forgot its principal would be reachable if the gate ever failed."""
    missing = [
        route.path
        for route in leaves(create_app(parts).routes)
        if route.path.startswith("/v1/") and "caller" not in route.endpoint.__annotations__
    ]
    assert missing == []


def test_another_address_is_not_served_without_a_token(settings: Settings):
    with pytest.raises(ConfigError, match="KB_TOKEN"):
        run(settings.model_copy(update={"host": "0.0.0.0"}))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True)]
    + [("0.0.0.0", False), ("10.0.0.1", False), ("localhost.example", False), ("", False), ("2130706433", False)],
)
def test_loopback_is_told_from_other_addresses(host: str, expected: bool):
    assert is_loopback(host) is expected


def test_an_announced_size_over_the_limit_is_refused_at_once(client: TestClient):
    response = client.post("/v1/documents", content=b"", headers={"Content-Length": str(10**12)})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_large"


def test_a_size_that_is_not_announced_is_counted_while_reading(parts: Components):
    read = 0
    answered: list[Message] = []

    async def receive() -> Message:
        nonlocal read
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        read += 2**16
        assert read < 2**22, "the body was read on and on"
        return {"type": "http.request", "body": head if read == 2**16 else b"a" * 2**16, "more_body": True}

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/documents",
        "raw_path": b"/v1/documents",
        "query_string": b"",
        "root_path": "",
        "server": ("127.0.0.1", 8000),
        "headers": [(b"host", b"127.0.0.1:8000"), (b"content-type", b"multipart/form-data; boundary=x")],
    }
    anyio.run(create_app(parts), scope, receive, send)
    assert answered[0]["status"] == 413
    assert json.loads(answered[1]["body"])["error"]["code"] == "too_large"


def test_a_question_has_a_size_limit_too(client: TestClient):
    response = client.post("/v1/query", content=b" " * (3 * 2**20), headers={"Content-Type": "application/json"})
    assert response.status_code == 413
