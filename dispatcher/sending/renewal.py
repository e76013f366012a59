"""Renewal: whoever agreed to words that are not good any more is asked, once, whether they agree to the newer ones.

    ask (a campaign, like a newsletter) -> launch freezes whose consent is to be renewed -> a claim enters a request for
    each of them, in the claim's transaction -> the gate reads once more whether there is something to renew -> the mail

What must stay true: a key forbids a second request to one person under the same words, so whoever repeats the command,
or is killed in between, mails nobody twice; only the button makes the newer words theirs; the mail advertises nothing.
"""

import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, func, or_, select

from dispatcher.compose.house import House
from dispatcher.db.columns import among, insert_or
from dispatcher.db.tables import opt_in_request, subscriber, subscription
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import audiences, campaigns, consent, coverage, declarations, passage, tokens
from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.declarations import Version
from dispatcher.domain.recipients import Asking, Recipient
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused, MoveRefused

VALID = timedelta(days=14)


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
    if version.valid_from > now:
        raise InputRefused(
            f"{version.name} is not valid before {version.valid_from:%Y-%m-%d %H:%M} UTC", "ask from then on"
        )
    if newest is None or newest.number != version.number:
        raise InputRefused(
            f"{version.name} is not the version that is shown now", f"ask for {newest.version}" if newest else ""
        )
    under_way = campaigns.asking(conn, topic, version.number)
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
    campaign_id = campaigns.create_renewal(conn, topic, version.number, name, rate_per_min, now)
    from dispatcher.sending import release  # what freezes letters weighs 5 MB, and most workers only send

    release.freeze_renewal(conn, campaign_id, house)
    return campaign_id


def requests_for(
    conn: Connection, keyring: Keyring, of: Campaign, people: Sequence[Recipient], now: datetime
) -> list[Recipient]:
    """Enter a request for each of a claimed batch's people, once; give them with theirs.

    Whoever another campaign has asked under the same words meanwhile is withheld.
    """
    assert of.renews is not None
    ids = [to.subscriber_id for to in people]
    _enter(conn, keyring, of, people, now)
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
    return [to._replace(asking=askings[to.subscriber_id]) for to in people if to.subscriber_id in askings]


def _enter(conn: Connection, keyring: Keyring, of: Campaign, people: Sequence[Recipient], now: datetime) -> None:
    assert of.renews is not None
    c = opt_in_request.c
    ids = [to.subscriber_id for to in people]
    forgotten = delete(opt_in_request).where(c.renews == of.renews, among(conn, c.subscriber_id, ids))
    conn.execute(forgotten.where(c.campaign_id != of.id, coverage.never_went_out()))  # cancelled before their turn
    texts = declarations.texts(conn, of.renews)
    words = {entry.language: entry.id for entry in texts}
    topics = _topics(conn, of.renews, texts[0].topics, ids)
    rows = []
    for to in people:
        nonce = secrets.token_bytes(16)
        rows.append({
            "subscriber_id": to.subscriber_id,
            "nonce": nonce,
            "token_sha256": tokens.token_sha256(tokens.opt_in_token(keyring.signing, nonce)),
            "topics": topics[to.subscriber_id],
            "language": to.language,
            "declaration_id": words[to.language],
            "source": f"renewal of consent, campaign {of.id}",
            "requested_at": now,
            "expires_at": now + VALID,
            "renews": of.renews,
            "campaign_id": of.id,
        })  # fmt: skip
    if rows:
        conn.execute(insert_or(conn.dialect.name, opt_in_request).on_conflict_do_nothing(), rows)


def _topics(conn: Connection, number: int, covered: Sequence[Topic], ids: Sequence[int]) -> dict[int, list[Topic]]:
    """Give each person's topics that are to be renewed and that the words cover: one mail speaks of all of them."""
    s = subscription.c
    of_which = or_(*(and_(s.topic == topic, consent.may_be_asked(topic, number)) for topic in covered))
    rows = conn.execute(
        select(s.subscriber_id, s.topic)
        .join(subscriber, subscriber.c.id == s.subscriber_id)
        .where(among(conn, s.subscriber_id, ids), of_which)
    )
    found: dict[int, list[Topic]] = {who: [] for who in ids}
    for row in rows:
        found[row.subscriber_id].append(Topic(row.topic))
    return {who: sorted(topics, key=list(Topic).index) for who, topics in found.items()}
