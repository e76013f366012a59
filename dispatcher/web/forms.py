"""What a POST brings: read up to a limit of bytes and of time, and parsed. Endpoints get a Form and run in a thread.

Two ways to read. `posted` refuses what is too large, too slow or no form. `posted_anyhow` refuses nothing: it hands
over what could be read, for one-click unsubscribing, where in every doubt the person leaves.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message

MOST_BYTES = 64 * 1024
MOST_SECONDS = 15
MOST_FIELDS = 50


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, and the file that came with it, if one may; other files are left out."""

    fields: Mapping[str, tuple[str, ...]]
    file: bytes = b""

    def first(self, name: str) -> str:
        """Give the first value of a field; "" if there is none."""
        return self.fields.get(name, ("",))[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Give every value of a field."""
        return self.fields.get(name, ())


Answer = Callable[[Request, Form], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def posted(answer: Answer, largest_file: int = 0) -> Endpoint:
    """Make an endpoint that answers a form. 413: larger than MOST_BYTES, and a file of so many bytes; 408: too slow;
    400: not readable.
    """
    most = MOST_BYTES + largest_file

    async def endpoint(request: Request) -> Response:
        body, is_whole = await _read(request, most)
        if not is_whole:
            raise HTTPException(413 if len(body) > most else 408)
        return await run_in_threadpool(answer, request, await _parse(request, body, largest_file))

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


async def _read(request: Request, most: int = MOST_BYTES) -> tuple[bytes, bool]:
    """Give the body and whether it is whole: not when it was too large, too slow, or when the line broke."""
    body = bytearray()
    try:
        async with asyncio.timeout(MOST_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    return bytes(body), False
    except (TimeoutError, ClientDisconnect):
        return bytes(body), False
    return bytes(body), True


async def _parse(request: Request, body: bytes, largest_file: int = 0) -> Form:
    async def replay() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        if largest_file and request.headers.get("content-type", "").startswith("multipart/form-data"):
            return await _with_file(request.headers, body)
        parsed = await Request(request.scope, replay).form(
            max_files=0, max_fields=MOST_FIELDS, max_part_size=MOST_BYTES
        )
    except (LookupError, ValueError, MultiPartException) as error:  # a charset or a boundary that nobody knows
        raise HTTPException(400) from error
    return Form(_texts(parsed))


async def _with_file(headers: Headers, body: bytes) -> Form:
    """Parse a form with one file; it stays in memory, however large it is."""

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(headers, whole(), max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_BYTES)
    parser.spool_max_size = len(body) + 1  # what is smaller is not put on the disk
    parsed = await parser.parse()
    try:
        uploads = [value for value in parsed.values() if not isinstance(value, str)]
        return Form(_texts(parsed), await uploads[0].read() if uploads else b"")
    finally:
        await parsed.close()


def _texts(parsed: FormData) -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in parsed.multi_items():
        if isinstance(value, str):
            fields[name] = (*fields.get(name, ()), value)
    return fields
