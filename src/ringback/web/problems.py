"""Everything that can go wrong with a request, as RFC 9457 problem+json.

Secret: which exception is which HTTP status, and the headers that come with it. A 500 says nothing about the inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from ringback.core.errors import (
    BadInput,
    Conflict,
    Forbidden,
    RingbackError,
    Stale,
    StoreError,
    UnknownName,
)

MEDIA_TYPE = "application/problem+json"


class Unauthorized(RingbackError):
    """Nobody we know."""

    code = "unauthorized"


class BadJson(BadInput):
    """The body cannot be read at all."""

    code = "bad_json"


class TooLarge(BadInput):
    """The body is over the limit."""

    code = "too_large"


class NotJson(BadInput):
    """The body says that it is something else."""

    code = "not_json"


class TooMany(RingbackError):
    """Somebody must end first."""

    code = "too_many"


STATUS: Mapping[type[RingbackError], HTTPStatus] = {
    BadJson: HTTPStatus.BAD_REQUEST,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    UnknownName: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Stale: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    NotJson: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    BadInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    TooMany: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The table. A class that is not here, and has no base here, is unforeseen: 500."""

HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"www-authenticate": 'Bearer realm="ringback"'},
    HTTPStatus.SERVICE_UNAVAILABLE: {"retry-after": "5"},
}
CODES = {HTTPStatus.NOT_FOUND: UnknownName.code, HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed"}
INTERNAL = "internal"


def status_of(error: BaseException, *, in_path: bool = True) -> HTTPStatus:
    """The status of an exception. A name is 404 only where it was asked for by its path."""
    if isinstance(error, UnknownName) and not in_path:
        return STATUS[BadInput]
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


def details(status: HTTPStatus, code: str, detail: str, facts: Mapping[str, object] | None = None) -> dict[str, Any]:
    """The members of a problem; facts stand beside the standard ones and replace none of them."""
    standard = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail, "code": code}
    return standard | {name: fact for name, fact in (facts or {}).items() if name not in standard}


def details_of(error: BaseException, *, in_path: bool = True) -> dict[str, Any]:
    """The problem that an exception is; an unforeseen one tells nothing of itself."""
    status = status_of(error, in_path=in_path)
    if isinstance(error, RingbackError) and status is not HTTPStatus.INTERNAL_SERVER_ERROR:
        return details(status, error.code, error.message, error.facts)
    return details(status, INTERNAL, "ringback met something unforeseen; its log says what")


def encoded(problem: Mapping[str, Any]) -> bytes:
    """Its JSON; a fact that JSON does not know is its text."""
    return msgspec.json.encode(problem, enc_hook=str)


def answer(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a response, with the headers of its status and those given."""
    status = HTTPStatus(problem["status"])
    return Response(encoded(problem), status, {**HEADERS.get(status, {}), **(headers or {})}, MEDIA_TYPE)


def answer_to(error: BaseException, *, in_path: bool = True) -> Response:
    """The response to an exception."""
    return answer(details_of(error, in_path=in_path))


def install(app: FastAPI) -> None:
    """Make every exception that is foreseen a problem; shield.py does so with the others."""
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _query)
    for kind in STATUS:
        app.add_exception_handler(kind, _ours)


async def _ours(request: Request, error: Exception) -> Response:
    return answer_to(error, in_path=bool(request.path_params))


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    path = request.url.path
    said = {
        HTTPStatus.NOT_FOUND: f"there is no {path} here; /openapi.json lists what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{path} takes no {request.method}; the allow header says what it takes",
    }
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed(request.app.state.routes, path) or headers.get("Allow", "")
    code = CODES.get(status, status.name.lower())
    return answer(details(status, code, said.get(status, error.detail)), headers)


def _allowed(routes: Iterable[APIRoute], path: str) -> str:
    """Every method of a path: the framework names those of the first route that matches."""
    return ", ".join(
        sorted({method for route in routes if route.path_regex.match(path) for method in route.methods or ()})
    )


async def _query(_: Request, error: Exception) -> Response:
    """A parameter of the query or the path that is none; the first is named, all are listed."""
    assert isinstance(error, RequestValidationError)
    wrong = [(str(found["loc"][1]), str(found["msg"])) for found in error.errors()]
    field, message = wrong[0]
    facts = {"field": field, "errors": [{"field": name, "message": said} for name, said in wrong]}
    return answer(details(STATUS[BadInput], "bad_parameter", f"{field}: {message}", facts))
