"""From cells to what a row says of a person, by the format of the file. What must stay true: a consent counts as given
only if the file brings what would prove it; and whoever left, complained or bounced where the file comes from never
comes out of here as anybody who may be written to.

Dates without a clock time are no evidence (AG Duesseldorf, 23 C 3876/13), nor is one moment where double opt-in makes
two (OLG Muenchen, 29 U 1682/12: the request must be proven too): such people are asked to confirm.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address

from dispatcher.db.terms import SubscriptionState, SuppressionReason, Topic
from dispatcher.domain.imports.columns import Format, Instructions, Layout
from dispatcher.domain.imports.rows import Claim, Lack, Says
from dispatcher.domain.typed import topics_of
from dispatcher.errors import InputRefused

Cell = Callable[[str], str]  # a column's name -> what stands in it, stripped; "" where there is no such column
_CLOCKS_APART = timedelta(minutes=5)


def claims(cell: Cell, layout: Layout, how: Instructions, now: datetime) -> tuple[Claim, ...]:
    """Give what a row says. Raises InputRefused for what cannot be read, and for a row that says nothing."""
    if layout.format is Format.OWN:
        return _own(cell, layout, now)
    topics = _topics(cell("topics")) or how.topics
    if not topics:
        raise InputRefused("no topic is named")
    if how.everybody_left:
        return (Claim(Says.LEFT, topics, source="listed among those who left"),)
    match layout.format:
        case Format.LISTMONK:
            return (_listmonk(cell, topics),)
        case Format.MAILCHIMP:
            return (_mailchimp(cell, layout, how, topics, now),)
        case Format.PLAIN:
            proof = cell("consent_at"), cell("consent_ip"), cell("consent_source"), cell("declaration")
            return (_consent(topics, proof, now, "consent_at"),)


def moment(text: str, now: datetime, name: str) -> datetime | None:
    """Read a moment; None for a date without a clock time. Raises InputRefused for nonsense and for the future."""
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        cure = "write it as 2026-01-31T14:05:00+01:00"
        raise InputRefused(f"{name} {text!r} is not a time such as 2026-01-31T14:05:00+01:00", cure) from None
    if at > now + _CLOCKS_APART:
        raise InputRefused(f"{name} {text} lies in the future")
    return None if _is_day(text) else at


def _is_day(text: str) -> bool:
    """Tell a date that has no clock time: 2026-01-31, 20260131, 2026-W05-6."""
    if len(text) > 10:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _consent(topics: tuple[Topic, ...], proof: Sequence[str], now: datetime, name: str) -> Claim:
    """Weigh moment, IP address, source and declaration of a consent."""
    when, ip, source, declaration = proof
    at = moment(when, now, name) if when else None
    address = _ip(ip, name)
    if at is not None and source:
        return Claim(Says.AGREED, topics, at, address, source, declaration or None)
    lack = Lack.NO_CLOCK_TIME if when and at is None and source else Lack.NO_EVIDENCE
    return Claim(Says.WISHES, topics, None, address, None, declaration or None, lack)


def _own(cell: Cell, layout: Layout, now: datetime) -> tuple[Claim, ...]:
    """A group of columns for each topic, and what stands on the never-mail list."""
    found = list(_barred(cell("suppressed")))
    for topic in Topic:
        if not layout.has(topic) or not (state := cell(topic).lower()):
            continue
        since, ip, source, declaration = (cell(f"{topic}_{part}") for part in ("since", "ip", "source", "declaration"))
        if state == SubscriptionState.WITHDRAWN:
            at = moment(since, now, f"{topic}_since") if since else None
            found.append(Claim(Says.LEFT, (topic,), at, source=source or None))
        elif state == SubscriptionState.CONFIRMED:
            found.append(_consent((topic,), (since, ip, source, declaration), now, f"{topic}_since"))
        elif state == SubscriptionState.PENDING:
            found.append(Claim(Says.WISHES, (topic,), lack=Lack.NEVER_CONFIRMED))
        else:
            known = ", ".join(SubscriptionState)
            raise InputRefused(f"{topic} is {state[:40]!r}, which is none of: {known}", f"write one of: {known}")
    if not found:
        raise InputRefused("no topic is named")
    return tuple(found)


def _barred(words: str) -> list[Claim]:
    """Read never-mail entries: `complaint` for every topic, `complaint:finance-news` for one."""
    found = []
    for word in words.split():
        reason, _, scope = word.partition(":")
        if reason not in set(SuppressionReason):
            cure = f"use: {', '.join(SuppressionReason)}"
            raise InputRefused(f"suppressed: there is no reason {reason[:40]!r}", cure)
        topics = _topics(scope)
        found.append(Claim(Says.BARRED, topics, reason=SuppressionReason(reason), source="exported never-mail list"))
    return found


def _listmonk(cell: Cell, topics: tuple[Topic, ...]) -> Claim:
    """listmonk's export brings no consent, only a status: `enabled` people are asked."""
    status = cell("status").lower()
    match status:
        case "enabled":
            return Claim(Says.WISHES, topics, lack=Lack.NO_EVIDENCE)
        case "disabled":
            return Claim(Says.LEFT, topics, source="listmonk: disabled")
        case "blocklisted" | "blacklisted":
            return Claim(Says.BARRED, (), source=f"listmonk: {status}", reason=SuppressionReason.OPERATOR)
        case _:
            cure = "the words are: enabled, disabled, blocklisted"
            raise InputRefused(f"listmonk knows no status {status[:40]!r}", cure)


def _mailchimp(cell: Cell, layout: Layout, how: Instructions, topics: tuple[Topic, ...], now: datetime) -> Claim:
    """Who unsubscribed has left, who complained or bounced is barred; the others agreed if two moments and IPs say so.

    Mailchimp writes its moments in UTC.
    """
    left, cleaned = cell("unsub_time"), cell("clean_time")
    name = how.file_name.lower()
    is_of_cleaned = name.startswith("cleaned") or (layout.has("clean_time") and not layout.has("unsub_time"))
    is_of_left = name.startswith("unsub") or (layout.has("unsub_time") and not layout.has("clean_time"))
    if cleaned or is_of_cleaned:
        at = moment(cleaned, now, "CLEAN_TIME") if cleaned else None
        return Claim(Says.BARRED, (), at, source=f"Mailchimp: cleaned {cleaned}".rstrip(),
                     reason=SuppressionReason.BOUNCED)  # fmt: skip
    if left or is_of_left:
        return _mailchimp_left(left, cell("unsub_reason"), topics, now)
    return _mailchimp_subscribed(cell, topics, now)


def _mailchimp_left(left: str, reason: str, topics: tuple[Topic, ...], now: datetime) -> Claim:
    at = moment(left, now, "UNSUB_TIME") if left else None
    source = f"Mailchimp: unsubscribed {left} {reason}".rstrip()[:500]
    if any(word in reason.lower() for word in ("abuse", "complain", "spam", "inappropriate")):
        return Claim(Says.BARRED, (), at, source=source, reason=SuppressionReason.COMPLAINT)
    return Claim(Says.LEFT, topics, at, source=source)


def _mailchimp_subscribed(cell: Cell, topics: tuple[Topic, ...], now: datetime) -> Claim:
    asked, confirmed = cell("optin_time"), cell("confirm_time")
    asked_at = moment(asked, now, "OPTIN_TIME") if asked else None
    at = moment(confirmed, now, "CONFIRM_TIME") if confirmed else None
    from_ip, ip = _ip(cell("optin_ip"), "OPTIN_IP"), _ip(cell("confirm_ip"), "CONFIRM_IP")
    if at and asked_at and at > asked_at and from_ip and ip:
        source = f"Mailchimp: asked {asked} UTC from {from_ip}, confirmed {confirmed} UTC from {ip}"
        return Claim(Says.AGREED, topics, at, ip, source)
    if (asked and not asked_at) or (confirmed and not at):
        return Claim(Says.WISHES, topics, lack=Lack.NO_CLOCK_TIME)
    return Claim(Says.WISHES, topics, lack=Lack.NO_DOUBLE_OPT_IN if at or asked_at else Lack.NO_EVIDENCE)


@lru_cache(maxsize=256)
def _topics(words: str) -> tuple[Topic, ...]:
    return tuple(topics_of(words))


_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")  # what ip_address gives back as it stands, at a fifth of the time


def _ip(text: str, name: str) -> str | None:
    """Read an IP address; `name` is its column's, or that of the moment beside it."""
    if not text or _IPV4.fullmatch(text):
        return text or None
    try:
        return str(ip_address(text))
    except ValueError:
        column = f"{name.rpartition('_')[0]}_{'IP' if name.isupper() else 'ip'}"
        raise InputRefused(f"{column} {text[:60]!r} is not an IP address") from None
