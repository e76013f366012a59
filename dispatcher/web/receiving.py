"""A form with a file in it: the file goes onto the shelf as it comes, octet by octet; only its fields are held.

What must stay true: memory does not grow with the file; whoever may not hand one in is turned away before any of it is
read (the caller sees to it); what is not finished, or turns out too large, leaves nothing behind.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from dispatcher.shelf import Arrived, Arriving, Shelf, TooLarge
from dispatcher.web.forms import MOST_BYTES, MOST_FIELDS, FileTrouble, Form

MOST_SILENCE = 30.0  # seconds between two pieces of a file
MOST_SECONDS = 3600.0
_PATIENCE = 60.0  # seconds in which the rest of a file is heard out that is too large: else browsers show no answer
_LONGEST_NAME = 200


@dataclass(slots=True)
class _Part:
    """One part of the form, as far as it has come."""

    name: str = ""
    disposition: bytes = b""
    header: bytes = b""
    value: bytes = b""
    octets: bytearray = field(default_factory=bytearray)
    file: Arriving | None = None


def is_multipart(request: Request) -> bool:
    """Claim that a form may hold a file."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def receive(request: Request, shelf: Shelf) -> Form:
    """Read a form, its one file onto the shelf. HTTPException 400: not readable, or no file is expected there; 408: too
    slow.
    """
    taking = _Taking(shelf, _boundary(request))
    try:
        async with asyncio.timeout(MOST_SECONDS):
            async for piece in _pieces(request):
                taking.take(piece)
                if taking.trouble:
                    await _hear_out(request)
                    break
        return await run_in_threadpool(taking.finish)
    except (TimeoutError, ClientDisconnect):
        raise HTTPException(408) from None
    except FormParserError as error:
        raise HTTPException(400) from error
    finally:
        taking.clear()


class _Taking:
    """A form on its way in."""

    def __init__(self, shelf: Shelf, boundary: bytes) -> None:
        self._shelf = shelf
        self._fields: dict[str, tuple[str, ...]] = {}
        self._held = 0  # octets of fields
        self._part = _Part()
        self._file: Arriving | None = None
        self._has_ended = False
        self.trouble: FileTrouble | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._end,
                "on_header_field": self._header, "on_header_value": self._value, "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end, "on_end": self._finish,
            },
        )  # fmt: skip

    def take(self, piece: bytes) -> None:
        """Take the next octets in."""
        try:
            self._parser.write(piece)
        except TooLarge:
            self.trouble = FileTrouble.TOO_LARGE
        except OSError:
            self.trouble = FileTrouble.NO_ROOM

    def finish(self) -> Form:
        """Give the form; the file is on the disk then, and it is the caller's to keep."""
        if self.trouble:
            return Form(self._fields, trouble=self.trouble)
        if not self._has_ended:
            raise FormParserError("the form has no end")
        arrived: Arrived | None = None
        if self._file is not None:
            arrived = self._file.finish()
            self._file = None
        return Form(self._fields, file=arrived)

    def clear(self) -> None:
        """Leave nothing behind of a file that was not finished."""
        if self._file is not None:
            self._file.drop()

    def _begin(self) -> None:
        self._part = _Part()

    def _header(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]
        self._hold(end - start)

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]
        self._hold(end - start)

    def _header_end(self) -> None:
        part = self._part
        if part.header.lower() == b"content-disposition":
            part.disposition = part.value
        part.header = part.value = b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if (named := options.get(b"filename")) is None:
            return
        if self._file is not None:
            raise HTTPException(400)
        if name := _plain_name(named.decode("utf-8", "replace")):  # empty: nobody chose a file
            self._file = self._part.file = self._shelf.begin(name)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part.file is not None:
            self._part.file.write(data[start:end])
            return
        self._hold(end - start)
        self._part.octets += data[start:end]

    def _end(self) -> None:
        part = self._part
        if part.file is None and part.name:
            self._fields[part.name] = (*self._fields.get(part.name, ()), part.octets.decode("utf-8", "replace"))
            if len(self._fields) > MOST_FIELDS:
                raise HTTPException(400)

    def _finish(self) -> None:
        self._has_ended = True

    def _hold(self, octets: int) -> None:
        self._held += octets
        if self._held > MOST_BYTES:
            raise HTTPException(413)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(MOST_SILENCE):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        yield piece


async def _hear_out(request: Request) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            while (await request.receive()).get("more_body", False):
                pass
    except TimeoutError:
        return


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise HTTPException(400)
    return options[b"boundary"]


def _plain_name(text: str) -> str:
    """Give a file's name as its owner calls it, without folders; it is shown, and never used as a path."""
    name = text.replace("\\", "/").rpartition("/")[2]
    return "".join(ch for ch in name if ch.isprintable()).strip()[:_LONGEST_NAME]
