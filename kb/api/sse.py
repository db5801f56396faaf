"""Server-sent events out of a synchronous generator.

The generator runs in the thread pool, one step at a time, so that a slow client slows it down and a client that
leaves ends it: its `close` is called, and with it whatever it was generating. The first event is made before
the response begins: what is refused is refused with a true status code. A failure after that can only be told
inside the stream, as an `error` event.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, NamedTuple

import anyio
from anyio import to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kb.api.errors import failure


class Event(NamedTuple):
    """One event of a stream: its name and its JSON payload."""

    name: str
    data: Any


def encode(event: Event) -> bytes:
    """The bytes of one event; JSON holds no raw newline, so one `data` line is enough."""
    payload = json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {event.name}\ndata: {payload}\n\n".encode()


async def event_stream(events: Generator[Event, None, None]) -> EventStream:
    """Start the generator and return the response that carries it; what its first step raises is raised here."""
    first = await to_thread.run_sync(_step, events)
    return EventStream(events, first)


class EventStream(Response):
    """A response that pulls a started generator to its end, or closes it when the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, events: Generator[Event, None, None], first: Event | None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the generator ends or the client leaves, and close the generator in both cases."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_on_disconnect, receive, tasks.cancel_scope)
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async for event in self._all():
                    await send({"type": "http.response.body", "body": encode(event), "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._events.close)

    async def _all(self) -> AsyncIterator[Event]:
        event = self._first
        while event is not None:
            yield event
            try:
                event = await to_thread.run_sync(_step, self._events)
            except Exception as error:  # noqa: BLE001 - the last handler of a response that has already begun
                yield Event("error", failure(error)[1])
                return


def _step(events: Iterator[Event]) -> Event | None:
    """The next event, or None at the end (a StopIteration cannot cross a thread)."""
    return next(events, None)


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
