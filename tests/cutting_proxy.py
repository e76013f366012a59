"""A proxy in front of a server that breaks the line after a number of octets of the server's side: wherever one likes.

with CuttingProxy(relay.port) as proxy:
    proxy.cut_after(1000, reset=True) ... connect to proxy.port, one connection after the other ...
"""

import contextlib
import select
import socket
import struct
import threading
from types import TracebackType
from typing import Self


class CuttingProxy:
    """Serves one connection at a time, in one thread."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._octets, self._reset = 0, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()

    def cut_after(self, octets: int, *, reset: bool) -> None:
        """Break the connections that follow after `octets` of the server's side, by RST or by FIN."""
        self._octets, self._reset = octets, reset

    def _accept(self) -> None:
        while True:
            try:
                front, _ = self._listener.accept()
            except OSError:
                return
            with front, socket.create_connection(("127.0.0.1", self._behind)) as back, contextlib.suppress(OSError):
                _carry(front, back, self._octets)
                if self._reset:
                    front.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _carry(front: socket.socket, back: socket.socket, octets: int) -> None:
    while octets:
        ready, _, _ = select.select([front, back], [], [], 20)
        for source in ready:
            data = source.recv(65536 if source is front else min(octets, 65536))
            if not data:
                return
            if source is back:
                octets -= len(data)
                front.sendall(data)
            else:
                back.sendall(data)
