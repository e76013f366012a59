"""What visitors of the measured pages come for, as requests octet by octet, and the rows that they must have left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy import Engine, func, select

from dispatcher.bench import people
from dispatcher.bench.letter import TOPIC
from dispatcher.db.engine import reading
from dispatcher.db.tables import consent_event, opt_in_request
from dispatcher.db.terms import ConsentKind
from dispatcher.domain import tokens
from dispatcher.domain.tokens import Keyring, Link, Purpose

_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_SAME_PLACE = 10  # sign-ups from one address; a form takes 20 an hour
_DOMAINS = 500
_ONE_CLICK = b"List-Unsubscribe=One-Click"  # RFC 8058, 3.1


@dataclass(frozen=True, slots=True)
class Errand:
    """`make` gives the request of one number; `left` counts the rows of all who came so far, None: they leave none."""

    name: str
    make: Callable[[int], bytes]
    left: Callable[[], int] | None


def errands(engine: Engine, ring: Keyring, stamp: str) -> Sequence[Errand]:
    """Give what is measured. `stamp` stands in a form that was handed out a while ago."""

    def sign_up(i: int) -> bytes:
        typed = {
            "address": f"visitor{i}@mail{i % _DOMAINS}.example.de", "name": "Maria Ziegelmann", "topic": TOPIC,
            "website": "", "stamp": stamp,
        }  # fmt: skip
        return _request("POST", "/?lang=de", i, urlencode(typed).encode())

    def path(i: int) -> str:
        link = Link(people.public_id(people.nth_subscribed(i)), TOPIC, 1)
        return f"/u/{tokens.sign(ring, Purpose.UNSUBSCRIBE, link)}"

    def requested() -> int:
        with reading(engine).connect() as conn:
            return conn.execute(select(func.count()).select_from(opt_in_request)).scalar_one()

    def withdrawn() -> int:
        kind = consent_event.c.kind == ConsentKind.WITHDRAWN
        with reading(engine).connect() as conn:
            return conn.execute(select(func.count()).where(kind, consent_event.c.ip.is_not(None))).scalar_one()

    return (
        Errand("sign-up", sign_up, requested),
        Errand("unsubscribe, one click", lambda i: _request("POST", path(i), i, _ONE_CLICK), withdrawn),
        Errand("unsubscribe, page", lambda i: _request("GET", path(i), i), None),
    )


def _request(method: str, path: str, i: int, body: bytes = b"") -> bytes:
    """As a browser sends it, over a proxy that says from where it comes."""
    place = i // _SAME_PLACE
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: news.example.de",
        f"User-Agent: {_BROWSER}",
        "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
        "Accept-Language: de,en;q=0.5",
        f"X-Forwarded-For: 10.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}",
    ]
    if method == "POST":
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
