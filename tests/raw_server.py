"""A server that obeys no protocol: it plays a script of raw moves on a real socket, one thread a connection.

    with RawServer([b"220 hi\r\n", Hear(b"EHLO"), b"250-half", Close()]) as server: ... server.port, server.heard ...

A move is bytes to send, or one of the classes below. After the last move the connection stays open and silent until
the other side closes it. What must stay true: every thread ends with its connection, and with the server at the latest.
"""

import contextlib
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_PATIENCE = 20.0  # seconds until a thread gives a connection up that nobody ends


@dataclass(frozen=True, slots=True)
class Hear:
    """Read until `text` has come."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Drip:
    """Send single octets, `every` so many seconds."""

    octets: bytes
    every: float


@dataclass(frozen=True, slots=True)
class Flood:
    """Send `chunk` again and again until the other side is gone."""

    chunk: bytes


@dataclass(frozen=True, slots=True)
class Shake:
    """Begin TLS as the server."""

    context: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Close:
    """Close; with `reset`, by RST instead of FIN."""

    reset: bool = False


Move = bytes | Hear | Drip | Flood | Shake | Close


class RawServer:
    """Plays one script per connection, the last one for all that follow. `heard`: what each connection was sent."""

    def __init__(self, *scripts: Sequence[Move]) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.heard: list[bytearray] = []
        self._ending = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._listener.close()

    def _accept(self) -> None:
        for number in itertools.count():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(_PATIENCE)
            self.heard.append(bytearray())
            script = self._scripts[min(number, len(self._scripts) - 1)]
            thread = threading.Thread(target=self._serve, args=(sock, script, self.heard[-1]), daemon=True)
            self._open.add(sock)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, script: Iterable[Move], heard: bytearray) -> None:
        line, seen = sock, 0
        try:
            for move in script:
                if isinstance(move, Shake):
                    line = move.context.wrap_socket(line, server_side=True, suppress_ragged_eofs=False)
                elif isinstance(move, Hear):
                    seen = _hear(line, move.text, heard, seen)
                else:
                    self._play(line, move)
            while data := line.recv(65536):
                heard += data
        except (OSError, ValueError):
            pass  # the other side has gone, or this one
        finally:
            self._open.discard(sock)
            line.close()

    def _play(self, line: socket.socket, move: bytes | Drip | Flood | Close) -> None:
        match move:
            case bytes():
                line.sendall(move)
            case Drip():
                for place in range(len(move.octets)):
                    line.sendall(move.octets[place : place + 1])
                    self._ending.wait(move.every)
            case Flood():
                while not self._ending.is_set():
                    line.sendall(move.chunk)
            case Close():
                if move.reset:
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                line.close()


def _hear(line: socket.socket, text: bytes, heard: bytearray, seen: int) -> int:
    """Read until `text` comes behind `seen`; give where it ends."""
    while (place := heard.find(text, seen)) < 0:
        data = line.recv(65536)
        if not data:
            raise ConnectionResetError
        heard += data
    return place + len(text)
