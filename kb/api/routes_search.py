"""Search without an answer: the passages that a question finds, with their scores."""

from __future__ import annotations

import time

from fastapi import APIRouter

from kb.access import readable_groups
from kb.api.deps import Caller, Parts
from kb.api.errors import failures
from kb.api.schemas import PassageOut, SearchIn, SearchOut, TimingsOut
from kb.citations import show

router = APIRouter(tags=["ask"])


@router.post("/v1/search", responses=failures(404, 503))
def search(body: SearchIn, parts: Parts, caller: Caller) -> SearchOut:
    """The passages nearest to a question, best first, with no model reading them."""
    started = time.perf_counter()
    with parts.database.read() as session:
        groups = readable_groups(session, caller, body.collections)
    found = parts.index.find(body.question, body.limit, groups)
    passages = [PassageOut.model_validate(show(number, item)) for number, item in enumerate(found.passages, start=1)]
    timings = TimingsOut(
        embed=found.timings.embed_ms,
        search=found.timings.search_ms,
        total=1000 * (time.perf_counter() - started),
    )
    return SearchOut(passages=passages, index_generation=found.generation, timings_ms=timings)
