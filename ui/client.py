"""The API as the screens see it: typed calls over HTTP, and one kind of error.

Nothing else in this package opens a connection. Whatever goes wrong, on the way or over there, arrives as an
ApiError with a code that the text catalogue can name in the reader's language.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
CONNECT_S = 5.0
READ_S = 120.0  # a stream sends nothing while the first model is loaded

Json = dict[str, Any]


class ApiError(Exception):
    """A call that failed: `code` is stable, `message` a sentence in English, `status` the HTTP status or 0."""

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class StreamEvent:
    """One event of a streamed answer: `sources`, `evidence`, `token`, `done` or `error`, with its payload."""

    name: str
    data: Json


@dataclass(frozen=True)
class Ask:
    """A question as it is sent; `history` holds earlier messages as `role` and `content`, oldest first."""

    question: str
    collections: Sequence[str] | None
    history: Sequence[Mapping[str, str]]
    mode: str

    def body(self) -> Json:
        """The JSON body of the request."""
        body: Json = {"question": self.question, "history": list(self.history), "mode": self.mode, "stream": True}
        if self.collections is not None:
            body["collections"] = list(self.collections)
        return body


class ApiClient:
    """One connection pool to one API; may be shared between threads."""

    def __init__(self, url: str, token: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
        self.url = url
        # Proxies of the environment are for the internet, not for the API of this installation.
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport, trust_env=False)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def collections(self) -> list[Json]:
        """All collections, each with `name` and `documents`."""
        items: list[Json] = self._json("GET", "/v1/collections")["items"]
        return items

    def create_collection(self, name: str) -> None:
        """Make an empty collection; ApiError `conflict` where the name is taken."""
        self._json("POST", "/v1/collections", json={"name": name})

    def delete_collection(self, name: str) -> None:
        """Delete a collection with everything in it."""
        self._json("DELETE", f"/v1/collections/{_segment(name)}")

    def documents(self, *, collection: str | None, state: str | None, limit: int, offset: int) -> Json:
        """One page of documents: `items`, `total`, `limit`, `offset`."""
        wanted = {"collection": collection, "state": state, "limit": limit, "offset": offset}
        return self._json(
            "GET", "/v1/documents", params={key: value for key, value in wanted.items() if value is not None}
        )

    def document(self, document_id: str) -> Json:
        """One document with state, stage, error and what was dropped from it."""
        return self._json("GET", f"/v1/documents/{_segment(document_id)}")

    def text(self, document_id: str) -> Json:
        """The stored text of a document, which all offsets count in."""
        return self._json("GET", f"/v1/documents/{_segment(document_id)}/text")

    def chunks(self, document_id: str, *, limit: int, offset: int) -> Json:
        """One page of a document's chunks."""
        return self._json(
            "GET", f"/v1/documents/{_segment(document_id)}/chunks", params={"limit": limit, "offset": offset}
        )

    def content(self, document_id: str) -> bytes:
        """The original bytes of a document."""
        try:
            response = self._http.get(f"/v1/documents/{_segment(document_id)}/content")
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        if response.is_error:
            raise _refused(response)
        return response.content

    def upload(self, name: str, content: IO[bytes], collection: str) -> Json:
        """Hand in one file; the answer has its `id` and `state`."""
        return self._json("POST", "/v1/documents", files={"file": (name, content)}, data={"collection": collection})

    def delete_document(self, document_id: str) -> None:
        """Delete a document with its text, passages and vectors."""
        self._json("DELETE", f"/v1/documents/{_segment(document_id)}")

    def ask(self, ask: Ask) -> Iterator[StreamEvent]:
        """Stream an answer; closing the iterator ends the request and with it the work over there."""
        try:
            with self._http.stream(
                "POST", "/v1/query", json=ask.body(), headers={"Accept": "text/event-stream"}
            ) as response:
                if response.is_error:
                    response.read()
                    raise _refused(response)
                yield from read_events(response.iter_lines())
        except httpx.HTTPError as error:
            raise _unreachable(error) from error

    def _json(self, method: str, path: str, **request: Any) -> Json:
        try:
            response = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        if response.is_error:
            raise _refused(response)
        if response.status_code == 204:
            return {}
        return _object(response)


def read_events(lines: Iterator[str]) -> Iterator[StreamEvent]:
    """Events out of the lines of a text/event-stream body."""
    name, data = "message", []
    for line in lines:
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield StreamEvent(name, json.loads("\n".join(data)))
            name, data = "message", []


def _segment(value: str) -> str:
    """A value as one segment of a path."""
    return quote(value, safe="")


def _object(response: httpx.Response) -> Json:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError("unexpected", f"{response.url} did not answer as the API does.", response.status_code)
    return body


def _refused(response: httpx.Response) -> ApiError:
    detail = _object(response).get("error")
    if not isinstance(detail, dict):
        return ApiError("unexpected", f"{response.url} did not answer as the API does.", response.status_code)
    return ApiError(str(detail.get("code", "unexpected")), str(detail.get("message", "")), response.status_code)


def _unreachable(error: httpx.HTTPError) -> ApiError:
    if isinstance(error, httpx.ReadTimeout):
        return ApiError("timeout", "The API took too long to answer.")
    return ApiError("unreachable", f"The API cannot be reached: {error}.")
