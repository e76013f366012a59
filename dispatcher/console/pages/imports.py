"""Files of people, and never-mail lists, are handed in: looked over first, and imported on somebody's word.

What must stay true: nothing here waits for a file; a worker works at it, whatever becomes of the browser. An address
stands in no path; what holds rows of a file is handed out by a form, and so stands in the audit log.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from starlette.responses import Response, StreamingResponse

from dispatcher.console import paging
from dispatcher.console.declare import Mend, Moment, Values, act, area, hand_in, live, look
from dispatcher.console.refusals import Refusal, refusal
from dispatcher.console.said import said_line, said_scope
from dispatcher.console.visit import Visit
from dispatcher.db.terms import SuppressionReason, Topic, UploadKind, UploadState
from dispatcher.domain import suppression, uploads
from dispatcher.domain.imports import COLUMNS, Fate, Format, Instructions, runs
from dispatcher.domain.imports.columns import MAPPED
from dispatcher.domain.periods import Period
from dispatcher.domain.staff.roles import Permission
from dispatcher.domain.uploads import AT_WORK, Order, Upload
from dispatcher.errors import NotFound
from dispatcher.sending import house as houses
from dispatcher.sending.handed_in import orders
from dispatcher.sending.handed_in.orders import ENCODINGS
from dispatcher.shelf import Arrived, Shelf
from dispatcher.web.forms import FileTrouble
from dispatcher.zone import ZONE

_SHOWN = 50  # rejected rows on a page
_TROUBLES = {FileTrouble.TOO_LARGE: "imports.too_large", FileTrouble.NO_ROOM: "imports.no_room"}
# What of a file changes something, in the order in which it is told.
ENTERS = (Fate.CONFIRMED, Fate.OLDER, Fate.PENDING)
ENDS = (Fate.LEFT, Fate.BARRED)


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be read."""

    line: str
    why: Refusal


def listed(visit: Visit) -> Values:
    """Give the files that were handed in, the newest first, and what was imported at the command line."""
    asked = paging.asked(visit)
    found = uploads.page(visit.conn, paging.PER_PAGE + 1, before=asked.before, after=asked.after)
    named = [] if asked.before or asked.after else runs.latest(visit.conn)
    ours = uploads.handed_in(visit.conn, [run.id for run in named])
    others = [run for run in named if run.id not in ours]
    return {"sheet": paging.sheet(found, asked, lambda each: each.id), "others": others, "fates": list(Fate), **_WORDS}


def new(visit: Visit) -> Values:
    """Ask for a file of people, and how it is to be read."""
    return {"limit": visit.desk.shelf.limit // 1_000_000, **_reading(visit, None), **_WORDS}


def new_never(visit: Visit) -> Values:
    """Ask for a never-mail list."""
    return {"limit": visit.desk.shelf.limit // 1_000_000, "topics": list(Topic), "reasons": _REASONS, **_WORDS}


def enter(visit: Visit) -> Response:
    """Take a file of people in; it is looked over next."""
    origin, how = said_line(visit, "origin"), _said_reading(visit)
    return _entered(visit, Order(UploadKind.PEOPLE, origin, how, visit.who.name))


def enter_never(visit: Visit) -> Response:
    """Take a never-mail list in; it is looked over next."""
    origin, reason = said_line(visit, "origin"), visit.said("reason")
    if reason not in _REASONS:
        raise Mend({"reason": "subscribers.reason_missing"})
    how = orders.never_mail(said_scope(visit), SuppressionReason(reason), _said_encoding(visit))
    return _entered(visit, Order(UploadKind.NEVER_MAIL, origin, how, visit.who.name))


def one(visit: Visit) -> Values:
    """Give one file: what it is, what would happen or has happened, and what can be done about it."""
    upload = _upload(visit)
    rejects = _rejects(visit.desk.shelf, upload) if upload.rejects_gone_at is None else None
    period = houses.retention(visit.desk.settings)[Period.UPLOADS]
    kept_until = upload.since + timedelta(days=period.count)
    told = _told(upload, visit.now)
    return {**told, "rejects": rejects, "kept_until": kept_until, **_reading(visit, upload), **_WORDS}


def poll(moment: Moment) -> Values:
    """Give how far a file is."""
    upload = uploads.by_id(moment.conn, moment.numbers["upload"])
    return _told(upload, moment.now) if upload else {"upload": None}


def start(visit: Visit) -> Response:
    """Have a file imported that was looked over."""
    upload = _upload(visit)
    uploads.start(visit.conn, upload.id, visit.who.name, visit.now)
    visit.note("upload", upload.id, kind=upload.kind, file_sha256=upload.sha256.hex())
    return visit.go(f"/subscribers/imports/{upload.id}")


def again(visit: Visit) -> Response:
    """Have a file looked over once more, read otherwise."""
    upload = _upload(visit)
    uploads.look_again(visit.conn, upload.id, _said_reading(visit), visit.now)
    visit.note("upload", upload.id)
    return visit.go(f"/subscribers/imports/{upload.id}")


def discard(visit: Visit) -> Response:
    """Let go of a file that is not to be imported."""
    upload = _upload(visit)
    uploads.discard(visit.conn, upload.id, visit.who.name, visit.now)
    visit.afterwards(lambda: visit.desk.shelf.drop(upload.stored))
    visit.note("upload", upload.id)
    return visit.go("/subscribers/imports", "imports.is_discarded", file=upload.file)


def hand_out(visit: Visit) -> Response:
    """Hand out the rows that cannot be read, as they came, to be mended."""
    upload = _upload(visit)
    path = visit.desk.shelf.rejects(upload.stored)
    if upload.rejects_gone_at is not None or not path.exists():
        raise Mend({"": "imports.rejects_gone"})
    visit.note("upload", upload.id)
    name = f"rejects-{upload.id}-{visit.now.astimezone(ZONE):%Y-%m-%d}.csv"
    return StreamingResponse(
        _pieces(path),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _entered(visit: Visit, order: Order) -> Response:
    arrived = _arrived(visit)
    number = uploads.enter(visit.conn, arrived, order, visit.now)
    visit.note("upload", number, kind=order.kind, octets=arrived.octets, file_sha256=arrived.sha256.hex())
    return visit.go(f"/subscribers/imports/{number}")


def _arrived(visit: Visit) -> Arrived:
    form = visit.form
    if form.trouble is not None:
        raise Mend({"file": _TROUBLES[form.trouble]})
    if form.file is None:
        raise Mend({"file": "imports.file_missing"})
    if not form.file.octets:
        raise Mend({"file": "imports.file_empty"})
    return form.file


def _upload(visit: Visit) -> Upload:
    found = uploads.by_id(visit.conn, visit.number("upload"))
    if found is None:
        raise NotFound("there is no such file", "look it up in the list of imports")
    return found


def _said_reading(visit: Visit) -> Mapping[str, Any]:
    """Read how a file of people is to be read. Raises Mend."""
    columns = {name: visit.form.first(f"column_{name}") for name in MAPPED if visit.form.first(f"column_{name}")}
    how = Instructions(
        format=Format(visit.said("format")) if visit.said("format") in list(Format) else None,
        columns=columns,
        topics=tuple(topic for topic in Topic if topic in visit.form.all("topic")),
        encoding=_said_encoding(visit),
        everybody_left=visit.said("left") == "yes",
    )
    return orders.people(how, confirm=visit.said("confirm") == "yes")


def _said_encoding(visit: Visit) -> str:
    if visit.said("encoding") not in ENCODINGS:
        raise Mend({"encoding": "imports.encoding_missing"})
    return visit.said("encoding")


def _reading(visit: Visit, upload: Upload | None) -> Values:
    """Give what the form of how a file is read holds: what was typed, else what stands."""
    how = upload.how if upload is not None and upload.kind is UploadKind.PEOPLE else orders.people(_PLAIN, confirm=True)
    typed = bool(visit.form.fields)
    header = (upload.columns or {}).get("header", []) if upload is not None else []
    return {
        "topics": list(Topic),
        "chosen": visit.form.all("topic") if typed else how["topics"],
        "left": visit.said("left") == "yes" if typed else how["left"],
        "confirm": visit.said("confirm") == "yes" if typed else how["confirm"],
        "encoding": how["encoding"],
        "format": how["format"] or "",
        "header": header,
        "mapped": MAPPED,
        "columns": how["columns"],
    }


def _told(upload: Upload, now: datetime) -> Values:
    counts = upload.counts
    return {
        "upload": upload,
        "now": now,
        "rows": sum(counts.get(name, 0) for name in _COUNTED),
        "rate": _left(upload, now),
        "enters": sum(counts.get(fate, 0) for fate in ENTERS),
        "ends": sum(counts.get(fate, 0) for fate in ENDS),
        "why": refusal(upload.problem) if upload.problem else None,
        "meanings": _meanings(upload),
        "fates": list(Fate),
        "at_work": AT_WORK,
    }


def _left(upload: Upload, now: datetime) -> float | None:
    """Give in how many seconds the stage at hand will be over; None: it cannot be told yet."""
    if upload.begun_at is None or not upload.octets_done:
        return None
    seconds = (now - upload.begun_at).total_seconds()
    return float(seconds * (upload.octets - upload.octets_done) / upload.octets_done)


def _meanings(upload: Upload) -> list[tuple[str, str, str]]:
    """Give each column of the file with what it is read as, and of which topic it is; "": it is left alone."""
    columns = upload.columns or {}
    names = {place: name for name, place in columns.get("at", {}).items()}
    return [(word, *_meaning(names.get(place, ""))) for place, word in enumerate(columns.get("header", []))]


def _meaning(name: str) -> tuple[str, str]:
    for topic in Topic:
        if name == topic or name.startswith(f"{topic}_"):
            return name.removeprefix(topic).lstrip("_") or "state", topic
    return name, ""


def _rejects(shelf: Shelf, upload: Upload) -> list[Reject] | None:
    """Give the first rows that cannot be read; None: their file does not lie here."""
    try:
        with shelf.rejects(upload.stored).open(encoding="utf-8-sig", newline="") as file:
            rows = islice(csv.reader(file), 1, _SHOWN + 1)
            return [Reject(row[0], refusal(row[1])) for row in rows if len(row) > 1]
    except (OSError, csv.Error):
        return None


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(64 * 1024):
            yield piece


_COUNTED = (*Fate, "new", "there")  # each row is one of them
_PLAIN = Instructions()
_REASONS = sorted(suppression.LIFTED_BY_STAFF | {SuppressionReason.COMPLAINT})
_WORDS: Values = {
    "encodings": ENCODINGS, "formats": [each.value for each in Format], "kinds": UploadKind, "own_columns": COLUMNS,
    "states": UploadState,
}  # fmt: skip
_P = Permission.EDIT_SUBSCRIBERS
_ALL, _ONE = "/subscribers/imports", "/subscribers/imports/{upload}"
PAGES = area(
    "subscribers",
    look(_ALL, _P, "imports", listed),
    look(f"{_ALL}/new", _P, "imports_new", new),
    hand_in(f"{_ALL}/new", _P, "imports.handed_in", enter),
    look("/subscribers/suppressions/import", _P, "imports_never", new_never),
    hand_in("/subscribers/suppressions/import", _P, "imports.handed_in", enter_never),
    look(_ONE, _P, "imports_one", one),
    live(f"{_ONE}/live", _P, "imports_live", poll, every=1.0),
    act(f"{_ONE}/start", _P, "imports.started", start, mends=_ONE),
    act(f"{_ONE}/again", _P, "imports.looked_again", again, mends=_ONE),
    act(f"{_ONE}/discard", _P, "imports.discarded", discard, mends=_ONE),
    act(f"{_ONE}/rejects", _P, "imports.rejects_handed_out", hand_out, mends=_ONE),
)
