"""The relays: where letters are handed over, and how one is named in a URL.

    smtp://user:password@smtp.example.de:587?tls=starttls&lanes=16      STARTTLS required (the default)
    smtps://user:password@smtp.example.de                               TLS from the first byte, port 465
    smtp://127.0.0.1:1025?tls=none                                      no TLS: loopback only
    smtp://smtp.example.de?connect=10&command=60&dot=600                seconds to wait, at each step
    smtp://smtp.example.de?rate=6000&warmup=2026-12-01:50               letters a minute; letters of a first day

What must stay true: no letter and no password leaves this machine without TLS, and no error and no repr shows a
password, nor the URL that holds one.
"""

import ipaddress
import re
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dispatcher.errors import InputRefused


class Tls(StrEnum):
    """How the line is protected; certificate and name are always verified."""

    NONE = "none"  # plain text, to loopback only
    STARTTLS = "starttls"  # RFC 3207, required, not merely tried
    TLS = "tls"  # TLS from the first byte (RFC 8314)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait at each step (RFC 5321 4.5.3.2). Ten minutes for the dot: whoever leaves early mails twice."""

    connect: float = 30
    banner: float = 60
    command: float = 300
    data_block: float = 180
    dot: float = 600


@dataclass(frozen=True, slots=True)
class Warmup:
    """From which day (UTC) a relay is warmed up, and with how many letters to each mailbox provider."""

    first_day: date
    letters: int


@dataclass(frozen=True, slots=True)
class Relay:
    """One server that takes our letters. `letters_per_connection` 0: no limit. `ca_file`: trust this CA only."""

    name: str
    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    lanes: int = 16
    hello: str = "localhost"
    letters_per_connection: int = 1000
    ca_file: str | None = None
    timeouts: Timeouts = Timeouts()
    rate_per_min: int | None = None  # letters a minute at most, over all workers
    warmup: Warmup | None = None

    def __post_init__(self) -> None:
        if self.tls is Tls.NONE and not is_loopback(self.host):
            raise InputRefused(
                f"relay {self.name}: tls=none would send letters in plain text to {self.host}",
                "use tls=starttls or smtps://; without TLS only 127.0.0.0/8, ::1 and localhost",
            )


_PORTS = {Tls.NONE: 25, Tls.STARTTLS: 587, Tls.TLS: 465}
_SHAPE = "write smtp://user:password@host:port?tls=starttls; percent-encode : / ? # @ in user and password"
_HELLO = re.compile(r"[A-Za-z0-9.\-:\[\]]{1,255}")
# What a resolver can be asked for; from an empty or a longer label it makes an error of another kind (RFC 1035 2.3.4).
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_MOST_LANES = 1000
_MOST_LETTERS = 1_000_000
_HIGHEST_RATE = 10_000_000


def parse_relay(url: str) -> Relay:
    """Read a relay's URL. Raises InputRefused with a cure; the URL itself is never repeated, it holds a password."""
    parts = _split(url)
    host, port = _place(parts)
    options = _options(parts.query)
    tls = _tls(parts.scheme, options)
    user, password = _log_in(parts)
    port = _PORTS[tls] if port is None else port
    return Relay(
        name=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        host=host,
        port=port,
        tls=tls,
        user=user,
        password=password,
        lanes=_whole(options, "lanes", 16, 1, _MOST_LANES),
        hello=_hello(options.get("hello", "localhost")),
        letters_per_connection=_whole(options, "letters", 1000, 0, _MOST_LETTERS),
        ca_file=options.get("ca"),
        timeouts=_timeouts(options),
        rate_per_min=_whole(options, "rate", 0, 1, _HIGHEST_RATE) if "rate" in options else None,
        warmup=_warmup(options["warmup"]) if "warmup" in options else None,
    )


def is_loopback(host: str) -> bool:
    """Claim that what is sent to `host` does not leave this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    # The cause is cut off (from None) wherever it may quote a piece of the URL.
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise InputRefused("the relay's URL cannot be read", _SHAPE) from None
    if parts.scheme not in ("smtp", "smtps"):
        raise InputRefused("the relay's URL begins with neither smtp:// nor smtps://", _SHAPE)
    if parts.path not in ("", "/") or parts.fragment:
        raise InputRefused("the relay's URL has something behind host and port", _SHAPE)
    return parts


def _place(parts: SplitResult) -> tuple[str, int | None]:
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InputRefused("the port in the relay's URL is not a number from 1 to 65535", _SHAPE) from None
    if not host or not (_HOST.fullmatch(host) or _is_address(host)):
        raise InputRefused("the relay's URL names no host that could be looked up", _SHAPE)
    if port == 0:
        raise InputRefused("the port in the relay's URL is not a number from 1 to 65535", _SHAPE)
    return host, port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _log_in(parts: SplitResult) -> tuple[str | None, str | None]:
    try:
        user = unquote(parts.username or "", errors="strict")
        password = unquote(parts.password or "", errors="strict")
    except UnicodeDecodeError:
        raise InputRefused("user or password in the relay's URL is not UTF-8", "percent-encode it as UTF-8") from None
    if "\0" in user + password:
        raise InputRefused("user or password in the relay's URL holds a NUL", _SHAPE)  # RFC 4616 section 2
    if bool(user) != bool(password):
        raise InputRefused("the relay's URL has only one of user and password", "give both, or neither")
    return user or None, password or None


# How long a wait may be set to. What a task may take bounds it: longer than ten minutes for a dot it would not live.
_LONGEST_WAITS = {"connect": 300, "command": 300, "dot": 600}
_KNOWN = ("tls", "lanes", "ca", "letters", "hello", "rate", "warmup", *_LONGEST_WAITS)


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        raise InputRefused("the options of the relay's URL cannot be read", _options_cure()) from None
    for name, value in pairs:
        if name not in _KNOWN:
            raise InputRefused(f"the relay's URL has an unknown option {name!r}", _options_cure())
        if not value or not value.isprintable():
            raise InputRefused(f"the option {name} of the relay's URL has no readable value", _options_cure())
    if len(dict(pairs)) < len(pairs):
        raise InputRefused("the relay's URL gives an option twice", "give each once")
    return dict(pairs)


def _options_cure() -> str:
    return (
        "options: tls=none|starttls|tls, lanes=N, ca=FILE, letters=N, hello=NAME, rate=N, warmup=DAY:N, connect=S,"
        " command=S, dot=S"
    )


def _tls(scheme: str, options: dict[str, str]) -> Tls:
    wanted = options.get("tls", "tls" if scheme == "smtps" else "starttls")
    if wanted not in set(Tls):
        raise InputRefused(f"the relay's URL asks for tls={wanted}", "use tls=starttls, tls=tls or tls=none")
    if scheme == "smtps" and wanted != Tls.TLS:
        raise InputRefused(f"smtps:// and tls={wanted} contradict each other", f"write smtp://...?tls={wanted}")
    return Tls(wanted)


def _whole(options: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise InputRefused(f"the option {name} of the relay's URL is {text!r}", f"give {least} to {most}")
    return int(text)


def _timeouts(options: dict[str, str]) -> Timeouts:
    """Read the three waits that can be set: until the log-in, for a command, for the dot. The others follow them."""
    given = {name: _whole(options, name, 1, 1, most) for name, most in _LONGEST_WAITS.items() if name in options}
    limits = Timeouts()
    if (connect := given.get("connect")) is not None:
        limits = replace(limits, connect=connect, banner=connect)
    if (command := given.get("command")) is not None:
        limits = replace(limits, command=command, data_block=command)
    return replace(limits, dot=given.get("dot", limits.dot))


def _warmup(text: str) -> Warmup:
    day, _, letters = text.partition(":")
    try:
        return Warmup(date.fromisoformat(day), _whole({"warmup": letters}, "warmup", 0, 1, _MOST_LETTERS))
    except ValueError:
        told = f"the option warmup of the relay's URL is {text!r}"
        raise InputRefused(told, "give the first day and its letters: 2026-12-01:50") from None


def _hello(name: str) -> str:
    if not _HELLO.fullmatch(name):
        raise InputRefused("the option hello of the relay's URL is no host name", "give the name of this machine")
    return name
