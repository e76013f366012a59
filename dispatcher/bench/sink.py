"""A server that takes every letter and keeps none: `python -m dispatcher.bench.sink --port 2525 [--delay 0.025]`.

It stands in for Postfix's smtp-sink where that is not installed, and it can be far away: with `--delay` each group of
replies leaves that many seconds after the group of commands came, as over a line with such a round trip. No loop
is quite exact; so it keeps count of how long replies were held in truth, and says so to whoever asks for HELP.
"""

import argparse
import asyncio
import selectors
from typing import cast

import uvloop

from dispatcher.steady import steady

_END = b"\r\n.\r\n"
_REPLIES = {
    b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}


class _Held:
    """How long groups of replies were held, those of all sessions."""

    def __init__(self) -> None:
        self._groups = 0
        self._seconds = 0.0

    def note(self, seconds: float) -> None:
        self._groups += 1
        self._seconds += seconds

    def said(self) -> bytes:
        """Give the reply to HELP."""
        return b"214 %.3f ms in the mean\r\n" % (self._seconds / max(self._groups, 1) * 1000)


class _Session(asyncio.Protocol):
    def __init__(self, delay: float, held: _Held) -> None:
        self._delay = delay
        self._held = held
        self._rest = b""
        self._in_content = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._say(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        buffer, replies, at = self._rest + data, b"", 0
        while True:
            end = buffer.find(_END if self._in_content else b"\r\n", at)
            if end < 0:
                break
            if self._in_content:
                replies += b"250 2.0.0 Ok: taken\r\n"
                self._in_content, at = False, end + len(_END)
                continue
            verb = buffer[at : at + 4].upper()
            replies += self._held.said() if verb == b"HELP" else _REPLIES.get(verb, b"250 2.0.0 Ok\r\n")
            self._in_content = verb == b"DATA"
            at = end + (0 if self._in_content else 2)  # a message may begin with the dot that ends it
        self._rest = buffer[at:] if not self._in_content else buffer[max(at, len(buffer) - len(_END) + 1) :]
        if replies:
            self._say(replies)

    def _say(self, replies: bytes) -> None:
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._write_held, replies, steady())
        else:
            self._write(replies)

    def _write_held(self, replies: bytes, since: float) -> None:
        self._write(replies)
        self._held.note(steady() - since)

    def _write(self, replies: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(replies)
            if replies.endswith(_REPLIES[b"QUIT"]):
                self._transport.close()


async def _serve(port: int, delay: float) -> None:
    held, loop = _Held(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Session(delay, held), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="Take every letter and keep none.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=_exact if arguments.delay else uvloop.new_event_loop) as runner:
        runner.run(_serve(arguments.port, arguments.delay))


def _exact() -> asyncio.AbstractEventLoop:
    """Give a loop that wakes in time. Others wake by whole milliseconds, and replies would come in crowds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


if __name__ == "__main__":
    main()
