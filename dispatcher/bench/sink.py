"""A server that takes every letter and keeps none: `python -m dispatcher.bench.sink --port 2525 [--delay 0.025]`.

It stands in for Postfix's smtp-sink where that is not installed, and it can be far away: with `--delay` each group of
replies leaves that many seconds after the group of commands came, as over a line with such a round trip.
"""

import argparse
import asyncio
from typing import cast

import uvloop

_END = b"\r\n.\r\n"
_REPLIES = {
    b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}


class _Session(asyncio.Protocol):
    def __init__(self, delay: float) -> None:
        self._delay = delay
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
            replies += _REPLIES.get(verb, b"250 2.0.0 Ok\r\n")
            self._in_content = verb == b"DATA"
            at = end + (0 if self._in_content else 2)  # a message may begin with the dot that ends it
        self._rest = buffer[at:] if not self._in_content else buffer[max(at, len(buffer) - len(_END) + 1) :]
        if replies:
            self._say(replies)

    def _say(self, replies: bytes) -> None:
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._write, replies)
        else:
            self._write(replies)

    def _write(self, replies: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(replies)
            if replies.endswith(_REPLIES[b"QUIT"]):
                self._transport.close()


async def _serve(port: int, delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Session(delay), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="Take every letter and keep none.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.port, arguments.delay))


if __name__ == "__main__":
    main()
