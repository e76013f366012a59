"""An erasure and somebody who presses a button, asks or moves at the same moment: two connections, one waits."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from dispatcher.db.tables import opt_in_request, subscriber
from dispatcher.db.terms import Language, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import erasure, subscribers
from dispatcher.domain.people.subscribers import Newcomer
from dispatcher.domain.proof import chain_head
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import TokenInvalid
from dispatcher.rights import rectification, serving
from dispatcher.rights.serving import Order
from dispatcher.sending import address_change, opt_in
from tests import builders
from tests.databases import waiting
from tests.journeys.house import wait_for

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MARIA, NEW = "maria@example.de", "m.muster@example.com"
GOLD, OFFERS = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS
ASKED, BUTTON = Evidence(source="on request"), Evidence(source="button", ip="192.0.2.8")


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        who = builders.add_people(conn, keyring, [MARIA], NOW)[MARIA]
        builders.agree(conn, [who], OFFERS, NOW)
    return who


def _beside(
    engine: Engine, first: Callable[[Connection], Any], second: Callable[[Connection], Any],
    then: Callable[[Connection], Any] = lambda _: None,
) -> list[Any]:  # fmt: skip
    """Let `second` run into what `first` holds and has not committed, and `first` go on with `then`; give what came of
    the second: its value, or its error.
    """
    came: list[Any] = []

    def run() -> None:
        try:
            with engine.begin() as conn:
                came.append(second(conn))
        except Exception as error:  # noqa: BLE001  (whatever it is, the test looks at it)
            came.append(error)

    thread = threading.Thread(target=run)
    with engine.begin() as conn:
        first(conn)
        thread.start()
        wait_for(lambda: bool(came) or _somebody_waits(engine), "the other to wait for a lock")
        then(conn)
    thread.join(60)
    return came


def _somebody_waits(engine: Engine) -> bool:
    with engine.connect() as conn:
        return waiting(conn) > 0


def _erase(who: int) -> Callable[[Connection], Any]:
    return lambda conn: erasure.erase(conn, who, ASKED, NOW)


def _sign_up(conn: Connection, keyring: Keyring) -> int | None:
    wanted = opt_in.Request(parse_address(MARIA), "Maria", Language.DE, [GOLD], Evidence(source="form"))
    return opt_in.request(conn, keyring, wanted, NOW)


def _token(conn: Connection, keyring: Keyring) -> str:
    newest = select(opt_in_request.c.id).order_by(opt_in_request.c.id.desc()).limit(1)
    asked = opt_in.asked(conn, conn.execute(newest).scalar_one(), keyring, "https://news.example.de")
    return asked.confirm_url.rpartition("/")[2]


def _asked(engine: Engine, keyring: Keyring) -> str:
    with engine.begin() as conn:
        _sign_up(conn, keyring)
        return _token(conn, keyring)


def _is_erased(engine: Engine, keyring: Keyring, who: int) -> bool:
    with engine.begin() as conn:
        row = conn.execute(select(subscriber).where(subscriber.c.id == who)).one()
        hashed = address_hash(keyring, parse_address(MARIA))
        reasons = [e.reason for e in suppression.entries(conn, hashed) if e.scope == "all"]
        states = {state for state, _ in consent.standing(conn, who).values()}
        links = conn.execute(select(opt_in_request.c.id).where(opt_in_request.c.erased_at.is_(None))).scalars().all()
    return (
        row.address is None
        and row.erased_at is not None
        and reasons == [SuppressionReason.ERASED]
        and states == {SubscriptionState.WITHDRAWN}
        and not links
    )


def test_a_button_that_waits_for_an_erasure_confirms_nothing(engine: Engine, keyring: Keyring, maria: int) -> None:
    token = _asked(engine, keyring)
    (came,) = _beside(engine, _erase(maria), lambda conn: opt_in.confirm(conn, token, BUTTON, NOW))
    assert isinstance(came, TokenInvalid)
    assert _is_erased(engine, keyring, maria)


def test_an_erasure_that_waits_for_a_button_comes_after_it_and_wins(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    token = _asked(engine, keyring)
    (came,) = _beside(engine, lambda conn: opt_in.confirm(conn, token, BUTTON, NOW), _erase(maria))
    assert set(came.topics) == {GOLD, OFFERS}
    assert _is_erased(engine, keyring, maria)


def test_erasures_and_buttons_at_one_moment_never_wait_in_a_circle(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    """Whoever comes first: neither is thrown out by the database."""
    for turn in range(8):
        now = NOW + timedelta(days=2 * turn)
        with engine.begin() as conn:
            wanted = opt_in.Request(parse_address(MARIA), "Maria", Language.DE, [GOLD], Evidence(source="form"))
            assert opt_in.request(conn, keyring, wanted, now)
            token = _token(conn, keyring)
        start, errors = threading.Barrier(2), list[Exception]()

        def press(token: str = token, now: datetime = now, start: threading.Barrier = start) -> None:
            start.wait(10)
            with suppress(TokenInvalid), engine.begin() as conn:
                opt_in.confirm(conn, token, BUTTON, now)

        def erase(now: datetime = now, start: threading.Barrier = start) -> None:
            start.wait(10)
            with engine.begin() as conn:
                erasure.erase(conn, maria, ASKED, now)

        def run(what: Callable[[], None], errors: list[Exception] = errors) -> None:
            try:
                what()
            except Exception as error:  # noqa: BLE001  (whatever it is, the test looks at it)
                errors.append(error)

        threads = [threading.Thread(target=run, args=(what,)) for what in (press, erase)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        assert _is_erased(engine, keyring, maria)


def test_a_sign_up_that_an_erasure_waited_for_does_not_survive_it(engine: Engine, keyring: Keyring, maria: int) -> None:
    (came,) = _beside(engine, lambda conn: _sign_up(conn, keyring), _erase(maria))
    assert came.requests == 1
    assert _is_erased(engine, keyring, maria)


@pytest.mark.parametrize("step", ["allow", "take"])
def test_a_move_that_waits_for_an_erasure_brings_no_address_back(
    engine: Engine, keyring: Keyring, maria: int, step: str
) -> None:
    with engine.begin() as conn:
        person = subscribers.by_id(conn, maria)
        assert person is not None
        address_change.ask(conn, keyring, person, parse_address(NEW), BUTTON, NOW)
        if step == "take":
            address_change.press(conn, keyring, _token(conn, keyring), BUTTON, NOW)
        token = _token(conn, keyring)
    (came,) = _beside(engine, _erase(maria), lambda conn: address_change.press(conn, keyring, token, BUTTON, NOW))
    assert isinstance(came, TokenInvalid)
    assert _is_erased(engine, keyring, maria)


def test_to_ask_for_a_move_during_an_erasure_leaves_no_address_behind(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        person = subscribers.by_id(conn, maria)
        assert person is not None
    ask = lambda conn: address_change.ask(conn, keyring, person, parse_address(NEW), BUTTON, NOW)  # noqa: E731
    assert _beside(engine, _erase(maria), ask) == [None]
    assert _is_erased(engine, keyring, maria)


def test_a_move_that_an_erasure_waited_for_is_erased_at_its_new_address(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        person = subscribers.by_id(conn, maria)
        assert person is not None
        address_change.ask(conn, keyring, person, parse_address(NEW), BUTTON, NOW)
        address_change.press(conn, keyring, _token(conn, keyring), BUTTON, NOW)
        token = _token(conn, keyring)
    (came,) = _beside(engine, lambda conn: address_change.press(conn, keyring, token, BUTTON, NOW), _erase(maria))
    assert came.topics == (OFFERS,)
    with engine.begin() as conn:
        new = address_hash(keyring, parse_address(NEW))
        row = conn.execute(select(subscriber).where(subscriber.c.id == maria)).one()
        assert (row.address, bytes(row.address_hash)) == (None, new)
        assert [(e.scope, e.reason) for e in suppression.entries(conn, new)] == [("all", SuppressionReason.ERASED)]
        assert set(conn.execute(select(opt_in_request.c.other_address)).scalars()) == {None}


def test_the_command_erases_whoever_the_address_belongs_to_when_it_writes(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    token = _asked(engine, keyring)
    came: list[Any] = []
    order = Order(parse_address(MARIA), None, "anna")
    thread = threading.Thread(target=lambda: came.append(serving.erase(engine, keyring, order)))
    with engine.begin() as conn:
        opt_in.confirm(conn, token, BUTTON, NOW)
        thread.start()
        wait_for(lambda: bool(came) or _somebody_waits(engine), "the erasure to wait")
    thread.join(60)
    assert came[0].outcome == "erased"
    assert _is_erased(engine, keyring, maria)


def test_a_move_that_waits_for_a_rectification_does_not_go_by_the_link_that_it_ended(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        person = subscribers.by_id(conn, maria)
        assert person is not None
        address_change.ask(conn, keyring, person, parse_address(NEW), BUTTON, NOW)
        token = _token(conn, keyring)
    (came,) = _beside(
        engine,
        lambda conn: rectification.hold(conn, maria, NOW, moves=True),
        lambda conn: address_change.press(conn, keyring, token, BUTTON, NOW),
    )
    assert isinstance(came, TokenInvalid)
    with engine.begin() as conn:
        assert conn.execute(select(opt_in_request.c.errand)).scalars().all() == ["leave-address"]


def test_a_misspelt_address_is_put_right_while_somebody_signs_up_with_the_right_one_and_nobody_waits_in_a_circle(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    new = parse_address(NEW)
    newcomer = Newcomer(new, address_hash(keyring, new), "Maria", Language.DE)

    def put_right(conn: Connection) -> rectification.Moved:
        rectification.hold(conn, maria, NOW, moves=True)
        person = subscribers.by_id(conn, maria)
        assert person is not None
        return rectification.readdress(conn, keyring, person, new, ASKED, NOW)

    (came,) = _beside(
        engine,
        lambda conn: subscribers.ensure(conn, newcomer, NOW),  # the first half of a sign-up: the person, then the chain
        put_right,
        lambda conn: chain_head.take(conn, NOW),
    )
    assert came.topics == (OFFERS,)
    with engine.begin() as conn:
        assert {state for state, _ in consent.standing(conn, maria).values()} == {SubscriptionState.WITHDRAWN}
