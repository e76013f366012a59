"""What `dispatcher doctor` looks at, part by part."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from dispatcher import broker
from dispatcher.cli.context import Context
from dispatcher.db import clock, engine, migrate
from dispatcher.db.engine import reading
from dispatcher.domain import ending_marks, rights, seal
from dispatcher.errors import DispatcherError, PartUnavailable
from dispatcher.sending import endings, house, notary, sweep
from dispatcher.settings import Settings
from dispatcher.smtp.lane import Lane
from dispatcher.smtp.relays import Relay


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: is it well, what does it say, what to do."""

    part: str
    is_well: bool
    says: str
    cure: str = ""


def examine(*, quick: bool) -> list[Finding]:
    """Look at every part; `quick` leaves out keys, DKIM, relays and work. A part that is not well hides no other."""
    context = Context()
    settings = _look("settings", lambda: _settings(context))
    if not settings.is_well:
        return [settings]
    parts = [settings, _look("database", lambda: _database(context)), _look("broker", lambda: _broker(context))]
    if not quick:
        parts += [_look("endings", lambda: _endings(context)), _look("keys", lambda: _keys(context))]
        parts += [_look("dkim", lambda: _dkim(context.settings)), _look("seal", lambda: _seal(context))]
        parts += [*_relays(context), _look("work", lambda: _work(context)), _look("rights", lambda: _rights(context))]
    return parts


def _look(part: str, says: Callable[[], str]) -> Finding:
    try:
        return Finding(part, True, says())
    except DispatcherError as error:
        return Finding(part, False, error.what, error.cure)
    except SQLAlchemyError as error:
        return Finding(part, False, str(error).splitlines()[0], "mend the database, or name another one")


def _settings(context: Context) -> str:
    s = context.settings
    embedded = f"embedded: {', '.join(sorted(s.embedded))}" if s.embedded else "everything set"
    return f"{embedded}; pages at {s.public_url}, sender {s.sender_address}"


def _database(context: Context) -> str:
    made = engine.make_engine(context.settings.database_url)
    engine.check(made)
    migrate.require_current(made)
    return f"{made.dialect.name} answers, schema is current"


def _broker(context: Context) -> str:
    wrong = broker.answers(context.settings)
    if wrong is not None:
        cure = "start it, or mend DISPATCHER_BROKER_URL; without it campaigns start late, but complete"
        if "broker" in context.settings.embedded:
            cure = "the embedded one runs while `dispatcher up` runs"
        raise PartUnavailable(f"does not answer: {wrong}", cure)
    return "answers"


def _keys(context: Context) -> str:
    context.engine.pool.status()  # a database that knows other keys is refused
    ring = context.keyring
    return f"{len(ring.keys)} known to the database; {ring.signing.id} signs"


def _endings(context: Context) -> str:
    file = context.endings
    endings.require_complete(context.engine, file)
    with reading(context.engine).connect() as conn:
        if ending_marks.is_in_debt(conn):
            raise PartUnavailable(f"lines are owed to {file.path}", "make room on its disk; a worker writes them then")
    return f"{file.path} is kept, and the database has all of it"


def _dkim(settings: Settings) -> str:
    signer = house.signer(settings)
    if signer is None:
        return "off: the relay has to sign"
    keys = ", ".join(f"{key.selector} ({key.algorithm}, {key.domain})" for key in signer.keys)
    # Said, not refused: a file's rights do not tell who reaches it. Compose mounts secrets out of a closed folder.
    exposed = [str(key.file) for key in settings.dkim if key.file.stat().st_mode & 0o004]
    said = f"; every user here can read {' and '.join(exposed)}" if exposed else ""
    return f"letters are signed by {keys}{said}"


def _seal(context: Context) -> str:
    path = context.settings.seal_key
    key = seal.load(path)
    if key is None:
        with reading(context.engine).connect() as conn:
            notary.require_never_made(conn, context.settings)
        return "no key yet: the first checkpoint or dossier makes it"
    said = f"; others than its owner can read {path}" if seal.is_exposed(path) else ""
    return f"proofs are signed by key {key.key_id}{said}"


def _relays(context: Context) -> Iterator[Finding]:
    try:
        relays = house.relays(context.settings)
    except DispatcherError as error:
        yield Finding("relays", False, error.what, error.cure)
        return
    for relay in relays:
        yield _look(f"relay {relay.name}", lambda relay=relay: asyncio.run(_greet(relay)))  # type: ignore[misc]


async def _greet(relay: Relay) -> str:
    lane = Lane(relay)
    await lane.open()
    await lane.close()
    return f"takes us ({relay.tls}, {relay.lanes} lanes)"


def _work(context: Context) -> str:
    with reading(context.engine).connect():
        work = sweep.waiting(context.engine)
    due = ""
    if work.next_due_s is not None:
        due = f", next campaign due in {work.next_due_s:,.0f} s" if work.next_due_s > 0 else ", a campaign is due now"
    return f"{work.newsletters} newsletter batches and {work.confirmations} confirmations wait{due}"


def _rights(context: Context) -> str:
    with reading(context.engine).connect() as conn:
        late = rights.overdue(conn, clock.now(conn))
    if late:
        what = f"{len(late)} requests of people are overdue, the oldest since {late[0].due_on}"
        raise PartUnavailable(what, "see: dispatcher subscribers rights")
    return "no request of a person is overdue"
