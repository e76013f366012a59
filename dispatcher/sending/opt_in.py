"""Double opt-in: request -> confirmation mail -> button. The mail goes the way of every letter, as a campaign of one.

What must stay true: whoever asks gets the same answer, whether we know the address or not; the link's token is random,
single use and in the mail only; nothing but pressing the button makes consent current.
"""

import secrets
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from dispatcher.compose.words import moment
from dispatcher.db.entering import enter
from dispatcher.db.tables import consent_event, opt_in_request, subscriber
from dispatcher.db.terms import EVERY_TOPIC, ConsentKind, Errand, Language, Topic
from dispatcher.domain import consent, coverage, suppression, tokens
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import Address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.delivery.recipients import Asking
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Newcomer
from dispatcher.domain.proof import chain_head
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import TokenInvalid
from dispatcher.zone import ZONE

VALID = timedelta(days=7)
MAILS_PER_DAY = 2  # to one address: the first, and one more
_OVER = ("this link is not valid any more", "sign up again; the new mail brings a new link")
_PATHS = {Errand.OPT_IN: "c", Errand.LEAVE_ADDRESS: "a", Errand.TAKE_ADDRESS: "a", Errand.MOVED: "a"}


@dataclass(frozen=True, slots=True)
class Request:
    """Someone asks for letters: what was typed and ticked, and the proof of it."""

    address: Address
    name: str
    language: Language
    topics: Sequence[Topic]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Opened:
    """An open request behind a confirmation link."""

    id: int
    subscriber_id: int
    address: str
    language: Language
    topics: tuple[Topic, ...]
    declaration_id: int | None
    requested_at: datetime
    is_used: bool
    is_renewal: bool = False  # we asked, for they had agreed to older words
    is_under_older_words: bool = False  # what it confirmed is not good any more


@dataclass(frozen=True, slots=True)
class Asked:
    """What a confirmation mail is about: the link, when it was asked for (in words), and for which topics."""

    confirm_url: str
    requested_at: str
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IsKnown:
    """A request of somebody whose address is known already."""

    wanted: Request


def request(conn: Connection, keyring: Keyring, wanted: Request, now: datetime) -> int | None:
    """Enter a request and the confirmation mail for it; give the mail's campaign. None: no mail is due.

    No mail is due to an address that is on the never-mail list for good or whose owner's data is restricted, for topics
    on which consent is current, and after MAILS_PER_DAY in a day. The asker is told the same in every case.
    """
    (entered,) = request_each(conn, keyring, [wanted], now)
    return _of_somebody_known(conn, keyring, wanted, now) if isinstance(entered, IsKnown) else entered


def request_each(
    conn: Connection, keyring: Keyring, wanted: Sequence[Request], now: datetime
) -> list[int | IsKnown | None]:
    """Do for dozens at once what `request` does for one; those whose address is known are given back, to be served by
    it: for them more is asked, and their rows may be somebody else's for a while.
    """
    if not wanted:
        return []
    hashes = [address_hash(keyring, each.address) for each in wanted]
    barred = suppression.barred(conn, set(hashes))
    given, asking = list[int | IsKnown | None](), dict[bytes, tuple[int, _Asker]]()
    for place, (hashed, each) in enumerate(zip(hashes, wanted, strict=True)):
        topics = _free(each.topics, barred.get(hashed, ()))
        given.append(IsKnown(each) if topics else None)
        if topics:  # whoever asks twice at once is known by the time of the second
            asking.setdefault(hashed, (place, _Asker(each, topics)))
    new = [Newcomer(a.wanted.address, hashed, a.wanted.name, a.wanted.language) for hashed, (_, a) in asking.items()]
    added = {who: asking[hashed] for hashed, who in subscribers.add_new(conn, new, now).items()}
    mails = _open(conn, keyring, {who: asker for who, (_, asker) in added.items()}, now)
    for who, (place, _) in added.items():
        given[place] = mails[who]
    return given


class _Asker(NamedTuple):
    """A request, and on which of its topics nothing bars a mail."""

    wanted: Request
    topics: list[Topic]


def _free(topics: Sequence[Topic], barred: Container[str]) -> list[Topic]:
    return [] if EVERY_TOPIC in barred else [topic for topic in topics if topic not in barred]


def _of_somebody_known(conn: Connection, keyring: Keyring, wanted: Request, now: datetime) -> int | None:
    hashed = address_hash(keyring, wanted.address)
    topics = _free(wanted.topics, suppression.barred(conn, [hashed]).get(hashed, ()))
    newcomer = Newcomer(wanted.address, hashed, wanted.name, wanted.language)
    person = subscribers.ensure(conn, newcomer, now)
    current = coverage.current_topics(conn, person.id)
    topics = [t for t in topics if t not in current]
    if person.restricted_at is not None or not topics or _mails_today(conn, person.id, now) >= MAILS_PER_DAY:
        return None
    subscribers.come_back(conn, newcomer)
    return _open(conn, keyring, {person.id: _Asker(wanted, topics)}, now)[person.id]


def find(conn: Connection, token: str, now: datetime) -> Opened:
    """Find the request behind a confirmation link. Raises TokenInvalid when there is none, or its time is over.

    Of consent that we asked to renew, what the person has ended since is left out, and what is on the never-mail list:
    the link does not bring it back.
    """
    c = opt_in_request.c
    row = conn.execute(
        select(c.id, c.subscriber_id, subscriber.c.address, c.language, c.topics, c.declaration_id, c.requested_at,
               c.used_at, c.renews)
        .join(subscriber, subscriber.c.id == c.subscriber_id)
        .where(
            c.token_sha256 == tokens.token_sha256(token), c.errand == Errand.OPT_IN, c.expires_at > now,
            subscriber.c.address.is_not(None),
        )
    ).one_or_none()  # fmt: skip
    topics = [Topic(t) for t in row.topics] if row is not None else []
    if row is not None and row.renews is not None and row.used_at is None:
        stands = consent.renewable(conn, row.subscriber_id)
        topics = [topic for topic in topics if topic in stands]
    if row is None or not topics:
        raise TokenInvalid(*_OVER)
    return Opened(
        row.id, row.subscriber_id, row.address, Language(row.language), tuple(topics), row.declaration_id,
        row.requested_at, row.used_at is not None, row.renews is not None,
    )  # fmt: skip


def confirm(
    conn: Connection, token: str, evidence: Evidence, now: datetime, covered: Container[Topic] | None = None
) -> Opened:
    """Confirm, once: the button was pressed. To press it again changes nothing. Raises TokenInvalid.

    With `covered`, only those of the request's topics: of which the words speak that the person read.
    """
    opened = find(conn, token, now)
    if covered is not None:
        opened = replace(opened, topics=tuple(topic for topic in opened.topics if topic in covered))
    used = conn.execute(
        update(opt_in_request)
        .where(
            opt_in_request.c.id == opened.id,
            opt_in_request.c.used_at.is_(None),
            opt_in_request.c.erased_at.is_(None),
        )
        .values(used_at=now)
        .returning(opt_in_request.c.id)
    ).one_or_none()
    if used is None:  # pressed before; or ended while we waited for whoever held it: then there is no such link
        return replace(opened, is_used=find(conn, token, now).is_used)
    chain_head.take(conn, now)  # the request first, then the chain; and from here on nobody leaves any more
    if opened.is_renewal:
        still = consent.renewable(conn, opened.subscriber_id)
        opened = replace(opened, topics=tuple(topic for topic in opened.topics if topic in still))
        if not opened.topics:
            raise TokenInvalid(*_OVER)
    consent.confirm(conn, opened.subscriber_id, opened.topics, evidence, now)
    return opened


def confirmed_by(conn: Connection, opened: Opened) -> tuple[Topic, ...]:
    """Give the topics that pressing the button of this request confirmed: fewer than it names, where its words did not
    cover all.
    """
    c = consent_event.c
    found = select(c.topic).where(
        c.subscriber_id == opened.subscriber_id, c.request_id == opened.id, c.kind == ConsentKind.CONFIRMED
    )
    confirmed = set(conn.execute(found).scalars())
    return tuple(topic for topic in Topic if topic in confirmed)


def asked(conn: Connection, request_id: int, keyring: Keyring, public_url: str) -> Asked:
    """Give what the confirmation mail says beyond the usual."""
    c = opt_in_request.c
    row = conn.execute(
        select(c.nonce, c.token_sha256, c.topics, c.language, c.requested_at, c.errand, c.erased_at).where(
            c.id == request_id
        )
    ).one()
    when, topics = moment(row.requested_at.astimezone(ZONE), Language(row.language)), tuple(row.topics)
    if row.erased_at is not None:  # its letter, if one is under way still, is withheld at the gate
        return Asked(public_url, when, topics)
    asking = Asking(request_id, bytes(row.nonce), bytes(row.token_sha256), topics)
    return Asked(link(asking, keyring, public_url, _PATHS[Errand(row.errand)]), when, topics)


def link(asking: Asking, keyring: Keyring, public_url: str, path: str = _PATHS[Errand.OPT_IN]) -> str:
    """Give the link of a request. Raises TokenInvalid when the key that made it is gone."""
    for key in keyring.keys:  # the request may be older than the key that signs today
        token = tokens.opt_in_token(key, asking.nonce)
        if tokens.token_sha256(token) == asking.token_sha256:
            return f"{public_url}/{path}/{token}"
    raise TokenInvalid("the key of this request is gone", "put it back into DISPATCHER_SECRET_KEYS")


def new_link(keyring: Keyring) -> dict[str, bytes]:
    """Make a link that nobody can guess; give what a request keeps of it."""
    nonce = secrets.token_bytes(16)
    return {"nonce": nonce, "token_sha256": tokens.token_sha256(tokens.opt_in_token(keyring.signing, nonce))}


def _open(conn: Connection, keyring: Keyring, asking: Mapping[int, _Asker], now: datetime) -> dict[int, int]:
    """Enter people's requests, events and mails; give the mail's campaign by person."""
    if not asking:
        return {}
    rows = [_row(keyring, who, asker, now) for who, asker in asking.items()]
    entered = enter(conn, opt_in_request.c.token_sha256, rows)
    requests = [entered[row["token_sha256"]] for row in rows]
    events = [
        Event(who, topic, ConsentKind.REQUESTED, consent.with_request(asker.wanted.evidence, request_id))
        for request_id, (who, asker) in zip(requests, asking.items(), strict=True)
        for topic in asker.topics
    ]
    consent.append(conn, events, now)
    languages = (asker.wanted.language for asker in asking.values())
    mails = campaigns.create_confirmations(conn, dict(zip(requests, languages, strict=True)), now)
    return dict(zip(asking, mails, strict=True))


def _row(keyring: Keyring, subscriber_id: int, asker: _Asker, now: datetime) -> dict[str, object]:
    evidence = asker.wanted.evidence
    return {
        **new_link(keyring),
        "subscriber_id": subscriber_id,
        "topics": asker.topics,
        "language": asker.wanted.language,
        "declaration_id": evidence.declaration_id,
        "privacy_sha256": evidence.privacy_sha256,
        "source": evidence.source,
        "requested_at": now,
        "expires_at": now + VALID,
    }


def _mails_today(conn: Connection, subscriber_id: int, now: datetime) -> int:
    c = opt_in_request.c
    since = now - timedelta(days=1)
    return int(
        conn.execute(
            select(func.count()).where(
                c.subscriber_id == subscriber_id, c.requested_at > since, c.errand == Errand.OPT_IN
            )
        ).scalar_one()
    )
