"""The web server. What must stay true: no request line is logged, for paths hold tokens; the client's address is left
to web/security.py, which knows the trusted proxies.
"""

import gc
import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette

from dispatcher.errors import PartUnavailable

_LONGEST_HEADERS = 32 * 1024
_GARBAGE = 20_000  # objects made and not freed, before the collector looks; a request leaves some hundred


class _Server(uvicorn.Server):
    """Ends what would go on for ever, such as streams of events, before it waits for requests under way."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app: Any = self.config.app
        for close in app.state.close:
            close()
        await super().shutdown(sockets)


def make_server(app: Starlette) -> uvicorn.Server:
    """Make a server; it listens on the sockets handed to its `run`."""
    return _Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            http="h11",
            h11_max_incomplete_event_size=_LONGEST_HEADERS,
            limit_concurrency=500,
            timeout_graceful_shutdown=10,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Open the port (0: a free one). Raises PartUnavailable, with the cure."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise PartUnavailable(
            f"port {port} on {host} cannot be opened: {error.strerror}",
            "end the program that holds it, or choose another with --port",
        ) from error


def serve(app: Starlette, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first. Raises PartUnavailable."""
    gc.freeze()  # what was imported stays, so the collector need not look at it again and again
    gc.set_threshold(_GARBAGE, 20, 100)
    with listen(host, port) as opened:
        make_server(app).run(sockets=[opened])
