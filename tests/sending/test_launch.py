"""Launch: what is due begins once and whole, what is not due does not begin, and a cut-off launch is made up for."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select

from dispatcher.db import clock
from dispatcher.db.tables import batch
from dispatcher.db.terms import CampaignState, Language, Topic
from dispatcher.domain import consent
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.errors import ContentInvalid
from dispatcher.sending import launch, opt_in, release, sweep
from tests import builders
from tests.stage import Stage

SCHEDULED, PREPARING, SENDING, SENT = (
    CampaignState.SCHEDULED,
    CampaignState.PREPARING,
    CampaignState.SENDING,
    CampaignState.SENT,
)


def _release(stage: Stage, at: timedelta = timedelta(0)) -> int:
    """Release a campaign for a moment from now."""
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        campaign_id = builders.create_campaign(conn, now)
        release.schedule(conn, campaign_id, now + at, "UTC", stage.stationery, stage.house)
    return campaign_id


def _get(stage: Stage, campaign_id: int) -> Campaign:
    with stage.engine.begin() as conn:
        return campaigns.get(conn, campaign_id)


def _ask(stage: Stage, mail: str) -> int:
    with stage.engine.begin() as conn:
        wanted = opt_in.Request(parse_address(mail), "", Language.EN, [Topic.FINANCE_NEWS], Evidence(source="form"))
        letter = opt_in.request(conn, stage.keyring, wanted, clock.now(conn))
    assert letter is not None
    return letter


def test_the_tick_launches_what_is_due_and_leaves_what_is_not(stage: Stage) -> None:
    stage.add(3)
    due, later = _release(stage), _release(stage, timedelta(hours=1))
    work = sweep.tick(stage.engine, stage.house)
    assert (_get(stage, due).state, _get(stage, later).state) == (SENDING, SCHEDULED)
    assert _get(stage, due).audience == 3
    assert (work.newsletters, work.confirmations) == (1, 0)
    assert work.next_due_s is not None
    assert 3500 < work.next_due_s <= 3600


def test_a_draft_is_never_launched(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, clock.now(conn))
    sweep.tick(stage.engine, stage.house)
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    assert _get(stage, campaign_id).state is CampaignState.DRAFT


def test_a_wake_up_for_a_campaign_that_was_put_off_launches_nothing(stage: Stage) -> None:
    campaign_id = _release(stage, timedelta(hours=1))
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    assert _get(stage, campaign_id).state is SCHEDULED


def test_a_wake_up_for_no_campaign_at_all_is_harmless(stage: Stage) -> None:
    assert not sweep.begin(stage.engine, 4711, stage.house)


def test_a_second_wake_up_finds_nothing_to_do(stage: Stage) -> None:
    stage.add(3)
    campaign_id = _release(stage)
    assert sweep.begin(stage.engine, campaign_id, stage.house)
    launched = _get(stage, campaign_id)
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    assert _get(stage, campaign_id) == launched
    with stage.engine.begin() as conn:
        assert conn.execute(select(func.count()).select_from(batch)).scalar_one() == 1


def test_of_two_workers_that_launch_at_once_one_freezes_the_audience(stage: Stage) -> None:
    stage.add(3)
    campaign_id = _release(stage)
    start, launched = threading.Barrier(2), list[bool]()

    def begin() -> None:
        start.wait(10)
        launched.append(sweep.begin(stage.engine, campaign_id, stage.house))

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(launched) == [False, True]
    assert _get(stage, campaign_id).audience == 3


def test_a_launch_that_was_cut_off_is_all_or_nothing_and_is_done_by_the_next_tick(stage: Stage) -> None:
    stage.add(3)
    campaign_id = _release(stage)
    cut: list[str] = []

    @event.listens_for(stage.engine, "before_cursor_execute")
    def _cut_off(_conn, _cursor, statement, *_) -> None:
        if "INSERT INTO batch" in statement and not cut:
            cut.append(statement)
            raise InterruptedError("killed")

    with pytest.raises(InterruptedError):
        sweep.begin(stage.engine, campaign_id, stage.house)
    stopped = _get(stage, campaign_id)
    assert (stopped.state, stopped.audience, stopped.launched_at) == (PREPARING, None, None)
    sweep.tick(stage.engine, stage.house)
    assert (_get(stage, campaign_id).state, _get(stage, campaign_id).audience) == (SENDING, 3)


def test_a_cancelled_campaign_is_not_launched_whatever_has_begun(stage: Stage) -> None:
    campaign_id = _release(stage)
    with stage.engine.begin() as conn:
        launch.prepare(conn, campaign_id, clock.now(conn))
        campaigns.require_move(conn, campaign_id, CampaignState.CANCELLED)
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    assert _get(stage, campaign_id).state is CampaignState.CANCELLED


def test_the_mail_that_a_person_waits_for_is_due_before_all_newsletters(stage: Stage) -> None:
    newsletter = _release(stage, timedelta(hours=-1))
    letter = _ask(stage, "maria@example.de")
    with stage.engine.begin() as conn:
        assert launch.due(conn, clock.now(conn)) == [letter, newsletter]
        assert launch.due(conn, clock.now(conn), limit=1) == [letter]


def test_a_confirmation_is_frozen_in_the_askers_language_for_one_person(stage: Stage) -> None:
    letter = _ask(stage, "maria@example.de")
    work = sweep.tick(stage.engine, stage.house)
    assert (work.confirmations, work.newsletters) == (1, 0)
    of = _get(stage, letter)
    assert (of.state, of.audience) == (SENDING, 1)
    with stage.engine.begin() as conn:
        assert list(campaigns.editions(conn, letter)) == [Language.EN]


def test_a_campaign_that_cannot_be_launched_says_why_and_goes_on_once_it_can(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = _ask(stage, "maria@example.de")
    with monkeypatch.context() as patch:
        patch.setattr(release, "freeze_service", _refuse)
        sweep.tick(stage.engine, stage.house)
        stands = _get(stage, letter)
        assert (stands.state, stands.problem) == (PREPARING, "confirm.md, line 3: broken")
    sweep.tick(stage.engine, stage.house)
    assert (_get(stage, letter).state, _get(stage, letter).problem) == (SENDING, None)


def _refuse(*_: object, **__: object) -> None:
    raise ContentInvalid("confirm.md", 3, "broken")


def test_an_audience_is_everyone_who_agreed_by_the_time_of_the_launch(stage: Stage) -> None:
    stage.add(2)
    campaign_id = _release(stage)
    (late,) = stage.add(1, prefix="late")
    with stage.engine.begin() as conn:
        consent.withdraw(conn, stage.ids["p0@example.de"], [Topic.FINANCE_NEWS], Evidence(source="x"), clock.now(conn))
    sweep.tick(stage.engine, stage.house)
    assert (stage.status(campaign_id).audience, stage.status(campaign_id).withheld) == (3, 1)
    assert late in stage.missing(campaign_id)
