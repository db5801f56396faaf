"""Event streams: framing, refusal before the first byte, failure after it, and an end when the client leaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator

import anyio
import pytest
from starlette.types import Message

from kb.api.sse import Event, EventStream, encode, event_stream
from kb.errors import NotFound


async def sent_by(response: EventStream, *, leave_after: int | None = None) -> list[Message]:
    """What a response sends; with `leave_after` the client disconnects after so many messages."""
    messages: list[Message] = []
    left = anyio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)
        if leave_after is not None and len(messages) >= leave_after:
            left.set()
            await anyio.sleep(0)

    await response({"type": "http"}, receive, send)
    return messages


def events_in(messages: list[Message]) -> list[tuple[str, object]]:
    body = b"".join(message.get("body", b"") for message in messages).decode()
    found = []
    for block in body.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_an_event_is_one_line_of_json_whatever_it_holds():
    encoded = encode(Event("token", {"text": "a\r\nb\n\nevent: done 中\u2028"})).decode()
    assert encoded.count("\n") == 3
    assert encoded.endswith("\n\n")
    assert "中" in encoded


def test_events_arrive_in_order_and_the_generator_is_closed():
    closed = threading.Event()

    def make() -> Generator[Event, None, None]:
        try:
            for number in range(5):
                yield Event("token", {"text": str(number)})
        finally:
            closed.set()

    async def trip() -> list[Message]:
        return await sent_by(await event_stream(make()))

    messages = anyio.run(trip)
    assert [data["text"] for _, data in events_in(messages)] == ["0", "1", "2", "3", "4"]
    assert messages[0]["status"] == 200
    assert (b"content-type", b"text/event-stream; charset=utf-8") in messages[0]["headers"]
    assert messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert closed.is_set()


def test_a_refusal_comes_before_the_first_byte():
    def make() -> Generator[Event, None, None]:
        raise NotFound("There is no such collection.")
        yield

    with pytest.raises(NotFound):
        anyio.run(event_stream, make())


def test_a_late_failure_is_an_error_event_in_the_one_shape():
    def make() -> Generator[Event, None, None]:
        yield Event("sources", {})
        raise ZeroDivisionError("secret inside")

    async def trip() -> list[Message]:
        return await sent_by(await event_stream(make()))

    events = events_in(anyio.run(trip))
    assert [name for name, _ in events] == ["sources", "error"]
    assert events[1][1]["error"]["code"] == "internal"
    assert "secret" not in json.dumps(events)


def test_generation_stops_when_the_client_leaves():
    made = 0
    closed = threading.Event()

    def make() -> Generator[Event, None, None]:
        nonlocal made
        try:
            while True:
                made += 1
                yield Event("token", {"text": "more"})
        finally:
            closed.set()

    async def trip() -> None:
        with anyio.fail_after(10):
            await sent_by(await event_stream(make()), leave_after=4)

    anyio.run(trip)
    assert closed.is_set()
    assert made < 20
