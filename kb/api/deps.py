"""What every route asks for: the running components and who is calling."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from kb.access import Principal
from kb.api.schemas import PAGE_DEFAULT, PAGE_MAX
from kb.components import Components
from kb.errors import Forbidden
from kb.jobs import JobWorker


def _components(request: Request) -> Components:
    components: Components = request.app.state.components
    return components


def _worker(request: Request) -> JobWorker:
    worker: JobWorker = request.app.state.worker
    return worker


def _principal(request: Request) -> Principal:
    """The caller as the gate let them in; a request that came past the gate is refused."""
    principal = getattr(request.state, "principal", None)
    if not isinstance(principal, Principal):
        raise Forbidden("This request has no caller.")
    return principal


Parts = Annotated[Components, Depends(_components)]
Worker = Annotated[JobWorker, Depends(_worker)]
Caller = Annotated[Principal, Depends(_principal)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Items on a page.")]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1, description="Items to skip.")]
DEFAULT_LIMIT = PAGE_DEFAULT
