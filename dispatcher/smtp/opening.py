"""How a connection begins, without sockets: banner, EHLO, STARTTLS, EHLO again, AUTH.

    for Turn in greet(relay):       Say(command, ...)  ->  the relay's Reply comes back
                                    Upgrade()          ->  TLS begins; nothing comes back

What must stay true
- Where TLS is asked for, nothing but EHLO and STARTTLS goes over the line before it, and what was learned before it
  is forgotten (RFC 3207 section 4.2).
- No password over a line that is neither TLS nor loopback; and none in an error, even if the relay repeats it.
"""

import base64
from collections.abc import Generator
from dataclasses import dataclass, field

from dispatcher.errors import RelayDown
from dispatcher.smtp.envelope import Offers, read_offers
from dispatcher.smtp.relays import Relay, Tls, is_loopback
from dispatcher.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Say:
    """Write `command` (the banner needs none) and bring back one reply within `seconds`."""

    step: str
    command: bytes = field(repr=False)
    seconds: float


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Begin TLS, and verify certificate and name."""


Turn = Say | Upgrade
Opening = Generator[Turn, Reply | None, Offers]


def greet(relay: Relay) -> Opening:
    """Say what opens a connection to `relay`; returns what the relay offers. Raises RelayDown at the first refusal."""
    yield from _ask(relay, Say("the banner", b"", relay.timeouts.banner))
    offers = yield from _hello(relay)
    if relay.tls is Tls.STARTTLS:
        offers = yield from _secure(relay, offers)
    if relay.user is not None and relay.password is not None:
        yield from _log_in(relay, offers)
    return offers


def _hello(relay: Relay) -> Opening:
    reply = yield from _ask(relay, Say("EHLO", f"EHLO {relay.hello}\r\n".encode(), relay.timeouts.banner))
    return read_offers(reply.lines[1:])


def _secure(relay: Relay, offers: Offers) -> Opening:
    if not offers.starttls:
        raise RelayDown(
            f"relay {relay.name} offers no STARTTLS; nothing was sent in plain text",
            "check host and port; for TLS from the first byte write smtps:// (port 465)",
        )
    yield from _ask(relay, Say("STARTTLS", b"STARTTLS\r\n", relay.timeouts.banner))
    yield Upgrade()
    return (yield from _hello(relay))


def _log_in(relay: Relay, offers: Offers) -> Generator[Turn, Reply | None, None]:
    assert relay.user is not None
    assert relay.password is not None
    if relay.tls is Tls.NONE and not is_loopback(relay.host):
        raise RelayDown(f"relay {relay.name} would get the password in plain text", "use tls=starttls or smtps://")
    user, password = relay.user.encode(), relay.password.encode()
    seconds = relay.timeouts.command
    if "PLAIN" in offers.log_ins:
        token = _base64(b"\0" + user + b"\0" + password)  # RFC 4616
        yield from _ask(relay, Say("AUTH PLAIN", b"AUTH PLAIN " + token, seconds))
    elif "LOGIN" in offers.log_ins:
        yield from _ask(relay, Say("AUTH LOGIN", b"AUTH LOGIN\r\n", seconds), wanted=3)
        yield from _ask(relay, Say("AUTH LOGIN, the user", _base64(user), seconds), wanted=3)
        yield from _ask(relay, Say("AUTH LOGIN, the password", _base64(password), seconds))
    else:
        offered = ", ".join(sorted(offers.log_ins)) or "none"
        raise RelayDown(
            f"relay {relay.name} offers neither AUTH PLAIN nor AUTH LOGIN (it offers: {offered})",
            "check the port; or leave user and password out of the relay's URL if it asks for none",
        )


def _ask(relay: Relay, say: Say, *, wanted: int = 2) -> Generator[Turn, Reply | None, Reply]:
    reply = yield say
    assert reply is not None
    if reply.code // 100 != wanted:
        answer = _without_secrets(relay, str(reply))
        raise RelayDown(f"relay {relay.name} answered {say.step} with: {answer}", _cure(relay, say.step, reply))
    return reply


def _cure(relay: Relay, step: str, reply: Reply) -> str:
    if step.startswith("AUTH"):
        return f"check user ({relay.user}) and password in the relay's URL"
    if step == "the banner" and reply.code // 100 == 5:
        return "the relay does not want this host at all: ask its postmaster; no address is to blame"
    if reply.code // 100 == 4:
        return "the relay is busy or closing; it is tried again by itself"
    return "check host, port and tls in the relay's URL"


def _without_secrets(relay: Relay, text: str) -> str:
    password = relay.password or ""
    user = relay.user or ""
    tokens = (_base64(f"\0{user}\0{password}".encode()), _base64(password.encode()))
    for secret in (password, *(token.decode().strip() for token in tokens)):
        if secret:
            text = text.replace(secret, "***")
    return text


def _base64(raw: bytes) -> bytes:
    return base64.b64encode(raw) + b"\r\n"
