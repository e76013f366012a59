"""The console on a real port, for real browsers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from dispatcher.console.app import console
from dispatcher.web.app import create_app
from dispatcher.web.server import listen, make_server
from tests.console.office import Office


@contextmanager
def serving(office_of: Callable[..., Office]) -> Iterator[Office]:
    """Serve the console on this machine; the office's settings name its address."""
    with closing(listen("127.0.0.1", 0)) as port:
        office = office_of(public_url=f"http://127.0.0.1:{port.getsockname()[1]}")
        office = replace(office, app=create_app(office.settings, office.engine, lambda _: None, [console]))
        server = make_server(office.app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]}, daemon=True)
        thread.start()
        yield office
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
