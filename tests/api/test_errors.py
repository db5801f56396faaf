"""One error shape, true status codes, and nothing of the inside told."""

from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from kb.api.errors import install_error_handlers
from kb.errors import Conflict, KbError, ModelMissing, NotFound
from tests.api.conftest import LOCAL_URL


def error_of(response) -> dict:
    body = response.json()
    assert set(body) == {"error"}
    assert body["error"]["code"]
    assert body["error"]["message"].endswith(".")
    return body["error"]


def test_an_unknown_path_answers_in_the_one_shape(client: TestClient):
    response = client.get("/v1/nothing")
    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"


def test_a_wrong_method_answers_in_the_one_shape(client: TestClient):
    response = client.put("/v1/collections")
    assert response.status_code == 405
    assert error_of(response)["code"] == "method_not_allowed"
    assert response.headers["allow"]


def test_an_invalid_body_names_its_fields_and_not_their_values(client: TestClient):
    response = client.post("/v1/query", json={"question": "", "mode": "secret-value", "colour": 1})
    assert response.status_code == 422
    error = error_of(response)
    assert error["code"] == "invalid_input"
    assert {field["field"] for field in error["fields"]} == {"body.question", "body.mode", "body.colour"}
    assert "secret-value" not in response.text


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b""])
def test_a_body_that_is_no_object_is_invalid(client: TestClient, body: bytes):
    response = client.post("/v1/query", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert error_of(response)["code"] == "invalid_input"


def test_a_missing_document_is_not_found(client: TestClient):
    for path in ("", "/text", "/content", "/chunks"):
        response = client.get(f"/v1/documents/{'0' * 32}{path}")
        assert response.status_code == 404
        assert error_of(response)["code"] == "not_found"


def test_a_page_over_the_limit_is_refused_not_shortened(client: TestClient):
    response = client.get("/v1/documents", params={"limit": 101})
    assert response.status_code == 422
    assert error_of(response)["fields"][0]["field"] == "query.limit"


@pytest.fixture(scope="module")
def failing() -> TestClient:
    """An application whose only routes fail in the ways a use case can."""
    app = FastAPI()
    install_error_handlers(app)
    errors: dict[str, Exception] = {
        "conflict": Conflict("There is already one."),
        "missing": NotFound("There is none."),
        "model": ModelMissing("Run kb model install."),
        "unforeseen": ZeroDivisionError("secret inside"),
    }

    @app.get("/{kind}")
    def fail(kind: str) -> None:
        raise errors[kind]

    return TestClient(app, base_url=LOCAL_URL, raise_server_exceptions=False)


@pytest.mark.parametrize(("kind", "error"), [("conflict", Conflict), ("missing", NotFound), ("model", ModelMissing)])
def test_an_error_of_a_use_case_keeps_its_status_and_code(failing: TestClient, kind: str, error: type[KbError]):
    response = failing.get(f"/{kind}")
    assert response.status_code == error.status
    assert error_of(response)["code"] == error.code


def test_the_unforeseen_is_logged_and_not_told(failing: TestClient, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.ERROR):
        response = failing.get("/unforeseen")
    assert response.status_code == 500
    error = error_of(response)
    assert error["code"] == "internal"
    assert "secret inside" not in response.text
    assert error["reference"] in caplog.text
