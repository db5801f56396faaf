"""Ask a question: as one JSON answer, or as server-sent events while it is being made.

Events: `sources` (the passages found), `evidence` (where the answer stands in them), `token` (text that passed
the check; all tokens joined are the answer), `done` (the whole answer), `error` (the one error shape).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse

from kb import answering
from kb.access import Principal
from kb.api.deps import Caller, Parts
from kb.api.errors import failures
from kb.api.schemas import AnswerOut, EvidenceOut, QueryIn, SourcesOut, TokenOut
from kb.api.sse import Event, event_stream
from kb.components import Components

router = APIRouter(tags=["ask"])

STREAM = "text/event-stream"
ANSWERED = {"content": {STREAM: {"schema": {"type": "string"}}}, "description": "An answer, or a stream of events."}


@router.post("/v1/query", response_model=AnswerOut, responses={200: ANSWERED, **failures(404, 503)})
async def query(
    body: QueryIn, parts: Parts, caller: Caller, accept: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """Answer a question from the documents, with citations, or say that they do not hold the answer."""
    question = answering.Question(
        text=body.question,
        collections=None if body.collections is None else tuple(body.collections),
        history=tuple(answering.Turn(turn.role, turn.content) for turn in body.history),
        mode=body.mode,
        budget_ms=body.budget_ms,
    )
    wanted = STREAM in accept.lower() if body.stream is None else body.stream
    if wanted:
        return await event_stream(_events(parts, caller, question))
    answer = await to_thread.run_sync(answering.answer, parts, caller, question)
    return JSONResponse(AnswerOut.model_validate(answer).model_dump(mode="json"))


def _events(parts: Components, caller: Principal, question: answering.Question) -> Generator[Event, None, None]:
    """The events of the core as they go over the wire; closing this closes the core's generator."""
    with closing(answering.stream(parts, caller, question)) as made:
        for event in made:
            match event:
                case answering.Sources():
                    yield Event("sources", SourcesOut.model_validate(event).model_dump(mode="json"))
                case answering.EvidenceFound():
                    yield Event("evidence", EvidenceOut.model_validate(event).model_dump(mode="json"))
                case answering.Token():
                    yield Event("token", TokenOut.model_validate(event).model_dump(mode="json"))
                case answering.Done():
                    yield Event("done", AnswerOut.model_validate(event.answer).model_dump(mode="json"))
