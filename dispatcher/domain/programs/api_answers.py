"""Answers that are kept for requests that come twice (the Idempotency-Key of the API).

    first    enters the key, does its work, writes the answer beside it: one transaction
    twin     waits at the key until the first has committed, and gets its answer; or does the work, if it failed
    later    gets the answer that was kept

Where work comes before the transaction (a look over the network), `kept` asks first, and the transaction asks again.

What must stay true: for a key the work is done once or not at all, whoever is killed; the same key with another request
is refused. Whoever enters a key holds no lock yet: it comes before every other (requests, people, chain).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from dispatcher.db.columns import insert_or
from dispatcher.db.tables import api_answer

KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: the status of HTTP, and JSON."""

    status: int
    body: str


class OtherRequest(Exception):
    """The key was used for another request."""


def kept(conn: Connection, key_id: int, idempotency_key: str, request_sha256: bytes, now: datetime) -> Answer | None:
    """Give the answer that is kept for a request; None: there is none (yet). Raises OtherRequest."""
    a = api_answer.c
    known = conn.execute(
        select(a.request_sha256, a.status, a.body).where(
            a.api_key_id == key_id, a.idempotency_key == idempotency_key, a.at > now - KEPT
        )
    ).one_or_none()
    if known is None:
        return None
    if bytes(known.request_sha256) != request_sha256:
        raise OtherRequest
    return Answer(known.status, known.body)


def recall(conn: Connection, key_id: int, idempotency_key: str, request_sha256: bytes, now: datetime) -> Answer | None:
    """Enter a request under its key, and wait for a twin that is under way. None: it is new, and has to be answered.

    Raises OtherRequest.
    """
    a = api_answer.c
    mine = (a.api_key_id == key_id) & (a.idempotency_key == idempotency_key)
    conn.execute(delete(api_answer).where(mine, a.at <= now - KEPT))
    row = {"api_key_id": key_id, "idempotency_key": idempotency_key, "request_sha256": request_sha256, "at": now}
    entered = conn.execute(
        insert_or(conn.dialect.name, api_answer)
        .values(row)
        .on_conflict_do_nothing(index_elements=["api_key_id", "idempotency_key"])
        .returning(a.id)
    ).one_or_none()
    if entered is not None:
        return None
    return kept(conn, key_id, idempotency_key, request_sha256, now)


def keep(conn: Connection, key_id: int, idempotency_key: str, answer: Answer) -> None:
    """Write down the answer to a request that `recall` has entered."""
    a = api_answer.c
    mine = (a.api_key_id == key_id) & (a.idempotency_key == idempotency_key)
    conn.execute(update(api_answer).where(mine).values(status=answer.status, body=answer.body))
