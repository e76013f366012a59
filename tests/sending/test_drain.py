"""The heart: every answer of a relay leads to the right line of the ledger, and nothing else does."""

import threading
import time
from collections import Counter, defaultdict

import pytest
from sqlalchemy import select

from dispatcher.db import clock
from dispatcher.db.tables import batch, deferral, delivery, edition, subscriber
from dispatcher.db.terms import CampaignState, Outcome, Topic
from dispatcher.domain import ledger
from dispatcher.domain.ledger import Final
from dispatcher.sending.drain import MAX_LOSSES
from tests import builders
from tests.relay import PLAIN_EXTENSIONS, Act, Ask, ScriptedRelay, accept_then_drop, drop, say
from tests.sending.breaking import BreakingOff
from tests.stage import Stage


def test_everyone_with_consent_gets_one_letter_and_the_ledger_names_the_consent(stage: Stage) -> None:
    people = stage.add(40)
    campaign = stage.campaign()
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=4))
    assert sorted(a.recipient for a in relay.accepted) == sorted(people)
    assert stage.status(campaign).state is CampaignState.SENT
    with stage.engine.begin() as conn:
        rows = conn.execute(select(delivery)).all()
    assert len(rows) == 40
    assert all(row.consent_event_id and row.code == 250 and row.outcome == "sent" for row in rows)


def test_a_relay_without_pipelining_serves_as_well(stage: Stage) -> None:
    stage.add(10)
    campaign = stage.campaign()
    with ScriptedRelay(extensions=PLAIN_EXTENSIONS) as relay:
        stage.drain(relay.relay(lanes=2))
    assert stage.status(campaign).sent == len(relay.accepted) == 10


def test_those_without_consent_are_withheld_with_the_reason_and_never_offered(stage: Stage) -> None:
    stage.add(3)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        pending = builders.add_people(conn, stage.keyring, ["pending@example.de"], now)
        builders.agree(conn, list(pending.values()), Topic.FINANCE_NEWS, now, builders.ConsentKind.REQUESTED)
        builders.suppress(conn, stage.keyring, ["p1@example.de"], now)
    stage.withdraw("p2@example.de")
    campaign = stage.campaign()
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert [a.recipient for a in relay.accepted] == ["p0@example.de"]
    assert not any("p1@" in line or "p2@" in line or "pending@" in line for line in relay.lines)
    reasons = {address: m.reason for address, m in stage.missing(campaign).items()}
    assert reasons == {
        "p1@example.de": "suppressed: complaint",
        "p2@example.de": "withdrew the consent",
        "pending@example.de": "never confirmed the subscription",
    }


@pytest.mark.parametrize(
    ("verb", "act", "outcome"),
    [
        ("RCPT", say("550 5.1.1 no such user"), "failed"),
        ("RCPT", say("450 4.2.1 try later"), "deferred"),
        ("DOT", say("554 5.6.0 not this"), "failed"),
        ("DOT", say("451 4.3.0 busy"), "deferred"),
        ("DOT", drop(), "unknown"),
        ("DOT", accept_then_drop(), "unknown"),
        ("DOT", say("421 4.3.2 going down", close=True), "deferred"),
    ],
)
def test_one_persons_answer_is_theirs_alone(stage: Stage, verb: str, act: Act, outcome: str) -> None:
    people = stage.add(12)
    campaign = stage.campaign()
    with ScriptedRelay(script={(verb, people[5]): act}) as relay:
        stage.drain(relay.relay(lanes=2))
    assert stage.missing(campaign)[people[5]].outcome == outcome
    assert len(stage.missing(campaign)) == 1
    assert Counter(a.recipient for a in relay.accepted if a.recipient != people[5]) == Counter(people[:5] + people[6:])
    status = stage.status(campaign)
    assert status.audience == status.sent + status.deferred + status.failed + status.unknown == 12


def test_a_letter_whose_line_breaks_while_body_and_dot_leave_together_is_left_in_doubt(stage: Stage) -> None:
    people = stage.add(6)
    campaign = stage.campaign()
    with ScriptedRelay(script={("BODY", people[2]): drop()}) as relay:
        stage.drain(relay.relay(lanes=1))
    assert stage.missing(campaign)[people[2]].outcome == "unknown"
    assert sorted(a.recipient for a in relay.accepted) == sorted(set(people) - {people[2]})


def test_after_such_a_loss_bodies_go_ahead_so_that_a_broken_line_leaves_no_doubt(stage: Stage) -> None:
    people = stage.add(8)
    campaign = stage.campaign()
    breaking = BreakingOff(people[5], 1, {("BODY", people[1]): drop()})
    with ScriptedRelay(script=breaking) as relay, breaking.over(relay, stage.engine):
        stage.drain(relay.relay(lanes=1))
    assert breaking.broken == 1
    assert list(stage.missing(campaign)) == [people[1]]
    assert sorted(a.recipient for a in relay.accepted) == sorted(set(people) - {people[1]})


def test_a_letter_that_always_loses_its_connection_waits_and_holds_nobody_up(stage: Stage) -> None:
    people = stage.add(8)
    campaign = stage.campaign()
    breaking = BreakingOff(people[5], MAX_LOSSES, {("BODY", people[1]): drop()})
    with ScriptedRelay(script=breaking) as relay, breaking.over(relay, stage.engine):
        stage.drain(relay.relay(lanes=1))
    assert breaking.broken == MAX_LOSSES
    assert stage.status(campaign).sent == 6
    assert stage.missing(campaign)[people[5]].outcome == "deferred"


def test_a_deferred_letter_is_tried_again_when_it_is_due_and_then_done(stage: Stage) -> None:
    people = stage.add(5)
    campaign = stage.campaign()
    with ScriptedRelay(script={("RCPT", people[0]): [say("450 4.7.1 greylisted")]}) as relay:
        stage.drain(relay.relay())
        assert stage.status(campaign).deferred == 1
        assert stage.drain(relay.relay()).letters == 0  # not yet due
        with stage.engine.begin() as conn:
            long_ago = builders.long_ago(conn)
            conn.execute(deferral.update().values(retry_at=long_ago))
            conn.execute(batch.update().values(not_before=long_ago))
        stage.drain(relay.relay())
    assert stage.status(campaign).state is CampaignState.SENT
    assert [a.recipient for a in relay.accepted].count(people[0]) == 1


def test_a_relay_that_refuses_us_costs_nobody_an_attempt(stage: Stage) -> None:
    stage.add(5)
    campaign = stage.campaign()
    with ScriptedRelay(script={"BANNER": say("554 5.7.1 we do not know you", close=True)}) as relay:
        report = stage.drain(relay.relay(lanes=3))
    status = stage.status(campaign)
    assert (status.remaining, status.failed, status.deferred) == (5, 0, 0)
    assert "554" in (report.problem or "")
    assert "554" in (status.problem or "")
    assert status.state is CampaignState.SENDING


def test_a_relay_that_is_away_hands_over_to_the_next(stage: Stage) -> None:
    stage.add(5)
    campaign = stage.campaign()
    with ScriptedRelay() as gone, ScriptedRelay() as second:
        away = gone.relay(lanes=2)
        gone.script = {"BANNER": say("421 4.3.2 closed", close=True)}
        stage.drain(away, second.relay(lanes=2))
    assert stage.status(campaign).sent == len(second.accepted) == 5


def test_a_withdrawal_while_the_letter_waits_at_the_gate_keeps_it_back(stage: Stage) -> None:
    people = stage.add(4)
    campaign = stage.campaign()

    def withdraw_during_body(ask: Ask) -> Act | None:
        if ask.verb == "DATA" and ask.recipient == people[2]:
            stage.withdraw(people[2])
        return None

    with ScriptedRelay(script=withdraw_during_body) as relay:
        stage.drain(relay.relay(lanes=1))
    assert people[2] not in [a.recipient for a in relay.accepted]
    assert stage.missing(campaign)[people[2]].reason == "withdrew the consent"
    assert stage.status(campaign).sent == 3


def test_an_answer_whose_letter_stands_in_doubt_already_settles_it_and_lets_the_others_through(stage: Stage) -> None:
    people = stage.add(4)
    campaign = stage.campaign()

    def doubt_the_first(ask: Ask) -> Act | None:
        if (ask.verb, ask.recipient) == ("DOT", people[0]):  # as if somebody else had claimed its batch meanwhile
            with stage.engine.begin() as conn:
                who = conn.execute(select(subscriber.c.id).where(subscriber.c.address == people[0])).scalar_one()
                doubt = Final(campaign, who, Outcome.UNKNOWN, 1, None, "no word", "relay")
                ledger.record(conn, [doubt], clock.now(conn))
        return None

    with ScriptedRelay(script=doubt_the_first) as relay:
        report = stage.drain(relay.relay(lanes=1))
    assert report.problem is None
    assert [a.recipient for a in relay.accepted] == people
    assert stage.status(campaign).sent == 4


def test_withdrawals_while_it_runs_hold_within_one_letter_per_lane(stage: Stage) -> None:
    people = stage.add(600)
    campaign = stage.campaign()
    begun, done = threading.Event(), threading.Event()
    committed: dict[str, float] = {}

    def withdraw_many() -> None:
        begun.wait(10)
        for address in people[::3]:
            if done.is_set():
                return
            committed[address] = stage.withdraw(address)

    def watch(ask: Ask) -> Act | None:
        begun.set()
        return None

    thread = threading.Thread(target=withdraw_many)
    thread.start()
    with ScriptedRelay(script=watch) as relay:
        stage.drain(relay.relay(lanes=8))
        done.set()
        thread.join(10)
    per_connection = defaultdict(list)
    for accepted in relay.accepted:
        per_connection[accepted.connection].append(accepted)
    late = [a for a in relay.accepted if a.accepted_at > committed.get(a.recipient, float("inf"))]
    for a in late:
        since = [b for b in per_connection[a.connection] if committed[a.recipient] < b.accepted_at <= a.accepted_at]
        assert len(since) <= 1
    assert committed
    assert stage.status(campaign).sent == len(relay.accepted)


def test_pause_stops_within_one_letter_per_lane_and_resume_goes_on_where_it_stopped(stage: Stage) -> None:
    people = stage.add(300)
    campaign = stage.campaign()
    paused_at: list[float] = []

    def pause_at_the_hundredth(ask: Ask) -> Act | None:
        if ask.verb == "DOT" and len(relay.accepted) == 100 and not paused_at:
            stage.move(campaign, CampaignState.PAUSED)
            paused_at.append(time.monotonic())
        return None

    with ScriptedRelay(script=pause_at_the_hundredth) as relay:
        stage.drain(relay.relay(lanes=4))
        after = [a for a in relay.accepted if a.accepted_at > paused_at[0]]
        assert len(after) <= 4
        status = stage.status(campaign)
        assert status.state is CampaignState.PAUSED
        assert status.sent == len(relay.accepted)
        with stage.engine.begin() as conn:
            assert conn.execute(select(batch.c.state).distinct()).scalars().all() == ["ready"]
        stage.move(campaign, CampaignState.SENDING)
        stage.drain(relay.relay(lanes=4))
    assert sorted(a.recipient for a in relay.accepted) == sorted(people)
    assert stage.status(campaign).state is CampaignState.SENT


def test_a_cancelled_campaign_names_those_who_did_not_get_it(stage: Stage) -> None:
    stage.add(50)
    campaign = stage.campaign()

    def cancel(ask: Ask) -> Act | None:
        if ask.verb == "DOT" and len(relay.accepted) == 10:
            stage.move(campaign, CampaignState.CANCELLED)
        return None

    with ScriptedRelay(script=cancel) as relay:
        stage.drain(relay.relay(lanes=2))
    status = stage.status(campaign)
    assert status.state is CampaignState.CANCELLED
    assert status.sent == len(relay.accepted) <= 13
    reasons = Counter(m.reason for m in stage.missing(campaign).values())
    assert reasons == {"the campaign was cancelled first": 50 - status.sent}


def test_a_drain_that_is_told_to_stop_gives_everything_back(stage: Stage) -> None:
    stage.add(200)
    campaign = stage.campaign()
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=4), stop=lambda: len(relay.accepted) > 20)
        assert 20 < len(relay.accepted) < 40
        with stage.engine.begin() as conn:
            assert conn.execute(select(batch.c.state)).scalars().all() == ["ready"]
            assert conn.execute(select(batch.c.in_flight)).scalars().all() == [None]
        stage.drain(relay.relay(lanes=4))
    assert stage.status(campaign).sent == len(relay.accepted) == 200


def test_every_attempt_carries_the_same_message_id(stage: Stage) -> None:
    people = stage.add(1)
    stage.campaign()
    seen: list[str] = []
    with ScriptedRelay(script={("DOT", people[0]): [say("451 4.3.0 busy")]}, keep_raw=True) as relay:
        stage.drain(relay.relay())
        with stage.engine.begin() as conn:
            long_ago = builders.long_ago(conn)
            conn.execute(deferral.update().values(retry_at=long_ago))
            conn.execute(batch.update().values(not_before=long_ago))
        stage.drain(relay.relay())
        seen = [a.message_id for a in relay.accepted]
    assert len(seen) == 1
    assert seen[0].endswith("@news.example.de>")


def test_thousands_of_people_and_a_thousand_who_may_not_be_written_to(stage: Stage) -> None:
    people = stage.add(3_000)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        unconfirmed = builders.add_people(conn, stage.keyring, [f"u{i}@example.de" for i in range(300)], now)
        builders.agree(conn, list(unconfirmed.values()), Topic.FINANCE_NEWS, now, builders.ConsentKind.LISTED)
        builders.suppress(conn, stage.keyring, people[:350], now)
        builders.withdraw(conn, [stage.ids[a] for a in people[350:700]], Topic.FINANCE_NEWS, now)
    campaign = stage.campaign()
    with ScriptedRelay(keep_raw=False, keep_lines=False) as relay:
        stage.drain(relay.relay(lanes=64))
    forbidden = set(people[:700]) | set(unconfirmed)
    assert len(forbidden) == 1000
    taken = Counter(a.recipient for a in relay.accepted)
    assert not forbidden & set(taken)
    assert set(taken.values()) == {1}
    ledger = stage.outcomes(campaign)
    assert {address for address, outcome in ledger.items() if outcome == "sent"} == set(taken)
    assert {address for address, outcome in ledger.items() if outcome == "withheld"} == forbidden
    status = stage.status(campaign)
    assert (status.audience, status.sent, status.withheld) == (3_300, 2_300, 1_000)
    assert status.state is CampaignState.SENT


def test_a_campaign_whose_stored_letter_was_altered_is_paused_and_holds_up_no_other(stage: Stage) -> None:
    stage.add(5)
    broken, good = stage.campaign(), stage.campaign()
    with stage.engine.begin() as conn:
        conn.execute(edition.update().where(edition.c.campaign_id == broken).values(frozen="{}"))
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=2))
    assert stage.status(good).state is CampaignState.SENT
    assert stage.status(broken).state is CampaignState.PAUSED
    assert stage.status(broken).problem
    assert len(relay.accepted) == 5


def spoil_names(stage: Stage, people: list[str]) -> None:
    """Give people a name that no header can hold. The entrances refuse it; older data may have it."""
    with stage.engine.begin() as conn:
        conn.execute(subscriber.update().where(subscriber.c.address.in_(people)).values(name="Anna\nBcc: x@example.de"))


def test_a_letter_that_cannot_be_composed_fails_for_that_person_alone(stage: Stage) -> None:
    people = stage.add(60)
    spoil_names(stage, people[10:13])
    campaign = stage.campaign()
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=2))
    assert stage.status(campaign).sent == 57
    assert sorted(stage.missing(campaign)) == sorted(people[10:13])
    assert stage.status(campaign).state is CampaignState.SENT


def test_a_campaign_of_which_too_many_letters_cannot_be_composed_is_paused(stage: Stage) -> None:
    people = stage.add(60)
    spoil_names(stage, people[::5])
    campaign = stage.campaign()
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=2))
    stands = stage.status(campaign)
    assert stands.state is CampaignState.PAUSED
    assert "could not be composed" in (stands.problem or "")
    assert stands.sent + stands.failed + stands.remaining == 60
    assert stands.failed == 6
