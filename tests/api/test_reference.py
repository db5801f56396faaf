"""The description of the API: complete, and served from here alone."""

from __future__ import annotations

import re

from fastapi.testclient import TestClient


def test_the_page_loads_nothing_from_elsewhere(client: TestClient):
    page = client.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) == 4
    for address in addresses:
        assert address.startswith("/docs/assets/")
        assert client.get(address).status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]


def test_no_other_file_is_served(client: TestClient):
    for name in ("redoc.standalone.js", "..%2f__init__.py", "core.py"):
        assert client.get(f"/docs/assets/{name}").status_code == 404


def test_the_description_names_every_route_and_the_error_shape(client: TestClient):
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/v1/query",
        "/v1/search",
        "/v1/collections",
        "/v1/collections/{name}",
        "/v1/documents",
        "/v1/documents/{document_id}",
        "/v1/documents/{document_id}/text",
        "/v1/documents/{document_id}/content",
        "/v1/documents/{document_id}/chunks",
        "/healthz",
        "/readyz",
    }
    for path, methods in described["paths"].items():
        if path.startswith("/v1/"):
            for operation in methods.values():
                refused = operation["responses"]["422"]["content"]["application/json"]["schema"]
                assert refused == {"$ref": "#/components/schemas/ErrorBody"}


def test_health_and_readiness_are_apart(client: TestClient):
    assert client.get("/healthz").json()["status"] == "ok"
    ready = client.get("/readyz").json()
    assert ready["ready"] is True
    assert ready["parts"]["database"] == "ready"
