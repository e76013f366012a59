"""The gate: who may go, who may not and why, what is written down before the dot, and what is recorded after it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from dispatcher.db.tables import batch, consent_event, deferral, delivery, opt_in_request, subscriber, suppression
from dispatcher.db.terms import CampaignKind, CampaignState, ConsentKind, Language, Outcome, UnknownPolicy
from dispatcher.domain import consent
from dispatcher.domain.audience import audiences, dealing_out
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.delivery import batches, flights
from dispatcher.domain.delivery.flights import Flight
from dispatcher.domain.delivery.passage import TAKEN_OVER, Halted, Intent, Pass, Withheld
from dispatcher.domain.ledger import Final, Proof
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.people import restriction
from tests import builders
from tests.domain.dispatch import RELAY, TOPIC, Dispatch, deferred, events_of, final

MINUTE = timedelta(minutes=1)


def _rows(dispatch: Dispatch, table) -> list:
    with dispatch.engine.begin() as conn:
        return list(conn.execute(select(table)).all())


def test_whoever_agreed_passes_under_the_event_by_which_they_agreed(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    (event,) = events_of(dispatch.ask(dispatch.must_claim(), of, [maria]))
    (row,) = _rows(dispatch, consent_event)
    assert (row.id, row.subscriber_id, row.kind, row.topic) == (event, maria, ConsentKind.IMPORTED, TOPIC)


def test_a_newer_consent_is_the_one_that_counts(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.withdraw(maria)
    with dispatch.engine.begin() as conn:
        consent.confirm(conn, maria, [TOPIC], Evidence(source="a test"), dispatch.now)
    (event,) = events_of(dispatch.ask(mine, of, [maria]))
    assert event == max(row.id for row in _rows(dispatch, consent_event))


def test_what_passes_and_nothing_else_is_written_down_before_the_dot(dispatch: Dispatch) -> None:
    one, two, three = dispatch.people(3)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.withdraw(two)
    decisions = dispatch.ask(mine, of, [one, two, three], attempt=4)
    assert [type(decision) for decision in decisions] == [Pass, Withheld, Pass]
    first, _, third = decisions
    assert isinstance(first, Pass) and isinstance(third, Pass)  # noqa: PT018
    (row,) = _rows(dispatch, batch)
    assert flights.read(row.in_flight) == [
        Flight(one, 4, first.consent_event_id, RELAY),
        Flight(three, 4, third.consent_event_id, RELAY),
    ]
    assert row.lease_until == dispatch.now + batches.LEASE


def test_what_other_lanes_have_in_flight_stays_written_down(dispatch: Dispatch) -> None:
    one, two = dispatch.people(2)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    (event,) = events_of(dispatch.ask(mine, of, [one]))
    dispatch.ask(mine, of, [two], out=[Flight(one, 1, event, RELAY)])
    assert dispatch.in_flight() == [one, two]


def test_what_was_answered_is_in_flight_no_more(dispatch: Dispatch) -> None:
    one, two = dispatch.people(2)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.ask(mine, of, [one])
    dispatch.ask(mine, of, [two])
    assert dispatch.in_flight() == [two]


def _withdraw(dispatch: Dispatch, who: int) -> None:
    dispatch.withdraw(who)


def _suppress(dispatch: Dispatch, who: int) -> None:
    dispatch.suppress("p0@example.de")


def _erase(dispatch: Dispatch, who: int) -> None:
    with dispatch.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.id == who).values(address=None))


def _expire(dispatch: Dispatch, who: int) -> None:
    with dispatch.engine.begin() as conn:
        consent.append(conn, [Event(who, TOPIC, ConsentKind.EXPIRED, Evidence(source="a test"))], dispatch.now)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_withdraw, "withdrew the consent"),
        (_suppress, "suppressed: complaint"),
        (_erase, "erased"),
        (_expire, "withdrew the consent"),
    ],
)
def test_a_change_of_mind_after_the_claim_is_found_at_the_gate_and_written_down(
    dispatch: Dispatch, change: Callable[[Dispatch, int], None], reason: str
) -> None:
    maria, josef = dispatch.people(2)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    assert len(dispatch.recipients(mine, of)) == 2
    change(dispatch, maria)
    decisions = dispatch.ask(mine, of, [maria, josef])
    assert decisions[0] == Withheld(reason)
    assert isinstance(decisions[1], Pass)
    (row,) = _rows(dispatch, delivery)
    assert (row.subscriber_id, row.outcome, row.reply, row.consent_event_id) == (maria, "withheld", reason, None)
    assert dispatch.in_flight() == [josef]


def test_what_is_withheld_stays_withheld_when_consent_comes_back(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.withdraw(maria)
    dispatch.ask(mine, of, [maria])
    with dispatch.engine.begin() as conn:
        consent.confirm(conn, maria, [TOPIC], Evidence(source="a test"), dispatch.now)
    assert dispatch.recipients(mine, of) == []
    assert dispatch.outcomes(of) == {maria: "withheld"}


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.CANCELLED])
def test_nothing_passes_once_the_campaign_stands_still_and_nothing_is_recorded(
    dispatch: Dispatch, state: CampaignState
) -> None:
    maria, josef = dispatch.people(2)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.withdraw(josef)
    dispatch.move(of, state)
    assert dispatch.ask(mine, of, [maria, josef]) == [Halted(f"the campaign is {state}")] * 2
    assert dispatch.in_flight() == []
    assert _rows(dispatch, delivery) == []


def test_one_lost_batch_holds_up_no_other(dispatch: Dispatch) -> None:
    people = dispatch.people(501)
    of = dispatch.campaign()
    lost, kept = dispatch.must_claim("a"), dispatch.must_claim("a")
    dispatch.now += timedelta(seconds=40)
    dispatch.renew(kept)
    dispatch.now += timedelta(seconds=40)
    assert dispatch.must_claim("b").key == lost.key
    intents = [Intent(lost, people[0], 1, RELAY), Intent(kept, people[500], 1, RELAY)]
    decisions = dispatch.pass_gate([], intents, of)
    assert decisions[0] == Halted("the batch was claimed by another worker")
    assert isinstance(decisions[1], Pass)
    assert dispatch.in_flight() == [people[500]]


def test_letters_of_two_campaigns_pass_in_one_transaction_each_by_its_own_rules(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    first, second = dispatch.campaign(), dispatch.campaign()
    claims = [dispatch.must_claim(), dispatch.must_claim()]
    dispatch.move(second, CampaignState.PAUSED)
    intents = [Intent(claim, maria, 1, RELAY) for claim in claims]
    decisions = dispatch.pass_gate([], intents, first, second)
    assert [type(decision) for decision in decisions] == [Pass, Halted]


def test_what_was_answered_is_recorded_in_the_transaction_that_lets_the_next_go(dispatch: Dispatch) -> None:
    one, two = dispatch.people(2)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    (event,) = events_of(dispatch.ask(mine, of, [one]))
    dispatch.pass_gate([final(of, one, Outcome.SENT, event, 250)], [Intent(mine, two, 1, RELAY)], of)
    assert dispatch.outcomes(of) == {one: "sent"}
    assert dispatch.in_flight() == [two]


def test_a_gate_without_questions_records_and_no_more(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    assert dispatch.pass_gate([final(of, maria, Outcome.FAILED, None, 550)], []) == []
    assert dispatch.outcomes(of) == {maria: "failed"}


ROWS = [Outcome.SENT, Outcome.FAILED, Outcome.UNKNOWN, Outcome.WITHHELD]


def test_a_late_sent_settles_what_was_in_doubt_and_no_other_row_ever_changes(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    for first in ROWS:
        for second in ROWS:
            of = dispatch.campaign()
            dispatch.record(final(of, maria, first, 1, 111))
            before = _rows(dispatch, delivery)
            dispatch.now += MINUTE
            dispatch.record(final(of, maria, second, 2, 222))
            after = _rows(dispatch, delivery)
            if (first, second) == (Outcome.UNKNOWN, Outcome.SENT):
                (row,) = [row for row in after if row.campaign_id == of.id]
                assert (row.outcome, row.code, row.reply, row.at) == ("sent", 222, "222 said so", dispatch.now)
                assert row.consent_event_id == 1  # the consent under which the dot left
            else:
                assert after == before, (first, second)


def test_to_record_twice_is_harmless_even_in_one_go(dispatch: Dispatch) -> None:
    one, two = dispatch.people(2)
    of = dispatch.campaign()
    sent, late = final(of, one, Outcome.SENT, 1, 250), deferred(of, two, dispatch.now + MINUTE)
    dispatch.record(sent, late, late)
    dispatch.record(sent, late)
    assert dispatch.outcomes(of) == {one: "sent"}
    assert len(_rows(dispatch, deferral)) == 1


def test_the_ledger_keeps_the_relays_words_and_the_consent(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    dispatch.record(Final(of.id, maria, Outcome.SENT, 1, 250, "250 2.0.0 \"Öl\" ist 'da' \\ 100 %", RELAY))
    (row,) = _rows(dispatch, delivery)
    assert (row.code, row.reply, row.relay, row.at) == (250, "250 2.0.0 \"Öl\" ist 'da' \\ 100 %", RELAY, dispatch.now)


def test_a_deferral_goes_when_an_outcome_comes(dispatch: Dispatch) -> None:
    one, two = dispatch.people(2)
    of = dispatch.campaign()
    dispatch.record(deferred(of, one, dispatch.now + MINUTE), deferred(of, two, dispatch.now + MINUTE))
    dispatch.record(final(of, one, Outcome.SENT, 1, 250))
    assert [row.subscriber_id for row in _rows(dispatch, deferral)] == [two]


def test_a_4xx_that_comes_after_the_outcome_changes_nothing(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    mine = dispatch.must_claim("a")
    dispatch.ask(mine, of, [maria])
    again = dispatch.take_over("b")  # maria is in doubt now
    dispatch.record(deferred(of, maria, dispatch.now + MINUTE))  # and only now worker a wakes up
    assert _rows(dispatch, deferral) == []
    dispatch.settle(again)
    assert dispatch.status(of).unknown == 1
    assert dispatch.is_complete(of)


def test_the_4xx_of_an_earlier_attempt_does_not_replace_that_of_a_later_one(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign(UnknownPolicy.RESEND)
    dispatch.record(deferred(of, maria, dispatch.now + MINUTE, attempt=2))
    dispatch.record(deferred(of, maria, dispatch.now + 5 * MINUTE, attempt=1))
    (row,) = _rows(dispatch, deferral)
    assert (row.attempt, row.retry_at) == (2, dispatch.now + MINUTE)


def test_those_who_are_still_to_be_served_are_the_rest_with_their_attempts(dispatch: Dispatch) -> None:
    served, due, early, left, fresh = dispatch.people(5)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.record(
        final(of, served, Outcome.SENT, 1, 250),
        deferred(of, due, dispatch.now, attempt=3),
        deferred(of, early, dispatch.now + MINUTE),
    )
    dispatch.withdraw(left)
    people = dispatch.recipients(mine, of)
    assert [(to.subscriber_id, to.attempt) for to in people] == [(due, 4), (fresh, 1)]
    assert dispatch.outcomes(of)[left] == "withheld"
    assert people[1].address == "p4@example.de"
    assert (people[1].name, people[1].language) == ("Maria Muster", Language.DE)
    assert people[1].consented_on == dispatch.now.date()


def _confirmation(dispatch: Dispatch, who: int) -> Campaign:
    """Enter a double opt-in under way, its letter in a batch."""
    with dispatch.engine.begin() as conn:
        row = {
            "subscriber_id": who, "nonce": bytes(16), "token_sha256": bytes(32), "topics": [TOPIC], "language": "de",
            "source": "a test", "requested_at": dispatch.now, "expires_at": dispatch.now,
        }  # fmt: skip
        request_id = conn.execute(insert(opt_in_request).returning(opt_in_request.c.id), row).scalar_one()
        asked = consent.with_request(Evidence(source="a test"), request_id)
        consent.append(conn, [Event(who, TOPIC, ConsentKind.REQUESTED, asked)], dispatch.now)
        campaign_id = campaigns.create_confirmations(conn, {request_id: Language.DE}, dispatch.now)[0]
        for state in (CampaignState.PREPARING, CampaignState.SENDING):
            campaigns.require_move(conn, campaign_id, state)
        dealing_out.freeze_one(conn, campaign_id, who)
        return campaigns.get(conn, campaign_id)


def _nobody(engine: Engine, dispatch: Dispatch) -> int:
    with engine.begin() as conn:
        return builders.add_people(conn, dispatch.keyring, ["maria@example.de"], dispatch.now)["maria@example.de"]


def _claim_confirmation(dispatch: Dispatch) -> batches.Claim:
    with dispatch.engine.begin() as conn:
        claim = batches.claim(conn, "a", [CampaignKind.CONFIRMATION], dispatch.now)
    assert claim is not None
    return claim


def _proof(who: int, request_id: int) -> Proof:
    return Proof(
        subscriber_id=who,
        request_id=request_id,
        mail_template="ab" * 32,
        mail_sha256=b"h" * 32,
        message_id="id@example.de",
        relay_reply="250 ok",
    )


def test_a_confirmation_passes_under_the_request_and_its_taking_is_proof(dispatch: Dispatch, engine: Engine) -> None:
    maria = _nobody(engine, dispatch)
    of = _confirmation(dispatch, maria)
    mine = _claim_confirmation(dispatch)
    (to,) = dispatch.recipients(mine, of)
    assert (to.subscriber_id, to.consented_on) == (maria, None)
    (event,) = events_of(dispatch.ask(mine, of, [maria]))
    assert of.request_id is not None
    dispatch.record(final(of, maria, Outcome.SENT, event, 250), _proof(maria, of.request_id))
    requested, sent = _rows(dispatch, consent_event)
    assert (requested.id, requested.kind) == (event, ConsentKind.REQUESTED)
    assert (sent.kind, sent.topic, sent.request_id) == (ConsentKind.CONFIRMATION_SENT, TOPIC, of.request_id)
    assert (sent.mail_template, sent.mail_sha256) == ("ab" * 32, b"h" * 32)
    assert (sent.message_id, sent.relay_reply) == ("id@example.de", "250 ok")


def test_no_confirmation_goes_to_whoever_has_used_the_request_or_objected(dispatch: Dispatch, engine: Engine) -> None:
    maria = _nobody(engine, dispatch)
    of = _confirmation(dispatch, maria)
    mine = _claim_confirmation(dispatch)
    dispatch.suppress("maria@example.de")
    assert dispatch.ask(mine, of, [maria]) == [Withheld("the request was used, withdrawn or suppressed")]
    with dispatch.engine.begin() as conn:
        conn.execute(delete(delivery))
        conn.execute(delete(suppression))
    assert isinstance(dispatch.ask(mine, of, [maria])[0], Pass)
    with dispatch.engine.begin() as conn:
        conn.execute(update(opt_in_request).values(used_at=dispatch.now))
    assert isinstance(dispatch.ask(mine, of, [maria])[0], Withheld)


def test_no_confirmation_goes_to_whoever_is_restricted_and_the_reason_is_said(
    dispatch: Dispatch, engine: Engine
) -> None:
    maria = _nobody(engine, dispatch)
    of = _confirmation(dispatch, maria)
    mine = _claim_confirmation(dispatch)
    with engine.begin() as conn:
        restriction.restrict(conn, maria, Evidence(source="a test"), dispatch.now)
    assert dispatch.ask(mine, of, [maria]) == [Withheld(audiences.RESTRICTED)]


def test_letters_of_a_claim_before_do_not_pass_beside_those_of_the_claim_after_it(dispatch: Dispatch) -> None:
    maria, jörg = dispatch.people(2)
    of = dispatch.campaign()
    slept = dispatch.must_claim()
    dispatch.now += batches.LEASE + timedelta(seconds=1)
    again = dispatch.must_claim()
    assert again.key == slept.key
    intents = [Intent(slept, maria, 1, RELAY), Intent(again, maria, 1, RELAY), Intent(slept, jörg, 1, RELAY)]
    for order in (intents, intents[::-1]):
        keys = [(i.claim.token, i.subscriber_id) for i in order]
        by_claim = dict(zip(keys, dispatch.pass_gate([], order, of), strict=True))
        assert isinstance(by_claim[again.token, maria], Pass)
        assert by_claim[slept.token, maria] == by_claim[slept.token, jörg] == Halted(TAKEN_OVER)
