"""What a POST brings: read up to a limit of bytes and of time, and parsed. Endpoints made by `posted` get a Form and
run in a thread.

Two ways to read. `whole` refuses what is too large, too slow or no form. `anyhow` refuses nothing: it hands over what
could be read, for one-click unsubscribing, where in every doubt the person leaves.

How much is read is the endpoint's Size; none takes files but one that says so.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dispatcher.shelf import Arrived

MOST_BYTES = 64 * 1024
MOST_SECONDS = 15
MOST_FIELDS = 50


class FileTrouble(StrEnum):
    """Why a file was not taken in."""

    TOO_LARGE = "too-large"
    NO_ROOM = "no-room"


@dataclass(frozen=True, slots=True)
class Size:
    """How much a form may bring: octets and fields in all, and files."""

    octets: int = MOST_BYTES
    fields: int = MOST_FIELDS
    files: int = 0


SMALL = Size()


@dataclass(frozen=True, slots=True)
class File:
    """A file that came with a form. Its name is the sender's word and no path of ours."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, and its files; a large one, `file`, lies on the shelf (`receiving.receive`)."""

    fields: Mapping[str, tuple[str, ...]]
    files: Mapping[str, tuple[File, ...]] = field(default_factory=dict)
    file: Arrived | None = None
    trouble: FileTrouble | None = None

    def first(self, name: str) -> str:
        """Give the first value of a field; "" if there is none."""
        return self.fields.get(name, ("",))[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Give every value of a field."""
        return self.fields.get(name, ())


Answer = Callable[[Request, Form], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def posted(answer: Answer, size: Size = SMALL) -> Endpoint:
    """Make an endpoint that answers a form in a thread. Answers what `whole` raises."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, request, await whole(request, size))

    return endpoint


async def whole(request: Request, size: Size = SMALL) -> Form:
    """Read a form. Raises HTTPException 413: larger than its size; 408: too slow; 400: not readable."""
    body, is_whole = await _read(request, size.octets)
    if not is_whole:
        raise HTTPException(413 if len(body) > size.octets else 408)
    return await _parse(request, body, size)


async def anyhow(request: Request) -> Form:
    """Read a form whatever its body is; one that cannot be read is an empty form."""
    body, _ = await _read(request, MOST_BYTES)
    try:
        return await _parse(request, body, SMALL)
    except HTTPException:
        return Form({})


async def _read(request: Request, most: int) -> tuple[bytearray, bool]:
    """Give the body and whether it is whole: not when it was too large, too slow, or when the line broke."""
    body = bytearray()
    try:
        async with asyncio.timeout(MOST_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    return body, False
    except (TimeoutError, ClientDisconnect):
        return body, False
    return body, True


async def _parse(request: Request, body: bytearray, size: Size) -> Form:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield bytes(body)

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    most = {"max_fields": size.fields, "max_part_size": size.octets}
    try:
        if kind == "multipart/form-data":
            parser = MultiPartParser(request.headers, whole(), max_files=size.files, **most)
            parser.spool_max_size = len(body) + 1  # whatever is handed in stays in memory, and off the disk
            parsed = await parser.parse()
        elif kind == "application/x-www-form-urlencoded":
            parsed = await FormParser(request.headers, whole(), **most).parse()
        else:
            parsed = FormData()
    except (LookupError, ValueError, MultiPartException) as error:  # a charset or a boundary that nobody knows
        raise HTTPException(400) from error
    return Form(_texts(parsed), await _files(parsed))


def _texts(parsed: FormData) -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in parsed.multi_items():
        if isinstance(value, str):
            fields[name] = (*fields.get(name, ()), value)
    return fields


async def _files(parsed: FormData) -> dict[str, tuple[File, ...]]:
    """A field for which nobody chose a file comes with an empty name."""
    files: dict[str, tuple[File, ...]] = {}
    for name, value in parsed.multi_items():
        if isinstance(value, UploadFile) and value.filename:
            files[name] = (*files.get(name, ()), File(value.filename, await value.read()))
    await parsed.close()
    return files
