"""Whatever is done to the consent ledger by hand is found, and the first event it was done to is named."""

import base64
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, insert, update

from dispatcher.db.tables import consent_chain, consent_checkpoint, consent_event, subscription
from dispatcher.db.terms import ConsentKind
from dispatcher.domain import consent
from dispatcher.domain.proof import chain, chain_head, checkpoints
from dispatcher.domain.proof.checkpoints import Checkpoint
from dispatcher.domain.proof.moments import Moment
from dispatcher.domain.proof.seal import Seal
from dispatcher.domain.proof.walk import Wrong
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused
from tests.domain.ledgers import NOW, append, by_hand, fill, values, verified
from tests.stories import stories

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
    "chain_hash": b"h" * 32,
}


@pytest.fixture
def people(engine: Engine, keyring: Keyring) -> list[int]:
    return fill(engine, keyring)


def _signed(point: Checkpoint) -> Checkpoint:
    return replace(point, signature=base64.b64encode(KEY.sign(point.signed)).decode())


def _wrongs(engine: Engine, elsewhere: Sequence[Checkpoint] = ()) -> list[Wrong]:
    return [each.wrong for each in verified(engine, elsewhere, [KEY.public_pem]).breaks]


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
    by_hand(engine, update(consent_event).where(EVENT.id == 3).values({column: OTHERWISE[column]}))
    broken = verified(engine).broken
    assert broken is not None
    assert (broken.wrong, broken.event, broken.at is not None) == (Wrong.CHANGED, 3, True)
    assert broken.subscriber == (2 if column == "subscriber_id" else people[0])


def test_another_number_is_found(engine: Engine, people: list[int]) -> None:
    by_hand(engine, update(consent_event).where(EVENT.id == 3).values(id=99))
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
    by_hand(engine, delete(consent_event).where(EVENT.id.in_(gone)))
    assert _found(engine) == (wrong, event)


def test_an_event_that_was_put_in_at_the_end_is_found_and_hinders_nobody(engine: Engine, people: list[int]) -> None:
    by_hand(engine, insert(consent_event).values({**values(engine, 6), "id": 7}))
    assert _found(engine) == (Wrong.INSERTED, 7)
    with engine.begin() as conn:
        assert append(conn, people, 1) == [8]
    assert _found(engine) == (Wrong.INSERTED, 7)


def test_an_event_that_was_put_in_between_is_found(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        conn.execute(update(consent_chain).values(last_id=20))
        append(conn, people, 2)
    by_hand(engine, insert(consent_event).values({**values(engine, 6), "id": 10}))
    assert _found(engine) == (Wrong.INSERTED, 10)


def test_two_events_that_changed_places_are_found(engine: Engine, people: list[int]) -> None:
    two, four = values(engine, 2), values(engine, 4)
    by_hand(
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
    five = values(engine, 5)["chain_hash"]
    by_hand(
        engine,
        delete(consent_event).where(EVENT.id == 6),
        update(consent_chain).values(events=5, last_id=5, head=five),
        delete(consent_checkpoint),
    )
    assert Wrong.CHECKPOINT not in _wrongs(engine)
    assert Wrong.CHECKPOINT in _wrongs(engine, [made])


@pytest.mark.parametrize("values", [{"events": 7}, {"head": b"h" * 32}, {"events": 5}])
def test_a_head_that_says_something_else_is_found(engine: Engine, people: list[int], values: dict[str, Any]) -> None:
    by_hand(engine, update(consent_chain).values(values))
    assert _found(engine)[0] in {Wrong.HEAD, Wrong.MISSING}


@pytest.mark.parametrize("values", [{"instance": b"i" * 16}, {"chained_later": 3}, {"begun_at": NOW + timedelta(1)}])
def test_another_beginning_is_found(engine: Engine, people: list[int], values: dict[str, Any]) -> None:
    by_hand(engine, update(consent_chain).values(values))
    assert _found(engine) == (Wrong.CHANGED, 1)


def test_a_head_that_is_gone_is_found_and_hinders_nobody(engine: Engine, people: list[int]) -> None:
    by_hand(engine, delete(consent_chain))
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
    row = values(engine, 1)
    assert [row[name] for name in (*chain.PERSONAL, "salt")] == [*chain.GONE, None]
    assert values(engine, 2)["ip"] == "192.0.2.7"
    by_hand(engine, update(consent_event).where(EVENT.id == 1).values(kind="withdrawn"))
    assert _found(engine) == (Wrong.CHANGED, 1)


@pytest.mark.parametrize(
    "put_back", [{"ip": "192.0.2.7"}, {"source": "form 4"}, {"salt": b"s" * 16}, {"ip": "192.0.2.9", "salt": b"s" * 16}]
)
def test_personal_fields_that_are_put_back_after_an_erasure_are_found(
    engine: Engine, people: list[int], put_back: dict[str, Any]
) -> None:
    with engine.begin() as conn:
        consent.forget_personal(conn, EVENT.subscriber_id == people[0])
    by_hand(engine, update(consent_event).where(EVENT.id == 5).values(put_back))
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
    [read], torn = checkpoints.parse(made.line + "\n")
    assert (read, torn) == (made, [])
    with engine.connect() as conn:
        assert list(checkpoints.kept(conn)) == [made]
    found = verified(engine, [read], [KEY.public_pem])
    assert (found.broken, found.checkpoints, found.newest, found.unsigned) == (None, 1, made, 5)


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


@pytest.mark.parametrize("altered", [{"head": "00" * 32}, {"instance": "00" * 16, "head": "00" * 32}])
def test_a_checkpoint_of_another_ledger_or_another_past_is_found(
    engine: Engine, people: list[int], altered: dict[str, Any]
) -> None:
    with engine.begin() as conn:
        made = checkpoints.make(conn, KEY, NOW)
    assert made is not None
    other = _signed(replace(made, **altered))
    assert _wrongs(engine, [other]) == [Wrong.CHECKPOINT]


@pytest.mark.parametrize("text_", ["", "{}", "[1]", "x", '{"events": 1}'])
def test_what_is_no_checkpoint_is_refused_with_a_cure(text_: str) -> None:
    with pytest.raises(InputRefused, match="checkpoint") as caught:
        checkpoints.parse(text_)
    assert caught.value.cure


def test_a_checkpoint_is_due_every_hour_with_news_once_a_day_without_and_not_before_the_first_event(
    engine: Engine, keyring: Keyring
) -> None:
    def is_due(conn: Connection, **later: int) -> bool:
        return checkpoints.is_due(conn, KEY.public_pem, NOW + timedelta(**later))

    with engine.begin() as conn:
        assert not is_due(conn)
        assert checkpoints.make(conn, KEY, NOW) is None
        chain_head.take(conn, NOW)  # begun, but nothing is in it
        assert not is_due(conn)
        assert checkpoints.make(conn, KEY, NOW) is None
    people = fill(engine, keyring, 1)
    with engine.begin() as conn:
        assert is_due(conn)
        checkpoints.make(conn, KEY, NOW)
        assert not is_due(conn, hours=23)
        assert is_due(conn, hours=25)
        append(conn, people, 1)
        assert not is_due(conn, minutes=59)
        assert is_due(conn, minutes=61)


@pytest.mark.parametrize("key", [KEY, OTHER], ids=["ours, from the future", "another's"])
def test_no_rowby_hand_ends_the_making_of_checkpoints(engine: Engine, people: list[int], key: Seal) -> None:
    with engine.begin() as conn:
        checkpoints.make(conn, key, NOW + timedelta(days=3650) if key is KEY else NOW)
        assert checkpoints.is_due(conn, KEY.public_pem, NOW)


VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"])), st.binary()
)


@given(st.lists(VALUES, max_size=5), st.lists(VALUES, max_size=5))
def test_two_rows_that_differ_are_written_out_differently(one: list[Any], two: list[Any]) -> None:
    assert (chain.written(one) == chain.written(two)) == (one == two)


TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.none() | st.integers(1, 2**63 - 1)
TIMES = st.datetimes(timezones=st.just(UTC))
SEALED = st.tuples(
    st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1), TEXTS, st.sampled_from(ConsentKind), TIMES, st.none() | TIMES,
    TEXTS, NUMBERS, TEXTS, st.none() | st.binary(), NUMBERS, TEXTS, st.none() | st.binary(),
)  # fmt: skip


# Any two may follow each other, and often with fields alike: None, and few texts.
EVENTS = st.lists(st.tuples(st.binary(max_size=20), st.tuples(*[TEXTS] * 5), SEALED), max_size=4).map(
    lambda events: [*events, *events[::2], *events[1:]]
)


@given(st.binary(max_size=40), EVENTS)
def test_events_are_chained_as_they_are_verified(before: bytes, events: list[chain.New]) -> None:
    for (salt, personal, sealed), row in zip(events, chain.rows(before, events), strict=True):
        hashed = chain.personal_sha256(salt, personal)
        before = chain.chain_hash(before, hashed, sealed)
        assert row == (*sealed, *personal, salt, hashed, before)


def test_values_of_two_types_are_never_written_out_alike() -> None:
    alike = [None, "", b"", "-", b"-", "1", b"1", 1, Moment(1), "NULL"]
    assert len({chain.written([value]) for value in alike}) == len(alike)
    assert chain.written([chain.moment(NOW)]) == chain.written([NOW])


@settings(max_examples=stories(25))
@given(st.lists(st.one_of(st.integers(1, 5), st.sampled_from(["forget", "checkpoint", "rollback"])), max_size=12))
def test_whatever_is_appended_forgotten_and_signed_in_whatever_order_verifies(
    engine: Engine, keyring: Keyring, steps: list[int | str]
) -> None:
    by_hand(engine, *map(delete, (subscription, consent_event, consent_chain, consent_checkpoint)))
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
