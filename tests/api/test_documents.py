"""Documents and collections over HTTP: in, listed, looked into, out."""

from __future__ import annotations

import hashlib

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import HOLIDAY, TRAVEL, upload


def test_an_upload_is_accepted_then_becomes_ready(client: TestClient):
    response = client.post("/v1/documents", files={"file": ("holiday.md", HOLIDAY)})
    assert response.status_code == 202
    assert response.json()["state"] == "queued"
    assert response.json()["unchanged"] is False
    document = client.get(f"/v1/documents/{upload(client, 'holiday.md', HOLIDAY)}").json()
    assert document["state"] == "ready"
    assert document["chunks"] >= 1
    assert (document["path"], document["source"], document["collection"]) == ("holiday.md", "upload", "default")
    assert document["sha256"] == hashlib.sha256(HOLIDAY).hexdigest()


def test_the_same_bytes_again_are_unchanged_and_keep_their_id(client: TestClient):
    first = upload(client, "holiday.md", HOLIDAY)
    again = client.post("/v1/documents", files={"file": ("holiday.md", HOLIDAY)})
    assert again.status_code == 202
    assert again.json() == {"id": first, "state": "ready", "unchanged": True}


def test_every_chunk_is_the_text_between_its_offsets(client: TestClient):
    for name, content in (("holiday.md", HOLIDAY), ("travel.md", TRAVEL)):
        document_id = upload(client, name, content)
        text = client.get(f"/v1/documents/{document_id}/text").json()["text"]
        page = client.get(f"/v1/documents/{document_id}/chunks").json()
        assert page["total"] == len(page["items"]) >= 1
        for chunk in page["items"]:
            assert text[chunk["start"] : chunk["end"]] == chunk["text"]


def test_the_original_is_a_download_that_no_browser_shows(client: TestClient):
    document_id = upload(client, "差旅 规定.md", TRAVEL)
    response = client.get(f"/v1/documents/{document_id}/content")
    assert response.content == TRAVEL
    assert response.headers["content-disposition"].startswith("attachment")
    assert "%E5%B7%AE" in response.headers["content-disposition"]
    assert response.headers["content-security-policy"].startswith("sandbox")
    assert response.headers["x-content-type-options"] == "nosniff"


def test_pages_of_documents_do_not_overlap_and_cover_all(client: TestClient):
    client.post("/v1/collections", json={"name": "paged"})
    ids = {
        upload(client, f"page-{number}.md", b"# Page\n\nText %d of the page." % number, "paged") for number in range(5)
    }
    seen: list[str] = []
    for offset in (0, 2, 4):
        page = client.get("/v1/documents", params={"collection": "paged", "limit": 2, "offset": offset}).json()
        assert (page["total"], page["limit"], page["offset"]) == (5, 2, offset)
        seen += [item["id"] for item in page["items"]]
    assert len(seen) == 5
    assert set(seen) == ids


def test_documents_are_listed_by_state(client: TestClient):
    upload(client, "broken.pdf", b"%PDF-1.4 not really")
    failed = client.get("/v1/documents", params={"state": "failed"}).json()
    assert [item["path"] for item in failed["items"]] == ["broken.pdf"]
    assert failed["items"][0]["error"]


def test_a_deleted_document_is_gone_everywhere(client: TestClient):
    document_id = upload(client, "short-lived.md", b"# Short\n\nThe zebra clause applies until Friday.")
    found = client.post("/v1/search", json={"question": "zebra clause", "limit": 10}).json()["passages"]
    assert document_id in {passage["document_id"] for passage in found}
    assert client.delete(f"/v1/documents/{document_id}").status_code == 204
    for path in ("", "/text", "/content", "/chunks"):
        assert client.get(f"/v1/documents/{document_id}{path}").status_code == 404
    found = client.post("/v1/search", json={"question": "zebra clause", "limit": 10}).json()["passages"]
    assert document_id not in {passage["document_id"] for passage in found}
    assert client.delete(f"/v1/documents/{document_id}").status_code == 404


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("program.exe", b"MZ", 415, "unsupported_type"),
        ("no-extension", b"text", 415, "unsupported_type"),
        ("empty.md", b"", 422, "invalid_input"),
        ("large.txt", b"a" * (2**20 + 1), 413, "too_large"),
        ("larger.txt", b"a" * (2**21), 413, "too_large"),
    ],
)
def test_what_cannot_be_taken_in_is_refused(client: TestClient, name: str, content: bytes, status: int, code: str):
    response = client.post("/v1/documents", files={"file": (name, content)})
    assert response.status_code == status
    assert response.json()["error"]["code"] == code


def test_an_upload_without_a_file_is_invalid(client: TestClient):
    response = client.post("/v1/documents", data={"collection": "default"})
    assert response.status_code == 422
    assert response.json()["error"]["fields"][0]["field"] == "body.file"


def test_an_upload_into_a_collection_that_does_not_exist_is_refused(client: TestClient):
    response = client.post("/v1/documents", files={"file": ("a.md", b"# A")}, data={"collection": "nowhere"})
    assert response.status_code == 404


def test_a_path_cannot_leave_its_place(client: TestClient):
    document_id = upload(client, "../../etc/rules.md", b"# Rules\n\nThe first rule of the house.")
    assert client.get(f"/v1/documents/{document_id}").json()["path"] == "etc/rules.md"


def test_a_collection_is_made_counted_and_deleted_with_its_documents(client: TestClient):
    made = client.post("/v1/collections", json={"name": "临时 collection"})
    assert made.status_code == 201
    assert made.json()["documents"] == 0
    document_id = upload(client, "a.md", b"# A\n\nSomething that is only here.", "临时 collection")
    counts = {item["name"]: item["documents"] for item in client.get("/v1/collections").json()["items"]}
    assert counts["临时 collection"] == 1
    assert client.post("/v1/collections", json={"name": "临时 collection"}).status_code == 409
    assert client.delete("/v1/collections/临时 collection").status_code == 204
    assert client.delete("/v1/collections/临时 collection").status_code == 404
    assert client.get(f"/v1/documents/{document_id}").status_code == 404


@pytest.mark.parametrize("name", ["", " ", "a/b", "../up", "x" * 65])
def test_a_bad_collection_name_is_refused(client: TestClient, name: str):
    assert client.post("/v1/collections", json={"name": name}).status_code == 422
