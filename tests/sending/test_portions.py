"""A large audience is frozen in portions, and letters go out meanwhile: nobody is left out, nobody is in it twice."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, select

from dispatcher.db import clock
from dispatcher.db.tables import batch
from dispatcher.db.terms import CampaignState, Language, Topic
from dispatcher.domain.audience import audiences
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign, Draft
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import endings, launch, release, sweep
from tests import builders
from tests.relay import ScriptedRelay
from tests.sending.leaving import open_kept
from tests.stage import Stage


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiences, "FIRST_PORTION", 2)
    monkeypatch.setattr(audiences, "PORTION", 3)


def _get(stage: Stage, campaign_id: int) -> Campaign:
    with stage.engine.begin() as conn:
        return campaigns.get(conn, campaign_id)


def _begin(stage: Stage, campaign_id: int) -> bool:
    return sweep.begin(stage.engine, campaign_id, stage.house)


def _paged(stage: Stage) -> list[list[int]]:
    """Give the people of each batch by its number, from 0 on without a gap."""
    with stage.engine.begin() as conn:
        rows = conn.execute(select(batch.c.no, batch.c.subscriber_ids).order_by(batch.c.no)).all()
    assert [row.no for row in rows] == list(range(len(rows)))
    return [list(row.subscriber_ids) for row in rows]


def _everybody(stage: Stage) -> Counter[int]:
    return Counter(who for page in _paged(stage) for who in page)


def test_letters_go_out_while_the_rest_is_still_to_be_frozen_and_it_is_sent_after_the_last(stage: Stage) -> None:
    people = stage.add(7)
    campaign_id = stage.campaign()
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        assert sorted(a.recipient for a in relay.accepted) == people[:2]
        first = stage.status(campaign_id)
        assert (first.state, first.is_launching, first.audience, first.sent) == (CampaignState.SENDING, True, 2, 2)
        assert (first.remaining, first.eta_s) == (0, None)
        assert _begin(stage, campaign_id)
        assert stage.status(campaign_id).audience == 5
        sweep.tick(stage.engine, stage.house)
        stage.drain(relay.relay())
    assert sorted(a.recipient for a in relay.accepted) == people
    last = stage.status(campaign_id)
    assert (last.state, last.is_launching, last.audience, last.sent) == (CampaignState.SENT, False, 7, 7)
    assert not _begin(stage, campaign_id)


@pytest.mark.parametrize("people", [0, 1, 2, 3, 5, 6, 8])
def test_an_audience_of_any_size_is_whole_after_its_portions(stage: Stage, people: int) -> None:
    stage.add(people)
    campaign_id = stage.campaign()
    portions = 1
    while _begin(stage, campaign_id):
        portions += 1
    assert portions == 1 + -(-max(people - 2, 0) // 3)
    assert _everybody(stage) == Counter(stage.ids.values())
    assert (_get(stage, campaign_id).audience, _get(stage, campaign_id).is_launching) == (people, False)


def test_a_portion_that_was_cut_off_is_all_or_nothing_and_the_tick_goes_on_there(stage: Stage) -> None:
    stage.add(7)
    stage.withdraw("p3@example.de")
    campaign_id = stage.campaign()
    before, cut = _get(stage, campaign_id), list[str]()

    @event.listens_for(stage.engine, "before_cursor_execute")
    def _cut_off(_conn, _cursor, statement, *_) -> None:
        if "INSERT INTO batch" in statement and not cut:
            cut.append(statement)
            raise InterruptedError("killed")

    with pytest.raises(InterruptedError):
        _begin(stage, campaign_id)
    assert _get(stage, campaign_id) == before
    assert sweep.tick(stage.engine, stage.house).launching == (campaign_id,)
    assert sweep.tick(stage.engine, stage.house).launching == ()
    withheld = stage.ids["p3@example.de"]
    assert _everybody(stage) == Counter(set(stage.ids.values()) - {withheld})
    assert (stage.status(campaign_id).audience, stage.status(campaign_id).withheld) == (7, 1)


def test_of_many_who_go_on_at_once_each_freezes_portions_of_its_own(stage: Stage) -> None:
    stage.add(20)
    campaign_id = stage.campaign()
    start = threading.Barrier(3)

    def go_on() -> None:
        start.wait(10)
        while _begin(stage, campaign_id):
            pass

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert _everybody(stage) == Counter(stage.ids.values())
    assert _get(stage, campaign_id).audience == 20


def test_a_campaign_that_is_cancelled_under_way_gets_no_more_people(stage: Stage) -> None:
    stage.add(7)
    campaign_id = stage.campaign()
    stage.move(campaign_id, CampaignState.CANCELLED)
    assert not _begin(stage, campaign_id)
    sweep.tick(stage.engine, stage.house)
    assert (stage.status(campaign_id).audience, stage.status(campaign_id).is_launching) == (2, False)
    assert len(_everybody(stage)) == 2


def test_the_audience_of_a_paused_campaign_comes_to_its_end_and_no_letter_leaves(stage: Stage) -> None:
    stage.add(7)
    campaign_id = stage.campaign()
    stage.move(campaign_id, CampaignState.PAUSED)
    while _begin(stage, campaign_id):
        pass
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        assert (relay.accepted, stage.status(campaign_id).state) == ([], CampaignState.PAUSED)
        stage.move(campaign_id, CampaignState.SENDING)
        stage.drain(relay.relay())
    assert (len(relay.accepted), stage.status(campaign_id).state) == (7, CampaignState.SENT)


def test_a_campaign_whose_letters_go_out_already_is_taken_further_before_others_begin(stage: Stage) -> None:
    stage.add(3)
    under_way = stage.campaign()
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        other = builders.create_campaign(conn, now)
        release.schedule(conn, other, now, "UTC", stage.stationery, stage.house)
        assert launch.due(conn, now) == [under_way, other]


def test_whoever_leaves_while_it_is_launched_is_withheld_and_whoever_comes_is_written_to(stage: Stage) -> None:
    stage.add(6)
    campaign_id = stage.campaign()
    stage.withdraw("p0@example.de")  # is in a batch already
    stage.withdraw("p5@example.de")  # is not frozen yet
    (late,) = stage.add(1, prefix="late")
    while _begin(stage, campaign_id):
        pass
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    wanted = [late, *(f"p{number}@example.de" for number in range(1, 5))]
    assert sorted(a.recipient for a in relay.accepted) == sorted(wanted)
    status = stage.status(campaign_id)
    assert (status.audience, status.sent, status.withheld, status.state) == (7, 5, 2, CampaignState.SENT)


def test_an_audience_that_is_tried_by_subjects_is_frozen_at_once(stage: Stage) -> None:
    stage.add(20)
    content = builders.CONTENT.replace("title:", "subjects: [Gold steigt, Gold fällt]\ntitle:")
    draft = Draft(Topic.FINANCE_NEWS, "x", "Gold", Language.DE, {Language.DE: ("news.de.md", content)})
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        campaign_id = release.draft(conn, draft, stage.house, now)
        release.start(conn, campaign_id, now, stage.stationery, stage.house)
    assert _begin(stage, campaign_id)
    assert (_get(stage, campaign_id).audience, _get(stage, campaign_id).is_launching) == (20, False)
    with stage.engine.begin() as conn:
        assert set(conn.execute(select(batch.c.variant)).scalars()) == {1, 2, None}


def test_a_restore_to_the_middle_of_a_launch_leaves_out_whoever_was_not_frozen_yet_and_says_so(
    engine: Engine, keyring: Keyring, tmp_path: Path, stage: Stage
) -> None:
    kept = open_kept(engine, keyring, tmp_path)
    stage = replace(stage, engine=kept.engine)
    people = stage.add(7)
    campaign_id = stage.campaign()
    kept.back_up()
    with ScriptedRelay() as relay:
        assert _begin(stage, campaign_id)
        stage.drain(relay.relay(), stop=lambda: len(relay.accepted) >= 3)
        kept.put_back()
        assert endings.settle(kept.engine, kept.file) is not None
        held = stage.status(campaign_id)
        assert (held.state, held.audience, held.is_launching) == (CampaignState.PAUSED, 2, False)
        assert "whoever was not in it yet is left out" in (held.problem or "")
        stage.move(campaign_id, CampaignState.SENDING)
        assert not _begin(stage, campaign_id)
        stage.drain(relay.relay())
    assert {a.recipient for a in relay.accepted} < set(people)
    assert max(Counter(a.recipient for a in relay.accepted).values()) == 1
    assert stage.status(campaign_id).state is CampaignState.SENT
