"""Scripts for raw servers: an orderly dialogue up to a step, and what may go wrong there. And one letter sent to it."""

import time
from dataclasses import dataclass, replace

from dispatcher.errors import RelayDown
from dispatcher.smtp.lane import Lane
from dispatcher.smtp.relays import Relay, Timeouts, Tls
from dispatcher.smtp.verdict import Verdict
from tests.raw_server import Close, Drip, Flood, Hear, Move, RawServer
from tests.smtp.letters import letter

LIMIT = 0.2  # seconds for each step
SOON = 5.0  # seconds by which everything has to be over, with a busy machine in mind
LIMITS = Timeouts(connect=LIMIT, banner=LIMIT, command=LIMIT, data_block=LIMIT, dot=LIMIT)
# Of most limits only that of the step which is tried is short, for a busy machine may be late at every other one.
PATIENT = Timeouts(connect=10, banner=10, command=10, data_block=10, dot=10)
OPENING = replace(PATIENT, connect=0.5, banner=0.5)  # for the connection, and for each step until AUTH
COMMAND = replace(PATIENT, command=LIMIT)
DOT = replace(PATIENT, dot=LIMIT)

BANNER = b"220 relay.example.com ESMTP\r\n"
HELLO = b"250-relay.example.com\r\n250 PIPELINING\r\n"
ENVELOPE = b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n"
TAKEN = b"250 2.0.0 taken\r\n"
END = b"\r\n.\r\n"

GREETED: tuple[Move, ...] = (BANNER, Hear(b"EHLO"), HELLO, Hear(b"DATA\r\n"))
INVITED: tuple[Move, ...] = (*GREETED, ENVELOPE, Hear(END))

# What is no SMTP wherever it comes, by name.
NONSENSE: dict[str, tuple[Move, ...]] = {
    "no reply": (),
    "a close": (Close(),),
    "a reset": (Close(reset=True),),
    "half a reply and silence": (b"25",),
    "half a reply and a close": (b"250 o", Close()),
    "half of several lines and silence": (b"250-one\r\n250-two\r\n",),
    "a reply that drips in": (Drip(b"250-" + b"x" * 1000, 0.02),),
    "lines that drip in": (Drip(b"250-x\r\n" * 200, 0.02),),
    "octets beyond ASCII": (bytes(range(128, 256)) * 4 + b"\r\n",),
    "every octet": (bytes(range(256)),),
    "NULs": (b"\0" * 600 + b"\r\n",),
    "empty lines": (b"\r\n\r\n",),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
    "a TLS alert": (b"\x15\x03\x03\x00\x02\x02\x28",),  # seven octets without a line end: ends by the limit
    "a code of four digits": (b"2500 ok\r\n",),
    "a code that is none": (b"199 hm\r\n",),
    "a code beyond all": (b"650 hm\r\n",),
    "lines of different codes": (b"250-one\r\n550 two\r\n",),
    "a line of ten megabytes": (b"250 " + b"x" * 10_000_000, b"\r\n"),
    "a line without an end": (b"250 ", Flood(b"x" * 65536)),
    "a thousand lines": (b"250-x\r\n" * 1000 + b"250 x\r\n",),
    "lines without an end": (Flood(b"250-x\r\n" * 1000),),
    "long lines without an end": (Flood(b"250-" + b"x" * 4000 + b"\r\n"),),
    "nonsense without an end": (Flood(b"\xff\x00" * 30000),),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one letter, within how many seconds."""

    end: Verdict | RelayDown
    seconds: float


def relay_at(port: int, **fields: object) -> Relay:
    """Give the relay that a raw server plays."""
    known = {"name": "nonsense", "host": "127.0.0.1", "port": port, "tls": Tls.NONE, "timeouts": PATIENT}
    return Relay(**{**known, **fields})  # type: ignore[arg-type]


async def send_one(relay: Relay, size: int = 0) -> Seen:
    """Open, offer, release at once; leave without QUIT, which nobody here would answer."""
    lane, began = Lane(relay), time.monotonic()
    try:
        await lane.open()
    except RelayDown as error:
        return Seen(error, time.monotonic() - began)
    verdict = await lane.offer(letter(size=size))
    if verdict is None:
        verdict = await lane.release()
    seconds = time.monotonic() - began
    await lane.abandon()
    return Seen(verdict, seconds)


def play(run, *script: Move, **fields: object) -> tuple[Seen, bytes]:  # type: ignore[no-untyped-def]
    """Send one letter to a server that plays `script`; give what became of it, and what the server heard."""
    with RawServer(script) as server:
        seen = run(send_one(relay_at(server.port, **fields)))
        return seen, bytes(server.heard[0]) if server.heard else b""
