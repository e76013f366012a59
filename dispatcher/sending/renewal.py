"""Renewal: whoever agreed to words that are not good any more is asked, once, whether they agree to the newer ones.

    ask (a campaign, like a newsletter) -> launch freezes whose consent is to be renewed -> a claim enters a request for
    each of them, in the claim's transaction -> the gate reads once more whether there is something to renew -> the mail

What must stay true: a key forbids a second request to one person under the same words, and claims enter theirs one
after another, so whoever repeats the command, or is killed in between, mails nobody twice; only the button makes the
newer words theirs; the mail advertises nothing; the link in it is fresh, however long the campaign stood still.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Update, and_, bindparam, func, or_, select, update

from dispatcher.compose.house import House
from dispatcher.db.columns import among, insert_or
from dispatcher.db.tables import opt_in_request, renewal, subscriber, subscription
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import consent, coverage, declarations
from dispatcher.domain.audience import audiences
from dispatcher.domain.delivery import passage
from dispatcher.domain.delivery.recipients import Asking, Recipient
from dispatcher.domain.newsletters import renewals
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.versions import Version
from dispatcher.errors import InputRefused, MoveRefused
from dispatcher.sending import opt_in
from dispatcher.sending.press import Stationery

VALID = timedelta(days=14)
_FRESH = timedelta(days=1)  # a link entered longer ago than that, and not mailed yet, is made anew


def source_of(campaign_id: int) -> str:
    """Give what the ledger names as the source of what such a campaign does."""
    return f"renewal of consent, campaign {campaign_id}"


def count(conn: Connection, version: Version, topic: Topic) -> Counter[str | None]:
    """Count whose consent is to be renewed, by the reason why they cannot be asked; None: they can."""
    people = audiences.to_renew(topic, version.number).subquery()
    rows = conn.execute(select(people.c.reason, func.count()).group_by(people.c.reason))
    return Counter({row[0]: row[1] for row in rows})


def check(conn: Connection, version: Version, topic: Topic, now: datetime) -> None:
    """Make sure that people can be asked to agree to this version. Raises InputRefused, MoveRefused."""
    newest = declarations.current(conn, Language.DE, now)
    if topic not in version.topics:
        raise InputRefused(f"{version.name} does not cover {topic}", f"it covers {', '.join(version.topics)}")
    is_to_come = version.valid_from > now  # whoever is asked ahead need not miss a letter
    if is_to_come and topic not in version.renews:
        raise InputRefused(
            f"{version.name} is not valid before {version.valid_from:%Y-%m-%d %H:%M} UTC, and does not renew {topic}",
            "nobody has to be asked",
        )
    if not is_to_come and (newest is None or newest.number != version.number):
        raise InputRefused(
            f"{version.name} is not the version that is shown now", f"ask for {newest.version}" if newest else ""
        )
    under_way = renewals.asking(conn, topic, version.number)
    if under_way is not None:
        raise MoveRefused(
            f"campaign {under_way} is asking for this already", f"see `dispatcher campaigns status {under_way}`"
        )


def ask(
    conn: Connection, version: Version, topic: Topic, house: House, now: datetime, rate_per_min: int | None = None
) -> int:
    """Enter the campaign that asks everyone concerned, due at once; give its id. Raises InputRefused, MoveRefused."""
    check(conn, version, topic, now)
    name = f"renewal of consent: {version.name}"
    campaign_id = renewals.create(conn, topic, version.number, name, rate_per_min, now)
    from dispatcher.sending import release  # what freezes letters weighs 5 MB, and most workers only send

    release.freeze_renewal(conn, campaign_id, house)
    return campaign_id


def requests_for(
    conn: Connection, stationery: Stationery, of: Campaign, people: Sequence[Recipient], now: datetime
) -> list[Recipient]:
    """Enter a request for each of a claimed batch's people, once; give them with theirs.

    Whoever another campaign has asked under the same words meanwhile is withheld.
    """
    assert of.renews is not None
    ids = [to.subscriber_id for to in people]
    _enter(conn, stationery, of, people, now)
    c = opt_in_request.c
    rows = conn.execute(
        select(c.subscriber_id, c.id, c.nonce, c.token_sha256, c.topics).where(
            c.renews == of.renews, c.campaign_id == of.id, c.erased_at.is_(None), among(conn, c.subscriber_id, ids)
        )
    )
    askings = {
        row.subscriber_id: Asking(row.id, bytes(row.nonce), bytes(row.token_sha256), tuple(row.topics)) for row in rows
    }
    passage.withhold(conn, of, [who for who in ids if who not in askings], now)
    for to in people:
        to.asking = askings.get(to.subscriber_id)
    return [to for to in people if to.asking is not None]


def _enter(conn: Connection, stationery: Stationery, of: Campaign, people: Sequence[Recipient], now: datetime) -> None:
    """One claim at a time enters requests: the one who waits sees whom the other has asked. What was entered for a mail
    that has not gone out is made anew after a day, for by then its link is old, or gone.
    """
    assert of.renews is not None
    assert of.topic is not None
    conn.execute(select(renewal.c.number).order_by(renewal.c.topic, renewal.c.number).with_for_update(key_share=True))
    texts = declarations.texts(conn, of.renews)
    words = {entry.language: entry.id for entry in texts}
    topics = _topics(conn, of, texts[0].topics, [to.subscriber_id for to in people])
    known = _known(conn, of, list(topics), now)
    rows = [
        {
            **opt_in.new_link(stationery.keyring),
            "subscriber_id": to.subscriber_id,
            "topics": topics[to.subscriber_id],
            "language": to.language,
            "declaration_id": words[to.language],
            "privacy_sha256": stationery.notices.get(to.language),
            "source": source_of(of.id),
            "requested_at": now,
            "expires_at": now + VALID,
            "renews": of.renews,
            "campaign_id": of.id,
            "erased_at": None,
        }
        for to in people
        if of.topic in topics.get(to.subscriber_id, ()) and known.get(to.subscriber_id, True)
    ]
    new = [row for row in rows if row["subscriber_id"] not in known]
    if new:
        conn.execute(insert_or(conn.dialect.name, opt_in_request).on_conflict_do_nothing(), new)
    if len(new) < len(rows):
        conn.execute(_made_anew(rows[0]), [{**row, "who": row["subscriber_id"]} for row in rows if row not in new])


def _known(conn: Connection, of: Campaign, ids: Sequence[int], now: datetime) -> dict[int, bool]:
    """Say of whoever has a request under these words whether it is to be made anew: no mail with its link is out."""
    c = opt_in_request.c
    is_old = or_(c.campaign_id != of.id, c.requested_at < now - _FRESH, c.erased_at.is_not(None))
    rows = conn.execute(
        select(c.subscriber_id, and_(is_old, *_UNANSWERED)).where(
            c.renews == of.renews, among(conn, c.subscriber_id, ids)
        )
    )
    return {row[0]: bool(row[1]) for row in rows}


def _made_anew(row: Mapping[str, object]) -> Update:
    c = opt_in_request.c
    theirs = and_(c.subscriber_id == bindparam("who"), c.renews == row["renews"], *_UNANSWERED)
    return update(opt_in_request).where(theirs).values({name: bindparam(name) for name in row if name != "renews"})


_UNANSWERED = (opt_in_request.c.used_at.is_(None), opt_in_request.c.released_at.is_(None))


def _topics(conn: Connection, of: Campaign, covered: Sequence[Topic], ids: Sequence[int]) -> dict[int, list[Topic]]:
    """Give each person's topics that are to be renewed, that the words cover, and about which nobody else has asked:
    one mail speaks of all of them.
    """
    assert of.renews is not None
    s = subscription.c
    of_which = or_(
        *(
            and_(
                s.topic == topic,
                consent.may_be_asked(topic, of.renews),
                ~coverage.was_asked(topic, of.renews, except_by=of.id),
            )
            for topic in covered
        )
    )
    rows = conn.execute(
        select(s.subscriber_id, s.topic)
        .join(subscriber, subscriber.c.id == s.subscriber_id)
        .where(among(conn, s.subscriber_id, ids), of_which)
    )
    found: dict[int, list[Topic]] = {}
    for row in rows:
        found.setdefault(row.subscriber_id, []).append(Topic(row.topic))
    return {who: sorted(topics, key=list(Topic).index) for who, topics in found.items()}
