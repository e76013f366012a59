"""Endpoints of webhooks: to whom programs elsewhere have us tell what happens here (www.standardwebhooks.com).

What must stay true: the secret is shown once and stored sealed, bound to its URL, so that nobody who can write into
the database can have our signature sent elsewhere; an endpoint that is off is told nothing.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, func, insert, select, true, update

from dispatcher.db.tables import webhook_endpoint, webhook_message
from dispatcher.db.terms import WebhookKind
from dispatcher.domain.programs import outbox
from dispatcher.domain.programs.outbox import MOST_ENDPOINTS, Happened
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.vault import Vault
from dispatcher.errors import InputRefused, MoveRefused, NotFound

KINDS = tuple(kind for kind in WebhookKind if kind is not WebhookKind.TEST)  # those one can ask for
LISTED = 1000
_VAULT = Vault(b"webhook")
_PREFIX = "whsec_"
_LONGEST_URL = 1000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as it stands, without its secret. `off_why`: what it answered when we gave it up."""

    id: int
    url: str
    kinds: tuple[WebhookKind, ...]
    created_at: datetime
    created_by: str
    delivered_at: datetime | None
    off_at: datetime | None
    off_why: str | None

    @property
    def host(self) -> str:
        """Give its host: the rest of a URL may be a secret of its own."""
        return urlsplit(self.url).netloc


_e = webhook_endpoint.c
_COLUMNS = [_e[name] for name in Endpoint.__slots__]


def add(
    conn: Connection, keyring: Keyring, url: str, kinds: Iterable[WebhookKind], by: str, now: datetime
) -> tuple[Endpoint, str]:
    """Enter an endpoint; give it, and its secret, which nobody can show again. Raises InputRefused."""
    wanted = sorted(set(kinds))
    if not wanted:
        raise InputRefused("an endpoint that wants nothing is told nothing", f"name some of: {', '.join(KINDS)}")
    _require_good(url)
    on = conn.execute(select(func.count()).where(_e.off_at.is_(None))).scalar_one()
    if on >= MOST_ENDPOINTS:
        raise InputRefused(f"there are {on} endpoints already", "switch one off: dispatcher webhooks off ID")
    secret = _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    row = {
        "url": url, "kinds": wanted, "secret": _VAULT.seal(keyring, url, secret), "created_at": now, "created_by": by,
    }  # fmt: skip
    made = conn.execute(insert(webhook_endpoint).returning(*_COLUMNS), row).one()
    return _read(made), secret


def get(conn: Connection, endpoint_id: int) -> Endpoint:
    """Give an endpoint. Raises NotFound."""
    row = conn.execute(select(*_COLUMNS).where(_e.id == endpoint_id)).one_or_none()
    if row is None:
        raise _unknown(endpoint_id)
    return _read(row)


def listed(conn: Connection) -> list[Endpoint]:
    """Give the endpoints, those that were switched off too, the oldest first."""
    return [_read(row) for row in conn.execute(select(*_COLUMNS).order_by(_e.id).limit(LISTED))]


def given_up(conn: Connection) -> list[Endpoint]:
    """Give the endpoints that we switched off, because they took nothing any more."""
    rows = conn.execute(select(*_COLUMNS).where(_e.off_why.is_not(None)).order_by(_e.id).limit(LISTED))
    return [_read(row) for row in rows]


def require_taken(conn: Connection) -> str:
    """Say in words that every endpoint takes what it is told. Raises MoveRefused naming those that we switched off."""
    off = given_up(conn)
    if off:
        named = "; ".join(f"{e.id} ({e.host}) since {e.off_at:%Y-%m-%d %H:%M} UTC: {e.off_why}" for e in off)
        first = off[0].id
        cure = (
            f"mend the receiver, then: dispatcher webhooks on {first}, webhooks replay {first}; or webhooks off {first}"
        )
        raise MoveRefused(f"switched off after three days without an answer: endpoint {named}", cure)
    on = conn.execute(select(func.count()).where(_e.off_at.is_(None))).scalar_one()
    return f"{on} endpoints are told what happens" if on else "no endpoint is told anything"


def switch_off(conn: Connection, endpoint_id: int, now: datetime) -> Endpoint:
    """Tell an endpoint nothing any more, on somebody's word; what waits for it waits. Raises NotFound."""
    at = func.coalesce(_e.off_at, now, type_=_e.off_at.type)
    return _set(conn, endpoint_id, off_at=at, off_why=None)


def switch_on(conn: Connection, endpoint_id: int) -> Endpoint:
    """Tell it again what happens from now on, and what waits for it. Raises NotFound."""
    return _set(conn, endpoint_id, off_at=None, off_why=None)


def remove(conn: Connection, endpoint_id: int) -> None:
    """Take an endpoint away, with everything it was to be told. A message that is under way may still arrive."""
    conn.execute(delete(webhook_message).where(webhook_message.c.endpoint_id == endpoint_id))
    conn.execute(delete(webhook_endpoint).where(_e.id == endpoint_id))


def give_up(conn: Connection, endpoint_id: int, why: str, now: datetime, since: datetime | None = None) -> bool:
    """Switch an endpoint off that takes nothing any more; not if it took something since that moment. False: it was
    off, or did.
    """
    took_nothing = _e.delivered_at.is_(None) | (_e.delivered_at < since) if since is not None else true()
    gone = update(webhook_endpoint).where(_e.id == endpoint_id, _e.off_at.is_(None), took_nothing)
    return conn.execute(gone.values(off_at=now, off_why=why).returning(_e.id)).one_or_none() is not None


def try_out(conn: Connection, endpoint_id: int, now: datetime) -> str:
    """Write a message of no meaning for an endpoint; give its id. Raises NotFound, and MoveRefused when it is off."""
    require_on(conn, endpoint_id)
    return outbox.put(conn, endpoint_id, Happened(WebhookKind.TEST, {"endpoint": endpoint_id}), now)


def require_on(conn: Connection, endpoint_id: int) -> Endpoint:
    """Give an endpoint that is told things. Raises NotFound, MoveRefused."""
    of = get(conn, endpoint_id)
    if of.off_at is not None:
        raise MoveRefused(f"endpoint {endpoint_id} is off", f"switch it on first: dispatcher webhooks on {endpoint_id}")
    return of


def secret_of(conn: Connection, keyring: Keyring, endpoint_id: int) -> bytes | None:
    """Give the octets with which messages to an endpoint are signed; None: the key that sealed them is gone."""
    row = conn.execute(select(_e.url, _e.secret).where(_e.id == endpoint_id)).one()
    text = _VAULT.unseal(keyring, row.url, row.secret)
    return base64.b64decode(text.removeprefix(_PREFIX)) if text is not None else None


def sign(secret: bytes, message_id: str, stamp: int, payload: str) -> str:
    """Give the value of webhook-signature: HMAC-SHA256 over id, time (seconds) and what is sent."""
    signed = f"{message_id}.{stamp}.{payload}".encode()
    return "v1," + binascii.b2a_base64(hmac.digest(secret, signed, "sha256"), newline=False).decode()


def kinds_of(words: Iterable[str]) -> list[WebhookKind]:
    """Read kinds. Raises InputRefused naming the one that is unknown."""
    found = []
    for word in words:
        if word not in KINDS:
            raise InputRefused(f"there is no type {word!r}", f"use one or more of: {', '.join(KINDS)}")
        found.append(WebhookKind(word))
    return found


def _require_good(url: str) -> None:
    cure = "name one as https://hooks.example.de/newsletter"
    try:
        parts = urlsplit(url)
        is_good = parts.scheme == "https" and bool(parts.hostname) and (parts.port or 443) > 0
    except ValueError:
        raise InputRefused(f"{url[:100]!r} is no web address", cure) from None
    if not is_good or len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        raise InputRefused(f"{url[:100]!r} is no web address that begins with https", cure)
    if "@" in parts.netloc or parts.fragment:
        raise InputRefused("the web address holds a log-in or a fragment", "what we send is signed; it needs neither")


def _set(conn: Connection, endpoint_id: int, **values: object) -> Endpoint:
    changed = update(webhook_endpoint).where(_e.id == endpoint_id).values(**values).returning(*_COLUMNS)
    row = conn.execute(changed).one_or_none()
    if row is None:
        raise _unknown(endpoint_id)
    return _read(row)


def _unknown(endpoint_id: int) -> NotFound:
    return NotFound(f"there is no endpoint {endpoint_id}", "`dispatcher webhooks list` shows those there are")


def _read(row: object) -> Endpoint:
    values = {name: getattr(row, name) for name in Endpoint.__slots__}
    known = set(WebhookKind)
    values["kinds"] = tuple(WebhookKind(word) for word in values["kinds"] if word in known)
    return Endpoint(**values)
