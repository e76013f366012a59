"""Is everything well? Part by part, for `dispatcher doctor` and for the console."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dispatcher import broker
from dispatcher.counting import counted
from dispatcher.db import clock, engine, migrate
from dispatcher.db.engine import reading
from dispatcher.db.terms import WorkerRole
from dispatcher.domain import ending_marks
from dispatcher.domain.delivery import workers
from dispatcher.domain.delivery.workers import Found
from dispatcher.domain.newsletters import campaigns, news_feeds, series
from dispatcher.domain.people import rights
from dispatcher.domain.programs import webhooks
from dispatcher.domain.proof import seal
from dispatcher.errors import DispatcherError, PartUnavailable
from dispatcher.sending import endings, notary, sweep
from dispatcher.sending import house as houses
from dispatcher.settings import Settings
from dispatcher.smtp.lane import Lane
from dispatcher.smtp.relays import Relay


class Part(StrEnum):
    """What is looked at."""

    SETTINGS = "settings"
    DATABASE = "database"
    BROKER = "broker"
    ENDINGS = "endings"
    KEYS = "keys"
    DKIM = "dkim"
    SEAL = "seal"
    RELAY = "relay"  # each of them
    WORKERS = "workers"
    BREAKER = "breaker"  # of each relay that the workers leave alone
    WORK = "work"
    CAMPAIGNS = "campaigns"
    RIGHTS = "rights"
    WEBHOOKS = "webhooks"


QUICK = (Part.DATABASE, Part.BROKER)
ALL = tuple(part for part in Part if part is not Part.SETTINGS)


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: is it well, what does it say, what to do. `name` tells one relay from another."""

    part: Part
    is_well: bool
    says: str
    cure: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """Name what was looked at."""
        return f"{self.part} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class _House:
    """What is looked at with; `engine` may raise what is wrong with database or keys."""

    settings: Settings
    engine: Callable[[], Engine]


def examine(settings: Settings, engine: Callable[[], Engine], parts: Collection[Part] = ALL) -> list[Finding]:
    """Look at these parts, in order. One that is not well hides no other. `engine` opens the database, checked."""
    house = _House(settings, engine)
    findings: list[Finding] = []
    for part in parts:
        if part is Part.RELAY:
            findings += _relays(settings)
        elif part is Part.BREAKER:
            findings += _breakers(house)
        else:
            findings.append(look(part, partial(_SAYS[part], house)))
    return findings


def look(part: Part, says: Callable[[], str], name: str = "") -> Finding:
    """Look at one part: `says` tells how it is, or raises what is wrong."""
    try:
        return Finding(part, True, says(), name=name)
    except DispatcherError as error:
        return Finding(part, False, error.what, error.cure, name)
    except SQLAlchemyError as error:
        return Finding(part, False, str(error).splitlines()[0], "mend the database, or name another one", name)


def of_settings(s: Settings) -> str:
    """Say what is set."""
    embedded = f"embedded: {', '.join(sorted(s.embedded))}" if s.embedded else "everything set"
    return f"{embedded}; pages at {s.public_url}, sender {s.sender_address}"


def _database(house: _House) -> str:
    made = engine.make_engine(house.settings.database_url)
    try:
        engine.check(made)
        migrate.require_current(made)
        return f"{made.dialect.name} answers, schema is current"
    finally:
        made.dispose()  # pages look often, and every look would leave a connection open


def _broker(house: _House) -> str:
    wrong = broker.answers(house.settings)
    if wrong is not None:
        cure = "start it, or mend DISPATCHER_BROKER_URL; without it campaigns start late, but complete"
        if "broker" in house.settings.embedded:
            cure = "the embedded one runs while `dispatcher up` runs"
        raise PartUnavailable(f"does not answer: {wrong}", cure)
    return "answers"


def _keys(house: _House) -> str:
    house.engine().pool.status()  # a database that knows other keys is refused
    ring = houses.keyring(house.settings)
    return f"{len(ring.keys)} known to the database; {ring.signing.id} signs"


def _endings(house: _House) -> str:
    file = endings.file_of(house.settings)
    endings.require_complete(house.engine(), file)
    with reading(house.engine()).connect() as conn:
        if ending_marks.is_in_debt(conn):
            raise PartUnavailable(f"lines are owed to {file.path}", "make room on its disk; a worker writes them then")
    return f"{file.path} is kept, and the database has all of it"


def _dkim(house: _House) -> str:
    signer = houses.signer(house.settings)
    if signer is None:
        return "off: the relay has to sign"
    keys = ", ".join(f"{key.selector} ({key.algorithm}, {key.domain})" for key in signer.keys)
    # Said, not refused: a file's rights do not tell who reaches it. Compose mounts secrets out of a closed folder.
    exposed = [str(key.file) for key in house.settings.dkim if key.file.stat().st_mode & 0o004]
    said = f"; every user here can read {' and '.join(exposed)}" if exposed else ""
    return f"letters are signed by {keys}{said}"


def _seal(house: _House) -> str:
    path = house.settings.seal_key
    key = seal.load(path)
    if key is None:
        with reading(house.engine()).connect() as conn:
            notary.require_never_made(conn, house.settings)
        return "no key yet: the first checkpoint or dossier makes it"
    said = f"; others than its owner can read {path}" if seal.is_exposed(path) else ""
    return f"proofs are signed by key {key.key_id}{said}"


def _relays(settings: Settings) -> Iterator[Finding]:
    try:
        relays = houses.relays(settings)
    except DispatcherError as error:
        yield Finding(Part.RELAY, False, error.what, error.cure)
        return
    for relay in relays:
        yield look(Part.RELAY, partial(_say_greeting, relay), relay.name)


def _say_greeting(relay: Relay) -> str:
    return asyncio.run(_greet(relay))


async def _greet(relay: Relay) -> str:
    lane = Lane(relay)
    await lane.open()
    await lane.close()
    return f"takes us ({relay.tls}, {relay.lanes} lanes)"


def _workers(house: _House) -> str:
    with reading(house.engine()).connect() as conn:
        now, reports = clock.now(conn), workers.everyone(conn)
    work = sweep.waiting(house.engine())
    silent = [report for report in reports if report.is_silent(now)]
    watching = [report for report in reports if report.role is WorkerRole.WATCH and report not in silent]
    if not watching and work.newsletters + work.confirmations:
        batches = counted(work.newsletters + work.confirmations, "batch waits", "batches wait")
        raise PartUnavailable(
            f"{batches}, and no worker gives a sign", "start one: dispatcher worker, or dispatcher up"
        )
    if silent:
        told = "; ".join(f"{r.role} {r.process} gave none for {_age(r.seen_at, now)}" for r in silent[:5])
        cure = "see whether its machine runs; if it does, end what is left of it and start: dispatcher worker"
        raise PartUnavailable(f"no sign of {counted(len(silent), 'process', 'processes')}: {told}", cure)
    if not watching:
        return "none runs, and nothing waits for one"
    newest = max(watching, key=lambda report: report.seen_at)
    tick = f", the last round of its tick took {newest.tick_ms} ms" if newest.tick_ms is not None else ""
    sending = sum(report.is_sending for report in reports)
    alive = counted(len(watching), "worker lives", "workers live")
    return f"{alive}, {sending} of {len(reports)} processes send; newest sign {_age(newest.seen_at, now)} ago{tick}"


def _age(since: datetime, now: datetime) -> str:
    return f"{(now - since).total_seconds():,.0f} s"


def _breakers(house: _House) -> Iterator[Finding]:
    """A finding per relay that is off; one if there is none."""
    off: list[Found] = []

    def says() -> str:
        with reading(house.engine()).connect() as conn:
            off.extend(workers.off(workers.everyone(conn), clock.now(conn)))
        return "no relay is left alone by the workers"

    seen = look(Part.BREAKER, says)
    if not off:
        yield seen
    for found in off:
        yield Finding(
            Part.BREAKER,
            False,
            _say_off(found),
            "mend the relay, then try it again on its page at the console: /health",
            found.relay,
        )


def _say_off(found: Found) -> str:
    tried = "it is being tried" if found.is_tried else "with the next letter that is due"
    if found.next_try_at is not None and not found.is_tried:
        tried = f"next try at {found.next_try_at:%H:%M:%S} UTC"
    kept = f"kept to {counted(found.kept_to, 'line', 'lines')}" if found.kept_to else "off"
    failures = counted(found.failures, "failure", "failures")
    return f"{kept} since {found.since:%Y-%m-%d %H:%M:%S} UTC after {failures}: {found.why}; {tried}"


def _work(house: _House) -> str:
    work = sweep.waiting(house.engine())
    due = ""
    if work.next_due_s is not None:
        due = f", next campaign due in {work.next_due_s:,.0f} s" if work.next_due_s > 0 else ", a campaign is due now"
    batches = counted(work.newsletters, "newsletter batch", "newsletter batches")
    return f"waiting: {batches}, {counted(work.confirmations, 'confirmation')}{due}"


def _campaigns(house: _House) -> str:
    with reading(house.engine()).connect() as conn:
        held = campaigns.standing_still(conn)
        unsure = next((of for of in series.newest(conn) if of.problem), None)
        silent = news_feeds.failing(conn)
    if unsure:
        what = f"series {unsure.id} is {unsure.state}, {unsure.problem}"
        raise PartUnavailable(what, f"see: dispatcher series show {unsure.id}")
    if held:
        what = f"campaign {held[0].id} stands still, {held[0].problem}"
        others = f"; so do {', '.join(str(of.id) for of in held[1:])}" if held[1:] else ""
        raise PartUnavailable(what + others, f"see: dispatcher campaigns status {held[0].id}")
    if silent:
        what = (
            f"feed {silent[0].id} ({silent[0].host}) brings nothing since {silent[0].failing_since:%Y-%m-%d %H:%M} UTC"
        )
        raise PartUnavailable(f"{what}: {silent[0].said}", f"see: dispatcher feeds show {silent[0].id}")
    return "none waits for anybody"


def _rights(house: _House) -> str:
    with reading(house.engine()).connect() as conn:
        late = rights.overdue(conn, clock.now(conn))
    if late:
        what = f"{counted(len(late), 'request is', 'requests are')} overdue, the oldest since {late[0].due_on}"
        raise PartUnavailable(what, "see: dispatcher subscribers rights")
    return "no request of a person is overdue"


def _webhooks(house: _House) -> str:
    with reading(house.engine()).connect() as conn:
        return webhooks.require_taken(conn)


_SAYS: Mapping[Part, Callable[[_House], str]] = {
    Part.DATABASE: _database,
    Part.BROKER: _broker,
    Part.ENDINGS: _endings,
    Part.KEYS: _keys,
    Part.DKIM: _dkim,
    Part.SEAL: _seal,
    Part.WORKERS: _workers,
    Part.WORK: _work,
    Part.CAMPAIGNS: _campaigns,
    Part.RIGHTS: _rights,
    Part.WEBHOOKS: _webhooks,
}
