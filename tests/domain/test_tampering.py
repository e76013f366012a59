"""What somebody tries who knows how the consent ledger is verified is found all the same, and hides nothing else."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from dispatcher.db.engine import snapshot
from dispatcher.db.tables import (
    consent_chain,
    consent_checkpoint,
    consent_event,
    declaration,
    opt_in_request,
    privacy_notice,
    subscription,
)
from dispatcher.db.terms import ConsentKind, Language, SubscriptionState, Topic
from dispatcher.domain import consent, declarations
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.proof import chain, checkpoints, consent_rows, links, verification
from dispatcher.domain.proof.seal import Seal
from dispatcher.domain.proof.walk import MOST, Wrong
from dispatcher.domain.tokens import Keyring
from tests.domain.ledgers import NOW, append, by_hand, fill, known, values, verified
from tests.guards import unguarded

EVENT = consent_event.c
KEY = Seal(Ed25519PrivateKey.from_private_bytes(b"1" * 32))
GOLD = Topic.FINANCE_NEWS


@pytest.fixture
def people(engine: Engine, keyring: Keyring) -> list[int]:
    return fill(engine, keyring)


def _found(engine: Engine, now: datetime = NOW) -> list[tuple[Wrong, int | None]]:
    return [(each.wrong, each.event) for each in verified(engine, [], [KEY.public_pem], now).breaks]


@pytest.mark.parametrize("statement", ["DELETE FROM consent_event WHERE id = 3", "TRUNCATE consent_event"])
def test_the_database_itself_refuses_to_delete_from_the_ledger_and_says_what_to_do(
    engine: Engine, people: list[int], statement: str
) -> None:
    if engine.dialect.name == "sqlite":
        statement = statement.replace("TRUNCATE", "DELETE FROM")
    cure = "is never deleted.*blanked instead: dispatcher subscribers erase"
    with pytest.raises(IntegrityError, match=cure), engine.begin() as conn:
        conn.execute(text(statement))
    assert verified(engine).events == 6


def test_octets_cannot_be_moved_from_one_field_into_another(engine: Engine, people: list[int]) -> None:
    row = values(engine, 4)
    fields = [row[name] for name in chain.SEALED]
    for moved in range(1, len(fields)):
        front = chain.written(fields[:moved])
        blank = dict(zip(chain.PERSONAL, chain.GONE, strict=True)) | {"salt": None}
        longer = bytes(row["personal_sha256"]) + front
        by_hand(engine, update(consent_event).where(EVENT.id == 4).values({**blank, "personal_sha256": longer}))
        assert (Wrong.CHANGED, 4) in _found(engine)


def test_a_hash_of_another_length_links_nothing() -> None:
    link = chain.Link((4, 1), chain.GONE, None, b"h" * 33, b"x" * 32)
    assert link.hash_after(b"b" * 32) is None
    assert not link.goes_on_from(b"b" * 32)


def test_one_finding_hides_no_other(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        append(conn, people, 10)
    by_hand(
        engine,
        update(consent_event).where(EVENT.id == 3).values(language="en"),
        update(consent_event).where(EVENT.id == 6).values(ip="192.0.2.9"),
        delete(consent_event).where(EVENT.id == 9),
        update(consent_event).where(EVENT.id == 14).values(chain_hash=b"h" * 32),
        delete(subscription),
    )
    assert _found(engine) == [(Wrong.CHANGED, 3), (Wrong.CHANGED, 6), (Wrong.MISSING, 10), (Wrong.CHANGED, 14)]


def test_so_many_are_listed_and_the_others_counted(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        append(conn, people, 30)
    by_hand(engine, update(consent_event).values(language="en"))
    found = verified(engine)
    assert (len(found.breaks), found.count) == (MOST, 36)


def test_events_that_were_put_in_side_by_side_are_told_from_the_true_ones(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        conn.execute(update(consent_chain).values(last_id=20))
        append(conn, people, 2)
    row = values(engine, 6)
    by_hand(engine, *(insert(consent_event).values({**row, "id": number}) for number in (10, 11, 12, 23, 24)))
    # By them the person's standing would be another.
    assert _found(engine)[:-1] == [(Wrong.INSERTED, number) for number in (10, 11, 12, 23, 24)]
    assert _found(engine)[-1][0] is Wrong.STANDING


def test_an_end_that_was_cut_off_is_missed_by_who_names_it(engine: Engine, people: list[int]) -> None:
    four = values(engine, 4)["chain_hash"]
    by_hand(
        engine,
        delete(consent_event).where(EVENT.id > 4),
        update(consent_chain).values(events=4, last_id=4, head=four),
    )
    assert [wrong for wrong, _ in _found(engine)] == [Wrong.MISSING, Wrong.STANDING]
    assert _found(engine)[0] == (Wrong.MISSING, 5)


@pytest.mark.parametrize(
    "values",
    [{"state": "withdrawn"}, {"event_id": 2}, {"event_id": 3}, {"state": "pending", "event_id": 4}],
    ids=["another state", "another's event", "of another topic", "of another kind"],
)
def test_a_subscription_that_the_events_do_not_bear_out_is_found(
    engine: Engine, people: list[int], values: dict[str, Any]
) -> None:
    of_first = (subscription.c.subscriber_id == people[0]) & (subscription.c.event_id == 1)
    with engine.begin() as conn:
        conn.execute(update(subscription).where(of_first).values(values))
    [broken] = verified(engine).breaks
    assert (broken.wrong, broken.subscriber) == (Wrong.STANDING, people[0])


def test_a_subscription_that_names_no_number_is_found(engine: Engine, people: list[int]) -> None:
    if _is_taken(engine, "UPDATE subscription SET event_id = 'x' WHERE event_id = 1"):
        assert [wrong for wrong, _ in _found(engine)] == [Wrong.MISSING, Wrong.STANDING]


def test_a_subscription_that_was_set_back_to_before_a_withdrawal_is_found(engine: Engine, people: list[int]) -> None:
    maria = people[0]
    with engine.begin() as conn:
        topic = Topic(conn.execute(select(EVENT.topic).where(EVENT.id == 1)).scalar_one())
        consent.withdraw(conn, maria, [topic], Evidence(source="x"), NOW)
    assert _found(engine) == []
    with engine.begin() as conn:
        which = (subscription.c.subscriber_id == maria) & (subscription.c.topic == topic)
        conn.execute(update(subscription).where(which).values(state="confirmed", event_id=1))
    assert _found(engine) == [(Wrong.STANDING, 1)]


def test_whoever_has_agreed_and_asks_once_more_stands_as_the_events_say(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        for kind in (ConsentKind.REQUESTED, ConsentKind.CONFIRMATION_SENT, ConsentKind.LISTED):
            consent.append(conn, [Event(people[0], topic, kind, Evidence(source="x")) for topic in Topic], NOW)
    assert _found(engine) == []


def test_a_checkpoint_that_somebody_made_up_hides_nothing(engine: Engine, people: list[int]) -> None:
    row = {"instance": b"x" * 16, "events": 1, "head": b"h" * 32, "at": NOW, "key": "x", "signature": b"0" * 64}
    with engine.begin() as conn:
        checkpoints.make(conn, KEY, NOW)
        conn.execute(insert(consent_checkpoint), row)
    by_hand(engine, update(consent_event).where(EVENT.id == 4).values(language="en"))
    found = verified(engine, [], [KEY.public_pem])
    assert [each.wrong for each in found.breaks] == [Wrong.CHANGED, Wrong.FORGED]
    assert found.checkpoints == 1


def test_a_ledger_that_nobody_signed_lately_is_not_well(engine: Engine, people: list[int]) -> None:
    assert _found(engine, NOW + timedelta(days=1)) == []
    assert _found(engine, NOW + timedelta(days=3)) == [(Wrong.UNSIGNED, None)]
    with engine.begin() as conn:
        checkpoints.make(conn, KEY, NOW + timedelta(days=2))
    assert _found(engine, NOW + timedelta(days=3)) == []
    assert _found(engine, NOW + timedelta(days=5)) == [(Wrong.UNSIGNED, None)]


def test_a_restore_accounts_for_no_more_than_it_says(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        before = checkpoints.sign(conn, KEY, NOW)
        restore = checkpoints.make(conn, KEY, NOW + timedelta(hours=1), restored_to=3)
    assert before is not None
    assert restore is not None

    def lost(**values: Any) -> list[Wrong]:
        bare = replace(before, head="00" * 32, **values)
        return [each.wrong for each in verified(engine, [_signed(bare)], [KEY.public_pem]).breaks]

    assert lost(events=4) == []
    assert lost(events=3) == [Wrong.CHECKPOINT]
    assert lost(at="2026-11-23T11:00:01Z") == [Wrong.CHECKPOINT]
    assert lost(instance="00" * 16) == [Wrong.CHECKPOINT]


def _signed(bare: checkpoints.Checkpoint) -> checkpoints.Checkpoint:
    return replace(bare, signature=base64.b64encode(KEY.sign(bare.signed)).decode())


STRANGE = [
    "at = 'infinity'", "given_at = '-infinity'", "given_at = '0044-03-15 BC'", "at = '2026-11-23 10:00:00+14'",
    "at = 'garbage'", "at = '2026-13-45 00:00:00'", "at = 5", "at = 2.5", "at = x'00'", "chain_hash = 'x'",
    "chain_hash = 10000000000000", "chain_hash = 0.5", "personal_sha256 = 'x'", "source = CAST(source AS BLOB)",
    "source = CAST(x'ff' AS TEXT)", "salt = 'x'", "salt = x''", "ip = ''", "user_agent = 7", "mail_sha256 = 'x'",
    "language = 3", "declaration_named = ''",
]  # fmt: skip


@pytest.mark.parametrize("values", STRANGE)
def test_a_value_that_no_driver_can_read_is_a_change_like_any_other(
    engine: Engine, people: list[int], values: str
) -> None:
    if engine.dialect.name == "postgresql":
        values = values.replace("x'ff'", "'y'").replace("x'00'", "'2020-01-01'").replace("x''", "''::bytea")
    if not _is_taken(engine, f"UPDATE consent_event SET {values} WHERE id = 3"):
        return
    assert _found(engine) == [(Wrong.CHANGED, 3)]


def _is_taken(engine: Engine, statement: str) -> bool:
    """Do it by hand, unless the database knows better what the column is for."""
    try:
        by_hand(engine, text(statement.replace(":", "\\:")))
    except DBAPIError:
        if engine.dialect.name == "sqlite":  # it takes anything
            raise
        engine.dispose()
        return False
    return True


@pytest.mark.parametrize("values", ["begun_at = 'garbage'", "head = 'x'", "instance = 7", "events = 'x'"])
def test_a_head_row_that_no_driver_can_read_is_found(engine: Engine, people: list[int], values: str) -> None:
    if _is_taken(engine, f"UPDATE consent_chain SET {values}"):
        assert _found(engine)


@pytest.mark.parametrize("values", ["at = 'garbage'", "head = 'x'", "signature = 7", "events = 'x'", "key = x'ff'"])
def test_a_checkpoint_that_no_driver_can_read_is_not_signed_by_us(
    engine: Engine, people: list[int], values: str
) -> None:
    with engine.begin() as conn:
        checkpoints.make(conn, KEY, NOW)
    if _is_taken(engine, f"UPDATE consent_checkpoint SET {values}"):
        assert _found(engine) == [(Wrong.FORGED, None)]


def test_evidence_of_people_who_are_here_that_was_blanked_too_early_is_counted(
    engine: Engine, keyring: Keyring, people: list[int]
) -> None:
    maria, tom = people
    with engine.begin() as conn:
        consent.forget_personal(conn, EVENT.id == 1)
        request = {
            "id": 1, "subscriber_id": tom, "nonce": b"", "token_sha256": b"t" * 32, "topics": [], "language": "de",
            "source": "x", "requested_at": NOW, "expires_at": NOW, "erased_at": NOW,
        }  # fmt: skip
        conn.execute(insert(opt_in_request), request)
        evidence = Evidence(source="x", request_id=1)
        asked = consent.append(conn, [Event(tom, GOLD, ConsentKind.REQUESTED, evidence)], NOW)
        old = Evidence(source="x", given_at=NOW - timedelta(days=2000))
        ended = consent.append(conn, [Event(maria, None, ConsentKind.PAUSED, old)], NOW)
        consent.forget_personal(conn, EVENT.id.in_([*asked, *ended]))
    found = verified(engine)
    assert (found.broken, found.blanked, found.blanked_early) == (None, 3, 1)


def test_words_that_were_changed_are_found(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        declarations.keep_notice(conn, Language.DE, "Datenschutz", NOW)
    assert _found(engine) == []
    with engine.begin() as conn, unguarded(conn):
        conn.execute(update(declaration).where(declaration.c.language == "de").values(text="Ich will alles."))
        conn.execute(update(privacy_notice).values(text="Anders."))
    assert _found(engine) == [(Wrong.WORDS, None)] * 2


@pytest.mark.parametrize("number", [7, 100, 2**63 - 1])
def test_a_row_by_hand_stops_nobody_who_appends(engine: Engine, people: list[int], number: int) -> None:
    by_hand(engine, insert(consent_event).values({**values(engine, 6), "id": number}))
    with engine.begin() as conn:
        ids = append(conn, people, 3)
    assert number not in ids
    assert _found(engine)[0] == (Wrong.INSERTED, number)


def test_every_page_is_looked_at(engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        append(conn, people, 5)
    by_hand(engine, update(consent_event).where(EVENT.id.in_([2, 11])).values(language="en"))
    with snapshot(engine).connect() as conn:
        for page in (1, 2, 3, 11, 12):
            found = verification.verify(conn, known(), lambda _: None, page)
            assert ([each.event for each in found.breaks], found.events) == ([2, 11], 11)
            assert [link.id for link in links.read(conn, page)] == list(range(1, 12))


def test_what_is_appended_meanwhile_is_not_seen(engine: Engine, people: list[int]) -> None:
    def tell(done: int) -> None:
        if not done:
            with engine.begin() as other:
                append(other, people, 2)

    with snapshot(engine).connect() as conn:
        found = verification.verify(conn, known(), tell, 2)
    assert (found.broken, found.events) == (None, 6)


def test_events_of_every_kind_and_without_topic_verify_and_say_nothing_of_other_topics(
    engine: Engine, people: list[int]
) -> None:
    with engine.connect() as conn:
        before = conn.execute(select(subscription).order_by(*subscription.primary_key)).all()
    leaving_alone = [kind for kind in ConsentKind if not any(kind in consent_rows.making(s) for s in SubscriptionState)]
    with engine.begin() as conn:
        consent.append(conn, [Event(people[0], None, kind, Evidence(source="x")) for kind in ConsentKind], NOW)
        consent.append(conn, [Event(people[0], GOLD, kind, Evidence(source="x")) for kind in leaving_alone], NOW)
    with engine.connect() as conn:
        assert conn.execute(select(subscription).order_by(*subscription.primary_key)).all() == before
    assert _found(engine) == []


NASTY = [
    "",
    "NULL",
    "{}",
    'a"b\\c',
    "\n\r\t",
    "ü",
    "u\u0308",
    "\U0001f600",
    " x",
    "a,b",
    "\\x00",
    "%s",
    ":x",
    "\x7f\x01",
]
TIMES = [
    datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
]  # fmt: skip


def test_whatever_was_appended_is_read_back_as_it_was(engine: Engine, people: list[int]) -> None:
    proofs = [Evidence(s, s, s, None, None, s, b"", None, None, s, bytes(range(32)), s, s) for s in NASTY]
    proofs += [Evidence("x", given_at=at) for at in TIMES]
    with engine.begin() as conn:
        consent.append(conn, [Event(people[0], GOLD, ConsentKind.IMPORTED, proof) for proof in proofs], NOW)
    assert _found(engine) == []
