"""Release: content becomes frozen editions, and the campaign gets its time. A campaign that cannot be composed for a
made-up recipient in every language is not released.
"""

import hashlib
from datetime import date, datetime

from sqlalchemy import Connection, select

from dispatcher.compose.content import parse_content
from dispatcher.compose.edition import Edition, Kind
from dispatcher.compose.freezing import freeze, freeze_service
from dispatcher.compose.house import House
from dispatcher.db import clock
from dispatcher.db.tables import opt_in_request
from dispatcher.db.terms import CampaignState, Errand, Language
from dispatcher.domain import authors, campaigns, releases, revisions
from dispatcher.domain.campaigns import Campaign, Draft
from dispatcher.domain.recipients import Recipient
from dispatcher.domain.revisions import Revision
from dispatcher.domain.staff.audit import Actor
from dispatcher.errors import InputRefused, MoveRefused
from dispatcher.sending.binding import bind
from dispatcher.sending.press import CampaignPress, Stationery

# Names that have broken letters elsewhere: each edition is composed for all of them before it may go.
_TRIAL_NAMES = ("", "Jörg Müller", 'O\'Brien, "Bob" <b@example.com>', "Zoë 🌟 " + "ß" * 60, "=?utf-8?q?x?=")


def draft(conn: Connection, wanted: Draft, house: House, now: datetime) -> int:
    """Enter a newsletter as a draft; give its id. Raises ContentInvalid for what cannot be composed."""
    campaign_id = campaigns.create(conn, wanted, now)
    editions(conn, campaigns.get(conn, campaign_id), house)
    return campaign_id


def edit(conn: Connection, campaign_id: int, said: Revision, house: House, now: datetime) -> int:
    """Save a draft anew; give its version. Raises MoveRefused when somebody has saved since it was read, and
    ContentInvalid for what cannot be composed.
    """
    saved = revisions.edit(conn, campaign_id, said, now)
    editions(conn, campaigns.get(conn, campaign_id), house)
    return saved


def take_back(conn: Connection, campaign_id: int, why: str, by: Actor, now: datetime) -> None:
    """Make a scheduled newsletter a draft again, and end its release with the reason. Raises NotFound, InputRefused for
    no reason, and MoveRefused when it is not scheduled (any more).
    """
    if not why.strip():
        raise InputRefused(f"no reason is given for taking back campaign {campaign_id}", "say why: it is written down")
    of = campaigns.get(conn, campaign_id)
    if of.topic is None or of.renews is not None:
        raise InputRefused(f"campaign {campaign_id} is nothing that somebody wrote", "it goes by itself; cancel it")
    if not campaigns.move(conn, campaign_id, CampaignState.DRAFT, only_from=CampaignState.SCHEDULED, problem=None):
        stands = campaigns.get(conn, campaign_id).state
        raise MoveRefused(
            f"campaign {campaign_id} is {stands}: only one that is scheduled can be taken back",
            f"see `dispatcher campaigns status {campaign_id}`",
        )
    name = authors.who(conn, by).name
    releases.end(conn, campaign_id, f"taken back by {name}: {why.strip()}", now)


def schedule(
    conn: Connection, campaign_id: int, at: datetime, zone: str, stationery: Stationery, house: House
) -> Campaign:
    """Release a campaign for a moment (UTC), bound to what it says now, without looking it over: people come by
    preflight/gate.py. Raises MoveRefused, or ContentInvalid with file and line.
    """
    campaigns.hold(conn, campaign_id)  # or what is frozen could be older than what is bound
    of = campaigns.get(conn, campaign_id)
    frozen = editions(conn, of, house)
    _try_out(of, frozen, stationery)
    campaigns.require_move(conn, campaign_id, CampaignState.SCHEDULED, send_at=at, zone=zone, problem=None)
    _store(conn, campaign_id, frozen)
    releases.enter(conn, campaign_id, of.version, bind(conn, of, house), clock.now(conn))
    return campaigns.get(conn, campaign_id)


def editions(conn: Connection, of: Campaign, house: House) -> dict[Language, Edition]:
    """Freeze what the marketer wrote, per language; nothing is stored. Raises ContentInvalid."""
    if of.topic is None:
        raise InputRefused(f"campaign {of.id} is a confirmation mail", "it goes by itself; name a newsletter")
    if of.renews is not None:
        raise InputRefused(f"campaign {of.id} asks to renew consent", "it goes by itself; pause it or cancel it")
    frozen = {}
    for language, (file, source) in campaigns.contents(conn, of.id).items():
        content = parse_content(source, file=file)
        frozen[language] = freeze(content, topic=of.topic, subject=of.subject, house=house, campaign_id=of.id)
    if of.default_language not in frozen:
        raise InputRefused(
            f"campaign {of.id} has no content in its default language {of.default_language}",
            "edit it, or create it anew",
        )
    return frozen


def freeze_confirmation(conn: Connection, of: Campaign, house: House) -> None:
    """Freeze the letter of a request, in its language: the one that asks for a confirmation, or about an address."""
    language = of.default_language
    errand = conn.execute(select(opt_in_request.c.errand).where(opt_in_request.c.id == of.request_id)).scalar_one()
    kind = Kind.CONFIRM if errand == Errand.OPT_IN else Kind(errand)
    _store(conn, of.id, {language: freeze_service(kind, language=language, house=house)})


def freeze_renewal(conn: Connection, campaign_id: int, house: House) -> None:
    """Freeze the letter that asks to renew a consent, in every language."""
    frozen = {language: freeze_service(Kind.RENEW, language=language, house=house) for language in Language}
    _store(conn, campaign_id, frozen)


def trial_recipient(language: Language, name: str = "Maria Muster") -> Recipient:
    """Make up a recipient, for trials and previews."""
    return Recipient(0, bytes(8), "maria.muster@example.com", name, language, date(2026, 1, 15), 1)


def press_of(of: Campaign, frozen: dict[Language, Edition], stationery: Stationery) -> CampaignPress:
    """Compile editions that are not stored."""
    return CampaignPress(of, {language: edition.to_json() for language, edition in frozen.items()}, stationery)


def _try_out(of: Campaign, frozen: dict[Language, Edition], stationery: Stationery) -> None:
    press = press_of(of, frozen, stationery)
    for language in frozen:
        for name in _TRIAL_NAMES:
            press.letter(trial_recipient(language, name), of.created_at)


def _store(conn: Connection, campaign_id: int, frozen: dict[Language, Edition]) -> None:
    texts = {language: edition.to_json() for language, edition in frozen.items()}
    campaigns.freeze_editions(
        conn, campaign_id, {k: (text, hashlib.sha256(text.encode()).digest()) for k, text in texts.items()}
    )
