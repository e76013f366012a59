"""Several people at one campaign: who edits while another releases, two who release, and four eyes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import select, update

from dispatcher.db import clock
from dispatcher.db.tables import campaign_release, campaign_version
from dispatcher.db.terms import CampaignState
from dispatcher.domain.newsletters import authors, campaigns, releases
from dispatcher.domain.newsletters.revisions import Revision
from dispatcher.domain.staff import audit
from dispatcher.errors import FourEyesLacking, InputRefused, MoveRefused
from dispatcher.sending import release, sweep
from dispatcher.sending.preflight import gate
from dispatcher.sending.preflight.examination import Desk
from dispatcher.sending.preflight.gate import Released, release_campaign
from tests.sending.preflight.gated import ANNA, BERTA, CLARA, desk_for, draft, order, released, state
from tests.stage import Stage
from tests.web_server import WebServer


@pytest.fixture
def desk(stage: Stage, web: WebServer) -> Desk:
    """Look campaigns over for a house whose pages are up."""
    return desk_for(stage, web)


def edit(stage: Stage, campaign_id: int, read: int, by: audit.Actor = ANNA, subject: str = "Silber") -> int:
    with stage.engine.begin() as conn:
        return release.edit(conn, campaign_id, Revision(read, by, subject), stage.house, clock.now(conn))


def take_back(stage: Stage, campaign_id: int) -> None:
    with stage.engine.begin() as conn:
        release.take_back(conn, campaign_id, "a wrong price", ANNA, clock.now(conn))


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Do them at the same moment; give what each came to, a refusal as its words."""
    together = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        together.wait()
        try:
            return act()
        except MoveRefused as refused:
            return refused.what

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(run, acts))


def test_of_an_edit_and_a_release_at_once_one_is_told_and_nothing_unseen_is_released(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    stage.add(1)
    campaign_id = draft(stage, desk, web)
    looked = gate.look_at(stage.engine, order(campaign_id), desk)

    def give() -> object:
        with stage.engine.begin() as conn:
            return gate.release_it(conn, looked, desk)

    saved, released = at_once(lambda: edit(stage, campaign_id, 1), give)
    with stage.engine.begin() as conn:
        of, held = campaigns.get(conn, campaign_id), releases.holding(conn, campaign_id)
    if saved == 2:
        assert released == f"campaign {campaign_id} has changed while it was looked over: content"
        assert (of.state, of.subject, held) == (CampaignState.DRAFT, "Silber", None)
    else:
        assert saved == f"campaign {campaign_id} is scheduled: only a draft can be edited"
        assert isinstance(released, Released)
        assert held is not None
        assert (of.state, of.version, held.version) == (CampaignState.SCHEDULED, 1, 1)


def test_an_edit_that_waits_for_a_release_is_refused_once_that_is_given(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    stage.add(1)
    campaign_id = draft(stage, desk, web)
    looked = gate.look_at(stage.engine, order(campaign_id), desk)
    with ThreadPoolExecutor(1) as threads:
        with stage.engine.begin() as conn:
            assert isinstance(gate.release_it(conn, looked, desk), Released)
            waiting = threads.submit(edit, stage, campaign_id, 1)
        with pytest.raises(MoveRefused, match="is scheduled: only a draft can be edited"):
            waiting.result()
    assert edit_after_take_back(stage, campaign_id) == 2


def edit_after_take_back(stage: Stage, campaign_id: int) -> int:
    take_back(stage, campaign_id)
    return edit(stage, campaign_id, 1)


def test_of_two_who_release_at_once_one_is_told_who_did(stage: Stage, desk: Desk, web: WebServer) -> None:
    stage.add(1)
    campaign_id = draft(stage, desk, web)
    both = [gate.look_at(stage.engine, order(campaign_id, by=by), desk) for by in (BERTA, CLARA)]

    def give(looked: gate.Looked) -> object:
        with stage.engine.begin() as conn:
            return gate.release_it(conn, looked, desk)

    came = at_once(*(lambda looked=looked: give(looked) for looked in both))  # type: ignore[misc]
    (won,) = (one for one in came if isinstance(one, Released))
    winner = both[came.index(won)].order.by
    assert [one for one in came if one is not won] == [
        f"campaign {campaign_id} was released by {winner.name} while you looked it over"
    ]
    with stage.engine.begin() as conn:
        held = releases.holding(conn, campaign_id)
        assert len(conn.execute(select(campaign_release.c.id)).all()) == 1
    assert held is not None
    assert held.by == winner


def test_of_a_launch_and_an_edit_at_once_one_is_too_late(stage: Stage, desk: Desk, web: WebServer) -> None:
    campaign_id = released(stage, desk, web)
    launched, saved = at_once(
        lambda: sweep.begin(stage.engine, campaign_id, stage.house), lambda: edit_after_take_back(stage, campaign_id)
    )
    with stage.engine.begin() as conn:
        of = campaigns.get(conn, campaign_id)
    if launched:
        assert "only one that is scheduled can be taken back" in str(saved)
        assert (of.state, of.version, of.audience) == (CampaignState.SENDING, 1, 2)
    else:
        assert (saved, of.state, of.version, of.audience) == (2, CampaignState.DRAFT, 2, None)


def test_what_is_taken_back_is_a_draft_whose_release_ended_with_the_reason(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    campaign_id = released(stage, desk, web)
    with pytest.raises(InputRefused, match="no reason is given"), stage.engine.begin() as conn:
        release.take_back(conn, campaign_id, " ", ANNA, clock.now(conn))
    take_back(stage, campaign_id)
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    with pytest.raises(MoveRefused, match="is draft: only one that is scheduled can be taken back"):
        take_back(stage, campaign_id)
    with stage.engine.begin() as conn:
        (given,) = authors.signatures(conn, campaign_id)
    assert (given.by.name, given.ended_why) == ("berta", "taken back by anna: a wrong price")


def test_what_was_taken_back_while_it_was_looked_over_for_another_time_stays_a_draft(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    campaign_id = released(stage, desk, web)
    looked = gate.look_at(stage.engine, order(campaign_id), desk)
    take_back(stage, campaign_id)
    with pytest.raises(MoveRefused, match=r"made a draft again \(taken back by anna: a wrong price\)"):  # noqa: SIM117
        with stage.engine.begin() as conn:
            gate.release_it(conn, looked, desk)
    assert state(stage, campaign_id) is CampaignState.DRAFT


def test_with_four_eyes_whoever_wrote_since_the_last_release_does_not_release(
    stage: Stage, desk: Desk, web: WebServer
) -> None:
    stage.add(1)
    desk = replace(desk, four_eyes=True)
    campaign_id = draft(stage, desk, web)

    def refusal(by: audit.Actor) -> str:
        with pytest.raises(FourEyesLacking) as refused:
            release_campaign(stage.engine, order(campaign_id, by=by), desk)
        return refused.value.what.partition(": ")[2]

    asked = len(web.asked)
    assert refusal(BERTA) == "it is not known who wrote version 1 of it"
    with stage.engine.begin() as conn:
        conn.execute(update(campaign_version).values(actor="operator", actor_name="Anna"))
    edit(stage, campaign_id, 1, BERTA)
    assert refusal(ANNA) == "anna wrote version 1 of it"
    assert refusal(BERTA) == "berta wrote version 2 of it"
    assert len(web.asked) == asked  # nobody waits for what cannot be
    assert isinstance(release_campaign(stage.engine, order(campaign_id, by=CLARA), desk), Released)
    take_back(stage, campaign_id)
    edit(stage, campaign_id, 2, CLARA, "Gold")
    assert refusal(CLARA) == "clara wrote version 3 of it"
    assert isinstance(release_campaign(stage.engine, order(campaign_id, by=ANNA), desk), Released)


def test_with_four_eyes_who_edits_while_they_look_does_not_release(stage: Stage, desk: Desk, web: WebServer) -> None:
    stage.add(1)
    desk = replace(desk, four_eyes=True)
    campaign_id = draft(stage, desk, web)
    with stage.engine.begin() as conn:
        conn.execute(update(campaign_version).values(actor="operator", actor_name="anna"))
    looked = gate.look_at(stage.engine, order(campaign_id), desk)
    edit(stage, campaign_id, 1, BERTA)
    with pytest.raises(FourEyesLacking, match="berta wrote version 2"), stage.engine.begin() as conn:
        gate.release_it(conn, looked, desk)
    assert state(stage, campaign_id) is CampaignState.DRAFT
