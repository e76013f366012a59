"""Answers for what goes wrong: problem+json (RFC 9457), with what happened, to which thing, and what to do.

What must stay true: every answer that is no success has this shape, and its kind is one that KINDS explains; nothing
that went wrong inside shows outside.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher.api.findings import FindingTold, ReleaseStopped
from dispatcher.errors import (
    AddressInvalid,
    ContentInvalid,
    DispatcherError,
    FourEyesLacking,
    InputRefused,
    MoveRefused,
    NotFound,
    PartUnavailable,
    RelayDown,
    SavedMeanwhile,
)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its status, its title, and when it comes."""

    status: int
    title: str
    about: str


KINDS: Mapping[str, Kind] = {
    "not-readable": Kind(400, "The request cannot be read", "The body is no JSON, was cut off, or came too slowly."),
    "no-key": Kind(401, "No key that opens this", "No key was sent, or one that is not known, is revoked or is over."),
    "scope-lacking": Kind(403, "The key may not do this", "The key is good, but lacks a scope that this needs."),
    "not-found": Kind(404, "There is no such thing", "The path, or what it or the body names, does not exist."),
    "not-allowed": Kind(405, "Not with this method", "The path knows other methods; the Allow header names them."),
    "not-possible-now": Kind(409, "Not possible as things stand", "The campaign is in a state that does not allow it."),
    "saved-meanwhile": Kind(
        412, "Somebody has saved since", "The version in If-Match is not the newest one; nothing was overwritten."
    ),
    "stopped": Kind(409, "Something stops the newsletter", "It was looked over; `findings` says what stops it."),
    "four-eyes": Kind(
        409, "It needs a second pair of eyes", "The key that releases it, or one of the same name, wrote it."
    ),
    "key-of-another": Kind(
        409, "The Idempotency-Key belongs to another request", "It was used within a day for something else."
    ),
    "too-large": Kind(413, "The request is too large", "Its body is larger than this path takes."),
    "media-type": Kind(415, "Not in this media type", "The body is in another media type than this path takes."),
    "invalid": Kind(422, "The request is not as described", "`errors` names each field that is wrong."),
    "refused": Kind(422, "This cannot be taken", "All fields are as described, but what they say cannot be done."),
    "address-refused": Kind(422, "This is no address that can be mailed", "The address breaks the rules of addresses."),
    "content-refused": Kind(422, "The content cannot be composed", "`file` and `line` say where."),
    "too-many": Kind(429, "Too many requests", "The key asks too often; Retry-After says how long to wait."),
    "failed": Kind(500, "Something went wrong on our side", "It is noted in the log; nothing was changed."),
    "away": Kind(503, "A part is away", "The database does not answer, say; Retry-After says how long to wait."),
}  # fmt: skip


class FieldError(BaseModel):
    """What is wrong with one field."""

    pointer: str = Field(description="Where, as a JSON pointer (RFC 6901), or the name of a parameter.")
    detail: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="The kind of problem, a URI that explains it.")
    title: str
    status: int
    detail: str = Field(description="What happened, to which thing.")
    cure: str | None = Field(default=None, description="What to do.")
    errors: list[FieldError] | None = Field(default=None, description="Of `invalid`: each field that is wrong.")
    file: str | None = Field(default=None, description="Of `content-refused`: which content.")
    line: int | None = Field(default=None, description="Of `content-refused`: which line; 0: all of it.")
    findings: list[FindingTold] | None = Field(default=None, description="Of `stopped`: what stops it.")


class ScopeLacking(DispatcherError):
    """The key is good, but not for this."""


def answer(
    request: Request, kind: str, detail: str, cure: str | None = None, *, headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:  # fmt: skip
    """Make the answer for a problem of one of the KINDS."""
    about = KINDS[kind]
    problem = Problem(
        type=f"{request.scope['app'].state.public_url}/problems/{kind}", title=about.title, status=about.status,
        detail=detail, cure=cure or None, **more,
    )  # fmt: skip
    return Response(problem.model_dump_json(exclude_none=True), about.status, headers, MEDIA_TYPE)


# Errors that need no more than what happened and the cure; a narrower one stands before a wider.
_PLAIN: Mapping[type[DispatcherError], str] = {
    ScopeLacking: "scope-lacking",
    InputRefused: "refused",
    NotFound: "not-found",
    FourEyesLacking: "four-eyes",
    SavedMeanwhile: "saved-meanwhile",
    MoveRefused: "not-possible-now",
}


async def of_error(request: Request, error: Exception) -> Response:
    """Answer one of our errors."""
    assert isinstance(error, DispatcherError)
    match error:
        case ContentInvalid():
            return answer(request, "content-refused", error.what, error.cure, file=error.file, line=error.line)
        case PartUnavailable() | RelayDown():
            return answer(request, "away", error.what, error.cure, headers={"Retry-After": "30"})
        case AddressInvalid():
            return answer(request, "address-refused", error.what, error.cure or "check the spelling")
        case ReleaseStopped():
            told = [FindingTold.of(finding) for finding in error.findings]
            return answer(request, "stopped", error.what, error.cure, findings=told)
        case _:
            return _plain(request, error)


async def of_another(request: Request, _error: Exception) -> Response:
    """Answer a request whose Idempotency-Key belongs to another."""
    what = "this Idempotency-Key was used for another request"
    return answer(request, "key-of-another", what, "make a new key for each request; repeat one with what it said")


async def of_http(request: Request, error: Exception) -> Response:
    """Answer what the router or the reading of a body refuses."""
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            return answer(request, "not-found", "there is nothing at this path", "/api/v1/openapi.json lists the paths")
        case 405:
            allowed = ", ".join(_methods(request))
            what = f"{request.method} is not possible here"
            return answer(request, "not-allowed", what, f"use {allowed}", headers={"Allow": allowed})
        case 413:
            return answer(request, "too-large", "the body is larger than this path takes", "send less at a time")
        case _:
            return answer(request, "not-readable", "the body cannot be read", "send it whole, and within a minute")


async def of_fields(request: Request, error: Exception) -> Response:
    """Answer a request that is not as described, field by field. What was sent is not repeated."""
    assert isinstance(error, RequestValidationError)
    wrong = error.errors()
    if any(one["type"] == "json_invalid" for one in wrong):
        return answer(request, "not-readable", "the body is no JSON", "send JSON (RFC 8259)")
    if _is_of_another_type(request, wrong):
        return answer(request, "media-type", "the body is no JSON", "send it as Content-Type: application/json")
    errors = [FieldError(pointer=_pointer(one["loc"]), detail=_words(one["msg"])) for one in wrong[:50]]
    names = ", ".join(error.pointer or "the body" for error in errors[:5])
    return answer(request, "invalid", f"not as described: {names}", "see errors, and openapi.json", errors=errors)


async def of_fault(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw; the border of the process logs it."""
    if isinstance(error, OperationalError | PoolTimeout):
        what = "the database does not answer, or others hold what this needs"
        return answer(request, "away", what, "ask again", headers={"Retry-After": "30"})
    return answer(request, "failed", "something went wrong on our side", "ask again; if it stays, tell the operator")


def _plain(request: Request, error: DispatcherError) -> Response:
    for of, kind in _PLAIN.items():
        if isinstance(error, of):
            return answer(request, kind, error.what, error.cure)
    raise error


def _methods(request: Request) -> list[str]:
    """Give every method of the path, for 405 names them all (RFC 9110, 15.5.6)."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    found: set[str] = set()
    for template, operations in request.app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            found |= {method.upper() for method in operations}
    return sorted(found)


def _is_of_another_type(request: Request, wrong: Any) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or re.fullmatch(r"application/[\w.-]+\+json", media_type)
    return not is_json and any(tuple(one["loc"]) == ("body",) and one["type"] != "missing" for one in wrong)


def _pointer(place: Any) -> str:
    kind, *rest = place
    if kind != "body":
        return str(rest[-1]) if rest else str(kind)
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in rest)


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")
