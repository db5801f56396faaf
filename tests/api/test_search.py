"""Searching over HTTP: passages of the collections asked for, and no others."""

from __future__ import annotations

from fastapi.testclient import TestClient

from tests.api.conftest import HOLIDAY, TRAVEL, upload


def test_a_search_finds_the_passage_that_shares_the_words(client: TestClient):
    document_id = upload(client, "holiday.md", HOLIDAY)
    upload(client, "travel.md", TRAVEL)
    body = client.post("/v1/search", json={"question": "days of paid holiday"}).json()
    best = body["passages"][0]
    assert best["document_id"] == document_id
    assert best["n"] == 1
    text = client.get(f"/v1/documents/{document_id}/text").json()["text"]
    assert text[best["start"] : best["end"]] == best["text"]
    assert body["timings_ms"]["total"] > 0


def test_a_search_stays_inside_the_collections_named(client: TestClient):
    client.post("/v1/collections", json={"name": "other"})
    upload(client, "holiday.md", HOLIDAY)
    inside = upload(client, "elsewhere.md", b"# Elsewhere\n\nPaid holiday is different here.", "other")
    body = client.post("/v1/search", json={"question": "paid holiday", "collections": ["other"], "limit": 10}).json()
    assert {passage["document_id"] for passage in body["passages"]} == {inside}


def test_a_collection_that_does_not_exist_is_not_found(client: TestClient):
    response = client.post("/v1/search", json={"question": "holiday", "collections": ["nowhere"]})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_no_more_passages_come_than_were_asked_for(client: TestClient):
    upload(client, "holiday.md", HOLIDAY)
    upload(client, "travel.md", TRAVEL)
    assert len(client.post("/v1/search", json={"question": "holiday", "limit": 1}).json()["passages"]) == 1
    assert client.post("/v1/search", json={"question": "holiday", "limit": 51}).status_code == 422
