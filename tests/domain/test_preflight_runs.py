"""How far a look is: one of a campaign at a time, and one that gave no sign for a while is over."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from dispatcher.db import clock
from dispatcher.db.terms import Language, Role
from dispatcher.domain.newsletters import preflight_runs
from dispatcher.domain.newsletters.preflight_runs import LOST
from dispatcher.domain.staff import members
from dispatcher.domain.staff.members import Candidate
from tests import builders


def begun(conn: Connection) -> tuple[int, int, datetime]:
    now = clock.now(conn)
    who = members.create(conn, Candidate("klara@example.de", "Klara Feldmann", Role.EDITOR, Language.DE), now)
    return builders.create_campaign(conn, now), who, now


def test_one_look_of_a_campaign_goes_on_at_a_time_and_tells_how_far_it_is(engine: Engine) -> None:
    with engine.begin() as conn:
        campaign_id, who, now = begun(conn)
        assert preflight_runs.find(conn, campaign_id) is None
        assert preflight_runs.begin(conn, campaign_id, who, now) == 1
        assert preflight_runs.begin(conn, campaign_id, who, now) is None
        assert preflight_runs.beat(conn, campaign_id, 1, ("people", 2000, 48_213), now)
        seen = preflight_runs.find(conn, campaign_id)
        assert seen is not None
        assert (seen.by, seen.stage, seen.done, seen.total) == ("Klara Feldmann", "people", 2000, 48_213)
        assert seen.is_going(now)
        assert preflight_runs.end(conn, campaign_id, 1, now)
        assert not preflight_runs.end(conn, campaign_id, 1, now)
        assert preflight_runs.begin(conn, campaign_id, who, now) == 2


def test_a_look_without_a_sign_of_life_is_over_and_does_not_speak_for_the_next_one(engine: Engine) -> None:
    with engine.begin() as conn:
        campaign_id, who, now = begun(conn)
        preflight_runs.begin(conn, campaign_id, who, now)
        later = now + LOST + timedelta(seconds=1)
        seen = preflight_runs.find(conn, campaign_id)
        assert seen is not None
        assert (seen.is_going(now), seen.is_lost(now)) == (True, False)
        assert (seen.is_going(later), seen.is_lost(later)) == (False, True)
        assert preflight_runs.begin(conn, campaign_id, who, later) == 2
        assert not preflight_runs.beat(conn, campaign_id, 1, ("links", 1, 2), later)
        assert not preflight_runs.end(conn, campaign_id, 1, later, "too late")
        again = preflight_runs.find(conn, campaign_id)
        assert again is not None
        assert (again.stage, again.problem, again.is_going(later)) == (None, None, True)
