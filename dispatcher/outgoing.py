"""Requests that we make: to addresses that authors wrote and partners gave, so each could be meant for our own network.

    address taken apart -> name resolved once -> every answer looked at -> connected to that answer, not to the name

What must stay true: nothing is sent to an address that is not public (private, loopback, link-local, and so the
metadata services of clouds), unless the operator named the host; `fetch` follows no redirect, and `follow` looks at
each hop as at the first; a request ends within its patience, whatever the server does; and no more is read than was
asked for.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import httpcore

PATIENCE = 5.0  # seconds, for the whole of a request, if nothing else is said
MOST_HOPS = 5
MOVED = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in IPv6's clothes


class Trouble(StrEnum):
    """Why there was no answer."""

    ADDRESS = "address"  # it is no web address, or names a port that web servers do not use
    NO_NAME = "no name"  # the host's name leads nowhere, or nobody here can say where
    NOT_PUBLIC = "not public"  # it leads into a network that is not the internet
    TIME = "time"
    CERTIFICATE = "certificate"
    CONNECTION = "connection"  # refused, lost, or not HTTP


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request that got no answer; `why` in the words of whoever said so."""

    trouble: Trouble
    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. `body` is at most what was asked for; `size` what all of it has, as far as is known."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request. At most `keep` octets of the answer's body are read, within `patience` seconds from the first word."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    keep: int = 0
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of asking: the last answer, and at which address. `hops` counts redirects."""

    answer: Answer | Unanswered
    url: str
    hops: int

    @property
    def is_circle(self) -> bool:
        """Claim that it was redirected more often than anybody follows."""
        return self.hops > MOST_HOPS


@dataclass(frozen=True, slots=True)
class Passport:
    """To where requests may go: everything public, and these hosts ("host", or "host:port") wherever they are."""

    hosts: frozenset[str] = frozenset()

    def also(self, url: str) -> "Passport":
        """Give one that is good for the host of a web address of our own, too."""
        parts = urlsplit(url)
        return Passport(self.hosts | {f"{parts.hostname}:{_port(parts)}"})

    def names(self, host: str, port: int) -> bool:
        """Claim that the operator named this host."""
        return host in self.hosts or f"{host}:{port}" in self.hosts


async def fetch(wanted: Outgoing, passport: Passport) -> Answer | Unanswered:
    """Make one request. Whatever goes wrong with it is a value: it is the other side's doing."""
    wrong = _wrong_with(wanted.url, passport)
    if wrong is not None:
        return Unanswered(Trouble.ADDRESS, wrong)
    try:
        async with asyncio.timeout(wanted.patience), _pool(passport) as pool:
            return await _ask(pool, wanted)
    except _Refused as refused:
        return Unanswered(refused.trouble, str(refused))
    except TimeoutError:
        return Unanswered(Trouble.TIME, f"no answer within {wanted.patience:.0f} seconds")
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, ValueError) as error:
        kind = Trouble.CERTIFICATE if _is_about_the_certificate(error) else Trouble.CONNECTION
        return Unanswered(kind, str(error) or type(error).__name__)


async def follow(wanted: Outgoing, passport: Passport, *, stays_secure: bool = False) -> Followed:
    """Ask, and go where redirects lead, each hop looked at like the first. With `stays_secure` none leads away from
    https.
    """
    hops = 0
    while True:
        answer = await fetch(wanted, passport)
        is_last = isinstance(answer, Unanswered) or answer.status not in MOVED or "location" not in answer.headers
        if is_last or hops > MOST_HOPS:
            return Followed(answer, wanted.url, hops)
        assert isinstance(answer, Answer)
        try:
            url = urljoin(wanted.url, answer.headers["location"])
        except ValueError as error:
            return Followed(Unanswered(Trouble.ADDRESS, str(error)), wanted.url, hops)
        if stays_secure and wanted.url.startswith("https:") and not url.startswith("https:"):
            return Followed(Unanswered(Trouble.ADDRESS, f"it leads from https to {url[:200]}"), wanted.url, hops)
        wanted, hops = replace(wanted, url=url), hops + 1


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Claim that an address belongs to the internet, in whatever clothes it comes."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


class _Refused(Exception):
    """We do not go there. httpcore lets it through: it is no error of the network."""

    def __init__(self, trouble: Trouble, why: str) -> None:
        super().__init__(why)
        self.trouble = trouble


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to what a name resolved to when it was looked at, so that no second answer can lead elsewhere."""

    def __init__(self, passport: Passport) -> None:
        self._passport = passport
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, look, connect to the first of the addresses that takes us."""
        addresses = await _resolve(host, port)
        if not self._passport.names(host, port):
            inside = [address for address in addresses if not is_public(address)]
            if inside:
                raise _Refused(Trouble.NOT_PUBLIC, f"{host} is {inside[0]}")
        last: Exception = OSError("no address")
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                last = error
        raise last


async def _resolve(host: str, port: int) -> list[IPv4Address | IPv6Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise _Refused(Trouble.NO_NAME, f"{host}: {error.args[-1] if error.args else error}") from None
    return [ip_address(str(place[0]).partition("%")[0]) for *_, place in found]


@asynccontextmanager
async def _pool(passport: Passport) -> AsyncIterator[httpcore.AsyncConnectionPool]:
    async with httpcore.AsyncConnectionPool(ssl_context=_trust(), network_backend=_Guarded(passport)) as pool:
        yield pool


def _trust() -> ssl.SSLContext:
    """Give the authorities that this machine trusts now."""
    paths = ssl.get_default_verify_paths()
    changed_at = Path(paths.cafile).stat().st_mtime_ns if paths.cafile else 0
    return _trust_of(paths, changed_at)


@lru_cache(maxsize=1)  # to read them takes thirty milliseconds
def _trust_of(_paths: ssl.DefaultVerifyPaths, _changed_at: int) -> ssl.SSLContext:
    return ssl.create_default_context()


async def _ask(pool: httpcore.AsyncConnectionPool, wanted: Outgoing) -> Answer:
    length = {"Content-Length": str(len(wanted.body))} if wanted.body is not None else {}
    headers = {"Host": urlsplit(wanted.url).netloc.rpartition("@")[2], **wanted.headers, **length}
    url = quote(wanted.url, safe="".join(map(chr, range(33, 127))))  # as browsers do with what is not ASCII
    async with pool.stream(wanted.method, url, headers=list(headers.items()), content=wanted.body) as response:
        said = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        kept = bytearray()
        if wanted.keep:
            async for piece in response.aiter_stream():
                kept += piece
                if len(kept) >= wanted.keep:
                    break
        stated = said.get("content-length", "")
        size = max(len(kept), int(stated) if stated.isdecimal() else 0)
        return Answer(response.status, said, bytes(kept[: wanted.keep]), size)


def _wrong_with(url: str, passport: Passport) -> str | None:
    """Say what is wrong with a web address; None: it can be asked."""
    try:
        parts = urlsplit(url)
        port = _port(parts)
    except ValueError as error:
        return str(error)
    if parts.scheme not in _PORTS or not parts.hostname:
        return "it is no web address"
    if port not in _PORTS.values() and not passport.names(parts.hostname, port):
        return f"port {port} is none of a web server"
    return None


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS.get(parts.scheme, 0)


def _is_about_the_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
