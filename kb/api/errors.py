"""One error shape for every failure the API can answer with.

Every error body is `{"error": {"code", "message", ...}}` with a true status code: use cases raise from
`kb.errors`, the framework raises its own for unknown paths and malformed bodies, and both arrive here. What
nobody foresaw becomes a 500 that names an identifier found in the log, and tells the caller nothing else.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from kb.errors import KbError

log = logging.getLogger(__name__)

# Codes of the failures that the framework itself raises; a KbError brings its own code.
CODES: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_type",
    421: "wrong_host",
    422: "invalid_input",
    429: "busy",
    500: "internal",
    503: "not_ready",
}


class FieldProblem(BaseModel):
    """One thing wrong with one field of a request."""

    field: str = Field(description="Path of the field, dots between the levels, as in `body.question`.")
    message: str


class ErrorDetail(BaseModel):
    """What went wrong, for a program (`code`) and for a person (`message`)."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    fields: list[FieldProblem] | None = Field(default=None, description="Only with `invalid_input`.")


class ErrorBody(BaseModel):
    """The body of every response whose status is 400 or above."""

    error: ErrorDetail


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route's description says of these statuses: each has the one error shape."""
    return {status: {"model": ErrorBody} for status in statuses}


def error_body(code: str, message: str, **more: Any) -> dict[str, Any]:
    """The one error shape; `more` adds fields beside code and message."""
    return {"error": {"code": code, "message": message, **more}}


def error_response(
    status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A response in the one error shape; without `code` the status names it."""
    content = error_body(code or CODES.get(status, "error"), message, **more)
    return JSONResponse(content, status_code=status, headers=dict(headers) if headers else None)


def failure(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Status and body for an exception; the unforeseen is logged under the identifier that the body names."""
    if isinstance(error, KbError):
        return error.status, error_body(error.code, str(error))
    reference = secrets.token_hex(6)
    log.error("unexpected failure %s", reference, exc_info=error)
    message = f"Something went wrong on the server; its log has the details under {reference}."
    return 500, error_body("internal", message, reference=reference)


def install_error_handlers(app: FastAPI) -> None:
    """Make every failure of the application answer in the one shape."""
    app.add_exception_handler(KbError, _on_failure)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_failure)


def _on_failure(request: Request, error: Exception) -> JSONResponse:
    status, body = failure(error)
    return JSONResponse(body, status_code=status)


def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if error.status_code == 404 and message == "Not Found":
        message = f"There is nothing at {request.url.path}."
    elif error.status_code == 405:
        message = f"{request.method} is not possible at {request.url.path}."
    return error_response(error.status_code, message, headers=error.headers)


def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = [_problem(item) for item in error.errors()]
    summary = "; ".join(f"{item['field']}: {item['message']}" for item in fields[:3])
    return error_response(422, f"The request is not valid: {summary}.", fields=fields)


def _problem(item: Mapping[str, Any]) -> dict[str, str]:
    """A validation problem without the input itself, which may be long or private."""
    location: Sequence[Any] = item.get("loc", ())
    return {"field": ".".join(str(part) for part in location), "message": str(item.get("msg", "is not valid"))}
