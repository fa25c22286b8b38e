"""Errors as answers: RFC 9457 problem+json that says what is wrong, where, and how to mend it. Never a path or a trace."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from edge.ports import LedgerError

MEDIA_TYPE = "application/problem+json"
URN = "urn:edge101:problem:"

log = structlog.get_logger(__name__)


class Mistake(BaseModel):
    """One thing that is wrong with a request."""

    where: str
    """Such as `query limit` or `body cursor`."""
    problem: str


class Problem(BaseModel):
    """What went wrong with a request, and how to mend it (RFC 9457)."""

    type: str
    """`urn:edge101:problem:NAME`; never changes its meaning."""
    title: str
    status: int
    detail: str
    mend: str
    """What to change, or when to try again."""
    mistakes: list[Mistake] = []


class ProblemError(Exception):
    """Raised by a route: answered as problem+json."""

    def __init__(
        self, status: int, name: str, detail: str, mend: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.mend = mend
        self.headers = dict(headers or {})

    def answer(self) -> JSONResponse:
        """As the client gets it."""
        return answer(self.status, self.name, self.detail, self.mend, headers=self.headers)


def answer(
    status: int,
    name: str,
    detail: str,
    mend: str,
    mistakes: list[Mistake] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem+json answer."""
    problem = Problem(
        type=URN + name,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        mend=mend,
        mistakes=mistakes or [],
    )
    return JSONResponse(problem.model_dump(), status, dict(headers or {}), MEDIA_TYPE)


SCHEMA = {"$ref": "#/components/schemas/Problem"}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a router's `responses`: these statuses are answered with a problem."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
        for status in statuses
    }


EVERYWHERE = documented(400, 401, 403, 404, 405, 406, 413, 422, 429, 500, 503)
"""What any route that asks for a token may answer beside what it is for."""


def install(app: FastAPI) -> None:
    """Turn what is foreseen into a problem; the guard does that to the rest (`fault`)."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(LedgerError, _unreadable)


async def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    return error.answer()


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    mistakes = [
        Mistake(where=" ".join(str(part) for part in found["loc"]), problem=str(found["msg"]))
        for found in error.errors()
    ]
    return answer(
        422,
        "invalid",
        "the request has values that cannot be used",
        "Mend what `mistakes` lists; /openapi.json says what each value may be.",
        mistakes,
    )


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    names = {
        404: ("not-found", "there is nothing at this address", "See /openapi.json for what there is."),
        413: ("size", "the body of the request is too large", "Send less: no request here needs more."),
        405: ("method", "this address does not do that", "Use a method that the header Allow names."),
    }
    name, detail, mend = names.get(
        error.status_code, ("refused", "the request was refused", "See /openapi.json for what is answered.")
    )
    return answer(error.status_code, name, detail, mend, headers=error.headers)


async def _unreadable(_: Request, error: Exception) -> JSONResponse:
    """What is wrong with the record names files: it is for the log."""
    log.error("record cannot be read", error=str(error))
    return answer(
        503,
        "record",
        "the record cannot be read at this moment",
        "Try again in a few seconds; the log of edge mi says what is wrong.",
        headers={"Retry-After": "5"},
    )


def fault(error: Exception) -> JSONResponse:
    """For what nobody foresaw."""
    log.error("fault", kind=type(error).__name__)
    return answer(
        500,
        "fault",
        "this request met a fault of the program",
        "Report it; the log of edge mi has the details.",
    )
