"""Whoever appends to the consent ledger holds its end: what they decide by, nobody else changes meanwhile."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module

import pytest
from sqlalchemy import Connection, Engine, Row, delete, insert, select, text
from sqlalchemy.exc import IntegrityError

from dispatcher.bench import people
from dispatcher.db.tables import consent_chain, consent_event, opt_in_request, subscriber, subscription
from dispatcher.db.terms import ConsentKind, Language, SubscriptionState, Topic
from dispatcher.domain import consent, tokens
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.imports import Claim, Fate, Says, writing
from dispatcher.domain.imports.rows import Row as FileRow
from dispatcher.domain.imports.writing import Intake
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import TokenInvalid
from dispatcher.sending import entry, opt_in
from tests import builders
from tests.domain.ledgers import NOW, append, verified
from tests.journeys.house import wait_for

GOLD = Topic.FINANCE_NEWS
BY_HAND = Evidence(source="a test")


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        [who] = builders.add_people(conn, keyring, ["maria@example.de"], NOW).values()
    return who


def _meanwhile(engine: Engine, first: Callable[[Connection], object], second: Callable[[Connection], object]) -> Future:  # type: ignore[type-arg]
    """Let somebody do something, and somebody else begin before the first has committed."""

    def begin() -> object:
        with engine.begin() as conn:
            return second(conn)

    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as conn:
            first(conn)
            doing = threads.submit(begin)
            if engine.dialect.name == "postgresql":
                wait_for(lambda: doing.done() or _waits(engine), "the second to wait for the first")
        doing.exception()
    return doing


def _waits(engine: Engine) -> bool:
    with engine.connect() as conn:
        return bool(conn.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def _leave(who: int) -> Callable[[Connection], object]:
    return lambda conn: consent.withdraw(conn, who, [GOLD], BY_HAND, NOW)


def _state(engine: Engine) -> SubscriptionState:
    with engine.connect() as conn:
        return SubscriptionState(conn.execute(select(subscription.c.state)).scalar_one())


def test_an_import_brings_nobody_back_who_withdraws_while_it_waits(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        builders.agree(conn, [maria], GOLD, NOW, ConsentKind.LISTED)
    row = _agrees(keyring, "maria@example.de")
    intake = Intake("file.csv")
    _meanwhile(engine, _leave(maria), lambda conn: writing.take(conn, [row], intake, NOW, dry_run=False)).result()
    assert _state(engine) is SubscriptionState.WITHDRAWN
    assert {fate: n for fate, n in intake.tally.counts.items() if n} == {Fate.WITHDRAWN: 1}
    assert verified(engine).broken is None


@pytest.mark.parametrize("leaves", [True, False])
def test_who_withdraws_after_a_later_chunk_was_looked_at_has_withdrawn(
    engine: Engine, keyring: Keyring, maria: int, leaves: bool
) -> None:
    """What the file itself brought meanwhile is no reason to judge again; what anybody else did is."""
    with engine.begin() as conn:
        builders.agree(conn, [maria], GOLD, NOW, ConsentKind.LISTED)
    intake = Intake("file.csv")
    with engine.connect() as conn:
        first, second = (
            writing.look(conn, [_agrees(keyring, f"{name}@example.de")], intake.seen) for name in ("anna", "maria")
        )
    for looked in (first, second):
        if leaves and looked is second:
            with engine.begin() as conn:
                _leave(maria)(conn)
        with engine.begin() as conn:
            writing.prepare(conn, looked, NOW)
            writing.write(conn, looked, intake, NOW)
    assert len(intake.ends) == 2 if leaves else 3
    assert intake.tally.counts[Fate.WITHDRAWN] == leaves
    with engine.connect() as conn:
        stands = consent.standing(conn, maria)[GOLD][0]
    assert stands is (SubscriptionState.WITHDRAWN if leaves else SubscriptionState.CONFIRMED)


def _agrees(keyring: Keyring, mail: str) -> FileRow:
    address = parse_address(mail)
    claim = Claim(Says.AGREED, (GOLD,), NOW - timedelta(days=1), None, "form", None)
    return FileRow(1, address, address_hash(keyring, address), "Maria", Language.DE, (claim,))


def test_an_operator_enters_nobody_who_withdraws_meanwhile(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        builders.agree(conn, [maria], GOLD, NOW, ConsentKind.LISTED)
    wanted = opt_in.Request(parse_address("maria@example.de"), "Maria", Language.DE, [GOLD], BY_HAND)
    entering = _meanwhile(engine, _leave(maria), lambda conn: entry.enter(conn, keyring, wanted, NOW, NOW))
    assert entering.result() == {GOLD: entry.Fate.WITHDRAWN}
    assert _state(engine) is SubscriptionState.WITHDRAWN


def test_to_withdraw_twice_at_once_is_one_withdrawal(engine: Engine, maria: int) -> None:
    with engine.begin() as conn:
        builders.agree(conn, [maria], GOLD, NOW)
    assert _meanwhile(engine, _leave(maria), _leave(maria)).result() == []
    with engine.connect() as conn:
        kinds = conn.execute(select(consent_event.c.kind).order_by(consent_event.c.id)).scalars().all()
    assert kinds == ["imported", "withdrawn"]


def test_who_withdraws_while_they_renew_has_withdrawn(engine: Engine, keyring: Keyring, maria: int) -> None:
    token = tokens.opt_in_token(keyring.signing, b"n" * 16)
    row = {
        "subscriber_id": maria, "nonce": b"n" * 16, "token_sha256": tokens.token_sha256(token), "topics": [GOLD],
        "language": "de", "source": "x", "requested_at": NOW, "expires_at": NOW + timedelta(days=7), "renews": 1,
    }  # fmt: skip
    with engine.begin() as conn:
        builders.agree(conn, [maria], GOLD, NOW)
        conn.execute(insert(opt_in_request), row)
    renewing = _meanwhile(engine, _leave(maria), lambda conn: opt_in.confirm(conn, token, BY_HAND, NOW))
    with pytest.raises(TokenInvalid):
        renewing.result()
    assert _state(engine) is SubscriptionState.WITHDRAWN


def test_an_import_waits_for_whoever_holds_a_person_before_it_holds_the_chain(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    """As an erasure does: the person's row, then the chain. The other way round each would wait for the other."""
    row = _agrees(keyring, "maria@example.de")

    def take(conn: Connection) -> object:
        return writing.take(conn, [row], Intake("file.csv"), NOW, dry_run=False)

    with ThreadPoolExecutor(1) as threads, engine.begin() as conn:
        conn.execute(select(subscriber.c.id).where(subscriber.c.id == maria).with_for_update())
        doing = threads.submit(_in_transaction, engine, take)
        if engine.dialect.name == "postgresql":
            wait_for(lambda: doing.done() or _waits(engine), "the import to wait")
        consent.append(conn, [Event(maria, GOLD, ConsentKind.ERASED, BY_HAND)], NOW)
        conn.commit()
        doing.result()
    assert verified(engine).broken is None


def _in_transaction(engine: Engine, do: Callable[[Connection], object]) -> object:
    with engine.begin() as conn:
        return do(conn)


def test_of_many_who_are_the_first_at_once_all_stand_in_one_chain(engine: Engine, maria: int) -> None:
    start = threading.Barrier(6)

    def work(_: int) -> list[int]:
        start.wait()
        ids = []
        for _ in range(3):
            with engine.begin() as conn:
                ids += append(conn, [maria], 2)
        return ids

    with ThreadPoolExecutor(6) as threads:
        seen = [number for numbers in threads.map(work, range(6)) for number in numbers]
    assert sorted(seen) == list(range(1, 37))
    assert (verified(engine).broken, verified(engine).events) == (None, 36)


def test_what_was_forgotten_is_not_written_over_again(engine: Engine, maria: int) -> None:
    with engine.begin() as conn:
        append(conn, [maria], 2)
        consent.forget_personal(conn, consent_event.c.id == 1)
    with engine.begin() as conn:
        where = "xmin::text" if engine.dialect.name == "postgresql" else "total_changes()"
        before = _mark(conn, where)
        consent.forget_personal(conn, consent_event.c.id == 1)
        assert _mark(conn, where) == before


@pytest.mark.parametrize("page", [1, 2, 5, 1000])
def test_the_upgrade_chains_events_of_every_page(engine: Engine, maria: int, page: int) -> None:
    with engine.begin() as conn:
        append(conn, [maria], 5)
        conn.execute(delete(consent_chain))
        import_module("dispatcher.db.migrations.versions.0008_consent_chain").chain(conn, page)
    found = verified(engine)
    assert (found.broken, found.events, found.head and found.head.chained_later) == (None, 5, 5)


def test_people_who_are_made_up_for_a_measurement_stand_in_the_chain_too(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        people.fill(conn, keyring, 25, NOW)
        append(conn, [1, 2], 2)
    assert (verified(engine).broken, verified(engine).events) == (None, 27)


def test_a_writer_of_the_version_before_is_refused(engine: Engine, maria: int) -> None:
    old = (
        "INSERT INTO consent_event (subscriber_id, topic, kind, at, source, salt)"
        " VALUES (1, 'finance-news', 'withdrawn', CURRENT_TIMESTAMP, 'old', '0')"
    )
    with engine.begin() as conn:
        append(conn, [maria], 1)
    with pytest.raises(IntegrityError), engine.begin() as conn:
        conn.execute(text(old))
    assert verified(engine).broken is None


def _mark(conn: Connection, where: str) -> Row[tuple[object]]:
    return conn.execute(text(f"SELECT {where} FROM consent_event WHERE id = 1")).one()
