"""Run every check of a campaign, one after the other, and give what was found.

What must stay true: a check that finds much hides no other; nothing is asked of the network within a transaction.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.domain.newsletters import campaigns
from dispatcher.errors import ContentInvalid
from dispatcher.sending.binding import bind
from dispatcher.sending.preflight import authored, dns_records, links, people, programs, spam
from dispatcher.sending.preflight.examination import Desk, Examination, Progress, lay_open
from dispatcher.sending.preflight.findings import Check, Finding, Severity, in_order
from dispatcher.sending.preflight.report import Report

# Pure and quick: they depend on when the letter goes, so they are run again when it is released.
QUICK = (
    authored.check_content, authored.check_placeholders, authored.check_prices, authored.check_legal,
    authored.check_size, authored.check_alternatives,
)  # fmt: skip

QUICK_CHECKS = frozenset({
    (of, name) for of, names in authored.FINDS.items() for name in names
})  # fmt: skip


def silent(_check: str, _done: int, _total: int) -> None:
    """Tell nobody how far it is."""


def check(
    engine: Engine, campaign_id: int, desk: Desk, *, goes_at: datetime | None = None, progress: Progress = silent
) -> Report:
    """Look at everything. Raises NotFound, and InputRefused for what is no newsletter to release."""
    with reading(engine).connect() as conn:
        now = clock.now(conn)
        try:
            exam = lay_open(conn, campaign_id, desk, now, goes_at)
        except ContentInvalid as error:
            bound = bind(conn, campaigns.get(conn, campaign_id), desk.house)
            where = f"{error.file}:{error.line}" if error.line else error.file
            values = {"said": error.what, "cure": error.cure}
            found = Finding(Check.CONTENT, "invalid", Severity.STOP, where, values)
            return Report(campaign_id, now, goes_at or now, bound, 0, (found,))
    tally = people.render_everyone(engine, exam, progress)
    asked = links.ask_links(exam, progress)
    findings = chain(
        look_over(exam),
        people.check_people(tally),
        links.check_links(asked, desk.stationery.public_url),
        links.check_pictures(exam, asked),
        _told(Check.ONE_CLICK, links.press_button(exam), progress),
        _told(Check.DNS, dns_records.check_dns(exam, tally.people), progress),
        _told(Check.SPAM, spam.check_spam(exam), progress),
        _told(Check.PROGRAMS, programs.check_programs(exam), progress),
    )
    return Report(campaign_id, now, exam.goes_at, exam.binding, tally.people, tuple(in_order(list(findings))))


def look_over(exam: Examination) -> Iterator[Finding]:
    """Run the checks that ask nobody."""
    for quick in QUICK:
        yield from quick(exam)


def _told(of: Check, findings: Iterator[Finding], progress: Progress) -> Iterator[Finding]:
    progress(of, 0, 0)
    yield from findings
