"""Who agreed and who left, day by day: counted along the ledger, once."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, update

from dispatcher.db.tables import consent_event
from dispatcher.db.terms import ConsentKind, Topic
from dispatcher.domain import consent
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.proof import movements
from dispatcher.domain.proof.movements import Moved, Movements
from dispatcher.domain.tokens import Keyring
from tests import builders

LATE = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
SOON = LATE + timedelta(seconds=2)
NEWS, OFFERS = Topic.PRODUCT_NEWS, Topic.SPECIAL_OFFERS


def append(engine: Engine, who: list[int], kind: ConsentKind, topic: Topic, at: datetime) -> None:
    with engine.begin() as conn:
        consent.append(conn, [Event(each, topic, kind, Evidence("form")) for each in who], at)


def follow(engine: Engine, before: Movements, page: int = 2) -> Movements:
    with engine.connect() as conn:
        return movements.follow(conn, before, page)


def test_each_event_is_counted_once_on_its_day_and_under_its_topic(engine: Engine, keyring: Keyring) -> None:
    assert follow(engine, Movements()) == Movements()
    with engine.begin() as conn:
        who = list(builders.add_people(conn, keyring, [f"p{n}@example.de" for n in range(5)], LATE).values())
    append(engine, who, ConsentKind.REQUESTED, NEWS, LATE)
    append(engine, who, ConsentKind.CONFIRMED, NEWS, LATE)
    append(engine, who[:2], ConsentKind.IMPORTED, OFFERS, SOON)
    first = follow(engine, Movements())
    assert first.days == {(NEWS, LATE.date()): Moved(5, 0), (OFFERS, SOON.date()): Moved(2, 0)}
    append(engine, who[:1], ConsentKind.WITHDRAWN, NEWS, LATE)
    append(engine, who[1:2], ConsentKind.OBJECTED, NEWS, SOON)
    append(engine, who[2:3], ConsentKind.EXPIRED, OFFERS, SOON)
    second = follow(engine, first)
    assert second.days == {
        (NEWS, LATE.date()): Moved(5, 1), (NEWS, SOON.date()): Moved(0, 1), (OFFERS, SOON.date()): Moved(2, 0)
    }  # fmt: skip
    assert follow(engine, second) == second == follow(engine, Movements())


def test_a_ledger_that_is_not_the_one_that_was_counted_is_counted_anew(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        who = list(builders.add_people(conn, keyring, ["p1@example.de"], LATE).values())
    append(engine, who, ConsentKind.CONFIRMED, NEWS, LATE)
    before = follow(engine, Movements())
    with engine.begin() as conn:
        conn.execute(update(consent_event).values(chain_hash=b"1" * 32, topic=OFFERS))
    assert follow(engine, before).days == {(OFFERS, LATE.date()): Moved(1, 0)}
