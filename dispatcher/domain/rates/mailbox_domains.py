"""Domains that no preset names: which of them are to be looked up, and which people their mail servers sort anew.

    sort_page     goes over people by id; notes domains nobody has looked up, moves people to whom DNS named
    to_ask        what is still to be looked up
    learn         what DNS said
    forget_old    after a month it is asked for again, if anybody still has that domain

What must stay true: a domain stands here only while somebody with it is there, or a month longer: it may name a person.
A look-up that failed moves nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from dispatcher.db.columns import among, insert_or
from dispatcher.db.tables import mailbox_domain, subscriber
from dispatcher.domain.rates import providers
from dispatcher.domain.rates.providers import Provider

KEPT = timedelta(days=30)
_AGAIN = timedelta(days=1)  # after a look-up that failed


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a page of people gave: the last id of it (None: nobody was left), and how many went to another provider."""

    last_id: int | None
    moved: int


def sort_page(conn: Connection, after_id: int, limit: int) -> Sorted:
    """Sort the next people, up to `limit`, by what is known of their domains; note the domains that nobody knows."""
    s = subscriber.c
    people = conn.execute(select(s.id, s.address, s.provider).where(s.id > after_id).order_by(s.id).limit(limit)).all()
    if not people:
        return Sorted(None, 0)
    of_nobody = _without_preset(people)
    known = _known(conn, of_nobody)
    _note(conn, of_nobody.keys() - known.keys())
    moved = 0
    for provider, ids in _to_move(of_nobody, known).items():
        moved += len(ids)
        conn.execute(update(subscriber).where(among(conn, s.id, ids)).values(provider=provider))
    return Sorted(people[-1].id, moved)


def to_ask(conn: Connection, limit: int) -> list[str]:
    """Give domains that are still to be looked up."""
    c = mailbox_domain.c
    return list(conn.execute(select(c.domain).where(c.looked_up_at.is_(None)).limit(limit)).scalars())


def learn(conn: Connection, answers: Mapping[str, Sequence[str] | None], now: datetime) -> None:
    """Write down whose mail servers take the mail of these domains; None: nobody could say, to be asked in a day."""
    for domain, servers in sorted(answers.items()):
        values: dict[str, Any] = {"looked_up_at": now - KEPT + _AGAIN, "mx": None}
        if servers is not None:
            provider = providers.by_servers(servers)
            values = {"looked_up_at": now, "mx": servers[0] if servers else "", "provider": provider}
        conn.execute(update(mailbox_domain).where(mailbox_domain.c.domain == domain).values(values))


def forget_old(conn: Connection, now: datetime) -> None:
    """Forget what was looked up a month ago."""
    conn.execute(delete(mailbox_domain).where(mailbox_domain.c.looked_up_at < now - KEPT))


def _without_preset(people: Iterable[Any]) -> dict[str, list[Any]]:
    """Give the people whose domain no preset names, by domain."""
    found: dict[str, list[Any]] = {}
    for person in people:
        domain = (person.address or "").rpartition("@")[2]
        if domain and providers.by_domain(domain) is Provider.OTHER:
            found.setdefault(domain, []).append(person)
    return found


def _known(conn: Connection, domains: Iterable[str]) -> dict[str, str | None]:
    """Give what is known: the provider by domain; None: nothing to go by, the look-up is under way or failed."""
    c = mailbox_domain.c
    rows = conn.execute(select(c.domain, c.provider, c.mx).where(c.domain.in_(list(domains))))
    return {row.domain: row.provider if row.mx is not None else None for row in rows}


def _note(conn: Connection, domains: Iterable[str]) -> None:
    rows = [{"domain": domain} for domain in sorted(domains)]
    if rows:
        conn.execute(insert_or(conn.dialect.name, mailbox_domain).on_conflict_do_nothing(), rows)


def _to_move(people: Mapping[str, list[Any]], known: Mapping[str, str | None]) -> dict[str, list[int]]:
    to: dict[str, list[int]] = {}
    for domain, theirs in people.items():
        provider = known.get(domain)
        if provider is not None:
            to.setdefault(provider, []).extend(p.id for p in theirs if p.provider != provider)
    return {provider: ids for provider, ids in to.items() if ids}
