"""What waits for somebody's release: who asked, for how many people, and when it is to go."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from dispatcher.console import signed
from dispatcher.domain.newsletters import series
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.staff.audit import Entry
from dispatcher.errors import NotFound
from dispatcher.sending.preflight.report import newest


@dataclass(frozen=True, slots=True)
class Waiting:
    """A newsletter whose release somebody asked for. `people`: as it was last looked over; None: it was not.

    `how` ends the key of a sentence, `overview.goes_...`; a wall-clock time and its zone, or a series, beside it.
    """

    of: Campaign
    by: str
    since: datetime
    people: int | None
    how: str
    at: str = ""
    zone: str = ""
    series: str = ""


def inbox(conn: Connection) -> list[Waiting]:
    """Give what waits, the newest request first."""
    return [_waiting(conn, of, entry) for of, entry in signed.requests(conn)]


def _waiting(conn: Connection, of: Campaign, entry: Entry) -> Waiting:
    found = newest(conn, of.id)
    people = found[1].people if found is not None else None
    told = of, entry.name or "", entry.at, people
    how, day, clock, zone = (str(entry.facts.get(name) or "") for name in ("how", "date", "time", "zone"))
    wanted, _, number = how.partition("-")
    if wanted == "series" and number.isdigit():
        return Waiting(*told, "series", series=_name(conn, int(number)))
    if wanted in ("at", "local") and day and clock:
        return Waiting(*told, wanted, at=f"{day}T{clock}", zone=zone)
    return Waiting(*told, "now" if wanted == "now" else "unsaid")


def _name(conn: Connection, number: int) -> str:
    try:
        return series.get(conn, number).name
    except NotFound:
        return str(number)
