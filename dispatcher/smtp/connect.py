"""From a relay's name to a connection that is greeted, secured and logged in.

What must stay true
- Certificate and name are verified, TLS is 1.2 or newer, and the context is ours: nothing falls back to plain text.
- Here every command waits for its reply. So any byte more than that reply was slipped in by somebody (behind the 220
  to STARTTLS: CVE-2011-0411) or is nonsense, and ends the connection.
- Whatever goes wrong is a RelayDown that names relay and step, and the socket is closed.
"""

import ssl
from collections import deque
from functools import lru_cache

from dispatcher.errors import RelayDown
from dispatcher.smtp.envelope import Offers
from dispatcher.smtp.opening import Opening, Say, Upgrade, greet
from dispatcher.smtp.relays import Relay, Tls
from dispatcher.smtp.reply import Reply, ReplyReader
from dispatcher.smtp.wire import Wire

_HANDSHAKE = "the TLS handshake"
_ENOUGH = 2  # replies: where one is due, the second ends the connection, and a flood of them is not kept


async def connect(relay: Relay) -> tuple[Wire, Offers]:
    """Give a connection ready for MAIL, and what the relay offers on it. Raises RelayDown."""
    doorstep = _Doorstep(relay)
    ready = False
    try:
        offers = await doorstep.pass_through()
        ready = True
    finally:
        if not ready:
            doorstep.wire.abort()
    return doorstep.wire, offers


class _Doorstep:
    """The opening's turns played over a wire, one at a time."""

    def __init__(self, relay: Relay) -> None:
        self.wire = Wire(self._hear, self._end)
        self._relay = relay
        self._reader = ReplyReader()
        self._replies: deque[Reply] = deque()
        self._fault = ""

    async def pass_through(self) -> Offers:
        relay = self._relay
        context = trusted(relay) if relay.tls is not Tls.NONE else None
        await self._connect(context if relay.tls is Tls.TLS else None)
        return await self._play(greet(relay), context)

    async def _play(self, opening: Opening, context: ssl.SSLContext | None) -> Offers:
        reply: Reply | None = None
        while True:
            try:
                turn = opening.send(reply)
            except StopIteration as end:
                offers: Offers = end.value
                return offers
            match turn:
                case Say():
                    reply = await self._say(turn)
                case Upgrade():
                    assert context is not None
                    await self._upgrade(context)
                    reply = None

    async def _connect(self, context: ssl.SSLContext | None) -> None:
        relay = self._relay
        try:
            await self.wire.connect(relay.host, relay.port, context, seconds=relay.timeouts.connect)
        except OSError as error:
            raise self._unreachable("the connection", error, relay.timeouts.connect) from error

    async def _upgrade(self, context: ssl.SSLContext) -> None:
        relay = self._relay
        self._reader = ReplyReader()
        try:
            await self.wire.upgrade(relay.host, context, seconds=relay.timeouts.banner)
        except OSError as error:
            raise self._unreachable(_HANDSHAKE, error, relay.timeouts.banner) from error
        if self._fault:
            raise self._broken(_HANDSHAKE)

    async def _say(self, say: Say) -> Reply:
        if say.command and not self._fault:
            if self._replies or self._reader.has_rest:
                self._fault = f"it spoke before {say.step} was sent"
                raise self._broken(say.step)
            self.wire.write(say.command)
        while not self._replies:
            if self._fault:
                raise self._broken(say.step)
            if not await self.wire.news(say.seconds):
                self._fault = f"no reply within {say.seconds:g} s"
        reply = self._replies.popleft()
        if self._replies or self._reader.has_rest:
            self._fault = f"more came than the reply to {say.step}"
            raise self._broken(say.step)
        return reply

    def _hear(self, data: bytes) -> None:
        if len(self._replies) < _ENOUGH:
            self._replies += self._reader.read(data)[:_ENOUGH]
        self._fault = self._fault or self._reader.fault
        if self._replies or self._fault:
            self.wire.ring()

    def _end(self, why: str) -> None:
        self._fault = self._fault or why

    def _broken(self, step: str) -> RelayDown:
        # What is quoted of an answer to the log-in may be a piece of the password.
        fault = self._fault.partition(": ")[0] if step.startswith("AUTH") else self._fault
        return RelayDown(f"relay {self._relay.name}, {step}: {fault}", _cure_at(step, self._relay.tls))

    def _unreachable(self, step: str, error: OSError, seconds: float) -> RelayDown:
        if isinstance(error, TimeoutError):
            why = f"no answer within {seconds:g} s"
        elif isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is not trusted for {self._relay.host}: {error.verify_message}"
        else:
            why = str(error) or type(error).__name__
        return RelayDown(f"relay {self._relay.name}, {step}: {why}", _cure(error, step, self._relay.tls))


@lru_cache(maxsize=16)
def _context(ca_file: str | None) -> ssl.SSLContext:
    # Reading the system's authorities takes milliseconds; a hundred lanes open at once. A changed file needs a restart.
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def trusted(relay: Relay) -> ssl.SSLContext:
    """Give the context that verifies `relay`: with its CA alone, or with the system's. Raises RelayDown."""
    try:
        return _context(relay.ca_file)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise RelayDown(
            f"relay {relay.name}: the CA file {relay.ca_file} cannot be used: {why}",
            "ca=FILE in the relay's URL names a PEM file with the certificate of the relay's authority",
        ) from error


# OpenSSL's reasons why a certificate does not verify (X509_V_ERR_...), as far as a cure is known.
_NOT_NOW = frozenset({9, 10})  # not yet valid, expired
_OTHER_NAME = frozenset({62, 64})  # the host name or the IP address does not match
_AGAIN = "it is tried again by itself"


def _cure(error: OSError, step: str, tls: Tls) -> str:
    """Say what to do about a connection or a handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _cure_of_certificate(error.verify_code)
    if step == _HANDSHAKE:
        return f"the relay said it would speak TLS and did not: ask its operator; {_AGAIN}"
    if tls is Tls.TLS and isinstance(error, ssl.SSLError | TimeoutError | ConnectionResetError):
        return f"the port may speak no TLS, or STARTTLS only: try smtp:// with tls=starttls; {_AGAIN}"
    return f"check host, port and firewall; {_AGAIN}"


def _cure_of_certificate(code: int) -> str:
    if code in _NOT_NOW:
        return "the relay's operator has to renew it; check the clock of this host as well"
    if code in _OTHER_NAME:
        return "write the host into the relay's URL by a name that is in its certificate"
    return "if the relay's authority is one of your own, add ca=FILE to the relay's URL; else ask the relay's operator"


def _cure_at(step: str, tls: Tls) -> str:
    """Say what to do about a relay that fell silent, closed, or spoke nonsense at `step`."""
    if step == "the banner" and tls is not Tls.TLS:
        return f"the port may belong to something else, or expect TLS at once: try smtps:// (port 465); {_AGAIN}"
    if step.startswith("AUTH"):
        return f"check user and password in the relay's URL; {_AGAIN}"
    if step == "STARTTLS":
        return f"nothing was sent: somebody between here and the relay may interfere; ask its operator; {_AGAIN}"
    return f"check host and port in the relay's URL, and ask the relay's operator; {_AGAIN}"
