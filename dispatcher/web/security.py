"""What every answer carries, and from where a request comes.

What must stay true: no page loads anything from elsewhere, runs a script or lets itself be framed; no address of a page
travels in a Referer; X-Forwarded-For is believed only as far as trusted proxies have written it.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A letter brings its styles inline, as mail programs need them, and pictures from where its author keeps them.
LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' https:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_YEAR = 365 * 24 * 3600
_LONGEST_FORWARDED = 20  # entries that are looked at

Network = IPv4Network | IPv6Network
IpAddress = IPv4Address | IPv6Address


class SecurityHeaders:
    """Adds the headers to every answer; one that a page has set itself is kept."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        if https:
            self._headers["Strict-Transport-Security"] = f"max-age={_YEAR}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def client_address(request: Request, trusted: Sequence[Network]) -> IpAddress | None:
    """Give the address of the person's own machine, as far as it can be believed; None: not known.

    Every proxy appends the address it was called from. So the list is read from its end, over the trusted ones; the
    first that is not trusted is the client, and what stands left of it is the client's own invention.
    """
    nearest = _parse(request.client.host) if request.client else None
    if nearest is None or not _is_trusted(nearest, trusted):
        return nearest
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    for entry in reversed(forwarded[-_LONGEST_FORWARDED:]):
        hop = _parse(entry)
        if hop is None:
            return nearest
        nearest = hop
        if not _is_trusted(hop, trusted):
            return nearest
    return nearest


def network_of(address: IpAddress) -> str:
    """Give what one household has: the address itself in IPv4, the /64 in IPv6."""
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))


def _is_trusted(address: IpAddress, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted if network.version == address.version)


def _parse(text: str) -> IpAddress | None:
    text = text.strip()
    for spelling in (text, _without_port(text)):
        try:
            address = ip_address(spelling)
        except ValueError:
            continue
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return mapped or address
    return None


def _without_port(text: str) -> str:
    """Some proxies write 192.0.2.1:4711 and [2001:db8::1]:4711."""
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
