"""A campaign that goes out when each reader's own clock shows its time: batches of one moment each, nobody left out."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from dispatcher.db.tables import batch, campaign, subscriber
from dispatcher.db.terms import CampaignState, Outcome
from dispatcher.domain.audience import audiences, dealing_out, local_time
from dispatcher.domain.audience.local_time import Wave
from dispatcher.domain.delivery import poison
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.newsletters import campaigns, missing
from dispatcher.domain.newsletters.campaigns import Campaign
from tests import builders
from tests.domain.dispatch import NOW, TOPIC, Dispatch, final

WALL, ZONE = "2026-11-23T12:00", "Europe/Berlin"  # 11:00 UTC; NOW is 09:00 UTC
HOUR = timedelta(hours=1)


def _live_in(dispatch: Dispatch, people: list[int], zone: str) -> None:
    with dispatch.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.id.between(people[0], people[-1])).values(zone=zone))


def _launched(dispatch: Dispatch) -> Campaign:
    with dispatch.engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, dispatch.now)
        values = {"state": CampaignState.SENDING, "launched_at": dispatch.now, "wall_time": WALL, "zone": ZONE}
        conn.execute(update(campaign).where(campaign.c.id == campaign_id).values(**values))
        dues = local_time.dues(conn, WALL, ZONE)
        size = dealing_out.freeze(conn, campaign_id, audiences.everyone(TOPIC), dispatch.now, dues)
        campaigns.note_audience(conn, campaign_id, size)
        return campaigns.get(conn, campaign_id)


def _at(hour: int) -> datetime:
    return datetime(2026, 11, 23, hour, tzinfo=UTC)


def test_each_batch_is_of_one_provider_and_one_moment_and_everybody_is_in_one(dispatch: Dispatch) -> None:
    people = dispatch.people(1_300)
    _live_in(dispatch, people[:200], "Asia/Tokyo")  # whose noon has passed
    _live_in(dispatch, people[200:400], "Europe/London")
    _live_in(dispatch, people[400:1_000], "America/New_York")
    _live_in(dispatch, people[1_000:1_100], "Europe/Vienna")  # the same moment as Berlin's
    with dispatch.engine.begin() as conn:
        conn.execute(
            update(subscriber).where(subscriber.c.id.between(people[300], people[699])).values(provider="google")
        )
    of = _launched(dispatch)
    assert of.audience == 1_300
    with dispatch.engine.begin() as conn:
        rows = conn.execute(select(batch).order_by(batch.c.no)).all()
        of_whom = {r.id: (r.zone, r.provider) for r in conn.execute(select(subscriber)).all()}
    assert [row.no for row in rows] == list(range(len(rows)))
    assert sorted(i for row in rows for i in row.subscriber_ids) == people
    due = {"Asia/Tokyo": None, "Europe/London": _at(12), "America/New_York": _at(17), "Europe/Vienna": _at(11)}
    for row in rows:
        assert {(due.get(of_whom[i][0], _at(11)), of_whom[i][1]) for i in row.subscriber_ids} == {
            (row.due_at, row.provider)
        }
        assert row.not_before == row.due_at
        assert len(row.subscriber_ids) <= dealing_out.PAGE
    assert Counter(len(row.subscriber_ids) for row in rows)[100] >= 2  # Londoners of both providers


def test_a_batch_is_claimed_when_its_clocks_come_to_the_time_and_not_before(dispatch: Dispatch) -> None:
    (tokyo, london, nowhere) = dispatch.people(3)
    _live_in(dispatch, [tokyo], "Asia/Tokyo")
    _live_in(dispatch, [london], "Europe/London")
    of = _launched(dispatch)
    dispatch.settle(_served(dispatch, of, dispatch.must_claim(), tokyo))
    assert dispatch.claim() is None
    assert dispatch.status(of).next_at == _at(11)
    dispatch.now = _at(11) - timedelta(microseconds=1)
    assert dispatch.claim() is None
    dispatch.now = _at(11)
    dispatch.settle(_served(dispatch, of, dispatch.must_claim(), nowhere))
    assert dispatch.claim() is None
    dispatch.now = _at(12)
    dispatch.settle(_served(dispatch, of, dispatch.must_claim(), london))
    assert dispatch.status(of).next_at is None
    assert dispatch.is_complete(of)


def _served(dispatch: Dispatch, of: Campaign, claim: Claim, who: int) -> Claim:
    assert claim.subscriber_ids == (who,)
    dispatch.record(final(of, who, Outcome.SENT, 1, 250))
    return claim


def test_a_letter_that_is_put_off_is_given_up_counted_from_its_own_time(dispatch: Dispatch) -> None:
    (london,) = dispatch.people(1)
    _live_in(dispatch, [london], "America/New_York")
    of = _launched(dispatch)
    dispatch.now = _at(17)
    claim = dispatch.must_claim()
    assert claim.due_at == _at(17)
    assert of.expires_at(claim.due_at) == _at(17) + 12 * HOUR
    assert of.expires_at(None) == NOW + 12 * HOUR


def test_halves_of_a_batch_keep_its_time(dispatch: Dispatch) -> None:
    people = dispatch.people(4)
    _live_in(dispatch, people, "Europe/London")
    of = _launched(dispatch)
    dispatch.now = _at(12)
    for _ in range(poison.MOST_ATTEMPTS + 1):
        claim = dispatch.take_over()
        with dispatch.engine.begin() as conn:
            poison.weigh(conn, claim, list(people), dispatch.now)
    with dispatch.engine.begin() as conn:
        rows = conn.execute(select(batch.c.due_at).where(batch.c.campaign_id == of.id)).scalars().all()
    assert rows == [_at(12), _at(12)]


def test_who_is_missing_is_told_when_their_time_comes(dispatch: Dispatch) -> None:
    (london,) = dispatch.people(1)
    _live_in(dispatch, [london], "Europe/London")
    of = _launched(dispatch)
    with dispatch.engine.begin() as conn:
        (told,) = missing.everyone(conn, of)
    assert told.reason == "not yet tried: by the clock there at 2026-11-23 12:00 UTC"


def test_whose_clocks_agree_is_one_wave_and_a_zone_that_there_is_no_more_counts_as_none(dispatch: Dispatch) -> None:
    people = dispatch.people(5)
    for who, zone in zip(people, ["Asia/Tokyo", "Europe/Vienna", "Europe/Berlin", "Europe/Entenhausen"], strict=False):
        _live_in(dispatch, [who], zone)
    dispatch.withdraw(people[2])
    with dispatch.engine.begin() as conn:
        found = local_time.waves(conn, audiences.everyone(TOPIC), WALL, ZONE)
    assert found == [
        Wave(_at(3), ("Asia/Tokyo",), 1),
        Wave(_at(11), ("", "Europe/Entenhausen", "Europe/Vienna"), 3),
    ]
    assert local_time.first(found, _at(11), NOW) == NOW
    assert local_time.first(found[1:], _at(11), NOW) == _at(11)
    assert local_time.first([], _at(11), NOW) == _at(11)
