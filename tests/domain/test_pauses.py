"""A pause: nothing goes to the person while it lasts, nobody counts them as lost, and it ends on its day."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from dispatcher.db.tables import consent_event, delivery, subscriber
from dispatcher.db.terms import Outcome
from dispatcher.domain import consent
from dispatcher.domain.consent import Evidence
from dispatcher.domain.delivery.passage import Withheld
from dispatcher.domain.people import pauses
from tests.domain.dispatch import NOW, TOPIC, Dispatch, events_of

PAGE = Evidence(source="preferences page", ip="192.0.2.7")
REASON = "paused until 2026-12-07"  # NOW is 23 November


def _pause(dispatch: Dispatch, who: int, weeks: int = 2) -> date:
    with dispatch.engine.begin() as conn:
        return pauses.pause(conn, who, weeks, PAGE, dispatch.now)


def _resume_due(dispatch: Dispatch, at: datetime) -> int:
    with dispatch.engine.begin() as conn:
        return pauses.resume_due(conn, at)


def _until(dispatch: Dispatch, who: int) -> date | None:
    with dispatch.engine.begin() as conn:
        found: date | None = conn.execute(select(subscriber.c.paused_until).where(subscriber.c.id == who)).scalar_one()
        return found


def _kinds(dispatch: Dispatch, who: int) -> list[tuple[str, str | None, str]]:
    e = consent_event.c
    with dispatch.engine.begin() as conn:
        rows = conn.execute(select(e.kind, e.topic, e.source).where(e.subscriber_id == who).order_by(e.id))
        return [(row.kind, row.topic, row.source) for row in rows]


def test_whoever_pauses_while_the_letter_waits_at_the_gate_does_not_get_it(dispatch: Dispatch) -> None:
    paused, other = dispatch.people(2)
    of = dispatch.campaign()
    claim = dispatch.must_claim()
    _pause(dispatch, paused)
    withheld, passed = dispatch.ask(claim, of, [paused, other])
    assert withheld == Withheld(REASON)
    assert events_of([passed])
    assert dispatch.outcomes(of) == {paused: Outcome.WITHHELD}


def test_a_pause_after_the_freeze_is_found_at_the_claim(dispatch: Dispatch) -> None:
    paused, other = dispatch.people(2)
    of = dispatch.campaign()
    claim = dispatch.must_claim()
    _pause(dispatch, paused)
    assert [r.subscriber_id for r in dispatch.recipients(claim, of)] == [other]
    assert dispatch.outcomes(of) == {paused: Outcome.WITHHELD}


def test_an_audience_that_is_frozen_during_a_pause_counts_the_person_as_withheld_with_the_day(
    dispatch: Dispatch,
) -> None:
    paused, _ = dispatch.people(2)
    _pause(dispatch, paused)
    of = dispatch.campaign()
    counted = dispatch.status(of)
    assert (counted.audience, counted.withheld, counted.remaining) == (2, 1, 1)
    with dispatch.engine.begin() as conn:
        assert conn.execute(select(delivery.c.reply)).scalars().all() == [REASON]


def test_whoever_left_or_stands_on_the_never_mail_list_is_said_to_even_during_a_pause(dispatch: Dispatch) -> None:
    left, complained = dispatch.people(2)
    for who in (left, complained):
        _pause(dispatch, who)
    dispatch.withdraw(left)
    dispatch.suppress("p1@example.de")
    of = dispatch.campaign()
    with dispatch.engine.begin() as conn:
        reasons = dict(conn.execute(select(delivery.c.subscriber_id, delivery.c.reply)).all())
    assert reasons == {left: "withdrew the consent", complained: "suppressed: complaint"}
    assert dispatch.status(of).withheld == 2


@pytest.mark.parametrize(("weeks", "day"), [(2, date(2026, 12, 7)), (4, date(2026, 12, 21)), (8, date(2027, 1, 18))])
def test_a_pause_lasts_whole_weeks_and_ends_where_the_senders_day_begins(
    dispatch: Dispatch, weeks: int, day: date
) -> None:
    (who,) = dispatch.people(1)
    assert _pause(dispatch, who, weeks) == day
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=1)  # in Berlin, in winter
    assert _resume_due(dispatch, midnight - timedelta(seconds=1)) == 0
    assert _until(dispatch, who) == day
    assert _resume_due(dispatch, midnight) == 1
    assert _until(dispatch, who) is None
    assert _resume_due(dispatch, midnight) == 0
    of = dispatch.campaign()
    assert events_of(dispatch.ask(dispatch.must_claim(), of, [who]))


def test_both_ends_of_a_pause_stand_in_the_ledger_and_the_consent_stays_what_it_was(dispatch: Dispatch) -> None:
    (who,) = dispatch.people(1)
    with dispatch.engine.begin() as conn:
        before = consent.standing(conn, who)
        pauses.pause(conn, who, 4, PAGE, NOW)
        assert pauses.resume(conn, who, PAGE, NOW)
        assert not pauses.resume(conn, who, PAGE, NOW)
        assert consent.standing(conn, who) == before
    assert _kinds(dispatch, who) == [
        ("imported", TOPIC, "a test"),
        ("paused", None, "preferences page"),
        ("resumed", None, "preferences page"),
    ]


def test_a_second_pause_takes_the_place_of_the_first(dispatch: Dispatch) -> None:
    (who,) = dispatch.people(1)
    _pause(dispatch, who, 8)
    assert _pause(dispatch, who, 2) == date(2026, 12, 7)
    assert _until(dispatch, who) == date(2026, 12, 7)


@pytest.mark.parametrize("weeks", [0, -2, 3, 520])
def test_a_pause_that_nobody_is_offered_is_not_made(dispatch: Dispatch, weeks: int) -> None:
    (who,) = dispatch.people(1)
    with pytest.raises(ValueError, match="weeks"):
        _pause(dispatch, who, weeks)
    assert _until(dispatch, who) is None
