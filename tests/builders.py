"""Made-up people and campaigns, in as few words as a test needs."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from dispatcher.db import clock
from dispatcher.db.terms import ConsentKind, Language, SuppressionReason, Topic, WorkerRole
from dispatcher.domain import consent, declarations, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.audience.filters import EVERYBODY, Filter
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.delivery.workers import Found, Report
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Draft
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Newcomer
from dispatcher.domain.staff.audit import NOBODY, Actor
from dispatcher.domain.tokens import Keyring

CONTENT = """---
language: de
title: Gold hält sich
preheader: Was die Woche brachte
as_of: 2026-11-20 17:30
---
{{ greeting }},

der Goldpreis hat sich in dieser Woche kaum bewegt. [Mehr dazu](https://www.example.de/gold).
"""
# Without a link to elsewhere, which a look before the release would follow.
PLAIN = CONTENT.replace("[Mehr dazu](https://www.example.de/gold)", "Mehr bald")


def declare(conn: Connection, now: datetime) -> int:
    """Enter words of consent for every topic; give the id of the German ones."""
    words = {Language.DE: "Ich bin einverstanden.", Language.EN: "I agree."}
    declarations.enter(conn, declarations.Draft("2026-01", words, tuple(Topic)), now)
    found = declarations.current(conn, Language.DE, now)
    assert found is not None
    return found.id


def add_people(
    conn: Connection, keyring: Keyring, addresses: list[str], now: datetime, *, name: str = "Maria Muster"
) -> dict[str, int]:
    """Add people without any consent; give their ids by address."""
    newcomers = []
    for address in addresses:
        parsed = parse_address(address)
        newcomers.append(Newcomer(parsed, address_hash(keyring, parsed), name, Language.DE))
    subscribers.add(conn, newcomers, now)
    ids = {}
    for start in range(0, len(newcomers), 1000):
        found = subscribers.by_hashes(conn, [n.address_hash for n in newcomers[start : start + 1000]])
        ids |= {n.address.mail: found[n.address_hash] for n in newcomers[start : start + 1000]}
    return ids


def agree(
    conn: Connection, ids: list[int], topic: Topic, now: datetime, kind: ConsentKind = ConsentKind.IMPORTED
) -> None:
    """Give people a consent event for a topic: by default one that makes it current."""
    for start in range(0, len(ids), 1000):
        events = [Event(i, topic, kind, Evidence(source="a test")) for i in ids[start : start + 1000]]
        consent.append(conn, events, now)


def suppress(conn: Connection, keyring: Keyring, addresses: list[str], now: datetime) -> None:
    """Put addresses on the never-mail list."""
    hashes = [address_hash(keyring, parse_address(a)) for a in addresses]
    suppression.suppress(conn, hashes, None, SuppressionReason.COMPLAINT, "a test", now)


def create_campaign(
    conn: Connection,
    now: datetime,
    topic: Topic = Topic.FINANCE_NEWS,
    content: str = CONTENT,
    by: Actor = NOBODY,
    filter: Filter = EVERYBODY,
) -> int:
    """Enter a German draft; give its id."""
    files = {Language.DE: ("news.de.md", content)}
    draft = Draft(topic, "Edelmetalle der Woche", "Gold hält sich", Language.DE, files, by=by, filter=filter)
    return campaigns.create(conn, draft, now)


def withdraw(conn: Connection, ids: list[int], topic: Topic, now: datetime) -> None:
    """End people's consent for a topic."""
    for subscriber_id in ids:
        consent.withdraw(conn, subscriber_id, [topic], Evidence(source="a test"), now)


def long_ago(conn: Connection) -> datetime:
    """Give a moment that is certainly past."""
    return clock.now(conn) - timedelta(days=1)


def away(relay: str, now: datetime) -> Found:
    """Give how a process finds a relay that has refused it for two minutes."""
    since, again = now - timedelta(minutes=2), now + timedelta(minutes=3)
    return Found(relay, since=since, next_try_at=again, failures=3, why="the connection: Connection refused")


def report(role: str, seen_at: datetime, *relays: Found, pid: int = 4711, is_sending: bool = False) -> Report:
    """Give what a worker process of an hour said of itself at a moment."""
    began, took = (seen_at, 41) if role == "watch" else (None, None)
    return Report(
        f"mail-1:{pid}:{role}", WorkerRole(role), "mail-1", pid, "0.2.0", seen_at - timedelta(hours=1), seen_at,
        is_sending, began, took, relays,
    )  # fmt: skip
