"""A change of address: asked of both mailboxes in turn, revealing nothing, and the consent stays with the person."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, func, select

from dispatcher.bounces import intake
from dispatcher.db.tables import consent_event, delivery, former_address, opt_in_request, subscriber
from dispatcher.db.tables import suppression as suppression_list
from dispatcher.db.terms import Language, SuppressionReason, Topic
from dispatcher.domain import consent, periods, retention, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import profiles, subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.retention import Step
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import TokenInvalid
from dispatcher.sending import address_change, opt_in, sweep
from tests import builders
from tests.relay import ScriptedRelay
from tests.relay_script import Accepted, say
from tests.stage import Stage

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
GOLD, OFFERS = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS
OLD, NEW = "maria@example.de", "m.muster@gmail.com"
PAGE = Evidence(source="preferences page", ip="192.0.2.7")
URL = "https://news.example.de"


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        who = builders.add_people(conn, keyring, [OLD], NOW)[OLD]
        builders.agree(conn, [who], GOLD, NOW)
    return who


def _person(conn: Connection, who: int) -> Subscriber:
    found = subscribers.by_id(conn, who)
    assert found is not None
    return found


def _ask(conn: Connection, keyring: Keyring, who: int, new: str = NEW, at: datetime = NOW) -> int | None:
    return address_change.ask(conn, keyring, _person(conn, who), parse_address(new), PAGE, at)


def _token(conn: Connection, keyring: Keyring) -> str:
    newest = select(opt_in_request.c.id).order_by(opt_in_request.c.id.desc()).limit(1)
    url = opt_in.asked(conn, conn.execute(newest).scalar_one(), keyring, URL).confirm_url
    assert url.startswith(f"{URL}/a/")
    return url.rpartition("/")[2]


def _press(conn: Connection, keyring: Keyring, at: datetime = NOW) -> int | None:
    return address_change.press(conn, keyring, _token(conn, keyring), PAGE, at)[1]


def _kinds(conn: Connection, who: int) -> list[str]:
    e = consent_event.c
    return list(conn.execute(select(e.kind).where(e.subscriber_id == who).order_by(e.id)).scalars())


def _move(conn: Connection, keyring: Keyring, who: int) -> None:
    assert _ask(conn, keyring, who)
    assert _press(conn, keyring)
    assert _press(conn, keyring)


def test_after_both_buttons_the_person_is_the_same_with_another_address(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        before = consent.standing(conn, maria)
        public_id = _person(conn, maria).public_id
        _move(conn, keyring, maria)
        person = _person(conn, maria)
        assert (person.address, person.public_id) == (NEW, public_id)
        assert person.address_hash == address_hash(keyring, parse_address(NEW))
        assert conn.execute(select(subscriber.c.provider)).scalar_one() == "google"
        assert consent.standing(conn, maria) == before
        assert _kinds(conn, maria) == ["imported", "move-asked", "move-allowed", "move-allowed", "address-changed"]
        proof = conn.execute(select(consent_event.c.source).order_by(consent_event.c.id.desc()).limit(1)).scalar_one()
    old = address_hash(keyring, parse_address(OLD)).hex()
    assert proof == f"preferences page: {old} became {person.address_hash.hex()}"


def test_a_former_address_is_kept_by_hash_until_the_person_s_own_goes(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        _move(conn, keyring, maria)
        row = conn.execute(select(former_address)).one()
        moved = conn.execute(select(func.max(consent_event.c.id)).where(consent_event.c.kind == "address-changed"))
        assert (row.subscriber_id, row.event_id) == (maria, moved.scalar_one())
        assert bytes(row.address_hash) == address_hash(keyring, parse_address(OLD))
        profiles.dissolve(conn, [maria], NOW)
        assert conn.execute(select(former_address)).all() == []


def test_nothing_is_changed_and_the_new_address_is_not_even_asked_before_the_present_one_agreed(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        assert _ask(conn, keyring, maria)
        assert conn.execute(select(opt_in_request.c.errand)).scalars().all() == ["leave-address"]
        assert _person(conn, maria).address == OLD
        assert _press(conn, keyring)
        assert _person(conn, maria).address == OLD


def test_to_look_at_a_link_changes_nothing_and_a_button_works_once(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring, maria)
        token = _token(conn, keyring)
        before = _kinds(conn, maria)
        step = address_change.find(conn, token, NOW)
        assert (step.wanted, step.is_used) == (NEW, False)
        assert _kinds(conn, maria) == before
        assert address_change.press(conn, keyring, token, PAGE, NOW)[1]
        again, mail = address_change.press(conn, keyring, token, PAGE, NOW)
        assert (again.is_used, mail) == (True, None)
        assert _kinds(conn, maria).count("move-allowed") == 2


@pytest.mark.parametrize("reason", [None, SuppressionReason.WITHDRAWN, SuppressionReason.COMPLAINT])
def test_an_address_that_is_known_or_on_the_never_mail_list_gets_no_mail_and_nothing_is_merged(
    engine: Engine, keyring: Keyring, maria: int, reason: SuppressionReason | None
) -> None:
    with engine.begin() as conn:
        if reason is None:
            builders.add_people(conn, keyring, [NEW], NOW)
        else:
            hashed = address_hash(keyring, parse_address(NEW))
            suppression.suppress(conn, [hashed], GOLD, reason, "a test", NOW)
        assert _ask(conn, keyring, maria)  # the same as ever: it goes to the present address
        assert _press(conn, keyring) is None
        assert conn.execute(select(opt_in_request.c.errand)).scalars().all() == ["leave-address"]
        assert _person(conn, maria).address == OLD


def test_an_address_that_signed_up_by_itself_in_the_meantime_is_not_taken(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring, maria)
        _press(conn, keyring)
        builders.add_people(conn, keyring, [NEW], NOW)
    with pytest.raises(TokenInvalid), engine.begin() as conn:
        _press(conn, keyring)
    with engine.begin() as conn:
        assert _person(conn, maria).address == OLD


def test_a_new_address_that_came_on_the_never_mail_list_is_kept_back_at_the_gate(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring, maria)
        _press(conn, keyring)
        request = conn.execute(
            select(opt_in_request.c.id).where(opt_in_request.c.errand == "take-address")
        ).scalar_one()
        assert [row.subscriber_id for row in conn.execute(consent.permits_confirmation(request))] == [maria]
        builders.suppress(conn, keyring, [NEW], NOW)
        assert conn.execute(consent.permits_confirmation(request)).all() == []


def test_one_person_causes_two_such_mails_a_day_and_no_more(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        made = [_ask(conn, keyring, maria, at=NOW + timedelta(hours=h)) is not None for h in (0, 1, 2, 24.5)]
    assert made == [True, True, False, True]


def test_a_link_is_good_for_seven_days_and_serves_no_sign_up(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring, maria)
        token = _token(conn, keyring)
        address_change.find(conn, token, NOW + timedelta(days=7, seconds=-1))
        with pytest.raises(TokenInvalid):
            address_change.find(conn, token, NOW + timedelta(days=7))
        with pytest.raises(TokenInvalid):
            opt_in.find(conn, token, NOW)


def test_what_was_left_under_the_former_address_stays_left_and_an_old_file_does_not_bring_the_former_back(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        consent.withdraw(conn, maria, [OFFERS], PAGE, NOW)
        _move(conn, keyring, maria)
        new, old = (address_hash(keyring, parse_address(a)) for a in (NEW, OLD))
        assert [(e.scope, e.reason) for e in suppression.entries(conn, new)] == [(OFFERS, SuppressionReason.WITHDRAWN)]
        assert {e.scope for e in suppression.entries(conn, old)} == {"all", OFFERS}
        wanted = opt_in.Request(parse_address(OLD), "", Language.DE, (GOLD,), PAGE)
        assert opt_in.request(conn, keyring, wanted, NOW)  # but its owner may sign up, as somebody new
        opened = opt_in.confirm(conn, _opt_in_token(conn, keyring), PAGE, NOW)
        assert opened.subscriber_id != maria
        assert {e.scope for e in suppression.entries(conn, old)} == {OFFERS, Topic.PRODUCT_NEWS}


def _opt_in_token(conn: Connection, keyring: Keyring) -> str:
    newest = select(opt_in_request.c.id).order_by(opt_in_request.c.id.desc()).limit(1)
    return opt_in.asked(conn, conn.execute(newest).scalar_one(), keyring, URL).confirm_url.rpartition("/")[2]


def test_an_address_that_was_only_typed_goes_when_its_link_is_dead(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring, maria)
        for at, rows in ((timedelta(days=7, seconds=-1), 0), (timedelta(days=7), 1)):
            assert retention.take(conn, Step.REQUESTS, periods.DEFAULT, NOW + at, None).rows == rows
        assert conn.execute(select(opt_in_request.c.other_address)).scalars().all() == [None]
        assert _person(conn, maria).address == OLD


def test_the_three_mails_go_to_the_address_that_each_is_for_and_their_taking_is_proven(
    stage: Stage, maria: int
) -> None:
    now = stage.now()
    with stage.engine.begin() as conn:
        mail = _ask(conn, stage.keyring, maria, at=now)
    with ScriptedRelay() as relay:
        while mail is not None:
            assert sweep.begin(stage.engine, mail, stage.house)
            stage.drain(relay.relay())
            now = stage.now()
            with stage.engine.begin() as conn:
                errand = conn.execute(select(opt_in_request.c.errand).order_by(opt_in_request.c.id.desc())).scalars()
                mail = _press(conn, stage.keyring, now) if errand.first() != "moved" else None
    assert [taken.recipient for taken in relay.accepted] == [OLD, NEW, OLD]
    first, second, notice = (taken.raw for taken in relay.accepted)
    assert NEW.encode() not in first + notice
    assert OLD.encode() not in second
    assert b"/a/" not in notice
    assert all(b"List-Unsubscribe" not in raw for raw in (first, second, notice))
    with stage.engine.begin() as conn:
        assert _kinds(conn, maria).count("confirmation-sent") == 3
        assert conn.execute(select(delivery.c.outcome)).scalars().all() == ["sent"] * 3
        expired = now + timedelta(days=2)
        assert retention.take(conn, Step.REQUESTS, periods.DEFAULT, expired, None).rows == 1
        assert conn.execute(select(opt_in_request.c.other_address)).scalars().all() == [None] * 3


def _bounce(of: Accepted) -> bytes:
    """Make the report (RFC 3464) that comes back to the return-path of a letter."""
    return (
        f"From: MAILER-DAEMON@mx.example.com\r\nTo: {of.sender}\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nNo such mailbox.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"
        f"Final-Recipient: rfc822; {of.recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such mailbox\r\n--b--\r\n"
    ).encode()


@pytest.mark.parametrize("refused", ["by the relay", "later, by a report to the return-path"])
def test_a_new_address_that_does_not_exist_costs_the_present_one_nothing(
    stage: Stage, maria: int, refused: str
) -> None:
    now = stage.now()
    with stage.engine.begin() as conn:
        first = _ask(conn, stage.keyring, maria, at=now)
        second = _press(conn, stage.keyring, now)
    assert first
    assert second
    script = {("RCPT", NEW): say("550 5.1.1 no such mailbox")} if refused == "by the relay" else {}
    with ScriptedRelay(script=script) as relay:
        assert sweep.begin(stage.engine, second, stage.house)
        stage.drain(relay.relay())
    assert stage.counted(second) == {"failed" if script else "sent": 1}
    with stage.engine.begin() as conn:
        for letter in relay.accepted:
            intake.take(conn, stage.keyring, _bounce(letter), [letter.sender], now)
        assert conn.execute(select(suppression_list)).all() == []
        assert conn.execute(consent.permits_newsletter(GOLD)).scalars().all() == [maria]
        assert _person(conn, maria).address == OLD
