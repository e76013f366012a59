"""After a restore: who may have got the letter is `unknown`, what was under way is held, and nothing passes before."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import OperationalError

from dispatcher.compose.house import House
from dispatcher.db import backup, clock
from dispatcher.db.engine import DatabaseReplaced
from dispatcher.db.tables import campaign, ending_file
from dispatcher.db.terms import CampaignKind, CampaignState
from dispatcher.domain import endings as noted
from dispatcher.domain.delivery import batches
from dispatcher.domain.delivery.passage import WENT_BACK, Halted, Pass
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import endings, release
from dispatcher.sending.endings import Settled
from dispatcher.sending.press import Stationery
from tests import builders
from tests.domain.dispatch import TOPIC, Dispatch
from tests.relay import Act, Ask, ScriptedRelay
from tests.sending.leaving import Kept, open_kept
from tests.stage import Stage


@pytest.fixture
def kept(engine: Engine, keyring: Keyring, tmp_path: Path) -> Kept:
    return open_kept(engine, keyring, tmp_path)


@pytest.fixture
def stage(kept: Kept, keyring: Keyring, stationery: Stationery, house: House) -> Stage:
    return Stage(kept.engine, keyring, stationery, house)


def settle(kept: Kept) -> Settled:
    settled = endings.settle(kept.engine, kept.file)
    assert settled is not None
    return settled


def test_a_database_that_was_put_back_under_a_running_worker_lets_nobody_pass_until_it_was_made_good(
    kept: Kept, keyring: Keyring
) -> None:
    dispatch = Dispatch(kept.engine, keyring)
    anna, bert = dispatch.people(2)
    of = dispatch.campaign()
    claim = dispatch.must_claim()
    kept.back_up()
    builders_withdraw(dispatch, anna)
    [first] = dispatch.ask(claim, of, [bert])
    assert isinstance(first, Pass)  # and now the process knows how far the database had come
    kept.put_back()
    assert dispatch.ask(claim, of, [anna, bert]) == [Halted(WENT_BACK)] * 2
    settle(kept)
    assert dispatch.ask(claim, of, [anna, bert]) == [Halted("the campaign is paused")] * 2


def builders_withdraw(dispatch: Dispatch, who: int) -> None:
    with dispatch.engine.begin() as conn:
        builders.withdraw(conn, [who], TOPIC, dispatch.now)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_is_read_in_again_in_its_own_place_is_known_for_a_copy_though_no_line_tells(
    kept: Kept, keyring: Keyring
) -> None:
    dispatch = Dispatch(kept.engine, keyring)
    anna, bert = dispatch.people(2)
    of = dispatch.campaign()
    builders_withdraw(dispatch, anna)  # the mark moves
    claim = dispatch.must_claim()
    assert endings.settle(kept.engine, kept.file) is None
    kept.back_up()
    assert isinstance(dispatch.ask(claim, of, [bert])[0], Pass)  # a letter goes, and nothing is noted after the backup
    kept.put_back()
    settled = settle(kept)
    assert (settled.older, [held.id for held in settled.held]) == (True, [of.id])
    assert dispatch.outcomes(of)[bert] == "unknown"
    builders_withdraw(dispatch, bert)
    assert endings.settle(kept.engine, kept.file) is None


def test_a_worker_whose_database_was_put_back_claims_nothing_and_sends_nothing(kept: Kept, stage: Stage) -> None:
    stage.add(3)
    stage.campaign()
    kept.back_up()
    with ScriptedRelay() as relay:
        orders = stage.orders(relay.relay())
        stage.withdraw("p0@example.de")
        stage.obey(orders)
        sent = len(relay.accepted)
        assert sent == 2
        kept.put_back()
        assert stage.obey(orders).problem is not None
        assert len(relay.accepted) == sent


def test_whoever_may_have_the_letter_is_unknown_and_the_others_get_it_when_an_operator_goes_on(
    kept: Kept, stage: Stage
) -> None:
    people = stage.add(1_100)  # three batches
    of = stage.campaign()
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=2), stop=lambda: len(relay.accepted) >= 100)
        kept.back_up()
        stage.drain(relay.relay(lanes=2), stop=lambda: len(relay.accepted) >= 300)
        sent = {a.recipient for a in relay.accepted}
        endings.witness(kept.engine)  # as the tick does every five seconds
        kept.put_back()
        [held] = settle(kept).held
        status = stage.status(of)
        assert (held.id, held.was, status.state) == (of, "sending", CampaignState.PAUSED)
        assert held.in_doubt == status.unknown > 0
        stage.drain(relay.relay(lanes=2))
        assert len(relay.accepted) == len(sent)  # held
        stage.move(of, CampaignState.SENDING)
        stage.drain(relay.relay(lanes=8))
    taken = Counter(a.recipient for a in relay.accepted)
    assert set(taken.values()) == {1}
    unknown = {address for address, m in stage.missing(of).items() if m.outcome == "unknown"}
    assert set(taken) | unknown == set(people)
    assert set(people) - set(taken) <= unknown
    assert len(taken) > len(sent)  # of a batch that nobody had claimed since, everybody gets it
    assert stage.status(of).state is CampaignState.SENT


def test_a_database_that_stands_elsewhere_than_before_holds_what_was_under_way_though_no_line_is_missing(
    kept: Kept, stage: Stage
) -> None:
    people = stage.add(3)
    of = stage.campaign()
    with stage.engine.begin() as conn:
        assert batches.claim(conn, "worker", [CampaignKind.NEWSLETTER], clock.now(conn)) is not None
        conn.execute(update(ending_file).values(home="another cluster"))
    settled = settle(kept)
    assert [(held.id, held.in_doubt) for held in settled.held] == [(of, len(people))]
    assert endings.settle(kept.engine, kept.file) is None  # it has come home


def scheduled(stage: Stage, in_hours: int) -> int:
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        of = builders.create_campaign(conn, now)
        release.schedule(conn, of, now + timedelta(hours=in_hours), "UTC", stage.stationery, stage.house)
    return of


def states(stage: Stage, *ids: int) -> list[CampaignState]:
    with stage.engine.begin() as conn:
        return [campaigns.get(conn, of).state for of in ids]


def test_a_campaign_whose_time_came_meanwhile_or_that_was_launched_since_is_taken_back_and_others_stay(
    kept: Kept, stage: Stage
) -> None:
    stage.add(1)
    due, later, launched, preparing = (scheduled(stage, hours) for hours in (0, 5, 5, 5))
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).where(campaign.c.id == preparing).values(state="preparing"))
    kept.back_up()
    with stage.engine.begin() as conn:
        noted.note(conn, [noted.Launched(launched, TOPIC, clock.now(conn))])
    endings.witness(kept.engine)
    kept.put_back()
    assert [held.id for held in settle(kept).held] == [due, launched, preparing]
    draft = CampaignState.DRAFT
    assert states(stage, due, later, launched, preparing) == [draft, CampaignState.SCHEDULED, draft, draft]
    with stage.engine.begin() as conn:
        assert "would get it again" in (campaigns.get(conn, launched).problem or "")


def test_the_number_of_a_newsletter_that_was_lost_is_not_given_out_again(kept: Kept, stage: Stage) -> None:
    people = stage.add(3)
    kept.back_up()
    lost = stage.campaign()
    endings.witness(kept.engine)
    kept.put_back()
    assert [held.id for held in settle(kept).held] == [lost]
    assert states(stage, lost) == [CampaignState.CANCELLED]
    later = stage.campaign()
    assert later > lost
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert sorted(a.recipient for a in relay.accepted) == sorted(people)


def test_a_launch_and_each_claim_are_in_the_file_before_a_letter_goes(kept: Kept, stage: Stage) -> None:
    stage.add(1)
    of = stage.campaign()
    lines_at_the_dot: list[int] = []

    def look(ask: Ask) -> Act | None:
        if ask.verb == "DOT":
            lines_at_the_dot.append(len(kept.lines()))
        return None

    with ScriptedRelay(script=look) as relay:
        stage.drain(relay.relay())
        assert len(relay.accepted) == 1
    assert lines_at_the_dot == [3]
    assert [line.noted for line in kept.lines() if not isinstance(line.noted, noted.Ending)] == [
        noted.Launched(of, TOPIC, kept.lines()[0].noted.at),
        noted.Claimed(of, 0, kept.lines()[1].noted.at),
        noted.Witness(kept.lines()[2].noted.at),
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whoever_has_a_database_open_that_was_replaced_notices_before_the_next_transaction(
    kept: Kept, stage: Stage, tmp_path: Path
) -> None:
    live = Path(kept.engine.url.database or "")
    stage.add(1)
    raw = kept.engine.raw_connection()
    raw.cursor().execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    raw.close()
    backup.put_back(tmp_path / "copy.db", live, tmp_path / "former.db")
    with pytest.raises(OperationalError) as caught, kept.engine.begin():
        pass
    assert isinstance(caught.value.orig, DatabaseReplaced)
    stage.add(1, prefix="q")  # the next one opens what is there now
    assert stage.now() is not None
