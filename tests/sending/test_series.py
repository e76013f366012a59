"""Series: when its time comes, the draft that waits becomes a campaign, once; without one the issue is passed over."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from dispatcher.db import clock
from dispatcher.db.tables import campaign
from dispatcher.db.tables import series as series_table
from dispatcher.db.terms import CampaignState, IssueOutcome, Language, SeriesState, Topic
from dispatcher.domain.newsletters import campaigns, on_hold, releases, series
from dispatcher.domain.newsletters.on_hold import Since
from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.domain.newsletters.series import Issue, Plan, Series
from dispatcher.domain.staff.audit import NOBODY
from dispatcher.errors import ContentInvalid, InputRefused, MoveRefused
from dispatcher.sending import issues, release, sweep
from tests import builders
from tests.stage import Stage

GOLD = Topic.FINANCE_NEWS
RELEASED, EMPTY, MISSED, REFUSED = (
    IssueOutcome.RELEASED, IssueOutcome.EMPTY, IssueOutcome.MISSED, IssueOutcome.REFUSED,
)  # fmt: skip


def _create(stage: Stage, every: str = "tuesday", at: str = "09:00") -> int:
    with stage.engine.begin() as conn:
        plan = Plan("Marktbericht", GOLD, "Der Markt", recurrence(every, at, "Europe/Berlin"))
        return series.create(conn, plan, clock.now(conn))


def _draft(stage: Stage, series_id: int | None = None, content: str = builders.CONTENT, topic: Topic = GOLD) -> int:
    with stage.engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, clock.now(conn), topic, content)
    if series_id is not None:
        with stage.engine.begin() as conn:
            release.put_in(conn, campaign_id, series_id, stage.stationery, stage.house)
    return campaign_id


def _come(stage: Stage, series_id: int, ago: timedelta = timedelta(seconds=1)) -> datetime:
    """Let the time of the next issue have come so long ago."""
    with stage.engine.begin() as conn:
        at = clock.now(conn) - ago
        conn.execute(update(series_table).where(series_table.c.id == series_id).values(next_at=at))
    return at


def _get(stage: Stage, series_id: int) -> Series:
    with stage.engine.begin() as conn:
        return series.get(conn, series_id)


def _past(stage: Stage, series_id: int) -> list[Issue]:
    with stage.engine.begin() as conn:
        return series.past(conn, series_id)


def _state(stage: Stage, campaign_id: int) -> CampaignState:
    with stage.engine.begin() as conn:
        return campaigns.get(conn, campaign_id).state


def test_an_issue_becomes_a_campaign_at_its_time_and_is_launched_by_the_same_tick(stage: Stage) -> None:
    stage.add(2)
    of = _create(stage)
    first, second = _draft(stage, of), _draft(stage, of)
    sweep.tick(stage.engine, stage.house)
    assert _past(stage, of) == []
    at = _come(stage, of)
    sweep.tick(stage.engine, stage.house)
    assert (_state(stage, first), _state(stage, second)) == (CampaignState.SENDING, CampaignState.DRAFT)
    assert _past(stage, of) == [Issue(at, RELEASED, first, None)]
    with stage.engine.begin() as conn:
        launched = campaigns.get(conn, first)
    assert (launched.send_at, launched.zone, launched.audience) == (at, "Europe/Berlin", 2)
    next_at = _get(stage, of).next_at
    assert next_at is not None
    assert next_at == next(recurrence("tuesday", "09:00", "Europe/Berlin").after(at))
    sweep.tick(stage.engine, stage.house)
    assert len(_past(stage, of)) == 1


def test_an_issue_without_content_is_passed_over_and_says_so(stage: Stage) -> None:
    of = _create(stage)
    at = _come(stage, of)
    sweep.tick(stage.engine, stage.house)
    assert _past(stage, of) == [Issue(at, EMPTY, None, "there was no content")]
    with stage.engine.begin() as conn:
        assert conn.execute(select(campaign)).all() == []


def test_issues_that_nobody_saw_to_in_time_are_not_made_up_and_the_content_waits(stage: Stage) -> None:
    of = _create(stage, "daily", "09:00")
    draft = _draft(stage, of)
    _come(stage, of, timedelta(days=3))
    sweep.tick(stage.engine, stage.house)
    told = _past(stage, of)
    assert len(told) >= 3
    late = [issue for issue in told if issue.outcome is MISSED]
    assert len(told) - len(late) <= 1  # today's may be less than six hours late
    assert all(issue.note == "no worker was there in time" for issue in late)
    next_at = _get(stage, of).next_at
    assert next_at is not None
    assert next_at > stage.now()
    assert _state(stage, draft) is (CampaignState.DRAFT if len(late) == len(told) else CampaignState.SENT)  # to nobody


def test_content_that_cannot_be_released_waits_and_the_reason_is_told(stage: Stage) -> None:
    of = _create(stage)
    ahead = f"{stage.now() + timedelta(days=2):%Y-%m-%d}"
    draft = _draft(
        stage, of, builders.CONTENT.replace("as_of: 2026-11-20 17:30", f"as_of: {ahead}\nprices_good_for: 4h")
    )
    _come(stage, of)
    sweep.tick(stage.engine, stage.house)
    (told,) = _past(stage, of)
    assert (told.outcome, told.campaign_id) == (REFUSED, None)
    assert told.note is not None
    assert told.note.startswith(f"the prices of campaign {draft} are of a time after it is sent; mend `as_of`")
    assert _state(stage, draft) is CampaignState.DRAFT
    assert (_get(stage, of).next_at or stage.now()) > stage.now()


def test_a_draft_that_is_another_since_it_was_put_in_does_not_go(stage: Stage) -> None:
    of = _create(stage)
    draft = _draft(stage, of)
    with stage.engine.begin() as conn:
        other = {Language.DE: ("new.de.md", builders.CONTENT.replace("kaum", "sehr"))}
        release.replace(conn, draft, other, NOBODY, stage.house, clock.now(conn))
    _come(stage, of)
    sweep.tick(stage.engine, stage.house)
    (told,) = _past(stage, of)
    assert told.outcome is REFUSED
    assert told.note == "not sent: since the release has changed what was written; look at it, then release it again"
    assert _state(stage, draft) is CampaignState.DRAFT


def test_only_a_draft_about_the_topic_that_can_be_sent_waits_in_a_series(stage: Stage) -> None:
    of = _create(stage)
    with pytest.raises(InputRefused, match="is not about finance-news"):
        _draft(stage, of, topic=Topic.PRODUCT_NEWS)
    with pytest.raises(ContentInvalid):
        _draft(stage, of, builders.CONTENT.replace("{{ greeting }}", "{{ greting }}"))
    sending = stage.campaign()
    with stage.engine.begin() as conn, pytest.raises(MoveRefused, match="is sending"):
        release.put_in(conn, sending, of, stage.stationery, stage.house)
    with stage.engine.begin() as conn:
        assert series.waiting(conn, of) == []


def test_what_is_skipped_passes_its_content_on_to_the_next(stage: Stage) -> None:
    of = _create(stage)
    draft = _draft(stage, of)
    before = _get(stage, of).next_at
    with stage.engine.begin() as conn:
        skipped, next_at = series.skip(conn, of)
        to_come = list(itertools.islice(series.upcoming(series.get(conn, of), series.waiting(conn, of)), 2))
    assert skipped == before
    assert next_at == next(recurrence("tuesday", "09:00", "Europe/Berlin").after(skipped))
    assert (to_come[0].at, to_come[0].campaign_id) == (next_at, draft)
    assert to_come[1].campaign_id is None
    assert [issue.outcome for issue in _past(stage, of)] == [IssueOutcome.SKIPPED]


def test_a_paused_series_sends_nothing_and_one_that_is_resumed_makes_nothing_up(stage: Stage) -> None:
    of = _create(stage)
    draft = _draft(stage, of)
    _come(stage, of)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        paused = series.move(conn, of, SeriesState.PAUSED, now)
        assert paused.next_at is None
        assert list(series.upcoming(paused, [draft])) == []
        with pytest.raises(MoveRefused, match="is paused: no issue is due"):
            series.skip(conn, of)
    sweep.tick(stage.engine, stage.house)
    assert _past(stage, of) == []
    with stage.engine.begin() as conn:
        resumed = series.move(conn, of, SeriesState.ACTIVE, now)
    assert resumed.next_at is not None
    assert resumed.next_at > now


def test_a_series_that_has_ended_stays_ended_and_its_drafts_are_free(stage: Stage) -> None:
    of = _create(stage)
    draft = _draft(stage, of)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        series.move(conn, of, SeriesState.ENDED, now)
        for to in SeriesState:
            with pytest.raises(MoveRefused, match="is ended"):
                series.move(conn, of, to, now)
        with pytest.raises(MoveRefused, match="has ended"):
            series.put_in(conn, of, draft)
        assert campaigns.get(conn, draft).series_id is None
        assert releases.holding(conn, draft) is None


def test_after_a_restore_no_issue_goes_out_again_by_itself(stage: Stage) -> None:
    passed, ahead = _create(stage), _create(stage)
    sent, waits = _draft(stage, passed), _draft(stage, ahead)
    _come(stage, passed)
    with stage.engine.begin() as conn:
        held = on_hold.hold(conn, Since({sent: GOLD}, {}), clock.now(conn))
    assert [(each.id, each.now_is) for each in held] == [(sent, CampaignState.DRAFT)]
    sweep.tick(stage.engine, stage.house)
    of = _get(stage, passed)
    assert of.state is SeriesState.PAUSED
    assert of.problem is not None
    assert of.problem.startswith("held: the database was put back to an earlier state; whether the issue of")
    assert _get(stage, ahead).state is SeriesState.ACTIVE
    with stage.engine.begin() as conn:
        assert series.waiting(conn, passed) == []
        assert series.waiting(conn, ahead) == [waits]
        assert "launched after the backup" in (campaigns.get(conn, sent).problem or "")


def test_of_two_ticks_at_once_one_releases_the_issue(stage: Stage, tmp_path: Path) -> None:
    if stage.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: BEGIN IMMEDIATE decides")
    of = _create(stage)
    _draft(stage, of)
    _draft(stage, of)
    _come(stage, of)
    with stage.engine.begin() as conn:
        assert series.take_due(conn, of, clock.now(conn)) is not None
        issues.issue_due(stage.engine, stage.house)  # passes by what the other holds
        assert _past(stage, of) == []
    sweep.tick(stage.engine, stage.house)
    assert [issue.outcome for issue in _past(stage, of)] == [RELEASED]


def test_the_tick_knows_when_the_next_issue_is_due(stage: Stage) -> None:
    assert sweep.waiting(stage.engine).next_due_s is None
    of = _create(stage)
    at = _get(stage, of).next_at
    assert at is not None
    due = sweep.waiting(stage.engine).next_due_s
    assert due is not None
    assert abs((at - datetime.now(UTC)).total_seconds() - due) < 60
