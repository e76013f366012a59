"""Nobody is asked twice to renew under the same words: whoever repeats, competes, cancels or dies."""

import hashlib
import threading
from collections import Counter

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from dispatcher.db import clock
from dispatcher.db.tables import opt_in_request
from dispatcher.db.terms import CampaignKind, CampaignState, Topic
from dispatcher.domain import declarations
from dispatcher.domain.audience import audiences
from dispatcher.domain.delivery import batches, passage, recipients
from dispatcher.domain.delivery.passage import Intent
from dispatcher.domain.ending_marks import Tide
from dispatcher.domain.newsletters import campaigns
from dispatcher.errors import InputRefused, MoveRefused
from dispatcher.sending import backlog, release, renewal, sweep
from tests.journeys.house import let_leases_end
from tests.relay import Act, Ask, ScriptedRelay, accept_then_drop
from tests.sending.renewing import agree, ask, ask_and_launch, mails, token_of
from tests.stage import Stage

NEWS, GOLD, OFFERS = Topic


def test_to_ask_again_mails_only_those_who_were_never_asked(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        late = stage.add(1, agreed=False, prefix="late")
        agree(stage, late, "1", GOLD)
        again = ask_and_launch(stage)
        stage.drain(relay.relay())
        other = ask_and_launch(stage, OFFERS)
        stage.drain(relay.relay())
    assert Counter(a.recipient for a in relay.accepted) == Counter([*old, *late])
    assert {m.reason for m in stage.missing(again).values()} == {"was asked before, under the same words"}
    assert (stage.status(again).sent, stage.status(again).withheld) == (1, 6)
    assert (stage.status(other).sent, stage.status(other).withheld) == (0, 2)
    with stage.engine.begin() as conn:
        counted = renewal.count(conn, declarations.named(conn, "2"), GOLD)
    assert counted == {"was asked before, under the same words": 7}


def test_while_a_campaign_asks_the_command_is_refused_and_names_it(stage: Stage, old: list[str]) -> None:
    first = ask(stage)
    with pytest.raises(MoveRefused, match=f"campaign {first} is asking for this already"):
        ask(stage)
    ask(stage, OFFERS)
    with stage.engine.begin() as conn, pytest.raises(InputRefused, match="asks to renew consent"):
        release.schedule(conn, first, clock.now(conn), "UTC", stage.stationery, stage.house)


def test_of_two_campaigns_that_ask_at_once_each_person_gets_one_mail(stage: Stage, old: list[str]) -> None:
    first, second = ask_and_launch(stage), ask_and_launch(stage, OFFERS)  # both want the first two people
    with ScriptedRelay() as relay:
        threads = [threading.Thread(target=stage.drain, args=(relay.relay(lanes=2),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        stage.drain(relay.relay())
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)
    assert stage.status(first).state is stage.status(second).state is CampaignState.SENT


def test_a_worker_that_dies_after_its_claim_leaves_one_request_each_and_the_next_sends_their_mails(
    stage: Stage, old: list[str]
) -> None:
    campaign_id = ask_and_launch(stage)
    with stage.engine.begin() as conn:  # what a worker does before its first mail, and then it is gone
        now = clock.now(conn)
        claim = batches.claim(conn, "dead", [CampaignKind.NEWSLETTER], now)
        assert claim is not None
        of = campaigns.get(conn, campaign_id)
        people = recipients.to_serve(conn, claim, of, now)
        assert len(renewal.requests_for(conn, stage.stationery, of, people, now)) == 6
    kept = [column for column in opt_in_request.c if column.name != "released_at"]
    requests = select(*kept).order_by(opt_in_request.c.id)
    with stage.engine.begin() as conn:
        before = conn.execute(requests).all()
    let_leases_end(stage.engine)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=1))
    with stage.engine.begin() as conn:
        assert conn.execute(requests).all() == before
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)
    made = {hashlib.sha256(token_of(message).encode()).digest() for _, message in mails(relay)}
    assert made == {bytes(row.token_sha256) for row in before}
    assert stage.status(campaign_id).sent == 6


def test_whoever_was_left_over_by_a_cancelled_campaign_is_asked_by_the_next_and_nobody_twice(
    stage: Stage, old: list[str]
) -> None:
    first = ask_and_launch(stage)

    def at_rcpt(asked: Ask) -> Act | None:
        if asked.verb == "RCPT" and asked.recipient == old[3]:
            stage.move(first, CampaignState.CANCELLED)
        return None

    with ScriptedRelay(script=at_rcpt) as relay:
        stage.drain(relay.relay(lanes=1))
        got = {a.recipient for a in relay.accepted}
        assert 0 < len(got) < 6
        with stage.engine.begin() as conn:  # all had a request: their batch was claimed
            assert conn.execute(select(func.count()).select_from(opt_in_request)).scalar_one() == 6
        relay.script = None
        second = ask_and_launch(stage)
        stage.drain(relay.relay(lanes=1))
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)
    assert stage.status(second).sent == 6 - len(got)
    with stage.engine.begin() as conn:
        assert conn.execute(select(func.count()).select_from(opt_in_request)).scalar_one() == 6


def test_what_a_dead_worker_of_a_cancelled_campaign_may_have_sent_is_not_sent_again(
    stage: Stage, old: list[str]
) -> None:
    first = ask_and_launch(stage)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        claim = batches.claim(conn, "dead", [CampaignKind.NEWSLETTER], now)
        assert claim is not None
        of = campaigns.get(conn, first)
        people = renewal.requests_for(conn, stage.stationery, of, recipients.to_serve(conn, claim, of, now), now)
        passage.pass_gate(
            conn, {first: of}, [], [Intent(claim, people[0].subscriber_id, 1, "r")], passage.Known({}, Tide()), now
        )
    stage.move(first, CampaignState.CANCELLED)
    assert {m.reason for m in stage.missing(ask_and_launch(stage)).values()} == {audiences.ASKED_BEFORE}
    backlog.finish(stage.engine)
    let_leases_end(stage.engine)
    sweep.tick(stage.engine, stage.house)
    third = ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert Counter(a.recipient for a in relay.accepted) == Counter(old[1:])
    assert stage.counted(first) == {"unknown": 1}
    assert stage.counted(third) == {"sent": 5, "withheld": 1}


def test_nobody_is_asked_twice_under_the_same_words_whoever_tries(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    with stage.engine.begin() as conn:
        row = dict(conn.execute(select(opt_in_request).limit(1)).one()._mapping)
    with pytest.raises(IntegrityError), stage.engine.begin() as conn:
        conn.execute(insert(opt_in_request), {**row, "id": 4711, "token_sha256": bytes(32), "campaign_id": 99})


def test_a_mail_whose_fate_is_unknown_is_not_sent_twice(stage: Stage, old: list[str]) -> None:
    campaign_id = ask_and_launch(stage)
    with ScriptedRelay(script={("DOT", old[3]): accept_then_drop()}) as relay:
        stage.drain(relay.relay(lanes=1))
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)
    assert stage.counted(campaign_id) == {"sent": 5, "unknown": 1}
