"""Keys: shown once, stored as a hash, good for what they name and as long as they name, ended at once."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update

from dispatcher.api.entrance import Allowance
from dispatcher.db import clock
from dispatcher.db.tables import api_key
from dispatcher.db.terms import Scope
from dispatcher.domain.programs import api_keys
from dispatcher.settings import Settings
from tests.api.program import House, Program, kind_of, on_sqlite, open_house
from tests.cli.conftest import Run, _commands_engines, _wide, dispatcher, outside, run  # noqa: F401  (fixtures)

CREATE = ("keys", "create", "shop", "--scope", "campaigns:read", "--scope", "subscribers:write")


def test_a_key_is_shown_once_and_nothing_that_is_stored_opens_anything(dispatcher: Run, engine: Engine) -> None:  # noqa: F811
    made = dispatcher(*CREATE, "--expires", "90d", "--by", "Anna", "--json").json
    assert made["scopes"] == ["campaigns:read", "subscribers:write"]
    assert (made["created_by"], made["last_used_at"], made["is_good"]) == ("Anna", None, True)
    assert len(made["key"]) == len("dsp_") + 43
    with engine.begin() as conn:
        (row,) = conn.execute(select(api_key)).all()
        now = clock.now(conn)
    assert timedelta(days=89) < row.expires_at - now <= timedelta(days=90)
    assert made["key"] not in str(row)
    assert made["key"].startswith(row.hint)
    listed = dispatcher("keys", "list").out
    assert made["key"] not in listed
    for word in ("shop", "campaigns:read subscribers:write", "never", "Anna", "good"):
        assert word in listed
    assert dispatcher("keys", "revoke", 1).out.startswith("key 1 (shop) opens nothing any more")
    assert "revoked" in dispatcher("keys", "list").out


def test_what_makes_no_key_is_refused_with_what_to_do(dispatcher: Run) -> None:  # noqa: F811
    for words, what in (
        (("keys", "create", "shop", "--scope", "everything"), "there is no scope 'everything'"),
        (("keys", "create", " ", "--scope", "campaigns:read"), "the name of a key has 1 to 100 characters"),
        (("keys", "create", "shop", "--scope", "campaigns:read", "--expires", "soon"), "is no number of days"),
        (("keys", "revoke", "7"), "there is no key 7"),
    ):
        assert what in dispatcher(*words).error[0]


def test_each_key_that_opens_nothing_is_refused_with_the_reason(api_house: House) -> None:
    over = api_house.program()
    revoked = api_house.program()
    with api_house.engine.begin() as conn:
        now = clock.now(conn)
        api_keys.revoke(conn, 2, now)
        conn.execute(update(api_key).where(api_key.c.id == 1).values(expires_at=now))
    for key, reason in (
        (None, "no key was sent"),
        ("dsp_" + "x" * 43, "not known here"),
        ("\N{SNOWMAN}", "not known here"),
        (over.key, "the time of this key is over"),
        (revoked.key, "this key was revoked"),
    ):
        answer = Program(api_house.app, key).ask("GET", "/key")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (answer.status_code, kind_of(answer.json())) == (401, "no-key")
        assert reason in answer.json()["detail"]


@on_sqlite
def test_a_key_in_the_address_line_is_none(api_house: House) -> None:
    key = api_house.program().key
    nobody = Program(api_house.app, None)
    for path in (f"/key?key={key}", f"/key?access_token={key}"):
        assert kind_of(nobody.refused("GET", path)) == "no-key"
    assert kind_of(nobody.refused("GET", "/key", headers={"Authorization": f"Basic {key}"})) == "no-key"


@pytest.mark.both_databases
def test_the_last_use_is_noted_to_the_minute(api_house: House) -> None:
    program = api_house.program(Scope.CAMPAIGNS_READ, name="editorial office")
    assert program.get("/key")["name"] == "editorial office"
    (first,) = api_house.rows("api_key")
    program.get("/key")
    assert api_house.rows("api_key") == [first]
    with api_house.engine.begin() as conn:
        conn.execute(update(api_key).values(last_used_at=first.last_used_at - timedelta(minutes=2)))
    program.get("/key")
    (later,) = api_house.rows("api_key")
    assert later.last_used_at >= first.last_used_at


@on_sqlite
def test_who_asks_too_often_is_told_how_long_to_wait_and_others_are_not(settings: Settings, engine: Engine) -> None:
    house = open_house(settings, engine, Allowance(burst=3, per_second=1 / 3600))
    hasty, other = house.program(), house.program()
    answers = [hasty.ask("GET", "/problems-are-elsewhere") for _ in range(4)]
    assert [answer.status_code == 429 for answer in answers] == [False, False, False, True]
    assert kind_of(answers[3].json()) == "too-many"
    assert 0 < int(answers[3].headers["retry-after"]) <= 3600
    assert other.get("/key")
