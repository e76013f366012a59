"""The gate before a release: what stops a campaign, who answers for it, and that what was looked at is what goes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import select, update

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.tables import campaign, campaign_release, campaign_version, content, preflight
from dispatcher.db.terms import CampaignState, Language, Topic
from dispatcher.domain import authors, campaigns, releases
from dispatcher.domain.revisions import Revision
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Wanted
from dispatcher.errors import FourEyesLacking, InputRefused, MoveRefused, NotFound
from dispatcher.sending import release, sweep
from dispatcher.sending.preflight import gate
from dispatcher.sending.preflight import report as reports
from dispatcher.sending.preflight.examination import Desk, lay_open
from dispatcher.sending.preflight.findings import Check
from dispatcher.sending.preflight.gate import Order, Released, Stopped, release_campaign
from tests import builders
from tests.stage import Stage
from tests.web.visitor import on_sqlite
from tests.web_server import Says, WebServer, running_web

ANNA, BERTA, CLARA = (audit.operator(name) for name in ("anna", "berta", "clara"))
PLAIN = builders.CONTENT.replace("[Mehr dazu](https://www.example.de/gold)", "Mehr bald")


@pytest.fixture
def web() -> Iterator[WebServer]:
    """The public pages, as far as preflight asks for them."""
    with running_web({"/impressum": Says(), "/privacy": Says()}) as web:
        yield web


@pytest.fixture
def desk(stage: Stage, web: WebServer) -> Desk:
    """Look campaigns over for a house whose pages are up."""
    url = web.url("")
    stage.stationery = replace(stage.stationery, public_url=url)
    stage.house = replace(stage.house, public_url=url, imprint_url=f"{url}/impressum", privacy_url=f"{url}/privacy")
    return Desk(stage.stationery, stage.house)


def draft(stage: Stage, desk: Desk, web: WebServer, text: str = PLAIN) -> int:
    """Enter a draft whose one-click button works."""
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        campaign_id = builders.create_campaign(conn, now, content=text)
        exam = lay_open(conn, campaign_id, desk, now, None)
    link = exam.looks[Language.DE].fields.unsubscribe_url
    web.pages[link.removeprefix(web.url(""))] = Says()
    return campaign_id


def order(campaign_id: int, **changed: object) -> Order:
    return replace(Order(campaign_id, None, "UTC", BERTA, {}), **changed)  # type: ignore[arg-type]


def state(stage: Stage, campaign_id: int) -> CampaignState:
    with stage.engine.begin() as conn:
        return campaigns.get(conn, campaign_id).state


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


def _released(stage: Stage, desk: Desk, web: WebServer) -> int:
    stage.add(2)
    campaign_id = draft(stage, desk, web)
    assert isinstance(release_campaign(stage.engine, order(campaign_id), desk), Released)
    return campaign_id


@pytest.mark.parametrize("changed", ["content", "house", "nothing"])
def test_what_changed_since_the_release_makes_it_a_draft_again_with_the_reason(
    stage: Stage, desk: Desk, web: WebServer, changed: str
) -> None:
    campaign_id = _released(stage, desk, web)
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
    campaign_id = _released(stage, desk, web)
    with stage.engine.begin() as conn:
        conn.execute(update(campaign_release).values(template_sha256=bytes(32)))
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    with stage.engine.begin() as conn:
        assert campaigns.get(conn, campaign_id).problem == "not sent: since the release has changed the templates"


def test_a_campaign_that_is_released_anew_has_one_release_that_holds(stage: Stage, desk: Desk, web: WebServer) -> None:
    campaign_id = _released(stage, desk, web)
    with reading(stage.engine).connect() as conn:
        tomorrow = clock.now(conn) + timedelta(days=1)
    release_campaign(stage.engine, order(campaign_id, at=tomorrow, by=CLARA), desk)
    with stage.engine.begin() as conn:
        rows = conn.execute(select(campaign_release.c.actor_name, campaign_release.c.ended_why)).all()
    assert [tuple(row) for row in rows] == [("berta", "released anew"), ("clara", None)]


def test_topics_differ_in_whom_they_go_to(stage: Stage, desk: Desk, web: WebServer) -> None:
    campaign_id = _released(stage, desk, web)
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).where(campaign.c.id == campaign_id).values(topic=Topic.PRODUCT_NEWS))
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    assert state(stage, campaign_id) is CampaignState.DRAFT


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
    campaign_id = _released(stage, desk, web)
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
    campaign_id = _released(stage, desk, web)
    with pytest.raises(InputRefused, match="no reason is given"), stage.engine.begin() as conn:
        release.take_back(conn, campaign_id, " ", ANNA, clock.now(conn))
    take_back(stage, campaign_id)
    assert not sweep.begin(stage.engine, campaign_id, stage.house)
    with pytest.raises(MoveRefused, match="is draft: only one that is scheduled can be taken back"):
        take_back(stage, campaign_id)
    with stage.engine.begin() as conn:
        (given,) = authors.signatures(conn, campaign_id)
    assert (given.by.name, given.ended_why) == ("berta", "taken back by anna: a wrong price")


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
