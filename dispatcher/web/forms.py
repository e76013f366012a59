"""What a POST brings: read up to a limit of bytes and of time, and parsed. Endpoints get a Form and run in a thread.

Two ways to read. `posted` refuses what is too large, too slow or no form. `posted_anyhow` refuses nothing: it hands
over what could be read, for one-click unsubscribing, where in every doubt the person leaves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message

MOST_BYTES = 64 * 1024
MOST_SECONDS = 15
MOST_FIELDS = 50


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form. Files are left out."""

    fields: Mapping[str, tuple[str, ...]]

    def first(self, name: str) -> str:
        """Give the first value of a field; "" if there is none."""
        return self.fields.get(name, ("",))[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Give every value of a field."""
        return self.fields.get(name, ())


Answer = Callable[[Request, Form], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def posted(answer: Answer) -> Endpoint:
    """Make an endpoint that answers a form. 413: larger than MOST_BYTES; 408: too slow; 400: not readable."""

    async def endpoint(request: Request) -> Response:
        body, is_whole = await _read(request)
        if not is_whole:
            raise HTTPException(413 if len(body) > MOST_BYTES else 408)
        return await run_in_threadpool(answer, request, await _parse(request, body))

    return endpoint


def posted_anyhow(answer: Answer) -> Endpoint:
    """Make an endpoint that answers a POST whatever its body is; one that cannot be read is an empty form."""

    async def endpoint(request: Request) -> Response:
        body, _ = await _read(request)
        try:
            form = await _parse(request, body)
        except HTTPException:
            form = Form({})
        return await run_in_threadpool(answer, request, form)

    return endpoint


async def _read(request: Request) -> tuple[bytes, bool]:
    """Give the body and whether it is whole: not when it was too large, too slow, or when the line broke."""
    body = b""
    try:
        async with asyncio.timeout(MOST_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    return body, False
    except (TimeoutError, ClientDisconnect):
        return body, False
    return body, True


async def _parse(request: Request, body: bytes) -> Form:
    async def replay() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    again = Request(request.scope, replay)
    try:
        parsed = await again.form(max_files=0, max_fields=MOST_FIELDS, max_part_size=MOST_BYTES)
    except (LookupError, ValueError) as error:  # a charset or a boundary that nobody knows
        raise HTTPException(400) from error
    return Form(_texts(parsed))


def _texts(parsed: FormData) -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in parsed.multi_items():
        if isinstance(value, str):
            fields[name] = (*fields.get(name, ()), value)
    return fields
