"""Who is asked once more to renew, and who is not: after a long pause, years later, and when words follow on words."""

import threading
from collections import Counter
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.tables import batch, declaration, delivery, opt_in_request
from dispatcher.db.tables import renewal as demand
from dispatcher.db.terms import CampaignKind, CampaignState, Topic
from dispatcher.domain import consent, declarations
from dispatcher.domain.audience import audiences
from dispatcher.domain.consent import Evidence
from dispatcher.domain.delivery import batches, recipients
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.people import profiles
from dispatcher.errors import InputRefused
from dispatcher.sending import gate, opt_in, renewal
from tests.databases import waiting
from tests.guards import unguarded
from tests.journeys.house import let_leases_end, wait_for
from tests.relay import ScriptedRelay, accept_then_drop
from tests.sending.renewing import agree, ask, ask_and_launch, current, enter, mails, token_of
from tests.stage import Stage

NEWS, GOLD, OFFERS = Topic


def claim_and_die(stage: Stage, campaign_id: int) -> list[Recipient]:
    """Do what a worker does before its first mail."""
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        claim = batches.claim(conn, "dead", [CampaignKind.NEWSLETTER], now)
        assert claim is not None
        of = campaigns.get(conn, campaign_id)
        return renewal.requests_for(conn, stage.stationery, of, recipients.to_serve(conn, claim, of, now), now)


@pytest.mark.parametrize("is_erased", [False, True], ids=["dead links", "erased by retention"])
def test_after_a_long_pause_the_mails_bring_links_that_lead_somewhere(
    stage: Stage, old: list[str], *, is_erased: bool
) -> None:
    campaign_id = ask_and_launch(stage)
    claim_and_die(stage, campaign_id)
    c = opt_in_request.c
    with stage.engine.begin() as conn:  # fifteen days pass
        then = clock.now(conn) - timedelta(days=15)
        conn.execute(update(opt_in_request).values(requested_at=then, expires_at=then + renewal.VALID))
        if is_erased:
            assert len(profiles.erase_requests(conn, c.used_at.is_(None), clock.now(conn))) == 6
    let_leases_end(stage.engine)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=2))
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)
    assert stage.counted(campaign_id) == {"sent": 6}
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        for recipient, message in mails(relay):
            assert opt_in.find(conn, token_of(message), now).subscriber_id == stage.ids[recipient]
        assert conn.execute(select(func.count(), func.count(c.released_at))).one() == (6, 6)


def test_years_later_when_deliveries_are_only_counted_nobody_is_asked_again(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay(script={("DOT", old[3]): accept_then_drop()}) as relay:
        stage.drain(relay.relay(lanes=1))
        assert stage.counted(1) == {"sent": 5, "unknown": 1}
        with stage.engine.begin() as conn:
            conn.execute(delete(delivery))
            conn.execute(delete(batch))
        again = ask_and_launch(stage)
        report = stage.drain(relay.relay())
    assert report.problem is None
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)
    assert {m.reason for m in stage.missing(again).values()} == {audiences.ASKED_BEFORE}


def test_a_request_that_the_ledger_names_can_be_made_anew(stage: Stage, old: list[str]) -> None:
    first = ask_and_launch(stage)
    asking = claim_and_die(stage, first)[0]
    assert asking.asking is not None
    with stage.engine.begin() as conn:
        proof = consent.with_request(Evidence(source="a note"), asking.asking.request_id)
        note = consent.Event(asking.subscriber_id, GOLD, consent.ConsentKind.CONFIRMATION_SENT, proof)
        consent.append(conn, [note], clock.now(conn))
    stage.move(first, CampaignState.CANCELLED)
    let_leases_end(stage.engine)
    with stage.engine.begin() as conn:
        batches.close_cancelled(conn, clock.now(conn))
    with ScriptedRelay() as relay:
        second = ask_and_launch(stage)
        stage.drain(relay.relay())
    assert stage.counted(second) == {"sent": 6}
    with stage.engine.begin() as conn:
        assert set(conn.execute(select(opt_in_request.c.campaign_id)).scalars()) == {second}


def test_a_version_that_mends_a_letter_asks_nobody_again(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        enter(stage, "3")
        late = stage.add(1, agreed=False, prefix="late")
        agree(stage, late, "1", GOLD)
        again = ask_and_launch(stage, version="3")
        stage.drain(relay.relay())
        enter(stage, "4", OFFERS)
        offers = ask_and_launch(stage, OFFERS, version="4")
        stage.drain(relay.relay())
    assert Counter(a.recipient for a in relay.accepted) == Counter([*old, *late, *old[:2]])
    assert stage.counted(again) == {"sent": 1, "withheld": 6}
    assert stage.counted(offers) == {"sent": 2}
    with stage.engine.begin() as conn:  # they were told of finance news before
        newest = select(opt_in_request.c.topics).where(opt_in_request.c.campaign_id == offers)
        assert conn.execute(newest).scalars().all() == [[OFFERS], [OFFERS]]
    enter(stage, "5", GOLD)
    with stage.engine.begin() as conn:
        assert renewal.count(conn, declarations.named(conn, "5"), GOLD) == {None: 7}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_two_versions_that_ask_at_the_same_moment_each_person_is_asked_by_one(stage: Stage, old: list[str]) -> None:
    first = ask_and_launch(stage)
    enter(stage, "3")
    second = ask_and_launch(stage, OFFERS, version="3")
    asked: list[Recipient] = []
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        claim = batches.claim(conn, "one", [CampaignKind.NEWSLETTER], now)
        assert claim is not None
        of = campaigns.get(conn, first)
        mine = renewal.requests_for(conn, stage.stationery, of, recipients.to_serve(conn, claim, of, now), now)
        other = threading.Thread(target=lambda: asked.extend(claim_and_die(stage, second)))
        other.start()
        with stage.engine.connect() as watcher:
            wait_for(lambda: waiting(watcher) == 1, "the other claim to wait for this one")
    other.join(30)
    assert len(mine) == 6
    assert asked == []
    assert {m.reason for m in stage.missing(second).values()} == {audiences.ASKED_BEFORE}


def test_whoever_is_asked_ahead_agrees_to_the_words_to_come_and_misses_nothing(stage: Stage) -> None:
    enter(stage, "1")
    people = stage.add(2, agreed=False)
    agree(stage, people, "1", GOLD)
    enter(stage, "2", GOLD, ahead=timedelta(days=1))
    with pytest.raises(InputRefused, match="does not renew product-news"):
        ask(stage, NEWS)
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        token = token_of(dict(mails(relay))[people[0]])
        with stage.engine.begin() as conn:
            now = clock.now(conn)
            opened = opt_in.find(conn, token, now)
            words = declarations.by_id(conn, opened.declaration_id or 0)
            assert words is not None
            assert words.version == "2"
            opt_in.confirm(conn, token, Evidence(source="page", declaration_id=words.id), now)
        assert current(stage, people[0]) == current(stage, people[1]) == {GOLD}
        with stage.engine.begin() as conn, unguarded(conn):  # the day is over
            for table in (declaration, demand):
                conn.execute(update(table).where(table.c.number == 2).values(valid_from=clock.now(conn)))
        assert current(stage, people[1]) == set()
        assert current(stage, people[0]) == {GOLD}
        again = ask_and_launch(stage)
    assert {m.reason for m in stage.missing(again).values()} == {audiences.ASKED_BEFORE}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_row_that_the_database_refuses_is_not_taken_for_a_database_that_is_away(stage: Stage, old: list[str]) -> None:
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON delivery BEGIN SELECT RAISE(ABORT, 'refused'); END"
    ask_and_launch(stage)
    with stage.engine.begin() as conn:
        conn.execute(text(refuse))
    began = steady()
    with ScriptedRelay() as relay:
        report = stage.drain(relay.relay(lanes=1))
    assert report.problem == gate.DATABASE_REFUSED
    assert steady() - began < 20  # to wait mends nothing


@pytest.mark.parametrize("error", [IntegrityError, DBAPIError])
def test_a_refusal_is_known_whoever_wraps_it(error: type[DBAPIError]) -> None:
    assert gate.problem_of(error("", None, psycopg.IntegrityError())) == gate.DATABASE_REFUSED
    assert gate.problem_of(DBAPIError("", None, psycopg.OperationalError())) == gate.DATABASE_AWAY
