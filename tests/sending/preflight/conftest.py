"""A campaign laid open for preflight, in as few words as a test needs."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Topic
from dispatcher.outgoing import Passport
from dispatcher.sending.preflight.examination import Desk, Examination, lay_open
from tests import builders
from tests.stage import Stage
from tests.web_server import Says, WebServer, running_web

Open = Callable[..., Examination]


@pytest.fixture
def web() -> Iterator[WebServer]:
    """The public pages, as far as preflight asks for them."""
    with running_web({"/impressum": Says(), "/privacy": Says()}) as web:
        yield web


@pytest.fixture
def desk(stage: Stage) -> Desk:
    """Give what the house looks campaigns over with; the tests' own servers may be asked."""
    return Desk(stage.stationery, stage.house, Passport(frozenset({"127.0.0.1"})))


@pytest.fixture
def lay(stage: Stage, desk: Desk) -> Open:
    """Enter a draft with this content and lay it open; give the desk other things by name."""

    def open_(content: str = builders.CONTENT, topic: Topic = Topic.FINANCE_NEWS, **changed: object) -> Examination:
        with stage.engine.begin() as conn:
            now = clock.now(conn)
            campaign_id = builders.create_campaign(conn, now, topic, content)
        with reading(stage.engine).connect() as conn:
            return lay_open(conn, campaign_id, replace(desk, **changed), now, None)  # type: ignore[arg-type]

    return open_
