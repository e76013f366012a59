"""An audience is dealt out by mailbox provider: no batch mixes them, each has its share of every stretch, and one that
is closed stands in nobody's way.
"""

from collections import Counter

from sqlalchemy import select, update

from dispatcher.db.tables import batch, campaign, subscriber
from dispatcher.db.terms import CampaignKind
from dispatcher.domain.audience import dealing_out
from dispatcher.domain.delivery import batches
from dispatcher.domain.delivery.batches import Closed
from tests.domain.dispatch import Dispatch


def _move(dispatch: Dispatch, people: list[int], provider: str) -> None:
    with dispatch.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.id.between(people[0], people[-1])).values(provider=provider))


def _dealt(dispatch: Dispatch) -> list[tuple[str, list[int]]]:
    with dispatch.engine.begin() as conn:
        rows = conn.execute(select(batch.c.no, batch.c.provider, batch.c.subscriber_ids).order_by(batch.c.no)).all()
    assert [row.no for row in rows] == list(range(len(rows)))
    return [(row.provider, list(row.subscriber_ids)) for row in rows]


def _claim(dispatch: Dispatch, closed: Closed) -> tuple[int, str] | None:
    with dispatch.engine.begin() as conn:
        claim = batches.claim(conn, "a", [CampaignKind.NEWSLETTER], dispatch.now, closed)
    return (claim.no, claim.provider) if claim else None


def test_a_batch_holds_people_of_one_provider_and_everybody_is_in_one(dispatch: Dispatch) -> None:
    people = dispatch.people(1_300)
    _move(dispatch, people[100:800], "google")
    of = dispatch.campaign()
    dealt = _dealt(dispatch)
    assert of.audience == 1_300
    assert sorted(i for _, ids in dealt for i in ids) == people
    assert sorted(i for provider, ids in dealt for i in ids if provider == "google") == people[100:800]
    assert Counter(provider for provider, _ in dealt) == {"google": 2, "other": 2}
    assert sorted(len(ids) for _, ids in dealt) == [100, 200, 500, 500]


def test_the_batches_of_all_providers_alternate_each_in_proportion(dispatch: Dispatch) -> None:
    people = dispatch.people(4_500)
    _move(dispatch, people[:3_000], "google")
    _move(dispatch, people[3_000:4_000], "gmx-webde")
    dispatch.campaign()
    order = [provider for provider, _ in _dealt(dispatch)]
    google, gmx = "google", "gmx-webde"
    assert order == [google, gmx, google, google, "other", google, gmx, google, google]


def test_a_confirmation_goes_by_the_provider_of_the_one_who_asked(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    _move(dispatch, [maria], "apple")
    of = dispatch.campaign()
    with dispatch.engine.begin() as conn:
        conn.execute(batch.delete())
        dealing_out.freeze_one(conn, of.id, maria)
    assert _dealt(dispatch) == [("apple", [maria])]


def test_a_claim_passes_over_what_is_closed_and_takes_what_comes_behind_it(dispatch: Dispatch) -> None:
    people = dispatch.people(2_000)
    _move(dispatch, people[:1_500], "google")
    dispatch.campaign()
    order = [provider for provider, _ in _dealt(dispatch)]
    assert order == ["google", "google", "other", "google"]  # of two at the same part the alphabet's first
    closed = Closed(providers=frozenset({"google"}))
    with dispatch.engine.begin() as conn:
        assert batches.waiting(conn, [CampaignKind.NEWSLETTER], dispatch.now, 10, closed) == 1
    assert _claim(dispatch, closed) == (2, "other")
    assert _claim(dispatch, closed) is None
    assert _claim(dispatch, Closed(providers=frozenset({"yahoo"}))) == (0, "google")


def test_a_campaign_that_is_closed_stands_in_no_other_campaigns_way(dispatch: Dispatch) -> None:
    dispatch.people(1)
    first, second = dispatch.campaign(priority=10), dispatch.campaign()
    closed = Closed(campaigns=frozenset({first.id}))
    with dispatch.engine.begin() as conn:
        claim = batches.claim(conn, "a", [CampaignKind.NEWSLETTER], dispatch.now, closed)
        assert claim is not None
        assert claim.campaign_id == second.id
        assert conn.execute(select(campaign.c.id).order_by(campaign.c.id)).scalars().all() == [first.id, second.id]
    assert _claim(dispatch, closed) is None
