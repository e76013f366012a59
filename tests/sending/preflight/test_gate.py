"""The gate before a release: what stops a campaign, who answers for it, and that what was looked at is what goes."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.tables import campaign, campaign_release, content, preflight
from dispatcher.db.terms import CampaignState, Topic
from dispatcher.domain.newsletters import campaigns, releases
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Wanted
from dispatcher.errors import InputRefused, MoveRefused, NotFound
from dispatcher.sending import sweep
from dispatcher.sending.preflight import gate
from dispatcher.sending.preflight import report as reports
from dispatcher.sending.preflight.examination import Desk
from dispatcher.sending.preflight.findings import Check
from dispatcher.sending.preflight.gate import Released, Stopped, release_campaign
from tests import builders
from tests.sending.preflight.gated import BERTA, CLARA, PLAIN, desk_for, draft, order, released, state
from tests.stage import Stage
from tests.web.visitor import on_sqlite
from tests.web_server import Says, WebServer


@pytest.fixture
def desk(stage: Stage, web: WebServer) -> Desk:
    """Look campaigns over for a house whose pages are up."""
    return desk_for(stage, web)


def test_a_release_says_who_answers_for_it_on_which_preflight_and_for_how_many(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    stage.add(3)
    campaign_id = draft(stage, desk, web)
    came = release_campaign(stage.engine, order(campaign_id), desk)
    assert isinstance(came, Released), came
    with stage.engine.begin() as conn:
        held = releases.holding(conn, campaign_id)
        seen = reports.newest(conn, campaign_id)
    assert held is not None
    assert seen is not None
    with stage.engine.begin() as conn:
        (entry,) = audit.newest(conn, Wanted(about="campaign", about_id=campaign_id), 10)
    assert (entry.name, entry.action, entry.facts["people"]) == ("berta", "campaigns.release", 3)
    assert (held.by, held.people, held.despite, held.preflight_id) == (BERTA, 3, None, seen[0])
    assert held.binding == seen[1].binding == came.report.binding
    assert seen[1].findings == came.report.findings
    assert state(stage, campaign_id) is CampaignState.SCHEDULED
    assert sweep.begin(stage.engine, campaign_id, stage.house)


def test_what_stops_it_leaves_a_draft_and_is_written_down(stage: Stage, desk: Desk, web: WebServer) -> None:
    stage.add(1)
    campaign_id = draft(stage, desk, web, PLAIN.replace("kaum bewegt", "kaum bewegt, [Name]"))
    came = release_campaign(stage.engine, order(campaign_id), desk)
    assert isinstance(came, Stopped)
    assert [f.check for f in came.report.stops()] == [Check.PLACEHOLDERS]
    assert state(stage, campaign_id) is CampaignState.DRAFT
    with stage.engine.begin() as conn:
        assert conn.execute(select(preflight.c.campaign_id)).scalars().all() == [campaign_id]
        assert releases.holding(conn, campaign_id) is None


def test_somebody_may_answer_for_it_with_a_reason_that_is_kept(stage: Stage, desk: Desk, web: WebServer) -> None:
    stage.add(1)
    campaign_id = draft(stage, desk, web, PLAIN.replace("kaum bewegt", "kaum bewegt, [Name]"))
    despite = {"placeholders": "it is the name of a film", "links": "not needed"}
    assert isinstance(release_campaign(stage.engine, order(campaign_id, despite=despite), desk), Released)
    with stage.engine.begin() as conn:
        held = releases.holding(conn, campaign_id)
    assert held is not None
    assert held.despite == {"placeholders": "it is the name of a film"}


@on_sqlite
def test_nobody_answers_for_a_check_that_does_not_exist_or_without_a_reason(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    campaign_id = draft(stage, desk, web)
    with pytest.raises(InputRefused, match="there is no check 'luck'"):
        release_campaign(stage.engine, order(campaign_id, despite={"luck": "x"}), desk)
    with pytest.raises(InputRefused, match="no reason is given"):
        release_campaign(stage.engine, order(campaign_id, despite={"links": " "}), desk)
    with pytest.raises(NotFound):
        release_campaign(stage.engine, order(4711), desk)


@on_sqlite
def test_content_that_cannot_be_composed_stops_with_file_and_line_and_nobody_can_answer_for_it(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    with stage.engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, clock.now(conn), content=PLAIN.replace("greeting", "greting"))
    came = release_campaign(stage.engine, order(campaign_id), desk)
    assert isinstance(came, Stopped)
    assert [(f.name, f.where) for f in came.report.stops()] == [("invalid", "news.de.md:7")]
    with pytest.raises(InputRefused, match="greting"):
        release_campaign(stage.engine, order(campaign_id, despite={"content": "I know"}), desk)
    assert state(stage, campaign_id) is CampaignState.DRAFT


def test_a_campaign_that_changes_while_it_is_looked_over_is_not_released(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    stage.add(1)
    campaign_id = draft(stage, desk, web)

    def rewrite(check: str, _done: int, _total: int) -> None:
        if check == Check.DNS:
            with stage.engine.begin() as conn:
                conn.execute(update(content).values(source=PLAIN.replace("kaum", "stark")))

    with pytest.raises(MoveRefused, match="has changed while it was looked over: content"):
        release_campaign(stage.engine, order(campaign_id), desk, rewrite)
    assert state(stage, campaign_id) is CampaignState.DRAFT
    with stage.engine.begin() as conn:
        assert conn.execute(select(campaign_release.c.id)).all() == []


@on_sqlite
def test_a_fresh_look_at_the_same_state_is_believed_and_its_quick_part_made_anew(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    stage.add(1)
    with stage.engine.begin() as conn:
        as_of = clock.now(conn)
    campaign_id = draft(stage, desk, web, PLAIN.replace("2026-11-20 17:30", f"{as_of:%Y-%m-%d %H:%M}"))
    assert gate.look(stage.engine, campaign_id, desk).stops() == ()
    asked = len(web.asked)
    later = order(campaign_id, at=as_of + timedelta(days=3))
    came = release_campaign(stage.engine, later, desk)
    assert isinstance(came, Released)
    assert len(web.asked) == asked
    assert "stale" in {f.name for f in came.report.findings}


@on_sqlite
def test_a_look_that_is_old_of_another_state_or_found_something_is_taken_anew(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    stage.add(1)
    campaign_id = draft(stage, desk, web)

    def asks() -> bool:
        before = len(web.asked)
        release_campaign(stage.engine, order(campaign_id), desk)
        return len(web.asked) > before

    assert asks()
    assert not asks()
    with stage.engine.begin() as conn:
        conn.execute(update(preflight).values(at=clock.now(conn) - gate.GOOD_FOR - timedelta(minutes=1)))
    assert asks()
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).values(subject="Silber"))
    assert asks()
    web.pages["/privacy"] = Says(404)
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).values(subject="Platin"))
    assert [asks(), asks()] == [True, True]


@pytest.mark.parametrize("changed", ["content", "house", "nothing"])
def test_what_changed_since_the_release_makes_it_a_draft_again_with_the_reason(
    stage: Stage, desk: Desk, web: WebServer, changed: str
) -> None:
    campaign_id = released(stage, desk, web)
    house = stage.house
    if changed == "content":
        with stage.engine.begin() as conn:
            conn.execute(update(content).values(source=PLAIN.replace("kaum", "stark")))
    if changed == "house":
        house = replace(house, impressum="Andere GmbH")
    assert sweep.begin(stage.engine, campaign_id, house) is (changed == "nothing")
    with stage.engine.begin() as conn:
        of = campaigns.get(conn, campaign_id)
        held = releases.holding(conn, campaign_id)
    if changed == "nothing":
        assert of.state is CampaignState.SENDING
        return
    assert (of.state, of.audience, held) == (CampaignState.DRAFT, None, None)
    assert of.problem is not None
    assert ("what was written" if changed == "content" else "the house's own words") in of.problem


@on_sqlite
def test_a_changed_template_is_found_at_the_launch(stage: Stage, desk: Desk, web: WebServer) -> None:
    campaign_id = released(stage, desk, web)
    with stage.engine.begin() as conn:
        conn.execute(update(campaign_release).values(template_sha256=bytes(32)))
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    with stage.engine.begin() as conn:
        assert campaigns.get(conn, campaign_id).problem == "not sent: since the release has changed the templates"


def test_a_campaign_that_is_released_anew_has_one_release_that_holds(stage: Stage, desk: Desk, web: WebServer) -> None:
    campaign_id = released(stage, desk, web)
    with reading(stage.engine).connect() as conn:
        tomorrow = clock.now(conn) + timedelta(days=1)
    release_campaign(stage.engine, order(campaign_id, at=tomorrow, by=CLARA), desk)
    with stage.engine.begin() as conn:
        rows = conn.execute(
            select(campaign_release.c.actor_name, campaign_release.c.ended_why).order_by(campaign_release.c.id)
        ).all()
    assert [tuple(row) for row in rows] == [("berta", "released anew"), ("clara", None)]


def test_topics_differ_in_whom_they_go_to(stage: Stage, desk: Desk, web: WebServer) -> None:
    campaign_id = released(stage, desk, web)
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).where(campaign.c.id == campaign_id).values(topic=Topic.PRODUCT_NEWS))
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    assert state(stage, campaign_id) is CampaignState.DRAFT
