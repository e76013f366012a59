"""How often a page asks the database: a change that makes it dearer is seen before it is measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from dispatcher.db.terms import Topic
from dispatcher.domain import ending_marks
from dispatcher.domain.tokens import Purpose
from dispatcher.sending import endings
from tests.web.visitor import House

pytestmark = pytest.mark.both_databases

_GROWING = {
    "signup_attempt",
    "subscriber",
    "suppression",
    "consent_event",
    "subscription",
    "opt_in_request",
    "campaign",
}
_WALKED = text("SELECT relname FROM pg_stat_xact_user_tables WHERE seq_scan > 0")


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """Gather the statements that are run meanwhile."""
    found: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def kept(house: House) -> House:
    """Give the pages with their file of endings, as `dispatcher web` has them; it is in use already."""
    endings.keep(house.engine, endings.file_of(house.settings))
    leave(house)
    return house


def leave(house: House, address: str = "first@example.de") -> list[str]:
    """Let somebody leave by one click; give the statements that took."""
    token = house.token(Purpose.UNSUBSCRIBE, house.add(address), Topic.FINANCE_NEWS)
    with counted(house.engine) as found:
        assert house.visitor().post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"}).status_code == 200
    return found


def test_a_sign_up_asks_the_database_a_dozen_times(house: House) -> None:
    house.add("first@example.de")  # the first event begins the chain
    form = house.form()
    with counted(house.engine) as found:
        assert house.visitor().post("/?lang=de", data=form).status_code == 200
    assert len(found) <= (15 if house.engine.dialect.name == "sqlite" else 12), found
    assert any("INSERT INTO opt_in_request" in statement for statement in found)


def test_one_click_asks_the_database_a_dozen_times(kept: House) -> None:
    found = leave(kept, "maria@example.de")
    assert len(found) <= 11, found  # two more, which take and move the mark, go past SQLAlchemy
    with kept.engine.connect() as conn:
        (mark,) = ending_marks.known(conn)
    assert mark.octets == kept.settings.endings.stat().st_size


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_sign_up_walks_through_no_table_that_grows_however_small_it_is_as_yet(house: House) -> None:
    form = house.form()
    house.engine.dispose()  # a new connection: an old one tells of its earlier transactions, too
    with walks_counted(house.engine) as walks:
        assert house.visitor().post("/?lang=de", data=form).status_code == 200
    (walked,) = walks
    assert not walked & _GROWING


@contextmanager
def walks_counted(engine: Engine) -> Iterator[list[set[str]]]:
    """Gather which tables each transaction that takes its turn walks through."""
    found: list[set[str]] = []

    def note(conn: Connection) -> None:
        if conn.exec_driver_sql("SHOW enable_seqscan").scalar_one() == "off":
            found.append(set(conn.execute(_WALKED).scalars()))

    event.listen(engine, "commit", note)
    try:
        yield found
    finally:
        event.remove(engine, "commit", note)
