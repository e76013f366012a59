"""Double opt-in: the same answer to everyone, a link that works once, and no consent without the button."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, func, select, update

from dispatcher.db.tables import campaign, consent_event, opt_in_request, subscriber
from dispatcher.db.terms import ConsentKind, Language, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent, suppression, tokens
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import subscribers
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import TokenInvalid
from dispatcher.sending import opt_in
from dispatcher.sending.opt_in import Request
from tests import builders

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
GOLD, OFFERS = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS
MARIA = parse_address("maria@example.de")
FORM = Evidence(source="form 3", ip="192.0.2.7", user_agent="Browser", language=Language.DE)
BUTTON = Evidence(source="confirmation page", ip="192.0.2.8")


def _ask(conn: Connection, keyring: Keyring, *topics: Topic, now: datetime = NOW) -> int | None:
    wanted = Request(MARIA, "Maria Muster", Language.DE, topics or (GOLD,), FORM)
    return opt_in.request(conn, keyring, wanted, now)


def _token(conn: Connection, keyring: Keyring) -> str:
    newest = select(opt_in_request.c.id).order_by(opt_in_request.c.id.desc()).limit(1)
    asked = opt_in.asked(conn, conn.execute(newest).scalar_one(), keyring, "https://news.example.de")
    assert asked.confirm_url.startswith("https://news.example.de/c/")
    return asked.confirm_url.rpartition("/")[2]


def _standing(conn: Connection, keyring: Keyring) -> dict[Topic, SubscriptionState]:
    person = subscribers.by_hash(conn, address_hash(keyring, MARIA))
    assert person is not None
    return {topic: state for topic, (state, _) in consent.standing(conn, person.id).items()}


def _kinds(conn: Connection) -> list[tuple[str, str]]:
    rows = conn.execute(select(consent_event.c.kind, consent_event.c.topic).order_by(consent_event.c.id))
    return [(row.kind, row.topic) for row in rows]


def test_a_request_makes_a_pending_person_a_proof_and_one_letter(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        letter = _ask(conn, keyring, GOLD, OFFERS)
        assert _standing(conn, keyring) == dict.fromkeys([GOLD, OFFERS], SubscriptionState.PENDING)
        of = conn.execute(select(campaign)).one()
        request = conn.execute(select(opt_in_request)).one()
        event = conn.execute(select(consent_event).limit(1)).one()
    assert (of.id, of.kind, of.state, of.send_at, of.request_id) == (
        letter,
        "confirmation",
        "scheduled",
        NOW,
        request.id,
    )
    assert (request.topics, request.expires_at) == ([GOLD, OFFERS], NOW + timedelta(days=7))
    assert (event.ip, event.user_agent, event.source, event.request_id) == (
        "192.0.2.7",
        "Browser",
        "form 3",
        request.id,
    )


def test_the_database_holds_nothing_from_which_the_link_follows_without_the_key(
    engine: Engine, keyring: Keyring
) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring)
        row = conn.execute(select(opt_in_request)).one()
        token = _token(conn, keyring)
        assert row.token_sha256 == tokens.token_sha256(token)
        assert token not in str(tuple(row))
        with pytest.raises(TokenInvalid, match="key of this request is gone"):
            opt_in.asked(conn, row.id, Keyring((Key("k1", b"x" * 32),)), "https://news.example.de")


def test_a_mail_that_goes_out_after_a_change_of_keys_has_the_same_link(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring)
        newer = Keyring((Key("k3", b"3" * 32), *keyring.keys))
        assert _token(conn, newer) == _token(conn, keyring)


def test_to_look_at_the_link_changes_nothing(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring)
        before = _kinds(conn)
        for _ in range(3):
            opened = opt_in.find(conn, _token(conn, keyring), NOW)
        assert _kinds(conn) == before
        assert _standing(conn, keyring) == {GOLD: SubscriptionState.PENDING}
    assert (opened.address, opened.topics, opened.is_used) == ("maria@example.de", (GOLD,), False)


def test_the_button_confirms_once_and_to_press_it_again_changes_nothing(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring, GOLD, OFFERS)
        token = _token(conn, keyring)
        assert not opt_in.confirm(conn, token, BUTTON, NOW + timedelta(hours=1)).is_used
        assert _standing(conn, keyring) == dict.fromkeys([GOLD, OFFERS], SubscriptionState.CONFIRMED)
        before = _kinds(conn)
        assert opt_in.confirm(conn, token, BUTTON, NOW + timedelta(hours=2)).is_used
        assert _kinds(conn) == before
    assert before[2:] == [(ConsentKind.CONFIRMED, GOLD), (ConsentKind.CONFIRMED, OFFERS)]


def test_a_used_link_does_not_bring_back_whoever_has_left_since(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring)
        token = _token(conn, keyring)
        opened = opt_in.confirm(conn, token, BUTTON, NOW)
        consent.withdraw(conn, opened.subscriber_id, [GOLD], BUTTON, NOW)
        opt_in.confirm(conn, token, BUTTON, NOW)
        assert _standing(conn, keyring) == {GOLD: SubscriptionState.WITHDRAWN}


def test_of_two_who_press_at_once_one_confirms(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring)
        token = _token(conn, keyring)
    start = threading.Barrier(2)

    def press() -> None:
        start.wait(10)
        with engine.begin() as conn:
            opt_in.confirm(conn, token, BUTTON, NOW)

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with engine.begin() as conn:
        assert _kinds(conn) == [(ConsentKind.REQUESTED, GOLD), (ConsentKind.CONFIRMED, GOLD)]


def test_a_link_is_good_for_seven_days_and_no_longer(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring)
        token = _token(conn, keyring)
        opt_in.find(conn, token, NOW + timedelta(days=7, seconds=-1))
        for look in (opt_in.find, lambda c, t, now: opt_in.confirm(c, t, BUTTON, now)):
            with pytest.raises(TokenInvalid, match="not valid any more"):
                look(conn, token, NOW + timedelta(days=7))


@pytest.mark.parametrize("token", ["", "x", "A" * 22, "ä", "\0", "A" * 5000])
def test_a_link_that_we_did_not_make_is_refused(engine: Engine, keyring: Keyring, token: str) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring)
        with pytest.raises(TokenInvalid):
            opt_in.find(conn, token, NOW)


def test_the_link_of_somebody_erased_is_dead(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring)
        token = _token(conn, keyring)
        conn.execute(update(subscriber).values(address=None))
        with pytest.raises(TokenInvalid):
            opt_in.confirm(conn, token, BUTTON, NOW)


def test_whoever_is_confirmed_gets_no_mail_but_for_the_topics_that_are_new(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        ids = builders.add_people(conn, keyring, ["maria@example.de"], NOW)
        builders.agree(conn, list(ids.values()), GOLD, NOW)
        assert _ask(conn, keyring, GOLD) is None
        assert _ask(conn, keyring, GOLD, OFFERS) is not None
        assert conn.execute(select(opt_in_request.c.topics)).scalar_one() == [OFFERS]
        assert _standing(conn, keyring) == {GOLD: SubscriptionState.CONFIRMED, OFFERS: SubscriptionState.PENDING}


def test_one_address_gets_two_mails_a_day_and_no_more(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        hours = [0, 1, 2, 23, 24.5, 24.6, 26]
        made = [_ask(conn, keyring, now=NOW + timedelta(hours=hour)) is not None for hour in hours]
        assert conn.execute(select(func.count()).select_from(campaign)).scalar_one() == 4
    assert made == [True, True, False, False, True, False, True]


def test_of_two_mails_each_link_works_and_the_older_confirms_what_it_asked_for(
    engine: Engine, keyring: Keyring
) -> None:
    with engine.begin() as conn:
        _ask(conn, keyring, GOLD)
        first = _token(conn, keyring)
        _ask(conn, keyring, OFFERS)
        second = _token(conn, keyring)
        opt_in.confirm(conn, first, BUTTON, NOW)
        assert _standing(conn, keyring) == {GOLD: SubscriptionState.CONFIRMED, OFFERS: SubscriptionState.PENDING}
        opt_in.confirm(conn, second, BUTTON, NOW)
        assert set(_standing(conn, keyring).values()) == {SubscriptionState.CONFIRMED}


def test_whoever_withdrew_may_ask_anew_and_whoever_complained_is_not_even_entered(
    engine: Engine, keyring: Keyring
) -> None:
    hashed = address_hash(keyring, MARIA)
    with engine.begin() as conn:
        suppression.suppress(conn, [hashed], None, SuppressionReason.COMPLAINT, "a test", NOW)
        assert _ask(conn, keyring) is None
        assert conn.execute(select(subscriber.c.id)).all() == []
        assert _kinds(conn) == []
    with engine.begin() as conn:
        conn.execute(suppression.suppression.delete())
        ids = builders.add_people(conn, keyring, ["maria@example.de"], NOW)
        consent.withdraw(conn, ids["maria@example.de"], [GOLD], BUTTON, NOW)
        assert _ask(conn, keyring) is not None
        assert _standing(conn, keyring) == {GOLD: SubscriptionState.PENDING}
        opt_in.confirm(conn, _token(conn, keyring), BUTTON, NOW)
        assert suppression.entries(conn, hashed) == []
        assert conn.execute(consent.permits_newsletter(GOLD)).all()


def test_to_ask_for_nothing_makes_nothing(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        assert opt_in.request(conn, keyring, Request(MARIA, "", Language.DE, (), FORM), NOW) is None
        assert conn.execute(select(opt_in_request.c.id)).all() == []
