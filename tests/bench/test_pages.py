"""What the visitors of the measured pages send is what real pages take, over real sockets."""

import asyncio
import threading
from pathlib import Path

from dispatcher.bench import people, stage
from dispatcher.bench.errands import errands
from dispatcher.bench.visitors import visit
from dispatcher.db import clock
from dispatcher.db.terms import Language
from dispatcher.sending import declarations
from dispatcher.sending import house as houses
from dispatcher.web import stamp
from dispatcher.web.app import create_app
from dispatcher.web.server import listen, make_server
from dispatcher.web.stamp import Stamp


def test_each_visitor_gets_what_they_came_for_and_leaves_what_they_must(tmp_path: Path) -> None:
    settings, _ = stage.settings_of(tmp_path, f"sqlite:///{tmp_path / 'bench.db'}", trusted_proxies="127.0.0.1")
    engine, ring = stage.filled(settings, 40), houses.keyring(settings)
    server = make_server(create_app(settings, engine, lambda _: None))
    with engine.begin() as conn:
        now = clock.now(conn)
        words = declarations.shown(conn, Language.DE, now)
    old = stamp.seal(ring, Stamp(now - 2 * stamp.SHORTEST, Language.DE, words.id))
    with listen("127.0.0.1", 0) as opened:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            for errand in errands(engine, ring, old):
                _, seen = asyncio.run(visit(opened.getsockname()[1], 2, [errand.make(i) for i in range(12)]))
                assert seen.statuses == {"200": 12}, errand.name
                assert errand.left is None or errand.left() == 12, errand.name
        finally:
            server.should_exit = True
            thread.join(timeout=20)
    assert not thread.is_alive()
    engine.dispose()


def test_the_people_by_number_are_those_whose_consent_stands() -> None:
    assert [people.nth_subscribed(n) for n in (0, 8, 9, 17, 18)] == [1, 9, 11, 19, 21]
