"""Checkpoints: where the chain of consent events ended at a moment, signed. A line of JSON each.

What must stay true: whoever can write to the database, but has no key, can neither make a checkpoint nor alter one. A
copy that is kept where they cannot write finds a chain that was cut, or made anew from its beginning.

After a restore from a backup the events behind it are gone, and with them what later checkpoints signed. One that says
`restored_to` acknowledges that, by the operator's word: of what was signed before it, no more than so many events are
missed from the chain.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, exists, insert, select

from dispatcher.db import raw
from dispatcher.db.tables import consent_checkpoint
from dispatcher.domain.proof import chain_head, seal
from dispatcher.domain.proof.chain_head import Head
from dispatcher.domain.proof.moments import Moment
from dispatcher.domain.proof.seal import Seal
from dispatcher.errors import InputRefused

_WHAT = b"dispatcher consent checkpoint 1\n"  # stands before what is signed: no other proof can be taken for one
_EVERY, _AT_LEAST = timedelta(hours=1), timedelta(days=1)
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_PAGE = 1000
_LOOKED_AT = 100  # newest rows among which one of ours is looked for
_COLUMNS = ("id", "instance", "events", "head", "at", "key", "restored_to", "signature")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `events` events of the ledger `instance` ended with `head` at a moment; signed by the key `key`."""

    instance: str
    events: int
    head: str
    at: str
    key: str
    restored_to: int | None = None
    signature: str = ""

    @property
    def line(self) -> str:
        """Give it as a line of JSON, without the line's end."""
        return _json(asdict(self))

    @property
    def signed(self) -> bytes:
        """Give the octets that are signed: words, then the JSON of all but the signature."""
        return _WHAT + _json({k: v for k, v in asdict(self).items() if k != "signature"}).encode("ascii")

    @property
    def moment(self) -> datetime:
        """Give when it was made. Of one that is signed by us: others may say anything."""
        return datetime.strptime(self.at, _TIME).replace(tzinfo=UTC)

    def is_signed_by(self, public_pems: Iterable[str]) -> bool:
        """Claim that one of these keys signed it as it stands."""
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except ValueError:
            return False
        return any(seal.verify(pem, self.signed, signature) for pem in public_pems)


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint of the table, with its number there."""

    id: int
    point: Checkpoint


def sign(conn: Connection, key: Seal, now: datetime, restored_to: int | None = None) -> Checkpoint | None:
    """Sign where the chain ends; nothing is kept yet. None: there is nothing to sign."""
    end = chain_head.read(conn)
    return _signed(end, key, now, restored_to) if end is not None and end.events else None


def keep(conn: Connection, made: Checkpoint) -> None:
    """Keep a checkpoint in its table."""
    row = {
        "instance": bytes.fromhex(made.instance),
        "events": made.events,
        "head": bytes.fromhex(made.head),
        "at": made.moment,
        "key": made.key,
        "restored_to": made.restored_to,
        "signature": base64.b64decode(made.signature),
    }
    conn.execute(insert(consent_checkpoint), row)


def make(conn: Connection, key: Seal, now: datetime, restored_to: int | None = None) -> Checkpoint | None:
    """Sign where the chain ends, and keep it in its table; None: there is nothing to sign yet."""
    made = sign(conn, key, now, restored_to)
    if made is not None:
        keep(conn, made)
    return made


def is_due(conn: Connection, public_pem: str, now: datetime) -> bool:
    """Claim that events came since the newest checkpoint, an hour ago or more, or that it is older than a day.

    Only one that this key signed counts, and none from the future: or a row by hand would end all signing.
    """
    end = chain_head.read(conn)
    if end is None or not end.events:
        return False
    newest = _newest(conn, public_pem, now)
    if newest is None or newest.instance != end.instance.hex():
        return True
    wait = _AT_LEAST if newest.events == end.events else _EVERY
    return newest.moment <= now - wait


def are_there(conn: Connection) -> bool:
    """Claim that some key has signed checkpoints of this ledger before."""
    return bool(conn.execute(select(exists().select_from(consent_checkpoint))).scalar_one())


def kept(conn: Connection) -> Iterator[Checkpoint]:
    """Give those in the table, oldest first, as they stand there: nobody has looked at their signatures."""
    c, last_id = consent_checkpoint.c, None
    page = _select(conn).order_by(c.id).limit(_PAGE)
    while rows := conn.execute(page if last_id is None else page.where(c.id > last_id)).all():
        for row in rows:
            yield _as_it_stands(conn.dialect.name, tuple(row)[1:])
        last_id = rows[-1][0]


def newest(conn: Connection, limit: int, before: int | None = None, after: int | None = None) -> list[Kept]:
    """Give the newest of the table first, from `before` on downwards; or, with `after`, those just above it."""
    c = consent_checkpoint.c
    page = _select(conn).limit(limit)
    if after is not None:
        rows = conn.execute(page.where(c.id > after).order_by(c.id)).all()[::-1]
    else:
        page = page if before is None else page.where(c.id < before)
        rows = list(conn.execute(page.order_by(c.id.desc())))
    return [Kept(row[0], _as_it_stands(conn.dialect.name, tuple(row)[1:])) for row in rows]


def parse(text: str) -> tuple[list[Checkpoint], list[int]]:
    """Read lines of checkpoints; give them, and the numbers of lines that are none, as a write that broke off leaves.

    Raises InputRefused when there is none at all.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    read = [(number, _parsed(line)) for number, line in lines]
    found = [point for _, point in read if point is not None]
    if not found:
        raise InputRefused("holds no checkpoint", "name a file that `dispatcher consent checkpoint` wrote")
    return found, [number for number, point in read if point is None]


def _signed(end: Head, key: Seal, now: datetime, restored_to: int | None) -> Checkpoint:
    at = now.astimezone(UTC).strftime(_TIME)
    bare = Checkpoint(end.instance.hex(), end.events, end.head.hex(), at, key.key_id, restored_to)
    signature = base64.b64encode(key.sign(bare.signed)).decode("ascii")
    return Checkpoint(**{**asdict(bare), "signature": signature})


def _newest(conn: Connection, public_pem: str, now: datetime) -> Checkpoint | None:
    c = consent_checkpoint.c
    rows = conn.execute(_select(conn).where(c.at <= now).order_by(c.id.desc()).limit(_LOOKED_AT)).all()
    found = (_as_it_stands(conn.dialect.name, tuple(row)[1:]) for row in rows)
    return next((point for point in found if point.is_signed_by([public_pem])), None)


def _select(conn: Connection) -> Any:
    return select(*raw.columns(conn.dialect.name, consent_checkpoint, _COLUMNS)).select_from(consent_checkpoint)


def _as_it_stands(dialect: str, values: tuple[object, ...]) -> Checkpoint:
    instance, events, head, at, key, restored_to, signature = values
    moment = raw.microseconds(dialect, at)
    when = Moment(moment).datetime if moment is not None else None
    return Checkpoint(
        _hex(instance),
        events if isinstance(events, int) else -1,  # whatever stands there: its signature will not hold
        _hex(head),
        when.strftime(_TIME) if when else repr(at),
        str(key),
        restored_to if isinstance(restored_to, int | None) else -1,
        base64.b64encode(signature).decode("ascii") if isinstance(signature, bytes) else "",
    )


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)


def _parsed(line: str) -> Checkpoint | None:
    try:
        read = Checkpoint(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (read.instance, read.head, read.at, read.key, read.signature)
    numbers = (read.events, read.restored_to or 0)
    is_sound = all(type(number) is int for number in numbers) and all(isinstance(text, str) for text in texts)
    return read if is_sound else None


def _json(value: dict[str, object]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
