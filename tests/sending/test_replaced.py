"""Content that is replaced: before the launch, and while letters are out. Nobody gets two, and each row of the ledger
says which edition went.
"""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from dispatcher.db import clock
from dispatcher.db.tables import batch, campaign, delivery, edition
from dispatcher.db.terms import BatchState, CampaignState, Hold, Language
from dispatcher.domain.delivery import batches, flights
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.staff.audit import NOBODY
from dispatcher.errors import ContentInvalid, InputRefused, MoveRefused
from dispatcher.sending import release, sweep
from dispatcher.zone import ZONE
from tests import builders
from tests.relay import ScriptedRelay
from tests.stage import Stage

HOUR = timedelta(hours=1)


def _content(stage: Stage, ago: timedelta, words: str = "Gold", good_for: str = "prices_good_for: 4h\n") -> str:
    as_of = f"{(stage.now() - ago).astimezone(ZONE):%Y-%m-%d %H:%M}"
    return f"---\nlanguage: de\ntitle: {words}\nas_of: {as_of}\n{good_for}---\n{{{{ greeting }}}}, {words} steigt.\n"


def _released(stage: Stage, content: str, wait: timedelta = timedelta()) -> Campaign:
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        campaign_id = builders.create_campaign(conn, now, content=content)
        return release.schedule(conn, campaign_id, now + wait, "UTC", stage.stationery, stage.house)


def _put_in(stage: Stage, campaign_id: int, content: str) -> Campaign:
    with stage.engine.begin() as conn:
        contents = {Language.DE: ("new.de.md", content)}
        return release.replace(conn, campaign_id, contents, NOBODY, stage.house, clock.now(conn))


def _replace(stage: Stage, campaign_id: int, content: str) -> Campaign:
    """Put it in, and release it as the old one was."""
    of = _put_in(stage, campaign_id, content)
    with stage.engine.begin() as conn:
        if of.state is CampaignState.PAUSED:
            return release.renew(conn, campaign_id, clock.now(conn), stage.stationery, stage.house)
        assert of.send_at is not None
        return release.schedule(conn, campaign_id, of.send_at, "UTC", stage.stationery, stage.house)


def _age(stage: Stage, campaign_id: int) -> None:
    """Let its prices be too old from now on, as if their hours had passed."""
    with stage.engine.begin() as conn:
        values = {"prices_until": clock.now(conn), "epoch": campaign.c.epoch + 1}
        conn.execute(update(campaign).where(campaign.c.id == campaign_id).values(**values))


def _held_midway(stage: Stage, relay: ScriptedRelay) -> Campaign:
    of = _released(stage, _content(stage, HOUR, "Silber"))
    assert sweep.begin(stage.engine, of.id, stage.house)
    aged = []

    def look() -> bool:
        if len(relay.accepted) >= 5 and not aged:
            aged.append(_age(stage, of.id))
        return False

    stage.drain(relay.relay(lanes=2), stop=look)
    return _get(stage, of.id)


def _get(stage: Stage, campaign_id: int) -> Campaign:
    with stage.engine.begin() as conn:
        return campaigns.get(conn, campaign_id)


def test_a_campaign_whose_prices_grow_old_under_way_is_held_and_goes_on_with_new_ones(stage: Stage) -> None:
    people = stage.add(30)
    with ScriptedRelay() as relay:
        held = _held_midway(stage, relay)
        assert (held.state, held.hold) == (CampaignState.PAUSED, Hold.STALE_PRICES)
        assert 5 <= len(relay.accepted) < 30
        old = {letter.recipient for letter in relay.accepted}
        assert _replace(stage, held.id, _content(stage, timedelta(minutes=1), "Platin")).state is CampaignState.SENDING
        stage.drain(relay.relay(lanes=2))
    assert sorted(letter.recipient for letter in relay.accepted) == sorted(people)
    for letter in relay.accepted:
        assert (b"Silber steigt" in letter.raw, b"Platin steigt" in letter.raw) == (
            letter.recipient in old,
            letter.recipient not in old,
        )
    with stage.engine.begin() as conn:
        rows = {r.subscriber_id: r.edition_no for r in conn.execute(select(delivery))}
        assert rows == {stage.ids[who]: 1 if who in old else 2 for who in people}
        assert sorted(conn.execute(select(edition.c.no)).scalars()) == [1, 2]
    assert stage.status(held.id).state is CampaignState.SENT


def test_a_launch_with_old_prices_mails_nobody_and_is_held_by_the_tick(stage: Stage) -> None:
    stage.add(3)
    of = _released(stage, _content(stage, 5 * HOUR))
    sweep.tick(stage.engine, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert relay.accepted == []
    status = stage.status(of.id)
    assert (status.state, status.audience, status.remaining) == (CampaignState.PAUSED, 3, 3)
    assert status.problem is not None


def test_prices_that_are_too_old_are_not_started_nor_put_in_their_own_place(stage: Stage) -> None:
    content = _content(stage, 5 * HOUR)
    with stage.engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, clock.now(conn), content=content)
    with stage.engine.begin() as conn, pytest.raises(MoveRefused, match="cannot go out: its prices are of"):
        release.start(conn, campaign_id, clock.now(conn), stage.stationery, stage.house)
    assert _get(stage, campaign_id).state is CampaignState.DRAFT
    of = _released(stage, _content(stage, 5 * HOUR))
    sweep.tick(stage.engine, stage.house)
    with pytest.raises(MoveRefused, match="cannot go on: its prices are of"):
        _replace(stage, of.id, _content(stage, 6 * HOUR))
    assert _get(stage, of.id).edition_no == 1


def test_content_that_is_put_in_and_not_released_goes_to_nobody(stage: Stage) -> None:
    stage.add(1)
    waits = _released(stage, _content(stage, HOUR, "Silber"))
    runs = _released(stage, _content(stage, HOUR, "Silber"))
    assert sweep.begin(stage.engine, runs.id, stage.house)
    stage.move(runs.id, CampaignState.PAUSED)
    for of in (waits, runs):
        _put_in(stage, of.id, _content(stage, HOUR, "Platin"))
    sweep.tick(stage.engine, stage.house)
    assert _get(stage, waits.id).state is CampaignState.DRAFT
    for with_old_prices in (False, True):
        with stage.engine.begin() as conn, pytest.raises(MoveRefused, match="has new content that is not released"):
            release.resume(conn, runs.id, clock.now(conn), with_old_prices=with_old_prices)
    assert _replace(stage, runs.id, _content(stage, HOUR, "Silber")).state is CampaignState.PAUSED
    with stage.engine.begin() as conn:
        release.resume(conn, runs.id, clock.now(conn))


def test_prices_of_a_time_after_the_sending_are_refused(stage: Stage) -> None:
    with pytest.raises(InputRefused, match="of a time after it is sent"):
        _released(stage, _content(stage, -HOUR))
    assert _released(stage, _content(stage, -HOUR), wait=2 * HOUR).prices_until is not None


def test_a_letter_that_waits_for_its_time_is_frozen_anew_in_place(stage: Stage) -> None:
    stage.add(1)
    of = _released(stage, _content(stage, 5 * HOUR, "Silber"))
    now = _replace(stage, of.id, _content(stage, HOUR, "Platin"))
    assert (now.state, now.send_at, now.edition_no) == (CampaignState.SCHEDULED, of.send_at, 1)
    sweep.tick(stage.engine, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert [b"Platin" in letter.raw for letter in relay.accepted] == [True]


def test_what_one_paused_by_hand_gets_goes_out_when_it_is_resumed_by_hand(stage: Stage) -> None:
    stage.add(2)
    of = _released(stage, _content(stage, HOUR, good_for=""))
    assert sweep.begin(stage.engine, of.id, stage.house)
    stage.move(of.id, CampaignState.PAUSED)
    now = _replace(stage, of.id, _content(stage, HOUR, "Platin"))
    assert (now.state, now.edition_no) == (CampaignState.PAUSED, 2)
    with stage.engine.begin() as conn:
        release.resume(conn, of.id, clock.now(conn))
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert [b"Platin" in letter.raw for letter in relay.accepted] == [True, True]


def test_nothing_is_replaced_under_a_workers_hands_and_what_a_dead_one_left_is_settled_first(stage: Stage) -> None:
    (maria,) = stage.add(1)
    of = _released(stage, _content(stage, HOUR))
    assert sweep.begin(stage.engine, of.id, stage.house)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        claim = batches.claim(conn, "a", [of.kind], now)
        assert claim is not None
        flight = flights.entry(stage.ids[maria], 1, 1, "relay")
        conn.execute(update(batch).values(in_flight=flight))
    stage.move(of.id, CampaignState.PAUSED)
    with pytest.raises(MoveRefused, match="workers still hold letters"):
        _replace(stage, of.id, _content(stage, HOUR, "Platin"))
    with stage.engine.begin() as conn:
        conn.execute(update(batch).values(lease_until=now - HOUR))
    assert _replace(stage, of.id, _content(stage, HOUR, "Platin")).edition_no == 2
    with stage.engine.begin() as conn:
        row = conn.execute(select(delivery)).one()
        assert (row.outcome, row.edition_no) == ("unknown", 1)
        assert conn.execute(select(batch.c.state)).scalar_one() == BatchState.READY


@pytest.mark.parametrize("state", [CampaignState.SENDING, CampaignState.SENT, CampaignState.CANCELLED])
def test_what_is_under_way_or_over_keeps_its_content(stage: Stage, state: CampaignState) -> None:
    of = _released(stage, _content(stage, HOUR, "Silber"))
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).values(state=state))
    with pytest.raises(MoveRefused, match=f"is {state}: its content stays as it is"):
        _replace(stage, of.id, _content(stage, HOUR, "Platin"))
    with stage.engine.begin() as conn:
        assert "Silber" in campaigns.contents(conn, of.id)[Language.DE][1]


def test_content_that_cannot_be_composed_changes_nothing(stage: Stage) -> None:
    of = _released(stage, _content(stage, HOUR, "Silber"))
    with pytest.raises(ContentInvalid):
        _replace(stage, of.id, _content(stage, HOUR, "Platin").replace("{{ greeting }}", "{{ greting }}"))
    with stage.engine.begin() as conn:
        assert "Silber" in campaigns.contents(conn, of.id)[Language.DE][1]
        assert "Silber" in campaigns.editions(conn, of.id)[Language.DE]
