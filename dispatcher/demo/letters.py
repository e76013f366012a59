"""The demo's newsletters: the samples, of today, with links that lead to the demo's own pages; written by an editor and
released by a sender, through the same gate as everybody's.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from dispatcher.compose.content import parse_content
from dispatcher.compose.samples import sample
from dispatcher.console.signed import ASKED
from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.terms import Language, Topic
from dispatcher.demo.staff import Staff
from dispatcher.domain.newsletters import series
from dispatcher.domain.newsletters.campaigns import Contents, Draft
from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Deed
from dispatcher.errors import PartUnavailable
from dispatcher.sending import house as houses
from dispatcher.sending import release
from dispatcher.sending.preflight import gate
from dispatcher.sending.preflight.gate import Order, Released
from dispatcher.settings import Settings
from dispatcher.zone import ZONE

_LINK = re.compile(r"https://www\.example\.de(/[^\s)\"]*)")
_PATIENCE = 60.0  # seconds until the pages are up, on a machine that is busy


@dataclass(frozen=True, slots=True)
class Plan:
    """One newsletter: its name, how many seconds ahead it goes, and at which rate at most."""

    topic: Topic
    name: str
    ahead: timedelta = timedelta(seconds=3)
    rate_per_min: int | None = None


def send(engine: Engine, settings: Settings, people: Staff, plan: Plan) -> int:
    """Write, look over and release a newsletter; give its id. Raises PartUnavailable if the gate stops it."""
    with engine.begin() as conn:
        now = clock.now(conn)
        campaign_id = _draft(conn, settings, people, plan, now)
    order = Order(campaign_id, now + plan.ahead, ZONE.key, people.sender, {})
    came = gate.release_campaign(engine, order, houses.desk(settings))
    if not isinstance(came, Released):
        found = ", ".join(f"{finding.check} {finding.name} {finding.where}" for finding in came.report.stops())
        raise PartUnavailable(f"the demo's newsletter is stopped: {found}", "look at the samples in templates/mail")
    return campaign_id


def plan_ahead(engine: Engine, settings: Settings, people: Staff) -> None:
    """Let a series be planned, and a draft wait for somebody who releases it."""
    with engine.begin() as conn:
        now = clock.now(conn)
        twice_a_week = recurrence("tuesday thursday", "09:00", ZONE.key)
        series.create(conn, series.Plan("Marktbericht", Topic.FINANCE_NEWS, "Der Markt", twice_a_week), now)
        written = _draft(conn, settings, people, Plan(Topic.PRODUCT_NEWS, "Neues im Dezember"), now)
        audit.record(conn, people.editor, Deed(ASKED, "campaign", written, {"version": 1, "how": "now"}), now)


def await_pages(port: int, is_stopping: Callable[[float], bool]) -> None:
    """Return when the pages answer, for the look before a release presses the button there. Raises PartUnavailable."""
    until = steady() + _PATIENCE
    while steady() < until and not is_stopping(0.05):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            continue
        return
    raise PartUnavailable("the demo's pages do not answer", "look into programs.log")


def _draft(conn: Connection, settings: Settings, people: Staff, plan: Plan, now: datetime) -> int:
    contents = _contents(plan.topic, settings.public_url, now)
    file, source = contents[Language.DE]
    subject = parse_content(source, file=file).subject  # what the console shows is what people get
    draft = Draft(plan.topic, plan.name, subject, Language.DE, contents, plan.rate_per_min, people.editor)
    return release.draft(conn, draft, houses.house(settings), now)


def _contents(topic: Topic, url: str, now: datetime) -> Contents:
    """Give the samples, whose links lead to pages that there are."""
    return {
        language: (
            f"sample.{language}.md",
            _LINK.sub(lambda found: f"{url}/?{found[1].strip('/').replace('/', '-')}", sample(topic, language, now)),
        )
        for language in Language
    }
