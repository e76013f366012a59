"""One TCP connection: bytes out without waiting, bytes in by call, one waiting task, one clock.

What must stay true
- Memory is bounded: whoever writes much asks `is_choked` first, and waits (`news`) until the peer has read.
- Every wait has an end. One timer serves a whole connection and is looked at when it fires, because setting and
  cancelling a timer for each reply costs more than reading the reply.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

_GONE_WITHIN = 5.0  # seconds for the loop to report the end of a connection that we ended


class Wire(asyncio.Protocol):
    """`hear` is called with what arrives; `end`, once, with the reason when the connection is gone; `late`, when what
    was expected did not come in time."""

    def __init__(self, hear: Callable[[bytes], None], end: Callable[[str], None]) -> None:
        self.hear = hear
        self.end = end
        self.late: Callable[[], None] = _nobody_waits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._alarm = 0.0  # when the wait is over; when the timer fires, at the latest
        self._is_expecting = False
        self._is_gone = False
        self._leaver: asyncio.Future[None] | None = None
        self.is_choked = False

    # What the task calls

    async def connect(self, host: str, port: int, context: ssl.SSLContext | None, *, seconds: float) -> None:
        """Connect, and with a context begin TLS at once. Raises OSError."""
        async with asyncio.timeout(seconds):
            await self._loop.create_connection(
                lambda: self, host, port, ssl=context, server_hostname=host if context else None
            )

    async def upgrade(self, host: str, context: ssl.SSLContext, *, seconds: float) -> None:
        """Begin TLS on the open connection, verifying `host`. Raises OSError."""
        assert self._transport is not None
        async with asyncio.timeout(seconds):
            upgraded = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        if upgraded is None:
            raise ConnectionResetError("the connection was closed during the TLS handshake")
        self._transport = upgraded

    @property
    def is_broken(self) -> bool:
        """Claim that what is written goes nowhere. A failed send shows here before the loop reports the end."""
        return self._transport is None or self._transport.is_closing()

    def write(self, data: bytes | memoryview) -> None:
        """Hand `data` to the transport."""
        assert self._transport is not None
        self._transport.write(data)

    def write_both(self, first: bytes, second: bytes) -> None:
        """Hand over two pieces at once, so that they leave together."""
        assert self._transport is not None
        self._transport.writelines((first, second) if first else (second,))

    def news(self, seconds: float) -> asyncio.Future[bool]:
        """Wait until `ring` is called; False when nobody did within `seconds`. One task at a time."""
        self._limit(seconds)
        self._waiter = self._loop.create_future()
        return self._waiter

    def expect(self, seconds: float) -> None:
        """Call `late` unless `relax` is called within `seconds`."""
        self._is_expecting = True
        self._limit(seconds)

    def relax(self) -> None:
        """What was expected has come."""
        self._is_expecting = False

    def ring(self) -> None:
        """Wake the waiting task, if one waits."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    def abort(self) -> None:
        """End the connection at once; what is not yet written is dropped."""
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    def forget(self) -> None:
        """End the connection at once, and report nothing of it any more."""
        self.hear, self.end, self.late = _nobody_hears, _nobody_minds, _nobody_waits
        self.abort()

    async def gone(self) -> None:
        """Wait for the end of a connection that was aborted."""
        if self._transport is None or self._is_gone:
            return
        self._leaver = self._loop.create_future()
        try:
            async with asyncio.timeout(_GONE_WITHIN):
                await self._leaver
        except TimeoutError:
            return  # after a failed handshake no loop reports the end

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses

    def data_received(self, data: bytes) -> None:
        self.hear(data)

    def pause_writing(self) -> None:
        self.is_choked = True

    def resume_writing(self) -> None:
        self.is_choked = False
        self.ring()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._is_gone = True
        if self._leaver is not None and not self._leaver.done():
            self._leaver.set_result(None)
        self.end(f"the connection broke: {exc}" if exc else "the relay closed the connection")
        self.ring()

    def _limit(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._alarm > self._deadline:
            self._set_timer()

    def _set_timer(self) -> None:
        self._stop_timer()
        self._alarm = self._deadline
        self._timer = self._loop.call_at(self._alarm, self._tick)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        waiter = self._waiter if self._waiter is not None and not self._waiter.done() else None
        if waiter is None and not self._is_expecting:
            return  # the next wait sets a new one
        if self._loop.time() < self._deadline:
            self._set_timer()
        elif waiter is not None:
            waiter.set_result(False)
        else:
            self.late()


def _nobody_hears(data: bytes) -> None:
    del data


def _nobody_minds(why: str) -> None:
    del why


def _nobody_waits() -> None:
    pass
