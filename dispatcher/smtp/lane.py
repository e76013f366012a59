"""One SMTP connection that carries letters and holds each one's dot back until it is told to release it.

    open -> offer(a) -> [gate] -> release(b) -> offer(b) -> [gate] -> release() -> close
                           `----> abandon: the gate said no, nothing was delivered

A body of usual size waits here for the gate as well: body, dot and the next letter's envelope then share one write, and
a letter costs one write, one read and one round trip. A longer body goes out in `offer`, block by block; and so does
every body on a careful lane, whose relay broke off in the middle of a letter before.

What must stay true
- The dot of a letter is written by `release` alone, at once or never: on a lane that was lost before, it is NotSent.
  `release` writes before it returns, so that nothing can come between the gate's yes and the dot.
- Neither `offer` nor `release` raises for anything that a relay or a network can do; only `open` does (RelayDown).
- No wait is without a limit, and each limit is that of RFC 5321 4.5.3.2.
"""

import asyncio
from collections.abc import Iterable

from dispatcher.smtp.connect import connect
from dispatcher.smtp.envelope import Offers, Parcel, unfit
from dispatcher.smtp.protocol import Answered, Declined, Dialogue, Event, Invited
from dispatcher.smtp.relays import Relay
from dispatcher.smtp.verdict import NotSent, Verdict
from dispatcher.smtp.wire import Wire

__all__ = ["Lane", "Parcel"]

_BLOCK = 64 * 1024  # a longer body goes out before the gate, in blocks, each with a limit (RFC 5321 4.5.3.2.5)
_QUIT = b"QUIT\r\n"
_QUIT_SECONDS = 5.0


class Lane:
    """A strictly serial connection to `relay`; may be opened again after `close` or `abandon`."""

    def __init__(self, relay: Relay, *, careful: bool = False) -> None:
        self._relay = relay
        self._longest_held = 0 if careful else _BLOCK
        self._limits = relay.timeouts
        self._for_answer = self._limits.dot  # seconds
        self._most_letters = relay.letters_per_connection  # 0: any number
        self._wire: Wire | None = None
        self._dialogue = Dialogue(Offers())  # of no use before `open`
        self._under_way: Parcel | None = None  # its envelope went out together with the dot before
        self._envelope: Invited | Verdict | None = None
        self._answer: asyncio.Future[Verdict] | None = None  # set when the relay answers the dot
        self._held: Parcel | None = None  # its body goes out together with its dot
        self._ended: NotSent | None = NotSent(f"the lane to relay {relay.name} is not open", about_us=False)
        self._letters = 0

    @property
    def is_open(self) -> bool:
        """Claim that a letter may be offered, as far as is known."""
        return self._ended is None

    @property
    def is_fit(self) -> bool:
        """Claim that the next letter may be offered on this very connection."""
        return self._ended is None and not self.is_spent

    @property
    def is_spent(self) -> bool:
        """Claim that this connection has carried as many letters as it may: close it and open a new one."""
        return 0 < self._most_letters <= self._letters

    async def open(self) -> None:
        """Connect, greet, secure, log in. Raises RelayDown naming relay, step and reply; nothing was sent then."""
        assert self._ended is not None, "this lane is open"
        await self.abandon()
        wire, offers = await connect(self._relay)
        wire.hear, wire.end, wire.late = self._hear, self._end, self._late
        self._wire, self._dialogue = wire, Dialogue(offers)
        self._under_way = self._envelope = self._answer = self._ended = None
        self._letters = 0

    async def offer(self, parcel: Parcel) -> Verdict | None:
        """Send the envelope, and a long body, without the dot. None: `release` or `abandon` comes next.

        A verdict: no dot will be due. The lane can carry the next letter if it `is_open`. After `release(following)`
        only `following` may be offered; anything else gives the connection up and is NotSent.
        """
        under_way, self._under_way = self._under_way, None
        if under_way is not None and under_way is not parcel:
            self._lose("another letter's envelope was under way")
            under_way = self._envelope = None
        if under_way is None:
            refusal = self._ended or unfit(parcel, self._dialogue.offers, self._relay.name)
            if refusal is not None:
                return refusal
            self._dialogue.offer(parcel)
            self._flush()
        while self._envelope is None:
            await self._news(self._limits.command)
        answer, self._envelope = self._envelope, None
        if not isinstance(answer, Invited):
            return answer
        if parcel.size <= self._longest_held:
            self._held = parcel
            return self._end_seen()
        return await self._write_ahead(parcel.octets())

    def release(
        self, following: Parcel | None = None, answer: asyncio.Future[Verdict] | None = None
    ) -> asyncio.Future[Verdict]:
        """Write the dot, and with it the envelope of `following` where the relay pipelines. `answer` (or a new future)
        is given what became of it.

        Only for a lane whose `offer` gave None, and only when the gate has said yes.
        """
        if answer is None:
            answer = asyncio.get_running_loop().create_future()
        if (ended := self._end_seen()) is not None:
            answer.set_result(ended)
            return answer
        self._letters += 1
        self._under_way = following if self._may_follow(following) else None
        self._dialogue.release(self._under_way)
        assert self._wire is not None
        self._answer = answer
        self._wire.expect(self._for_answer)
        held, self._held = self._held, None
        self._wire.write_both(held.octets() if held is not None else b"", self._dialogue.take())
        return answer

    async def abandon(self) -> None:
        """Close at once, without a dot: what was offered is not delivered, and may be sent again."""
        self._lose("the lane was abandoned")
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.forget()
            await wire.gone()

    async def close(self) -> None:
        """Say QUIT where it would be understood as a command, wait briefly, close."""
        if self._ended is None and self._wire is not None and self._dialogue.is_idle:
            self._ended = NotSent("the lane was closed", about_us=False)
            self._wire.write(_QUIT)
            await self._wire.news(_QUIT_SECONDS)  # the reply or the end, whichever it is
        await self.abandon()

    def _may_follow(self, following: Parcel | None) -> bool:
        if following is None or self.is_spent or not self._dialogue.offers.pipelining:
            return False
        return unfit(following, self._dialogue.offers, self._relay.name) is None

    def _end_seen(self) -> NotSent | None:
        # Asked before each write: a dot handed to a broken line would be Unknown for nothing.
        if self._ended is None and self._wire is not None and self._wire.is_broken:
            self._lose("the connection broke")
        return self._ended

    def _write(self, data: bytes | memoryview) -> bool:
        """Write; True: the relay has to read before more is written."""
        assert self._wire is not None
        self._wire.write(data)
        return self._wire.is_choked

    async def _write_ahead(self, body: bytes) -> NotSent | None:
        self._held = None
        for block in _blocks(body):
            if self._end_seen() is None and self._write(block):
                await self._drain()
        return self._ended

    async def _drain(self) -> None:
        assert self._wire is not None
        while self._wire.is_choked and self._ended is None:
            await self._news(self._limits.data_block)

    async def _news(self, seconds: float) -> None:
        assert self._wire is not None
        if not await self._wire.news(seconds):
            self._give_up(seconds)

    def _late(self) -> None:
        self._give_up(self._for_answer)

    def _give_up(self, seconds: float) -> None:
        assert self._wire is not None
        what = "the relay to read the letter" if self._wire.is_choked else "a reply"
        self._lose(f"waited {seconds:g} s for {what}")

    def _flush(self) -> None:
        if out := self._dialogue.take():
            self._write(out)

    def _hear(self, data: bytes) -> None:
        assert self._wire is not None
        events = self._dialogue.receive(data)
        self._flush()
        self._note(events)
        if events or self._ended is not None:
            self._wire.ring()

    def _end(self, why: str) -> None:
        self._note(self._dialogue.lose(f"{self._dialogue.moment}: {why}"))

    def _lose(self, why: str) -> None:
        self._end(why)
        if self._wire is not None:
            self._wire.abort()

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Answered):
                self._tell(event.verdict)
            elif isinstance(event, Invited):
                self._envelope = event
            elif isinstance(event, Declined):
                self._envelope = event.verdict
            else:
                self._ended = event.verdict
                if self._wire is not None:
                    self._wire.abort()

    def _tell(self, verdict: Verdict) -> None:
        answer, self._answer = self._answer, None
        if self._wire is not None:
            self._wire.relax()
        if answer is not None and not answer.done():  # done: whoever waited was called off
            answer.set_result(verdict)


def _blocks(body: bytes) -> Iterable[memoryview]:
    view = memoryview(body)
    return (view[start : start + _BLOCK] for start in range(0, len(body), _BLOCK))
