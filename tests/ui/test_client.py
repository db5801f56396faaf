"""What the screens make of the API's answers, the good and the bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from ui.client import ApiClient, ApiError, Ask, read_events

QUESTION = Ask("How many days?", None, [], "write")


def client(answer: Callable[[httpx.Request], httpx.Response], token: str | None = None) -> ApiClient:
    return ApiClient("http://api.example", token, transport=httpx.MockTransport(answer))


def test_events_are_read_line_by_line():
    lines = ["event: sources", 'data: {"passages":[]}', "", ": comment", "event: token", 'data: {"text":"a\\nb"}', ""]
    assert [(event.name, event.data) for event in read_events(iter(lines))] == [
        ("sources", {"passages": []}),
        ("token", {"text": "a\nb"}),
    ]


def test_a_question_is_sent_as_the_api_wants_it():
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, text='event: done\ndata: {"answer":"30"}\n\n')

    ask = Ask("How many?", ["guide"], [{"role": "user", "content": "Hello"}], "quote")
    events = list(client(answer, "secret").ask(ask))
    assert events[0].data == {"answer": "30"}
    assert sent[0].headers["authorization"] == "Bearer secret"
    assert sent[0].headers["accept"] == "text/event-stream"
    assert json.loads(sent[0].content) == {
        "question": "How many?",
        "collections": ["guide"],
        "history": [{"role": "user", "content": "Hello"}],
        "mode": "quote",
        "stream": True,
    }


def test_a_refusal_brings_its_code_and_sentence():
    body = {"error": {"code": "busy", "message": "Later."}}
    with pytest.raises(ApiError) as caught:
        list(client(lambda request: httpx.Response(429, json=body)).ask(QUESTION))
    assert (caught.value.code, caught.value.message, caught.value.status) == ("busy", "Later.", 429)


@pytest.mark.parametrize("response", [httpx.Response(502, text="<html>"), httpx.Response(500, json=[1])])
def test_an_answer_of_something_else_is_unexpected(response: httpx.Response):
    with pytest.raises(ApiError) as caught:
        client(lambda request: response).collections()
    assert caught.value.code == "unexpected"


def test_a_server_that_is_not_there_is_unreachable():
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    for call in (lambda: list(client(refuse).ask(QUESTION)), client(refuse).collections):
        with pytest.raises(ApiError) as caught:
            call()
        assert caught.value.code == "unreachable"


def test_a_name_cannot_change_the_path():
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path.decode())
        return httpx.Response(204)

    client(answer).delete_collection("a/../b?c=1 中")
    assert paths == ["/v1/collections/a%2F..%2Fb%3Fc%3D1%20%E4%B8%AD"]


def test_closing_the_events_closes_the_connection():
    closed: list[bool] = []

    class Body(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                yield b'event: token\ndata: {"text":"x"}\n\n'

        def close(self) -> None:
            closed.append(True)

    events = client(lambda request: httpx.Response(200, stream=Body())).ask(QUESTION)
    next(events)
    events.close()
    assert closed == [True]
