"""Old newsletters: rows become counts, figures stay, and nothing of a campaign under way is touched."""

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import update

from dispatcher.db.tables import (
    campaign,
)
from dispatcher.db.terms import CampaignState, Outcome
from dispatcher.domain.newsletters import accounts, campaigns
from dispatcher.domain.newsletters.shares import FOLDED, By, shares
from dispatcher.domain.retention import Step
from tests.domain.dispatch import NOW, Dispatch, final
from tests.domain.keeping import BERLIN, DAY, SECOND, Keeping


def _sent(dispatch: Dispatch, count: int) -> tuple[int, list[int]]:
    """Send a campaign to so many people, who all get it but one; it ends now."""
    people = dispatch.people(count)
    of = dispatch.campaign()
    dispatch.record(*(final(of, who, Outcome.SENT, 1, 250) for who in people[1:]))
    dispatch.record(final(of, people[0], Outcome.FAILED, code=550))
    with dispatch.engine.begin() as conn:
        values = {"state": CampaignState.SENT, "finished_at": dispatch.now}
        conn.execute(update(campaign).where(campaign.c.id == of.id).values(values))
    return of.id, people


def test_rows_of_an_old_newsletter_become_counts_and_its_figures_stay(dispatch: Dispatch) -> None:
    keeping = Keeping(dispatch.engine, dispatch.keyring)
    campaign_id, _ = _sent(dispatch, 5)
    with dispatch.engine.begin() as conn:
        before = accounts.status(conn, campaigns.get(conn, campaign_id), NOW)
    due = datetime(2028, 11, 23, 9, 0, tzinfo=UTC)
    assert keeping.run(due - SECOND) == {}
    assert keeping.planned(due) == {Step.DELIVERIES: (5, NOW)}
    assert keeping.run(due) == {Step.DELIVERIES: 5}
    assert keeping.rows("delivery") == []
    assert keeping.rows("batch") == []
    with dispatch.engine.begin() as conn:
        of = campaigns.get(conn, campaign_id)
        assert replace(accounts.status(conn, of, NOW), rate_per_s=0) == replace(before, rate_per_s=0)
        (part,) = shares(conn, of, By.RELAY)
    assert (part.name, part.audience, part.sent, part.failed) == (FOLDED, 5, 4, 1)
    assert keeping.run(due + DAY) == {}


def test_rows_of_who_complained_stay_as_long_as_their_proof(dispatch: Dispatch) -> None:
    keeping = Keeping(dispatch.engine, dispatch.keyring)
    _, people = _sent(dispatch, 3)
    dispatch.suppress("p1@example.de")
    dispatch.withdraw(people[1])
    due = datetime(2028, 11, 23, 9, 0, tzinfo=UTC)
    keeping.run(due)
    assert [row.subscriber_id for row in keeping.rows("delivery")] == [people[1]]
    assert keeping.run(datetime(2030, 1, 1, tzinfo=BERLIN))[Step.DELIVERIES] == 1
    assert keeping.rows("delivery") == []
    assert sum(row.people for row in keeping.rows("delivery_count")) == 3


def test_a_campaign_under_way_is_not_folded_however_old_it_is(dispatch: Dispatch) -> None:
    keeping = Keeping(dispatch.engine, dispatch.keyring)
    (who,) = dispatch.people(1)
    of = dispatch.campaign()
    dispatch.record(final(of, who, Outcome.SENT, 1, 250))
    assert keeping.run(NOW + 2000 * DAY) == {}
    assert len(keeping.rows("delivery")) == 1
