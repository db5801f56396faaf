"""Whether the process lives, and whether it can answer: for supervisors, so without a token and without content."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from kb.api.deps import Parts
from kb.api.errors import error_response, failures
from kb.api.schemas import HealthOut, ReadyOut
from kb.changes import change_state
from kb.errors import KbError

router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive() -> HealthOut:
    """The process answers."""
    return HealthOut(version=version("kb"))


@router.get("/readyz", response_model=ReadyOut, responses=failures(503))
def ready(parts: Parts) -> ReadyOut | JSONResponse:
    """The database answers and the networks are loaded; 503 with the part that is not ready."""
    states = {
        "encoder": "ready",
        "reader": "ready" if parts.reader is not None else "untrained",
        "writer": "ready" if parts.writer is not None else "untrained",
        "index": f"generation {parts.index.generation}",
    }
    try:
        with parts.database.read() as session:
            change_state(session)
    except KbError as error:
        return error_response(503, error.message, code=error.code, parts={**states, "database": "failed"})
    return ReadyOut(ready=True, parts={**states, "database": "ready"})
