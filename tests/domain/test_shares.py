"""A campaign taken apart: whatever happened to whom, the parts add up to the whole."""

import pytest
from sqlalchemy import update

from dispatcher.db.tables import subscriber
from dispatcher.db.terms import Outcome
from dispatcher.domain.ledger import Final
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.shares import By, Share, shares
from tests.domain.dispatch import RELAY, Dispatch, deferred, events_of, final

FIGURES = ("audience", "sent", "deferred", "failed", "unknown", "withheld", "remaining")


def _shares(dispatch: Dispatch, of: Campaign, by: By) -> list[Share]:
    with dispatch.engine.begin() as conn:
        return shares(conn, of, by)


@pytest.fixture
def underway(dispatch: Dispatch) -> Campaign:
    """Give a campaign of eight: of each outcome one, three not yet tried; two of them are Google's."""
    people = dispatch.people(8)
    with dispatch.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.id.in_(people[:2])).values(provider="google"))
    dispatch.withdraw(people[4])
    of = dispatch.campaign()
    claims = {claim.provider: claim for claim in (dispatch.must_claim(), dispatch.must_claim())}
    (event,) = events_of(dispatch.ask(claims["google"], of, people[:1]))
    until = dispatch.now.replace(hour=23)
    dispatch.record(
        final(of, people[0], Outcome.SENT, event, 250),
        deferred(of, people[1], until, batch_no=claims["google"].no),
        Final(of.id, people[2], Outcome.FAILED, None, None, "could not be composed", None),
        Final(of.id, people[3], Outcome.UNKNOWN, event, None, "lost", "another.example.de:25"),
    )
    return of


def test_by_provider(dispatch: Dispatch, underway: Campaign) -> None:
    assert _shares(dispatch, underway, By.PROVIDER) == [
        Share("other", 6, sent=0, deferred=0, failed=1, unknown=1, withheld=1, remaining=3),
        Share("google", 2, sent=1, deferred=1, failed=0, unknown=0, withheld=0, remaining=0),
    ]


def test_by_relay_with_those_whom_no_relay_was_asked_about(dispatch: Dispatch, underway: Campaign) -> None:
    assert _shares(dispatch, underway, By.RELAY) == [
        Share("none", 5, sent=0, deferred=0, failed=1, unknown=0, withheld=1, remaining=3),
        Share(RELAY, 2, sent=1, deferred=1, failed=0, unknown=0, withheld=0, remaining=0),
        Share("another.example.de:25", 1, sent=0, deferred=0, failed=0, unknown=1, withheld=0, remaining=0),
    ]


@pytest.mark.parametrize("by", list(By))
def test_the_parts_add_up_to_the_whole_figure_by_figure(dispatch: Dispatch, underway: Campaign, by: By) -> None:
    with dispatch.engine.begin() as conn:  # whom DNS has moved to another provider since
        conn.execute(update(subscriber).where(subscriber.c.provider == "other").values(provider="microsoft"))
    parts, whole = _shares(dispatch, underway, by), dispatch.status(underway)
    assert {f: sum(getattr(part, f) for part in parts) for f in FIGURES} == {f: getattr(whole, f) for f in FIGURES}


def test_before_its_launch_a_campaign_has_no_parts(dispatch: Dispatch) -> None:
    of = dispatch.campaign()
    assert _shares(dispatch, of, By.PROVIDER) == []
