"""/imports: files of people, handed in by a program: looked over first, imported on its word. A worker works at them.

What must stay true: a file is never held in memory, and is kept only if its row is; of a request that is repeated with
its Idempotency-Key one file stays.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field, StringConstraints
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import Cursor, Limit, Line, Moment, Said, Told, decode, encode
from dispatcher.db.engine import reading
from dispatcher.db.terms import Scope, Topic, UploadKind, UploadState
from dispatcher.domain import uploads
from dispatcher.domain.imports import Fate, Format, Instructions
from dispatcher.domain.imports.columns import MAPPED
from dispatcher.domain.uploads import Order, Upload
from dispatcher.errors import InputRefused, NotFound
from dispatcher.sending import adding
from dispatcher.sending.handed_in import orders
from dispatcher.sending.handed_in.place import shelf_of
from dispatcher.shelf import Arrived, TooLarge

router = APIRouter(prefix="/imports", tags=["imports"])

ImportId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The number of a file.")]
Column = Annotated[str, StringConstraints(max_length=300, pattern=rf"^({'|'.join(MAPPED)})=[^\x00-\x1f\x7f]+$")]
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "The rows.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file, as it is.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class ImportTold(Told):
    """A file of people, and where it stands."""

    id: int
    file: str
    sha256: str
    octets: int
    origin: str
    by: str
    at: Moment
    state: UploadState = Field(description="`looked`: what it would do is known, and it waits for `start`.")
    since: Moment
    octets_done: int = Field(description="How much of it is read, in this stage.")
    rows: int = Field(description="How many rows are read, in this stage.")
    counts: dict[Fate, int] = Field(description="What becomes of the rows: in a dry run what would.")
    pending_because: dict[str, int] = Field(description="Of those who are pending: why their consent is not believed.")
    problem: str | None = Field(description="Why it cannot be read, or what holds it up.")
    cure: str | None
    is_kept: bool = Field(description="The file is still there. It goes with the end of the import.")
    has_rejects: bool = Field(description="The rows that cannot be read are still there.")


class ImportPage(Told):
    """Files, the newest first."""

    items: list[ImportTold]
    next: str | None


class HowSaid(Said):
    """Where the people of a file come from, and how it is to be read."""

    origin: Line = Field(description="Where these people come from, in words; kept as proof.")
    file: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/\\]*$")] = Field(
        default="people.csv", description="What the file is called."
    )
    format: Format | None = Field(default=None, description="Whose export it is; without it, by its columns.")
    topics: list[Topic] = Field(default=[], description="What rows that name no topic are about.")
    columns: list[Column] = Field(default=[], description="Which column is what: email=E-Mail.")
    encoding: Literal["utf-8", "windows-1252", "latin-1", "utf-16"] = "utf-8"
    everybody_left: bool = Field(default=False, description="Everybody in this file unsubscribed where it comes from.")
    confirm: bool = Field(default=False, description="Those without evidence are asked by mail to confirm.")


class _Handed(Said):
    """By what a repeated request is known."""

    sha256: str
    said: HowSaid


@dataclass(slots=True)
class Reception:
    """A file that arrived. Unless it is kept, it goes with the request."""

    arrived: Arrived
    is_kept: bool = False


async def _receive(request: Request, desk: AtDesk) -> AsyncIterator[Reception]:
    arriving = await run_in_threadpool(shelf_of(desk.settings).begin, "")
    is_kept = False
    try:
        async for piece in request.stream():
            arriving.write(piece)
        reception = Reception(await run_in_threadpool(arriving.finish))
        yield reception
        is_kept = reception.is_kept
    except TooLarge:
        raise HTTPException(413) from None
    finally:
        if not is_kept:
            arriving.drop()


@router.get("", operation_id="list_imports")
def list_(
    desk: AtDesk, _: Annotated[Caller, needs(Scope.SUBSCRIBERS_READ)], cursor: Cursor = None, limit: Limit = 100
) -> ImportPage:
    """List files of people that were handed in, the newest first."""
    place = decode("imports", cursor, int)
    with reading(desk.engine).connect() as conn:
        found = uploads.page(conn, limit + 1, before=place[0] if place else None, kind=UploadKind.PEOPLE)
    more = encode("imports", found[limit - 1].id) if len(found) > limit else None
    return ImportPage(items=[_told(each) for each in found[:limit]], next=more)


@router.post("", operation_id="hand_in_people", status_code=201, response_model=ImportTold, openapi_extra=_BODY)
def hand_in(
    caller: Annotated[Caller, needs(Scope.SUBSCRIBERS_WRITE)],
    once: OnceOnly,
    reception: Annotated[Reception, Depends(_receive)],
    said: Annotated[HowSaid, Query()],
) -> Response:
    """Hand a file of people in, to be looked over. Nothing is imported before `start`."""
    arrived = replace(reception.arrived, file=said.file)
    if not arrived.octets:
        raise InputRefused("the file is empty", "send it as the body of the request")
    if "@" in said.origin:
        raise InputRefused("the origin holds an address, and is kept for longer than any", "say it without one")
    how = orders.people(_instructions(said), confirm=said.confirm)
    order = Order(UploadKind.PEOPLE, adding.checked("the origin", said.origin), how, caller.by)
    entered = []

    def act(conn: Connection, now: datetime) -> Done:
        entered.append(uploads.enter(conn, arrived, order, now))
        return Done(_told(_upload(conn, entered[0])))

    answer = once.do(_Handed(sha256=arrived.sha256.hex(), said=said), act, 201)
    reception.is_kept = bool(entered)
    return answer


@router.get("/{import_id}", operation_id="get_import")
def get(desk: AtDesk, _: Annotated[Caller, needs(Scope.SUBSCRIBERS_READ)], import_id: ImportId) -> ImportTold:
    """Give a file, how far it is, and what becomes of its rows."""
    with reading(desk.engine).connect() as conn:
        return _told(_upload(conn, import_id))


@router.post("/{import_id}/start", operation_id="start_import", response_model=ImportTold)
def start(caller: Annotated[Caller, needs(Scope.SUBSCRIBERS_WRITE)], once: OnceOnly, import_id: ImportId) -> Response:
    """Import a file that was looked over. Whoever left, or may never be mailed, stays so."""

    def act(conn: Connection, now: datetime) -> Done:
        _upload(conn, import_id)
        uploads.start(conn, import_id, caller.by, now)
        return Done(_told(_upload(conn, import_id)))

    return once.do(None, act)


@router.post("/{import_id}/discard", operation_id="discard_import", response_model=ImportTold)
def discard(caller: Annotated[Caller, needs(Scope.SUBSCRIBERS_WRITE)], once: OnceOnly, import_id: ImportId) -> Response:
    """Let go of a file that is not to be imported."""

    def act(conn: Connection, now: datetime) -> Done:
        _upload(conn, import_id)
        uploads.discard(conn, import_id, caller.by, now)
        return Done(_told(_upload(conn, import_id)))

    return once.do(None, act)


@router.get("/{import_id}/rejects", operation_id="get_import_rejects", response_class=StreamingResponse, responses=_CSV)
def rejects(desk: AtDesk, _: Annotated[Caller, needs(Scope.SUBSCRIBERS_READ)], import_id: ImportId) -> Response:
    """Give the rows that cannot be read, as they came, with line and reason. Mended, they can be handed in."""
    with reading(desk.engine).connect() as conn:
        stored = _upload(conn, import_id).stored
        is_kept = uploads.kept(conn, [stored])[stored].rejects
    path = shelf_of(desk.settings).rejects(stored)
    if not is_kept or not path.exists():
        raise NotFound("there are no rejected rows of this file", "they are kept for some days after the last look")
    return StreamingResponse(_pieces(path), media_type="text/csv; charset=utf-8")


def _upload(conn: Connection, import_id: int) -> Upload:
    found = uploads.by_id(conn, import_id)
    if found is None or found.kind is not UploadKind.PEOPLE:
        raise NotFound(f"there is no import {import_id}", "GET /imports lists them")
    return found


def _told(found: Upload) -> ImportTold:
    counts = {fate: found.counts[fate] for fate in Fate if fate in found.counts}
    return ImportTold(
        id=found.id, file=found.file, sha256=found.sha256.hex(), octets=found.octets, origin=found.origin, by=found.by,
        at=found.at, state=found.state, since=found.since, octets_done=found.octets_done, rows=sum(counts.values()),
        counts=counts, pending_because=found.counts.get("pending_because", {}), problem=found.problem, cure=found.cure,
        is_kept=found.file_gone_at is None, has_rejects=bool(counts.get(Fate.REJECTED)) and not found.rejects_gone_at,
    )  # fmt: skip


def _instructions(said: HowSaid) -> Instructions:
    columns = dict(pair.split("=", 1) for pair in said.columns)
    return Instructions(
        said.format, columns, tuple(topic for topic in Topic if topic in said.topics), said.encoding,
        said.everybody_left, said.file,
    )  # fmt: skip


def _pieces(path: FilePath) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(64 * 1024):
            yield piece
