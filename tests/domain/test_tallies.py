"""The figures at a glance are those of the rows. What happens from step to step, `Dispatch.status` compares everywhere;
here is what happens seldom.
"""

from datetime import timedelta

from sqlalchemy import update

from dispatcher.db.tables import campaign
from dispatcher.db.terms import CampaignState, Outcome
from dispatcher.domain import folding
from dispatcher.domain.newsletters import campaigns, on_hold, tallies
from dispatcher.domain.newsletters.on_hold import Since
from dispatcher.domain.newsletters.tallies import Tally
from tests.domain.dispatch import TOPIC, Dispatch, final


def test_several_campaigns_are_counted_at_once_and_none_has_anothers_figures(dispatch: Dispatch) -> None:
    people = dispatch.people(4)
    first, second, third = dispatch.campaign(), dispatch.campaign(), dispatch.campaign()
    dispatch.must_claim()
    dispatch.record(*(final(first, who, Outcome.FAILED, None, 550) for who in people[:3]))
    dispatch.must_claim()
    dispatch.record(final(second, people[0], Outcome.UNKNOWN, 1))
    with dispatch.engine.connect() as conn:
        stand = [campaigns.get(conn, of.id) for of in (third, first, second)]
        counted = tallies.tallies(conn, stand)
    assert counted == {
        first.id: Tally(audience=4, failed=3, remaining=1),
        second.id: Tally(audience=4, unknown=1, remaining=3),
        third.id: Tally(audience=4, remaining=4),
    }
    assert counted[first.id].served == 3


def test_people_in_doubt_after_a_restore_are_counted_though_nobody_claimed_their_batch(dispatch: Dispatch) -> None:
    dispatch.people(3)
    of = dispatch.campaign()
    with dispatch.engine.begin() as conn:
        on_hold.hold(conn, Since({of.id: TOPIC}, {of.id: frozenset({0})}), dispatch.now)
    status = dispatch.status(of)
    assert (status.unknown, status.remaining) == (3, 0)


def test_a_cancelled_campaign_whose_rows_became_counts_keeps_its_figures(dispatch: Dispatch) -> None:
    people = dispatch.people(3)
    of = dispatch.campaign()
    dispatch.must_claim()
    dispatch.record(final(of, people[0], Outcome.SENT, 1, 250), final(of, people[1], Outcome.FAILED, None, 550))
    dispatch.move(of, CampaignState.CANCELLED)
    with dispatch.engine.begin() as conn:
        conn.execute(update(campaign).values(finished_at=dispatch.now))
    before = dispatch.status(of)
    with dispatch.engine.begin() as conn:
        folded, _ = folding.fold(conn, dispatch.now + timedelta(days=1), ())
    assert folded == 2
    assert dispatch.status(of) == before
    assert (before.sent, before.failed, before.remaining) == (1, 1, 1)


def test_what_is_over_is_counted_once_and_an_answer_that_comes_late_is_still_seen(dispatch: Dispatch) -> None:
    people = dispatch.people(3)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.record(
        final(of, people[0], Outcome.FAILED, None, 550),
        final(of, people[1], Outcome.UNKNOWN, 1),
        final(of, people[2], Outcome.SENT, 1, 250),
    )
    dispatch.settle(mine)
    dispatch.move(of, CampaignState.SENT)
    memory = tallies.Memory()

    def counted() -> Tally:
        with dispatch.engine.connect() as conn:
            return tallies.tallies(conn, [campaigns.get(conn, of.id)], memory)[of.id]

    assert counted() == counted() == Tally(audience=3, sent=1, failed=1, unknown=1)
    dispatch.record(final(of, people[1], Outcome.SENT, 1, 250))
    assert counted() == Tally(audience=3, sent=2, failed=1)
