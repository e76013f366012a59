"""Checkpoints: where the chain of consent events ended at a moment, signed. A line of JSON each.

What must stay true: whoever can write to the database, but has no key, can neither make a checkpoint nor alter one. A
copy that is kept where they cannot write finds a chain that was cut, or made anew from its beginning.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, select

from dispatcher.db.tables import consent_checkpoint
from dispatcher.domain import chain_head, seal
from dispatcher.domain.seal import Seal
from dispatcher.errors import InputRefused

_WHAT = b"dispatcher consent checkpoint 1\n"  # stands before what is signed: no other proof can be taken for one
_EVERY = timedelta(days=1)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `events` events of the ledger `instance` ended with `head` at a moment; signed by the key `key`."""

    instance: str
    events: int
    head: str
    at: str
    key: str
    signature: str = ""

    @property
    def line(self) -> str:
        """Give it as a line of JSON, without the line's end."""
        return _json(asdict(self))

    @property
    def signed(self) -> bytes:
        """Give the octets that are signed: words, then the JSON of all but the signature."""
        return _WHAT + _json({k: v for k, v in asdict(self).items() if k != "signature"}).encode("ascii")

    def is_signed_by(self, public_pems: Iterable[str]) -> bool:
        """Claim that one of these keys signed it as it stands."""
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except ValueError:
            return False
        return any(seal.verify(pem, self.signed, signature) for pem in public_pems)


def make(conn: Connection, key: Seal, now: datetime) -> Checkpoint | None:
    """Sign where the chain ends, and keep it in its table; None: there is nothing to sign yet."""
    end = chain_head.read(conn)
    if end is None:
        return None
    at = now.astimezone(UTC).replace(microsecond=0)
    bare = Checkpoint(end.instance.hex(), end.events, end.head.hex(), f"{at:%Y-%m-%dT%H:%M:%SZ}", key.key_id)
    signature = key.sign(bare.signed)
    row = {
        "instance": end.instance,
        "events": end.events,
        "head": end.head,
        "at": at,
        "key": bare.key,
        "signature": signature,
    }
    conn.execute(insert(consent_checkpoint), row)
    return Checkpoint(**{**asdict(bare), "signature": base64.b64encode(signature).decode("ascii")})


def is_due(conn: Connection, now: datetime) -> bool:
    """Claim that the newest checkpoint is older than a day, and that there is something to sign."""
    c = consent_checkpoint.c
    newest = conn.execute(select(c.at).order_by(c.id.desc()).limit(1)).scalar_one_or_none()
    if newest is not None and newest > now - _EVERY:
        return False
    return chain_head.read(conn) is not None


def kept(conn: Connection) -> Iterator[Checkpoint]:
    """Give those in the table, oldest first."""
    c, last_id = consent_checkpoint.c, 0
    page = select(c.id, c.instance, c.events, c.head, c.at, c.key, c.signature).order_by(c.id).limit(_PAGE)
    while rows := conn.execute(page.where(c.id > last_id)).all():
        for r in rows:
            signature = base64.b64encode(bytes(r.signature)).decode("ascii")
            at = f"{r.at:%Y-%m-%dT%H:%M:%SZ}"
            yield Checkpoint(bytes(r.instance).hex(), r.events, bytes(r.head).hex(), at, r.key, signature)
        last_id = rows[-1].id


def parse(text: str) -> list[Checkpoint]:
    """Read lines of checkpoints. Raises InputRefused with the line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            found.append(_parsed(line, number))
    if not found:
        raise InputRefused("holds no checkpoint", "name a file that `dispatcher consent checkpoint` wrote")
    return found


def _parsed(line: str, number: int) -> Checkpoint:
    try:
        read = Checkpoint(**json.loads(line))
    except (ValueError, TypeError):
        what = f"line {number} is no checkpoint"
        raise InputRefused(what, "name a file that `dispatcher consent checkpoint` wrote") from None
    texts = (read.instance, read.head, read.at, read.key, read.signature)
    if type(read.events) is not int or not all(isinstance(text, str) for text in texts):
        raise InputRefused(f"line {number} is no checkpoint", "name a file that `dispatcher consent checkpoint` wrote")
    return read


def _json(value: dict[str, object]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
