"""Whatever is done to the consent ledger by hand is found, and the first event it was done to is named."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, insert, select, text, update

from dispatcher.db.tables import consent_chain, consent_checkpoint, consent_event, subscription
from dispatcher.domain import chain, chain_head, checkpoints, consent
from dispatcher.domain.seal import Seal
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.verification import Wrong
from dispatcher.errors import InputRefused
from tests.domain.ledgers import NOW, append, fill, verified

EVENT = consent_event.c
KEY, OTHER = (Seal(Ed25519PrivateKey.from_private_bytes(seed * 32)) for seed in (b"1", b"2"))

# To every column of an event, another value that its type and the schema's rules admit.
OTHERWISE: dict[str, Any] = {
    "id": 99,
    "subscriber_id": 2,
    "topic": "finance-news",
    "kind": "withdrawn",
    "at": NOW + timedelta(microseconds=1),
    "given_at": NOW,
    "source": "form 9",
    "ip": "192.0.2.8",
    "user_agent": None,
    "language": "en",
    "declaration_id": None,
    "declaration_named": "newsletter-2026-02",
    "privacy_sha256": b"q" * 32,
    "request_id": 1,
    "mail_template": None,
    "mail_sha256": b"n" * 32,
    "message_id": "<x@example.de>",
    "relay_reply": "250 2.0.0 ok",
    "salt": b"s" * 16,
    "personal_sha256": b"h" * 32,
    "chain_hash": None,
}


@pytest.fixture
def people(engine: Engine, keyring: Keyring) -> list[int]:
    return fill(engine, keyring)


def _by_hand(engine: Engine, *statements: Any) -> None:
    """Do what somebody does who can write to the database: no foreign key stands in the way."""
    with engine.connect() as conn:
        if engine.dialect.name == "sqlite":
            conn.exec_driver_sql("ROLLBACK")
            conn.exec_driver_sql("PRAGMA foreign_keys=OFF")
        else:
            conn.execute(text("SET session_replication_role = replica"))
        for statement in statements:
            conn.execute(statement)
        if engine.dialect.name == "postgresql":
            conn.execute(text("SET session_replication_role = origin"))
            conn.commit()
    engine.dispose()


def _values(engine: Engine, event_id: int) -> dict[str, Any]:
    with engine.connect() as conn:
        return dict(conn.execute(select(consent_event).where(EVENT.id == event_id)).one()._mapping)


def _found(engine: Engine) -> tuple[Wrong, int | None]:
    broken = verified(engine).broken
    assert broken is not None
    return broken.wrong, broken.event


def test_a_ledger_nobody_touched_verifies(engine: Engine, people: list[int]) -> None:
    found = verified(engine)
    assert (found.broken, found.events, found.blanked) == (None, 6, 0)


def test_an_empty_ledger_verifies(engine: Engine) -> None:
    assert (verified(engine).broken, verified(engine).events) == (None, 0)


def test_there_is_another_value_for_every_column() -> None:
    assert set(OTHERWISE) == {column.name for column in EVENT}


@pytest.mark.parametrize("column", sorted(set(OTHERWISE) - {"id"}))
def test_a_change_of_any_column_is_found_and_the_event_is_named(engine: Engine, people: list[int], column: str) -> None:
    _by_hand(engine, update(consent_event).where(EVENT.id == 3).values({column: OTHERWISE[column]}))
    broken = verified(engine).broken
    assert broken is not None
    assert (broken.wrong, broken.event, broken.at is not None) == (Wrong.CHANGED, 3, True)
    assert broken.subscriber == (2 if column == "subscriber_id" else people[0])


def test_another_number_is_found(engine: Engine, people: list[int]) -> None:
    _by_hand(engine, update(consent_event).where(EVENT.id == 3).values(id=99))
    assert _found(engine) == (Wrong.MISSING, 4)


@pytest.mark.parametrize(
    ("gone", "wrong", "event"),
    [
        ([1], Wrong.MISSING, 2),
        ([3, 4], Wrong.MISSING, 5),
        ([6], Wrong.MISSING, 6),
        ([1, 2, 3, 4, 5, 6], Wrong.MISSING, 1),
    ],
)
def test_an_event_that_was_taken_away_is_missed_wherever_it_stood(
    engine: Engine, people: list[int], gone: list[int], wrong: Wrong, event: int
) -> None:
    _by_hand(engine, delete(consent_event).where(EVENT.id.in_(gone)))
    assert _found(engine) == (wrong, event)


def test_an_event_that_was_put_in_at_the_end_is_found_and_hinders_nobody(engine: Engine, people: list[int]) -> None:
    _by_hand(engine, insert(consent_event).values({**_values(engine, 6), "id": 7}))
    assert _found(engine) == (Wrong.INSERTED, 7)
    with engine.begin() as conn:
        assert append(conn, people, 1) == [8]
    assert _found(engine) == (Wrong.INSERTED, 7)


def test_an_event_that_was_put_in_between_is_found(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        conn.execute(update(consent_chain).values(last_id=20))
        append(conn, people, 2)
    _by_hand(engine, insert(consent_event).values({**_values(engine, 6), "id": 10}))
    assert _found(engine) == (Wrong.INSERTED, 10)


def test_two_events_that_changed_places_are_found(engine: Engine, people: list[int]) -> None:
    two, four = _values(engine, 2), _values(engine, 4)
    _by_hand(
        engine,
        update(consent_event).where(EVENT.id == 2).values({**four, "id": 2}),
        update(consent_event).where(EVENT.id == 4).values({**two, "id": 4}),
    )
    assert _found(engine) == (Wrong.CHANGED, 2)


def test_a_head_that_was_taken_back_with_the_newest_event_is_found_by_a_checkpoint(
    engine: Engine, people: list[int]
) -> None:
    with engine.begin() as conn:
        made = checkpoints.make(conn, KEY, NOW)
    assert made is not None
    five = _values(engine, 5)["chain_hash"]
    _by_hand(
        engine,
        delete(consent_event).where(EVENT.id == 6),
        update(consent_chain).values(events=5, last_id=5, head=five),
        delete(consent_checkpoint),
    )
    assert verified(engine, [], [KEY.public_pem]).broken is None
    broken = verified(engine, [made], [KEY.public_pem]).broken
    assert broken is not None
    assert broken.wrong is Wrong.CHECKPOINT


@pytest.mark.parametrize("values", [{"events": 7}, {"head": b"h" * 32}, {"events": 5}])
def test_a_head_that_says_something_else_is_found(engine: Engine, people: list[int], values: dict[str, Any]) -> None:
    _by_hand(engine, update(consent_chain).values(values))
    assert _found(engine)[0] in {Wrong.HEAD, Wrong.MISSING}


@pytest.mark.parametrize("values", [{"instance": b"i" * 16}, {"chained_later": 3}, {"begun_at": NOW + timedelta(1)}])
def test_another_beginning_is_found(engine: Engine, people: list[int], values: dict[str, Any]) -> None:
    _by_hand(engine, update(consent_chain).values(values))
    assert _found(engine) == (Wrong.CHANGED, 1)


def test_a_head_that_is_gone_is_found_and_hinders_nobody(engine: Engine, people: list[int]) -> None:
    _by_hand(engine, delete(consent_chain))
    assert _found(engine) == (Wrong.HEAD, 1)
    with engine.begin() as conn:
        append(conn, people, 1)
    assert verified(engine).broken is not None


def test_after_an_erasure_the_ledger_verifies_and_still_finds_every_other_change(
    engine: Engine, people: list[int]
) -> None:
    maria, _ = people
    with engine.begin() as conn:
        consent.forget_personal(conn, EVENT.subscriber_id == maria)
        consent.forget_personal(conn, EVENT.subscriber_id == maria)
    found = verified(engine)
    assert (found.broken, found.blanked) == (None, 3)
    row = _values(engine, 1)
    assert [row[name] for name in (*chain.PERSONAL, "salt")] == [None] * 5
    assert _values(engine, 2)["ip"] == "192.0.2.7"
    _by_hand(engine, update(consent_event).where(EVENT.id == 1).values(source="form 9"))
    assert _found(engine) == (Wrong.CHANGED, 1)


@pytest.mark.parametrize("put_back", [{"ip": "192.0.2.7"}, {"salt": b"s" * 16}, {"ip": "192.0.2.9", "salt": b"s" * 16}])
def test_personal_fields_that_are_put_back_after_an_erasure_are_found(
    engine: Engine, people: list[int], put_back: dict[str, Any]
) -> None:
    with engine.begin() as conn:
        consent.forget_personal(conn, EVENT.subscriber_id == people[0])
    _by_hand(engine, update(consent_event).where(EVENT.id == 5).values(put_back))
    assert _found(engine) == (Wrong.CHANGED, 5)


def test_of_many_who_append_at_once_all_stand_in_one_chain(engine: Engine, people: list[int]) -> None:
    start, seen = threading.Barrier(2), []

    def work() -> None:
        start.wait()
        for count in range(1, 16):
            with engine.begin() as conn:
                seen.extend(append(conn, people, count % 4 + 1))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(7, 7 + len(seen)))
    assert (verified(engine).broken, verified(engine).events) == (None, 6 + len(seen))


def test_what_is_rolled_back_leaves_no_gap(engine: Engine, people: list[int]) -> None:
    with engine.connect() as conn:
        append(conn, people, 3)
        conn.rollback()
    with engine.begin() as conn:
        assert append(conn, people, 1) == [7]
    assert verified(engine).broken is None


def test_a_checkpoint_holds_while_the_ledger_grows(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        made = checkpoints.make(conn, KEY, NOW)
        append(conn, people, 5)
        consent.forget_personal(conn, EVENT.subscriber_id.in_(people))
    assert made is not None
    [read] = checkpoints.parse(made.line + "\n")
    assert read == made
    with engine.connect() as conn:
        assert list(checkpoints.kept(conn)) == [made]
    found = verified(engine, [read], [KEY.public_pem])
    assert (found.broken, found.checkpoints) == (None, 2)


def test_a_checkpoint_that_was_altered_or_signed_by_another_is_found(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        made = checkpoints.make(conn, OTHER, NOW)
    assert made is not None
    assert made.is_signed_by([KEY.public_pem, OTHER.public_pem])
    broken = verified(engine, [], [KEY.public_pem]).broken
    assert broken is not None
    assert broken.wrong is Wrong.FORGED
    for altered in ({"at": "2026-11-23T09:00:02Z"}, {"events": 5}, {"signature": "?"}, {"instance": "00" * 16}):
        assert not replace(made, **altered).is_signed_by([OTHER.public_pem])


@pytest.mark.parametrize("altered", [{"head": "00" * 32}, {"instance": "00" * 16}, {"events": 5}])
def test_a_checkpoint_of_another_ledger_or_another_past_is_found(
    engine: Engine, people: list[int], altered: dict[str, Any]
) -> None:
    with engine.begin() as conn:
        made = checkpoints.make(conn, KEY, NOW)
    assert made is not None
    broken = verified(engine, [replace(made, **altered)], [KEY.public_pem]).broken
    assert broken is not None
    assert broken.wrong is Wrong.CHECKPOINT


@pytest.mark.parametrize("text_", ["", "{}", "[1]", "x", '{"events": 1}'])
def test_what_is_no_checkpoint_is_refused_with_a_cure(text_: str) -> None:
    with pytest.raises(InputRefused, match="checkpoint") as caught:
        checkpoints.parse(text_)
    assert caught.value.cure


def test_a_checkpoint_is_due_once_a_day_and_not_before_the_first_event(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        assert not checkpoints.is_due(conn, NOW)
        assert checkpoints.make(conn, KEY, NOW) is None
    fill(engine, keyring, 1)
    with engine.begin() as conn:
        assert checkpoints.is_due(conn, NOW)
        checkpoints.make(conn, KEY, NOW)
        assert not checkpoints.is_due(conn, NOW + timedelta(hours=23))
        assert checkpoints.is_due(conn, NOW + timedelta(hours=25))


VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"])), st.binary()
)


@given(st.lists(VALUES, max_size=5), st.lists(VALUES, max_size=5))
def test_two_rows_that_differ_are_written_out_differently(one: list[Any], two: list[Any]) -> None:
    def octets(values: list[Any]) -> list[Any]:
        return [v if v is None else str(v).encode() if isinstance(v, int) else v.encode() if isinstance(v, str) else v
                for v in values]  # fmt: skip

    assert (chain.written(one) == chain.written(two)) == (octets(one) == octets(two))


Order = Callable[[Connection, list[int]], object]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.integers(1, 5), st.sampled_from(["forget", "checkpoint", "rollback"])), max_size=12))
def test_whatever_is_appended_forgotten_and_signed_in_whatever_order_verifies(
    engine: Engine, keyring: Keyring, steps: list[int | str]
) -> None:
    with engine.begin() as conn:
        for table in (subscription, consent_event, consent_chain, consent_checkpoint):
            conn.execute(delete(table))
    people = fill(engine, keyring, 1)
    expected = 1
    for step in steps:
        with engine.connect() as conn:
            if step == "forget":
                consent.forget_personal(conn, EVENT.subscriber_id == people[0])
            elif step == "checkpoint":
                checkpoints.make(conn, KEY, NOW)
            else:
                append(conn, people, step if isinstance(step, int) else 2)
            if step == "rollback":
                conn.rollback()
            else:
                conn.commit()
                expected += step if isinstance(step, int) else 0
    found = verified(engine, [], [KEY.public_pem])
    assert (found.broken, found.events) == (None, expected)
    with engine.connect() as conn:
        end = chain_head.read(conn)
    assert end is not None
    assert end.events == expected
