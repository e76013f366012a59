"""Who of a claimed batch is still to be served; and who would be served, if a campaign went now."""

from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
    true,
)

from dispatcher.db import shortcut
from dispatcher.db.columns import Id, Rows, Utc, words, written
from dispatcher.db.shortcut import Shortcut
from dispatcher.db.tables import deferral, delivery, opt_in_request, subscriber, subscription
from dispatcher.db.terms import Errand, Language, Topic
from dispatcher.domain import consent
from dispatcher.domain.audience import audiences
from dispatcher.domain.delivery import passage
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.newsletters.campaigns import Campaign

_IDS: Final = Rows("ids", {"id": Id}, packed=True)
_LANGUAGES: Final = {language.value: language for language in Language}


class Asking(NamedTuple):
    """The request of ours that a letter brings to someone: from what its link follows, and for which topics."""

    request_id: int
    nonce: bytes
    token_sha256: bytes
    topics: tuple[str, ...]


class Recipient:
    """Someone to whom a letter is to go: what the letter needs to know. `attempt` 1 is the first. `asking`: of a letter
    that asks to renew the consent. A plain class, like those of passage.py that are made for each letter: compiled
    code makes a named tuple or a dataclass ten times as slowly.
    """

    __slots__ = ("address", "asking", "attempt", "consented_on", "language", "name", "public_id", "subscriber_id")

    def __init__(  # noqa: PLR0913  (a row)
        self,
        subscriber_id: int,
        public_id: bytes,
        address: str,
        name: str,
        language: Language,
        consented_on: date | None,
        attempt: int,
    ) -> None:
        self.subscriber_id = subscriber_id
        self.public_id = public_id
        self.address = address
        self.name = name
        self.language = language
        self.consented_on = consented_on
        self.attempt = attempt
        self.asking: Asking | None = None


def to_serve(conn: Connection, mine: Claim, of: Campaign, now: datetime) -> list[Recipient]:
    """Give those of a claimed batch who are still to be served: no delivery row, no deferral that is not yet due.

    Whoever may not be written to any more is recorded as withheld here, which spares a connection at the gate.
    """
    dialect = conn.dialect.name
    values = {
        "of": of.id,
        "now": written(dialect, now),
        "request": of.request_id,
        **_IDS.values(dialect, [(i,) for i in mine.subscriber_ids]),
    }
    rows = shortcut.run(conn, _left(dialect, of.topic, of.renews), values)
    allowed = {row[0] for row in rows if row[-1]}
    if of.topic is None:
        allowed = set(passage.permitted_among(conn, of, [row[0] for row in rows]))
    passage.withhold(conn, of, [row[0] for row in rows if row[0] not in allowed], now)
    return [
        Recipient(who, public_id, address, name, _LANGUAGES[language], _day(since), (attempt or 0) + 1)
        for who, public_id, address, name, language, since, attempt, _ in rows
        if who in allowed
    ]


def expected(conn: Connection, of: Campaign, after_id: int, limit: int) -> list[Recipient]:
    """Give a page of those who would get this newsletter if its audience were frozen now, in order of id."""
    s = subscriber.c
    may = _expected(of)
    since = func.date(subscription.c.since) if conn.dialect.name == "sqlite" else cast(subscription.c.since, Date)
    rows: Iterable[Any] = conn.execute(
        select(s.id, s.public_id, s.address, s.name, s.language, since)
        .select_from(may)
        .join(subscriber, s.id == may.c.subscriber_id)
        .join(subscription, and_(subscription.c.subscriber_id == s.id, subscription.c.topic == of.topic))
        .where(s.id > after_id)
        .order_by(s.id)
        .limit(limit)
    )
    return [
        Recipient(who, public_id, address, name, _LANGUAGES[language], _day(day), 1)
        for who, public_id, address, name, language, day in rows
    ]


def count_expected(conn: Connection, of: Campaign) -> int:
    """Count those who would get this newsletter if its audience were frozen now."""
    return int(conn.execute(select(func.count()).select_from(_expected(of))).scalar_one())


def _expected(of: Campaign) -> Subquery:
    """Those of the audience who may be written to, as the freeze would find them."""
    assert of.topic is not None
    people = audiences.everyone(of.topic, of.filter).subquery("people")
    return select(people.c.subscriber_id).where(people.c.reason.is_(None)).subquery("expected")


@lru_cache(maxsize=16)
def _left(dialect: str, topic: Topic | None, renews: int | None) -> Shortcut:
    """One row a person; the last column says whether the letter may go to them."""
    s, d = subscriber.c, deferral.c
    since = func.date(subscription.c.since) if dialect == "sqlite" else cast(subscription.c.since, Date)
    permitted: ColumnElement[Any] = true()
    if topic is not None:
        may = consent.is_permitted(topic) if renews is None else consent.may_be_asked(topic, renews)
        permitted = case((may, 1), else_=0)
    of = bindparam("of", type_=Id)
    address = s.address if topic else _address_of_request()
    theirs = and_(subscription.c.subscriber_id == s.id, subscription.c.topic == topic)
    served = and_(delivery.c.campaign_id == of, delivery.c.subscriber_id == s.id)
    if dialect == "postgresql":  # each index is walked through once, in order, and the four are merged
        theirs = and_(theirs, _IDS.hold("id", subscription.c.subscriber_id))
        served = and_(served, _IDS.hold("id", delivery.c.subscriber_id))
        these = _IDS.hold("id", s.id)
    else:
        these = s.id.in_(select(_IDS.table(dialect).c.id))
    left = (
        select(s.id, s.public_id, address, s.name, s.language, since, d.attempt, permitted)
        .select_from(subscriber)
        .outerjoin(subscription, theirs)
        .outerjoin(delivery, served)
        .outerjoin(deferral, and_(d.campaign_id == of, d.subscriber_id == s.id))
        .where(
            these,
            delivery.c.subscriber_id.is_(None),
            or_(d.retry_at.is_(None), d.retry_at <= bindparam("now", type_=Utc())),
        )
        .order_by(s.id)
    )
    return shortcut.compiled(left, dialect)


def _address_of_request() -> ColumnElement[str]:
    """The letter of a request goes to the person's address, or to the other one that a change of address is about."""
    r = opt_in_request.c
    elsewhere = select(r.other_address).where(
        r.id == bindparam("request", type_=Id), r.errand.in_(words(Errand.TAKE_ADDRESS, Errand.MOVED))
    )
    return func.coalesce(elsewhere.scalar_subquery(), subscriber.c.address)


def _day(since: date | str | None) -> date | None:
    return date.fromisoformat(since) if isinstance(since, str) else since
