"""What we know of a person beyond what they agreed to: address and name. Here it goes.

What must stay true: the row stays, for the ledgers name it; so does the keyed hash of the address, by which the
never-mail list and the proof find the person, until `dissolve`. A letter under way needs nothing: the gate
withholds it.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, delete, update

from dispatcher.db.columns import among
from dispatcher.db.tables import former_address, opt_in_request, subscriber, subscription


def blank(conn: Connection, ids: Sequence[int], now: datetime) -> None:
    """Take away address and name, a pause, and every request that is open: its link leads nowhere from now on."""
    if not ids:
        return
    conn.execute(
        update(subscriber)
        .where(among(conn, subscriber.c.id, ids))
        .values(address=None, name="", zone=None, paused_until=None)
    )
    r = opt_in_request.c
    erase_requests(conn, among(conn, r.subscriber_id, ids) & r.erased_at.is_(None), now)


def erase_requests(conn: Connection, which: ColumnElement[bool], now: datetime) -> list[tuple[int, int]]:
    """Make the requests of a condition lead nowhere and say nothing; give (id, subscriber_id) of each.

    The row stays, since the ledger names it: without nonce there is no link, without address nobody to mail.
    """
    erased = conn.execute(
        update(opt_in_request)
        .where(which)
        .values(nonce=bytes(16), other_address=None, other_hash=None, erased_at=now)
        .returning(opt_in_request.c.id, opt_in_request.c.subscriber_id)
    ).all()
    # The hash of a token is looked up, and must be one that nothing has.
    if erased:
        conn.execute(
            update(opt_in_request)
            .where(opt_in_request.c.id == bindparam("of"))
            .values(token_sha256=bindparam("made_up")),
            [{"of": row.id, "made_up": secrets.token_bytes(32)} for row in erased],
        )
    return [(row.id, row.subscriber_id) for row in erased]


def dissolve(conn: Connection, ids: Sequence[int], now: datetime) -> None:
    """Let go of people altogether: nothing that is left can be traced to an address, and no audience counts them.

    Whoever comes back is somebody new. What stands on the never-mail list stays there.
    """
    if not ids:
        return
    blank(conn, ids, now)
    for table in (subscription, former_address):
        conn.execute(delete(table).where(among(conn, table.c.subscriber_id, ids)))
    conn.execute(
        update(subscriber).where(subscriber.c.id == bindparam("of")).values(address_hash=bindparam("made_up")),
        [{"of": who, "made_up": secrets.token_bytes(32)} for who in ids],
    )
