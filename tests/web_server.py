"""A web server on loopback that answers from a table, and remembers what it was asked."""

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Says:
    """What it answers at one path."""

    status: int = 200
    body: bytes = b"hello"
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0  # of silence


@dataclass
class WebServer:
    """One that runs. A path that is not in `pages` is not found."""

    pages: dict[str, Says]
    port: int = 0
    scheme: str = "http"
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)  # of each that asked, names in lower case
    ended: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"


@contextmanager
def running_web(pages: Mapping[str, Says] | None = None, context: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """Run one; with a context over TLS."""
    web = WebServer(dict(pages or {}), scheme="https" if context else "http")

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            web.headers.append({name.lower(): value for name, value in self.headers.items()})
            web.asked.append((self.command, self.path, body))
            said = web.pages.get(self.path, Says(404, b"no"))
            if said.after_s:
                web.ended.wait(said.after_s)
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.body)

        do_GET = do_POST = answer  # noqa: N815  (as the library calls them)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                return  # whoever asked has hung up

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.port = server.server_address[1]
    if context is not None:  # shaking hands is the business of each line's own thread
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        web.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def port_of_nobody() -> int:
    """Give a port on which nobody listens."""
    with running_web() as web:
        return web.port
