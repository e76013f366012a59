"""An erasure: what goes, what stays, and who can come back."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, insert, select

from dispatcher.db.tables import consent_event, deferral, delivery, opt_in_request, subscriber
from dispatcher.db.terms import ConsentKind, Language, Outcome, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent, imports, ledger, suppression
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.imports import Fate, writing
from dispatcher.domain.ledger import Deferral, Final
from dispatcher.domain.people import erasure, profiles, subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import TokenInvalid
from dispatcher.sending import opt_in
from tests import builders

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=2)
MARIA = "Maria.Muster@bücher.example.de"
ON_THE_WIRE = parse_address(MARIA).mail
GOLD, OFFERS = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS
ASKED = Evidence(source="on request")


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        (who,) = builders.add_people(conn, keyring, [ON_THE_WIRE], NOW).values()
        builders.agree(conn, [who], GOLD, NOW)
        builders.agree(conn, [who], OFFERS, NOW, ConsentKind.REQUESTED)
        return who


def _erase(conn: Connection, who: int, now: datetime = NOW) -> erasure.Erased | None:
    return erasure.erase(conn, who, ASKED, now)


def _person(conn: Connection, who: int) -> Subscriber:
    person = subscribers.by_id(conn, who)
    assert person is not None
    return person


def _sign_up(conn: Connection, keyring: Keyring, now: datetime) -> str | None:
    """Sign up at the form; give the token of the mail."""
    form = Evidence(source="form", ip="192.0.2.7")
    wanted = opt_in.Request(parse_address(MARIA), "Maria Muster", Language.EN, [GOLD], form)
    if opt_in.request(conn, keyring, wanted, now) is None:
        return None
    newest = conn.execute(select(consent_event.c.request_id).order_by(consent_event.c.id.desc()).limit(1)).scalar_one()
    return opt_in.asked(conn, newest, keyring, "https://news.example.de").confirm_url.rpartition("/")[2]


def _import(conn: Connection, keyring: Keyring, source: str = "form 3", topic: Topic = GOLD) -> dict[Fate, int]:
    file = f"email,topics,consent_at,consent_source\n{MARIA},{topic},2026-01-01T10:00:00+01:00,{source}\n"
    intake = writing.Intake("old list")
    writing.take(conn, imports.read_rows(io.BytesIO(file.encode()), keyring, NOW), intake, NOW, dry_run=False)
    return {fate: count for fate, count in intake.tally.counts.items() if count}


def test_address_and_name_go_every_topic_ends_and_the_events_stay(engine: Engine, maria: int) -> None:
    with engine.begin() as conn:
        erased = _erase(conn, maria)
        row = conn.execute(select(subscriber)).one()
        kinds = conn.execute(select(consent_event.c.kind).order_by(consent_event.c.id)).scalars().all()
        stands = consent.standing(conn, maria)
    assert erased is not None
    assert set(erased.topics) == {GOLD, OFFERS}
    assert (row.address, row.name, row.provider, row.erased_at) == (None, "", "other", NOW)
    assert kinds == ["imported", "requested", "erased", "erased"]
    assert {state for state, _ in stands.values()} == {SubscriptionState.WITHDRAWN}


def test_to_erase_again_changes_nothing(engine: Engine, maria: int) -> None:
    with engine.begin() as conn:
        assert _erase(conn, maria) is not None
        assert _erase(conn, maria, LATER) is None
        assert conn.execute(select(subscriber.c.erased_at)).scalar_one() == NOW


def test_no_import_brings_an_erased_person_back(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        _erase(conn, maria)
        assert _import(conn, keyring) == {Fate.SUPPRESSED: 1}
        assert conn.execute(select(subscriber.c.address)).scalar_one() is None


def test_an_erased_person_comes_back_by_their_own_double_opt_in(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        _erase(conn, maria)
        token = _sign_up(conn, keyring, LATER)
        assert token is not None
        hashed = _person(conn, maria).address_hash
        # Somebody typed the address; until its owner has pressed the button nothing is lifted.
        assert [entry.reason for entry in suppression.entries(conn, hashed)] == [SuppressionReason.ERASED]
        assert _import(conn, keyring) == {Fate.SUPPRESSED: 1}
        opt_in.confirm(conn, token, Evidence(source="button"), LATER)
        person = _person(conn, maria)
        assert (person.address, person.language) == (ON_THE_WIRE, "en")
        # Nothing but their own button opens the other topics to files from before.
        left = {(entry.scope, entry.reason) for entry in suppression.entries(conn, hashed)}
        assert left == {(topic, SuppressionReason.ERASED) for topic in Topic if topic is not GOLD}
        assert Fate.CONFIRMED not in _import(conn, keyring, topic=Topic.PRODUCT_NEWS)
        assert Topic.PRODUCT_NEWS not in consent.standing(conn, maria)
        stands = consent.standing(conn, maria)
        assert (stands[GOLD][0], stands[OFFERS][0]) == (SubscriptionState.CONFIRMED, SubscriptionState.WITHDRAWN)
        assert conn.execute(select(subscriber.c.erased_at)).scalar_one() is None


@pytest.mark.parametrize("reason", [SuppressionReason.COMPLAINT, SuppressionReason.OBJECTED])
@pytest.mark.parametrize("when", ["before", "after"])
def test_whoever_complained_or_objected_does_not_come_back_by_a_sign_up(
    engine: Engine, keyring: Keyring, maria: int, reason: SuppressionReason, when: str
) -> None:
    with engine.begin() as conn:
        hashed = _person(conn, maria).address_hash
        if when == "after":
            _erase(conn, maria)
        suppression.suppress(conn, [hashed], None, reason, "a mailbox provider", NOW)
        if when == "before":
            _erase(conn, maria)
        assert _sign_up(conn, keyring, LATER) is None
        assert _person(conn, maria).address is None


def test_a_link_that_was_under_way_leads_nowhere_even_if_they_come_back(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        conn.execute(subscriber.update().values(name="x"))
        consent.withdraw(conn, maria, [GOLD], ASKED, NOW)
        old = _sign_up(conn, keyring, NOW)
        assert old is not None
        erased = _erase(conn, maria)
        assert erased is not None
        assert erased.requests == 1
        assert _sign_up(conn, keyring, LATER) is not None
        with pytest.raises(TokenInvalid):
            opt_in.find(conn, old, LATER)


def test_what_relays_said_goes_where_it_repeats_the_address_in_any_spelling(engine: Engine, maria: int) -> None:
    quoting = [
        f"550 5.1.1 <{ON_THE_WIRE}>: no such user",
        f"550 {MARIA.upper()} unknown",
        "550 user maria.muster is over quota",
        f"450 {MARIA} later",
    ]
    with engine.begin() as conn:
        ids = [builders.create_campaign(conn, NOW) for _ in range(5)]
        for campaign_id, reply in zip(ids, [*quoting[:3], "250 2.0.0 queued as 4711"], strict=False):
            final = Final(campaign_id, maria, Outcome.FAILED, None, 550, reply, "relay")
            ledger.record(conn, [final], NOW)
        ledger.record(conn, [Deferral(ids[4], maria, 1, 1, NOW, 450, quoting[3], "relay")], NOW)
        erased = _erase(conn, maria)
        said = conn.execute(select(delivery.c.reply).order_by(delivery.c.campaign_id)).scalars().all()
        put_off = conn.execute(select(deferral.c.reply)).scalar_one()
        codes = set(conn.execute(select(delivery.c.code)).scalars())
    assert erased is not None
    assert erased.answers == 4
    assert said == [
        "550 5.1.1 <recipient>: no such user",
        "550 <recipient> unknown",
        "550 user <recipient> is over quota",
        "250 2.0.0 queued as 4711",
    ]
    assert put_off == "450 <recipient> later"
    assert codes == {550}


def test_a_file_cannot_write_the_address_into_the_proof(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        assert _import(conn, keyring, f"form 3 by {ON_THE_WIRE.upper()}") == {Fate.CONFIRMED: 1}
        assert conn.execute(select(consent_event.c.source)).scalar_one().startswith("form 3 by <recipient>")


def test_neither_a_declarations_name_nor_the_person_s_own_gets_into_the_proof(engine: Engine, keyring: Keyring) -> None:
    header = "email,name,topics,consent_at,consent_source,declaration"
    row = f"{MARIA},Maria Muster,finance-news,2026-01-01T10:00:00+01:00,by MARIA MUSTER at the fair,of {ON_THE_WIRE}"
    with engine.begin() as conn:
        rows = imports.read_rows(io.BytesIO(f"{header}\n{row}\n".encode()), keyring, NOW)
        writing.take(conn, rows, writing.Intake("a list"), NOW, dry_run=False)
        source, named = conn.execute(select(consent_event.c.source, consent_event.c.declaration_named)).one()
    assert source.startswith("by <name> at the fair")
    assert named == "of <recipient>"


def test_nobody_moves_to_an_address_that_was_erased_by_a_request_that_was_under_way(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        _sign_up(conn, keyring, NOW)
        hashed = _person(conn, maria).address_hash
        (tom,) = builders.add_people(conn, keyring, ["tom@example.de"], NOW).values()
        theirs = {"subscriber_id": tom, "other_address": ON_THE_WIRE, "other_hash": hashed}
        conn.execute(insert(opt_in_request), {**_REQUEST, **theirs})
        _erase(conn, maria)
        row = conn.execute(select(opt_in_request).where(opt_in_request.c.subscriber_id == tom)).one()
    assert (row.other_address, row.other_hash, row.erased_at) == (None, None, NOW)


_REQUEST = {
    "nonce": b"n" * 16, "token_sha256": b"t" * 32, "topics": [], "language": "de", "source": "preferences page",
    "requested_at": NOW, "expires_at": LATER, "errand": "leave-address",
}  # fmt: skip


def test_a_short_name_before_the_at_takes_nothing_from_what_relays_say_of_everybody(
    engine: Engine, keyring: Keyring
) -> None:
    said = ["250 Ok: queued", "550 <ok@example.de> no such user", "250 token abc"]
    with engine.begin() as conn:
        (ok,) = builders.add_people(conn, keyring, ["ok@example.de"], NOW).values()
        for reply in said:
            final = Final(builders.create_campaign(conn, NOW), ok, Outcome.FAILED, None, 250, reply, "relay")
            ledger.record(conn, [final], NOW)
        _erase(conn, ok)
        kept = conn.execute(select(delivery.c.reply).order_by(delivery.c.campaign_id)).scalars().all()
    assert kept == ["250 Ok: queued", "550 <recipient> no such user", "250 token abc"]


def test_relays_answers_are_cleared_though_retention_has_taken_the_address(engine: Engine, maria: int) -> None:
    with engine.begin() as conn:
        reply = f"550 {ON_THE_WIRE} unknown"
        campaign_id = builders.create_campaign(conn, NOW)
        ledger.record(conn, [Final(campaign_id, maria, Outcome.FAILED, None, 550, reply, "relay")], NOW)
        profiles.blank(conn, [maria], NOW)
        erased = erasure.erase(conn, maria, ASKED, NOW, parse_address(MARIA))
        assert conn.execute(select(delivery.c.reply)).scalar_one() == "550 <recipient> unknown"
    assert erased is not None
    assert erased.answers == 1


def test_what_ended_long_ago_gets_no_event_and_its_proof_no_new_beginning(engine: Engine, maria: int) -> None:
    with engine.begin() as conn:
        consent.withdraw(conn, maria, [OFFERS], ASKED, NOW)
        erased = _erase(conn, maria, LATER)
        assert erased is not None
        assert erased.topics == (GOLD,)
        assert consent.standing(conn, maria)[OFFERS] == (SubscriptionState.WITHDRAWN, NOW)


def test_of_somebody_without_any_topic_one_event_says_that_they_were_erased(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        (tom,) = builders.add_people(conn, keyring, ["tom@example.de"], NOW).values()
        erased = _erase(conn, tom)
        events = conn.execute(select(consent_event.c.kind, consent_event.c.topic)).all()
    assert erased is not None
    assert erased.topics == ()
    assert [tuple(event) for event in events] == [("erased", None)]


def test_a_sign_up_for_which_no_mail_is_due_brings_nothing_back(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        for _ in range(opt_in.MAILS_PER_DAY):
            consent.withdraw(conn, maria, list(Topic), ASKED, NOW)
            assert _sign_up(conn, keyring, NOW) is not None
        _erase(conn, maria)
        assert _sign_up(conn, keyring, NOW) is None
        assert _person(conn, maria).address is None


def test_that_somebody_was_erased_stays_noted_until_they_press_the_button(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        _erase(conn, maria)
        token = _sign_up(conn, keyring, LATER)
        assert token is not None
        assert conn.execute(select(subscriber.c.erased_at)).scalar_one() == NOW
        assert _erase(conn, maria, LATER) is not None  # what was typed goes again
        assert _person(conn, maria).address is None
        assert conn.execute(select(subscriber.c.erased_at)).scalar_one() == LATER
