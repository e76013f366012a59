"""The ledger of consent: nothing in it changes, its last word counts, and the gate's two questions read it right."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, Table, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from dispatcher.db.tables import consent_event, opt_in_request, subscriber, subscription
from dispatcher.db.terms import ConsentKind, Language, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.tokens import Keyring
from tests import builders
from tests.domain.ledgers import verified

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
GOLD, OFFERS, NEWS = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS, Topic.PRODUCT_NEWS
PENDING, CONFIRMED, WITHDRAWN = SubscriptionState
PROOF = Evidence(source="a test")


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        return builders.add_people(conn, keyring, ["maria@example.de"], NOW)["maria@example.de"]


def _append(conn: Connection, who: int, *kinds: ConsentKind, topic: Topic = GOLD) -> None:
    for kind in kinds:
        consent.append(conn, [Event(who, topic, kind, PROOF)], NOW)


def _states(conn: Connection, who: int) -> dict[Topic, SubscriptionState]:
    return {topic: state for topic, (state, _) in consent.standing(conn, who).items()}


def _is_permitted(conn: Connection, who: int, topic: Topic = GOLD) -> bool:
    return who in [row.subscriber_id for row in conn.execute(consent.permits_newsletter(topic))]


OF_THE_PERSON = (
    ConsentKind.PAUSED, ConsentKind.RESUMED, ConsentKind.RESTRICTED, ConsentKind.RELEASED, ConsentKind.MOVE_ASKED,
    ConsentKind.MOVE_ALLOWED, ConsentKind.ADDRESS_CHANGED,
)  # fmt: skip
STAYS = {None: None, PENDING: PENDING, CONFIRMED: CONFIRMED, WITHDRAWN: WITHDRAWN}
# What each event makes of a subscription, from each state it can find it in.
AFTER = {
    ConsentKind.REQUESTED: {None: PENDING, PENDING: PENDING, CONFIRMED: CONFIRMED, WITHDRAWN: PENDING},
    ConsentKind.LISTED: {None: PENDING, PENDING: PENDING, CONFIRMED: CONFIRMED, WITHDRAWN: PENDING},
    **dict.fromkeys((ConsentKind.CONFIRMATION_SENT, *OF_THE_PERSON), STAYS),
    ConsentKind.CONFIRMED: dict.fromkeys((None, *SubscriptionState), CONFIRMED),
    ConsentKind.IMPORTED: dict.fromkeys((None, *SubscriptionState), CONFIRMED),
    ConsentKind.WITHDRAWN: dict.fromkeys((None, *SubscriptionState), WITHDRAWN),
    ConsentKind.OBJECTED: dict.fromkeys((None, *SubscriptionState), WITHDRAWN),
    ConsentKind.EXPIRED: dict.fromkeys((None, *SubscriptionState), WITHDRAWN),
    ConsentKind.ERASED: dict.fromkeys((None, *SubscriptionState), WITHDRAWN),
}


def test_the_last_event_of_a_person_and_topic_decides_whatever_came_before(engine: Engine, keyring: Keyring) -> None:
    stories = list(itertools.product(ConsentKind, repeat=2))
    with engine.begin() as conn:
        people = builders.add_people(conn, keyring, [f"p{n}@example.de" for n in range(len(stories))], NOW)
        for who, (first, second) in zip(people.values(), stories, strict=True):
            _append(conn, who, first, second)
            expected = AFTER[second][AFTER[first][None]]
            assert _states(conn, who).get(GOLD) == expected, (first, second)
            assert _is_permitted(conn, who) is (expected is CONFIRMED), (first, second)


def test_of_two_events_in_one_go_the_later_decides(engine: Engine, maria: int) -> None:
    events = [Event(maria, GOLD, kind, PROOF) for kind in (ConsentKind.IMPORTED, ConsentKind.WITHDRAWN)]
    with engine.begin() as conn:
        first, second = consent.append(conn, events, NOW)
        assert first < second
        assert _states(conn, maria) == {GOLD: WITHDRAWN}
        assert conn.execute(select(subscription.c.event_id)).scalar_one() == second


def test_an_event_once_written_never_changes(engine: Engine, maria: int) -> None:
    seen: list[tuple[object, ...]] = []
    with engine.begin() as conn:
        for kind in [*ConsentKind, *ConsentKind]:
            _append(conn, maria, kind)
            rows = [tuple(row) for row in conn.execute(select(consent_event).order_by(consent_event.c.id))]
            assert rows[:-1] == seen
            seen = rows
    assert len(seen) == 2 * len(ConsentKind)


def test_an_event_keeps_its_evidence_and_a_salt_of_its_own(engine: Engine, maria: int) -> None:
    proof = PROOF._replace(ip="192.0.2.7", user_agent="Browser", language=Language.DE, given_at=NOW - timedelta(days=9))
    with engine.begin() as conn:
        consent.append(conn, [Event(maria, GOLD, ConsentKind.IMPORTED, proof)] * 2, NOW)
        one, two = conn.execute(select(consent_event)).all()
    assert (one.ip, one.user_agent, one.language, one.given_at) == (
        "192.0.2.7",
        "Browser",
        "de",
        NOW - timedelta(days=9),
    )
    assert one.at == NOW
    assert len(one.salt) == 16
    assert one.salt != two.salt


def test_many_events_at_once_are_written_as_each_by_itself(engine: Engine, maria: int) -> None:
    kinds = [kind for kind in ConsentKind for _ in range(5)]
    its_own = {"id", "salt", "personal_sha256", "chain_hash"}
    columns = [column for column in consent_event.c if column.name not in its_own]
    with engine.begin() as conn:
        proof = Evidence(
            "a \u201cform\u201d", "192.0.2.7", 'Browser "\\', Language.DE, builders.declare(conn, NOW), "words",
            b"1" * 32, None, NOW - timedelta(days=9, microseconds=1), "letter 2", b"\0" * 32, "<1@example.de>",
            "250 ok",
        )  # fmt: skip
        events = [Event(maria, None if kind in OF_THE_PERSON else GOLD, kind, proof) for kind in kinds]
        one_by_one = [event_id for event in events for event_id in consent.append(conn, [event], NOW)]
        states = _states(conn, maria)
        at_once = consent.append(conn, events, NOW)
        assert at_once == list(range(one_by_one[-1] + 1, one_by_one[-1] + 1 + len(events)))
        written = conn.execute(select(*columns).order_by(consent_event.c.id)).all()
        assert written[: len(events)] == written[len(events) :]
        assert _states(conn, maria) == states
    assert verified(engine).broken is None


def test_an_imported_consent_counts_from_the_day_it_was_given(engine: Engine, maria: int) -> None:
    given = NOW - timedelta(days=400)
    with engine.begin() as conn:
        consent.append(conn, [Event(maria, GOLD, ConsentKind.IMPORTED, PROOF._replace(given_at=given))], NOW)
        assert consent.standing(conn, maria)[GOLD] == (CONFIRMED, given)


def test_to_ask_once_more_does_not_end_a_consent_nor_move_its_date(engine: Engine, maria: int) -> None:
    with engine.begin() as conn:
        _append(conn, maria, ConsentKind.CONFIRMED)
        consent.append(conn, [Event(maria, GOLD, ConsentKind.REQUESTED, PROOF)], NOW + timedelta(days=1))
        assert consent.standing(conn, maria)[GOLD] == (CONFIRMED, NOW)


def test_topics_stand_apart(engine: Engine, maria: int) -> None:
    with engine.begin() as conn:
        _append(conn, maria, ConsentKind.CONFIRMED, topic=GOLD)
        _append(conn, maria, ConsentKind.CONFIRMED, topic=OFFERS)
        _append(conn, maria, ConsentKind.REQUESTED, topic=NEWS)
        consent.withdraw(conn, maria, [OFFERS], PROOF, NOW)
        assert _states(conn, maria) == {GOLD: CONFIRMED, OFFERS: WITHDRAWN, NEWS: PENDING}
        assert [t for t in Topic if _is_permitted(conn, maria, t)] == [GOLD]


def test_to_withdraw_ends_the_consent_and_puts_the_address_on_the_list(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    hashed = address_hash(keyring, parse_address("maria@example.de"))
    with engine.begin() as conn:
        _append(conn, maria, ConsentKind.CONFIRMED)
        assert consent.withdraw(conn, maria, [GOLD], PROOF, NOW) == [GOLD]
        (entry,) = suppression.entries(conn, hashed)
        assert not _is_permitted(conn, maria)
    assert (entry.scope, entry.reason, entry.at) == (GOLD, SuppressionReason.WITHDRAWN, NOW)


def test_to_withdraw_twice_writes_one_event_and_one_entry(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        _append(conn, maria, ConsentKind.CONFIRMED)
        assert consent.withdraw(conn, maria, [GOLD], PROOF, NOW) == [GOLD]
        assert consent.withdraw(conn, maria, [GOLD], PROOF, NOW + timedelta(hours=1)) == []
        kinds = conn.execute(select(consent_event.c.kind).order_by(consent_event.c.id)).scalars().all()
        (entry,) = suppression.entries(conn, address_hash(keyring, parse_address("maria@example.de")))
    assert kinds == ["confirmed", "withdrawn"]
    assert entry.at == NOW


def test_whoever_never_asked_can_still_say_no_for_good(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        assert consent.withdraw(conn, maria, [GOLD], PROOF, NOW) == [GOLD]
        assert _states(conn, maria) == {GOLD: WITHDRAWN}
        assert suppression.entries(conn, address_hash(keyring, parse_address("maria@example.de")))


def test_a_new_confirmation_lifts_a_withdrawal_or_an_erasure_and_no_other_entry(
    engine: Engine, keyring: Keyring
) -> None:
    table = list(itertools.product(SuppressionReason, [None, GOLD]))
    with engine.begin() as conn:
        people = builders.add_people(conn, keyring, [f"p{n}@example.de" for n in range(len(table))], NOW)
        for (mail, who), (reason, scope) in zip(people.items(), table, strict=True):
            hashed = address_hash(keyring, parse_address(mail))
            suppression.suppress(conn, [hashed], scope, reason, "a test", NOW)
            consent.confirm(conn, who, [GOLD], PROOF, NOW)
            assert _states(conn, who) == {GOLD: CONFIRMED}
            is_lifted = reason in (SuppressionReason.WITHDRAWN, SuppressionReason.ERASED)
            assert _is_permitted(conn, who) is is_lifted, (reason, scope)
            left = {(entry.scope, entry.reason) for entry in suppression.entries(conn, hashed)}
            # Of an entry for everything the topics that were not confirmed are left.
            others = {(topic, reason) for topic in Topic if topic is not GOLD} if scope is None else set()
            assert left == (others if is_lifted else {(scope or "all", reason)})


def test_a_confirmation_leaves_the_withdrawals_of_other_topics(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        consent.withdraw(conn, maria, [GOLD, OFFERS], PROOF, NOW)
        consent.confirm(conn, maria, [GOLD], PROOF, NOW)
        entries = suppression.entries(conn, address_hash(keyring, parse_address("maria@example.de")))
    assert [entry.scope for entry in entries] == [OFFERS]


def test_a_newsletter_needs_a_current_consent_an_address_and_no_entry(engine: Engine, keyring: Keyring) -> None:
    makes = {None: (), PENDING: (ConsentKind.LISTED,), CONFIRMED: (ConsentKind.IMPORTED,), WITHDRAWN: (
        ConsentKind.IMPORTED, ConsentKind.EXPIRED)}  # fmt: skip
    scopes = {"no entry": [], "this topic": [GOLD], "another topic": [OFFERS], "everything": [None]}
    reasons = [SuppressionReason.WITHDRAWN, SuppressionReason.COMPLAINT]
    table = list(itertools.product(makes, scopes, reasons, [True, False]))
    with engine.begin() as conn:
        people = builders.add_people(conn, keyring, [f"p{n}@example.de" for n in range(len(table))], NOW)
        permitted = {}
        for (mail, who), (state, scope, reason, has_address) in zip(people.items(), table, strict=True):
            _append(conn, who, *makes[state])
            hashed = address_hash(keyring, parse_address(mail))
            for one in scopes[scope]:
                suppression.suppress(conn, [hashed], one, reason, "a test", NOW)
            if not has_address:
                conn.execute(update(subscriber).where(subscriber.c.id == who).values(address=None))
            if state is CONFIRMED and scope in {"no entry", "another topic"} and has_address:
                permitted[who] = conn.execute(
                    select(subscription.c.event_id).where(subscription.c.subscriber_id == who)
                ).scalar_one()
        assert {row.subscriber_id: row.event_id for row in conn.execute(consent.permits_newsletter(GOLD))} == permitted
        assert len(permitted) == 4


def _ask(conn: Connection, who: int, number: int) -> int:
    row = {
        "subscriber_id": who, "nonce": bytes(16), "token_sha256": number.to_bytes(32, "big"), "topics": [GOLD],
        "language": "de", "source": "a test", "requested_at": NOW, "expires_at": NOW + timedelta(days=7),
    }  # fmt: skip
    request_id = conn.execute(insert(opt_in_request).returning(opt_in_request.c.id), row).scalar_one()
    asked = consent.with_request(PROOF, request_id)
    consent.append(conn, [Event(who, GOLD, ConsentKind.REQUESTED, asked)], NOW)
    return int(request_id)


def test_a_confirmation_mail_needs_an_open_request_an_address_and_no_objection(
    engine: Engine, keyring: Keyring
) -> None:
    reasons = [SuppressionReason.WITHDRAWN, SuppressionReason.OBJECTED, SuppressionReason.COMPLAINT]
    entries = [None, *itertools.product([None, GOLD], reasons)]
    table = list(itertools.product([False, True], entries, [True, False], [False, True]))
    with engine.begin() as conn:
        people = builders.add_people(conn, keyring, [f"p{n}@example.de" for n in range(len(table))], NOW)
        for number, ((mail, who), case) in enumerate(zip(people.items(), table, strict=True)):
            is_used, entry, has_address, left = case
            request_id = _ask(conn, who, number)
            asked = conn.execute(
                select(consent_event.c.id).where(consent_event.c.request_id == request_id)
            ).scalar_one()
            if left:
                _append(conn, who, ConsentKind.WITHDRAWN)
            if entry is not None:
                hashed = address_hash(keyring, parse_address(mail))
                suppression.suppress(conn, [hashed], entry[0], entry[1], "a test", NOW)
            if not has_address:
                conn.execute(update(subscriber).where(subscriber.c.id == who).values(address=None))
            if is_used:
                conn.execute(update(opt_in_request).where(opt_in_request.c.id == request_id).values(used_at=NOW))
            is_forbidden = entry is not None and entry[0] is None and entry[1] is not SuppressionReason.WITHDRAWN
            expected = [(who, asked)] if has_address and not is_used and not is_forbidden else []
            assert conn.execute(consent.permits_confirmation(request_id)).all() == expected, case


def test_the_request_is_what_allows_the_confirmation_mail_not_what_came_after(engine: Engine, maria: int) -> None:
    with engine.begin() as conn:
        request_id = _ask(conn, maria, 1)
        asked = conn.execute(select(consent_event.c.id)).scalar_one()
        sent = consent.with_request(PROOF, request_id)
        consent.append(conn, [Event(maria, GOLD, ConsentKind.CONFIRMATION_SENT, sent)], NOW)
        assert conn.execute(consent.permits_confirmation(request_id)).all() == [(maria, asked)]


@pytest.mark.parametrize("many", [1, 100], ids=["one", "copied"])
@pytest.mark.parametrize("wrong", ["person", "declaration", "request"])
def test_no_event_names_a_person_a_declaration_or_a_request_that_does_not_exist(
    engine: Engine, maria: int, wrong: str, many: int
) -> None:
    who = 4711 if wrong == "person" else maria
    named = {"declaration": {"declaration_id": 4711}, "request": {"request_id": 4711}}.get(wrong, {})
    events = [Event(maria, GOLD, ConsentKind.CONFIRMED, PROOF)] * (many - 1)
    events.append(Event(who, GOLD, ConsentKind.CONFIRMED, PROOF._replace(**named)))
    with pytest.raises(DBAPIError, match=r"(?i)foreign key|is not there"), engine.begin() as conn:
        consent.append(conn, events, NOW)
    assert verified(engine).events == 0


@pytest.mark.parametrize("table", [subscriber, opt_in_request], ids=["person", "request"])
def test_whatever_events_name_is_never_deleted_and_keeps_its_id(engine: Engine, maria: int, table: Table) -> None:
    with engine.begin() as conn:
        _ask(conn, maria, 1)
    for statement in (delete(table), update(table).values(id=4711)):
        with pytest.raises(DBAPIError, match=r"(?i)foreign key|is never deleted"), engine.begin() as conn:
            conn.execute(statement)
