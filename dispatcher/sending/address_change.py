"""A change of address: the same person, the same consents, another mailbox.

    ask (on the preferences page) -> mail to the present address -> allow (its button)
        -> mail to the new address -> take (its button): moved -> a notice to the former address

Why the present address is asked first: the link to the preferences stands in every letter, and letters are forwarded.
Whoever got one that way must not carry the subscription off to a mailbox of theirs; and no mail goes to an address that
somebody merely typed. Who cannot read the present address any more signs up with the new one, which proves as much.

What must stay true: consent stays with the person, and the ledger shows each step; an address that is known or on the
never-mail list is never taken, nothing is merged, and nobody can tell from an answer; a link serves one step, once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, insert, select, update

from dispatcher.db.tables import former_address, opt_in_request, subscriber
from dispatcher.db.terms import ConsentKind, Errand, SuppressionReason, Topic
from dispatcher.domain import consent, suppression, tokens
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.people import profiles, subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.proof import chain_head
from dispatcher.domain.rates import providers
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import TokenInvalid
from dispatcher.sending.opt_in import VALID, new_link

MAILS_PER_DAY = 2  # to one person: the first, and one more
_NOTICE = timedelta(days=2)  # after which a notice that could not be delivered is given up, and the address with it
_BUTTONS = (Errand.LEAVE_ADDRESS, Errand.TAKE_ADDRESS)


@dataclass(frozen=True, slots=True)
class Step:
    """What is behind a link: which step of whose change. `wanted` None: the step was taken before."""

    id: int
    errand: Errand
    person: Subscriber
    wanted: str | None
    is_used: bool


def ask(
    conn: Connection, keyring: Keyring, person: Subscriber, wanted: Address, evidence: Evidence, now: datetime
) -> int | None:
    """Ask the present address whether its owner wants to move; give the mail's campaign. None: no mail is due.

    That depends on the person alone, never on what is known of the address that they want.
    """
    held = subscribers.held(conn, person.id)  # an erasure that is under way comes first, or finds what is opened here
    if held is None or held.address is None or held.address_hash != person.address_hash:
        return None
    if _asked_today(conn, person.id, now) >= MAILS_PER_DAY:
        return None
    hashed = address_hash(keyring, wanted)
    request_id = _open(conn, keyring, person, Errand.LEAVE_ADDRESS, (wanted.mail, hashed), evidence.source, now)
    _note(conn, person, ConsentKind.MOVE_ASKED, consent.with_request(evidence, request_id), now)
    return campaigns.create_confirmations(conn, {request_id: person.language}, now)[0]


def find(conn: Connection, token: str, now: datetime) -> Step:
    """Find the step behind a link. Raises TokenInvalid when there is none, or its time is over."""
    c = opt_in_request.c
    row = conn.execute(
        select(c.id, c.errand, c.subscriber_id, c.other_address, c.used_at).where(
            c.token_sha256 == tokens.token_sha256(token),
            c.errand.in_(_BUTTONS),
            c.expires_at > now,
            c.erased_at.is_(None),
        )
    ).one_or_none()
    person = subscribers.by_id(conn, row.subscriber_id) if row is not None else None
    if row is None or person is None or person.address is None:
        raise _gone()
    return Step(row.id, Errand(row.errand), person, row.other_address, row.used_at is not None)


def press(conn: Connection, keyring: Keyring, token: str, evidence: Evidence, now: datetime) -> tuple[Step, int | None]:
    """Take a step, once: its button was pressed. Give it, and the campaign of the mail that follows, if one does.

    To press again changes nothing. Raises TokenInvalid.
    """
    step = find(conn, token, now)
    used = conn.execute(
        update(opt_in_request)
        .where(
            opt_in_request.c.id == step.id,
            opt_in_request.c.used_at.is_(None),
            opt_in_request.c.erased_at.is_(None),
        )
        .values(used_at=now, other_address=None)
        .returning(opt_in_request.c.id)
    ).one_or_none()
    if used is None or step.wanted is None:  # pressed before; or it was ended meanwhile, and is not to be found
        return find(conn, token, now), None
    tied = consent.with_request(evidence, step.id)
    if step.errand is Errand.LEAVE_ADDRESS:
        return step, _allow(conn, keyring, step, tied, now)
    return step, _take(conn, keyring, step, tied, now)


def _allow(conn: Connection, keyring: Keyring, step: Step, evidence: Evidence, now: datetime) -> int | None:
    """The owner of the present address wants it. The new one is asked only if it is free to be taken."""
    assert step.wanted is not None
    _hold(conn, step.person)
    wanted = parse_address(step.wanted)
    hashed = address_hash(keyring, wanted)
    _note(conn, step.person, ConsentKind.MOVE_ALLOWED, evidence, now)
    if not _is_free(conn, hashed):
        return None
    other = (wanted.mail, hashed)
    request_id = _open(conn, keyring, step.person, Errand.TAKE_ADDRESS, other, evidence.source, now)
    _note(conn, step.person, ConsentKind.MOVE_ALLOWED, consent.with_request(evidence, request_id), now)
    return campaigns.create_confirmations(conn, {request_id: step.person.language}, now)[0]


def _take(conn: Connection, keyring: Keyring, step: Step, evidence: Evidence, now: datetime) -> int:
    """The new address is theirs: move the person, and tell the former one. Raises TokenInvalid if it is taken."""
    person, former = step.person, step.person.address
    assert step.wanted is not None
    assert former is not None
    wanted = parse_address(step.wanted)
    hashed = address_hash(keyring, wanted)
    if not _is_free(conn, hashed):
        raise TokenInvalid("this link is not valid any more", "the address was signed up by itself in the meantime")
    r = opt_in_request.c
    is_open = (r.subscriber_id == person.id) & r.used_at.is_(None) & r.erased_at.is_(None)
    profiles.erase_requests(conn, is_open, now)  # their mails went to the former address
    # The row first, then the end of the chain, then the key that events refer to: who appends is never in our way.
    _hold(conn, person)
    chain_head.take(conn, now)
    _move(conn, person, wanted, hashed)
    _carry_over(conn, person, hashed, evidence.source, now)
    # Which address became which is proven by their keyed hashes; the ledger holds no address.
    both = f"{evidence.source}: {person.address_hash.hex()} became {hashed.hex()}"
    (moved,) = _note(conn, person, ConsentKind.ADDRESS_CHANGED, evidence._replace(source=both), now)
    was = {"subscriber_id": person.id, "event_id": moved, "address_hash": person.address_hash, "until": now}
    conn.execute(insert(former_address), was)
    request_id = _open(conn, keyring, person, Errand.MOVED, (former, person.address_hash), evidence.source, now)
    return campaigns.create_confirmations(conn, {request_id: person.language}, now)[0]


def _hold(conn: Connection, person: Subscriber) -> None:
    """Raises TokenInvalid when the person is not any more who they were when the link was looked at."""
    held = subscribers.held(conn, person.id)
    if held is None or (held.address, held.address_hash) != (person.address, person.address_hash):
        raise _gone()


def _move(conn: Connection, person: Subscriber, wanted: Address, hashed: bytes) -> None:
    s = subscriber.c
    as_it_was = and_(s.id == person.id, s.address_hash == person.address_hash, s.erased_at.is_(None))
    moved = conn.execute(
        update(subscriber)
        .where(as_it_was)
        .values(address=wanted.mail, address_hash=hashed, provider=providers.by_domain(wanted.domain))
        .returning(s.id)
    ).one_or_none()
    if moved is None:
        raise _gone()


def _gone() -> TokenInvalid:
    return TokenInvalid("this link is not valid any more", "ask for the change again, on the preferences page")


def _carry_over(conn: Connection, person: Subscriber, hashed: bytes, source: str, now: datetime) -> None:
    """What the person left under the former address stays left under the new one; and no old file brings the former
    back, until somebody signs it up.
    """
    for entry in suppression.entries(conn, person.address_hash):
        scope = Topic(entry.scope) if entry.scope in list(Topic) else None
        suppression.suppress(conn, [hashed], scope, entry.reason, entry.source, entry.at)
    suppression.suppress(conn, [person.address_hash], None, SuppressionReason.WITHDRAWN, source, now)


def _is_free(conn: Connection, hashed: bytes) -> bool:
    return subscribers.by_hash(conn, hashed) is None and not suppression.entries(conn, hashed)


def _note(conn: Connection, person: Subscriber, kind: ConsentKind, evidence: Evidence, now: datetime) -> list[int]:
    return consent.append(conn, [Event(person.id, None, kind, evidence)], now)


def _open(  # noqa: PLR0913  (a row, and all that stands in it)
    conn: Connection, keyring: Keyring, person: Subscriber, errand: Errand, other: tuple[str, bytes], source: str,
    now: datetime,
) -> int:  # fmt: skip
    row = {
        **new_link(keyring),
        "subscriber_id": person.id,
        "topics": [],
        "language": person.language,
        "source": source,
        "requested_at": now,
        "expires_at": now + (_NOTICE if errand is Errand.MOVED else VALID),
        "errand": errand,
        "other_address": other[0],
        "other_hash": other[1],
    }
    return int(conn.execute(insert(opt_in_request).returning(opt_in_request.c.id), row).scalar_one())


def _asked_today(conn: Connection, subscriber_id: int, now: datetime) -> int:
    c = opt_in_request.c
    since = now - timedelta(days=1)
    asked = select(func.count()).where(
        c.subscriber_id == subscriber_id, c.requested_at > since, c.errand == Errand.LEAVE_ADDRESS
    )
    return int(conn.execute(asked).scalar_one())
