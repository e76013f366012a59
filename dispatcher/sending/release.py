"""Release: content becomes frozen editions, and the campaign gets its time. A campaign that cannot be composed for a
made-up recipient in every language is not released.

    schedule, schedule_local, start    for a moment, for each reader's own clock, at once
    put_in, issue                      for its turn in a series, and when that has come
    replace, renew, resume             other content; released under way, for who is left; and the way on

What must stay true: an edition of which a letter went out does not change. Content that is replaced under way becomes
an edition with the next number, and only while no worker holds a batch of the campaign. Where subjects are tried, each
has an edition of its own, numbered in their order.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select, update

from dispatcher.compose.content import Content, parse_content
from dispatcher.compose.edition import Edition, Kind
from dispatcher.compose.freezing import freeze, freeze_service
from dispatcher.compose.freshness import prices
from dispatcher.compose.house import House
from dispatcher.db import clock
from dispatcher.db.tables import campaign, opt_in_request
from dispatcher.db.terms import CampaignState, Errand, Hold, Language, Topic
from dispatcher.domain import zones
from dispatcher.domain.audience import audiences, local_time
from dispatcher.domain.delivery import batches
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters import authors, campaigns, freshness, releases, revisions, series, trials
from dispatcher.domain.newsletters.campaigns import Campaign, Contents, Draft
from dispatcher.domain.newsletters.revisions import Revision
from dispatcher.domain.newsletters.trials import Terms
from dispatcher.domain.staff.audit import Actor
from dispatcher.errors import ContentInvalid, InputRefused, MoveRefused
from dispatcher.sending.binding import bind, content_hash, require_unchanged
from dispatcher.sending.press import CampaignPress, Stationery

Editions = dict[Language, Edition]  # one letter, in each language

# Names that have broken letters elsewhere: each edition is composed for all of them before it may go.
_TRIAL_NAMES = ("", "Jörg Müller", 'O\'Brien, "Bob" <b@example.com>', "Zoë 🌟 " + "ß" * 60, "=?utf-8?q?x?=")


def draft(conn: Connection, wanted: Draft, house: House, now: datetime, trial: Terms | None = None) -> int:
    """Enter a newsletter as a draft; give its id. Raises ContentInvalid for what cannot be composed, and InputRefused
    for a `trial` of one subject.
    """
    campaign_id = campaigns.create(conn, wanted, now)
    _check(conn, campaign_id, house, trial)
    return campaign_id


def edit(
    conn: Connection, campaign_id: int, said: Revision, house: House, now: datetime, trial: Terms | None = None
) -> int:
    """Save a draft anew; give its version. Raises MoveRefused when somebody has saved since it was read,
    ContentInvalid for what cannot be composed, and InputRefused for a `trial` of one subject.
    """
    saved = revisions.edit(conn, campaign_id, said, now)
    _check(conn, campaign_id, house, trial)
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

    Prices that will be too old by then are no hindrance, for new ones may come: see `Campaign.prices_until`.
    """
    return _bound(conn, campaign_id, _When(at, zone), stationery, house)


@dataclass(frozen=True, slots=True)
class Local:
    """A wall-clock time, 2026-12-01T09:00, for each reader's own zone; `zone`: of those without one."""

    wall_time: str
    zone: str


def schedule_local(
    conn: Connection, campaign_id: int, local: Local, now: datetime, stationery: Stationery, house: House
) -> Campaign:
    """Release a campaign to go out when each reader's own clock shows a time. Raises as `schedule` does, and
    InputRefused where the campaign's own zone is past it or skips it.
    """
    otherwise = zones.moment(local.wall_time, local.zone, now)
    of = campaigns.get(conn, campaign_id)
    people = audiences.everyone(_topic_of(of), of.filter)
    at = local_time.first(local_time.waves(conn, people, local.wall_time, local.zone), otherwise, now)
    return _bound(conn, campaign_id, _When(at, local.zone, local.wall_time), stationery, house)


def start(conn: Connection, campaign_id: int, now: datetime, stationery: Stationery, house: House) -> Campaign:
    """Release a campaign to begin at once. Raises as `schedule` does, and MoveRefused when its prices are too old."""
    of = campaigns.get(conn, campaign_id)
    of = dataclasses.replace(of, **_aging(conn, of, now))
    if of.is_stale(now):
        raise MoveRefused(
            f"campaign {campaign_id} cannot go out: {freshness.what_is_stale(of)}",
            f"`campaigns replace {campaign_id} --content FILE` brings new ones",
        )
    return schedule(conn, campaign_id, now, "UTC", stationery, house)


def put_in(conn: Connection, campaign_id: int, series_id: int, stationery: Stationery, house: House) -> Campaign:
    """Release a draft for its turn in a series, bound to what it says now. Raises as `schedule` does, and InputRefused
    for one of another topic.
    """
    campaigns.hold(conn, campaign_id)
    _try_out(conn, campaign_id, stationery, house)
    series.put_in(conn, series_id, campaign_id)
    of = campaigns.get(conn, campaign_id)
    releases.enter(conn, campaign_id, of.version, bind(conn, of, house), clock.now(conn))
    return of


def issue(conn: Connection, campaign_id: int, at: datetime, zone: str, house: House) -> Campaign:
    """Let a draft that was put into a series go: its turn has come. Raises ReleaseOutdated when it is not what was
    released then, and MoveRefused.
    """
    campaigns.hold(conn, campaign_id)
    of = campaigns.get(conn, campaign_id)
    require_unchanged(conn, of, house)
    return _schedule(conn, campaign_id, _When(at, zone), variants(conn, of, house))


def replace(conn: Connection, campaign_id: int, contents: Contents, by: Actor, house: House, now: datetime) -> Campaign:
    """Put other content into a draft, one that waits for its time, or one that is paused. It goes when it is released:
    until then the second becomes a draft at its time, and the third does not go on.

    Raises MoveRefused for any other state and while workers hold batches of it, or ContentInvalid.
    """
    campaigns.hold(conn, campaign_id)
    _require_replaceable(conn, campaigns.get(conn, campaign_id), now)
    campaigns.put_contents(conn, campaign_id, contents, by, now)
    of = campaigns.get(conn, campaign_id)
    if of.state is CampaignState.PAUSED:
        trials.require_same(conn, campaign_id, len(variants(conn, of, house)))
    else:
        _check(conn, campaign_id, house)
    return of


def renew(conn: Connection, campaign_id: int, now: datetime, stationery: Stationery, house: House) -> Campaign:
    """Release the content of a paused campaign anew: whoever has not been served gets it. If it was held for its
    prices, it goes on.

    Raises MoveRefused for any other state, while workers hold batches of it, and for prices that are too old again; or
    ContentInvalid.
    """
    campaigns.hold(conn, campaign_id)
    of = campaigns.get(conn, campaign_id)
    if of.state is not CampaignState.PAUSED:
        raise MoveRefused(f"campaign {campaign_id} is {of.state}, not paused", "see: dispatcher campaigns list")
    _require_replaceable(conn, of, now)
    frozen = _try_out(conn, campaign_id, stationery, house)
    trials.require_same(conn, campaign_id, len(frozen))
    no = of.edition_no + len(frozen)
    values = {"edition_no": no, "epoch": campaign.c.epoch + 1, "problem": None, **_aging(conn, of, now)}
    conn.execute(update(campaign).where(campaign.c.id == campaign_id).values(**values))
    _store(conn, campaign_id, frozen, no)
    releases.enter(conn, campaign_id, of.version, bind(conn, of, house), now)
    if of.hold is Hold.STALE_PRICES:
        freshness.resume(conn, campaign_id, now)
    return campaigns.get(conn, campaign_id)


def resume(conn: Connection, campaign_id: int, now: datetime, *, with_old_prices: bool = False) -> None:
    """Let a paused campaign go on where it stopped. Raises as `freshness.resume` does, and MoveRefused while it has
    content that is not released.
    """
    held, of = releases.holding(conn, campaign_id), campaigns.get(conn, campaign_id)
    if held is not None and of.state is CampaignState.PAUSED and held.binding.content != content_hash(conn, of):
        raise MoveRefused(
            f"campaign {campaign_id} has new content that is not released",
            f"release it by `campaigns replace {campaign_id} --content FILE`, or put the old one back so",
        )
    freshness.resume(conn, campaign_id, now, with_old_prices=with_old_prices)


def editions(conn: Connection, of: Campaign, house: House, *, mark: str = "") -> Editions:
    """Freeze what the marketer wrote, per language, with its first subject; nothing is stored. Raises as `variants`."""
    return variants(conn, of, house, mark=mark)[0]


def variants(conn: Connection, of: Campaign, house: House, *, mark: str = "") -> list[Editions]:
    """Freeze what the marketer wrote, once for each subject that it brings; nothing is stored. `mark`: how subjects
    begin. Raises ContentInvalid, also where languages bring different numbers of subjects.
    """
    topic = _topic_of(of)
    written = {k: parse_content(source, file=file) for k, (file, source) in campaigns.contents(conn, of.id).items()}
    if of.default_language not in written:
        raise InputRefused(
            f"campaign {of.id} has no content in its default language {of.default_language}",
            "edit it, or create it anew",
        )
    subjects = written[of.default_language].subjects
    for content in written.values():
        if len(content.subjects) != len(subjects):
            what = f"has {len(content.subjects)} `subjects`, and {written[of.default_language].file} {len(subjects)}"
            raise ContentInvalid(content.file, 0, what, "Write as many in each language: a trial compares them.")
    return [
        {
            k: freeze(_entitled(each, no, mark), topic=topic, subject=mark + of.subject, house=house, campaign_id=of.id)
            for k, each in written.items()
        }
        for no in range(max(len(subjects), 1))
    ]


def freeze_confirmation(conn: Connection, of: Campaign, house: House) -> None:
    """Freeze the letter of a request, in its language: the one that asks for a confirmation, or about an address."""
    language = of.default_language
    errand = conn.execute(select(opt_in_request.c.errand).where(opt_in_request.c.id == of.request_id)).scalar_one()
    kind = Kind.CONFIRM if errand == Errand.OPT_IN else Kind(errand)
    _store(conn, of.id, [{language: freeze_service(kind, language=language, house=house)}])


def freeze_renewal(conn: Connection, campaign_id: int, house: House) -> None:
    """Freeze the letter that asks to renew a consent, in every language."""
    frozen = {language: freeze_service(Kind.RENEW, language=language, house=house) for language in Language}
    _store(conn, campaign_id, [frozen])


def trial_recipient(language: Language, name: str = "Maria Muster") -> Recipient:
    """Make up a recipient, for trials and previews."""
    return Recipient(0, bytes(8), "maria.muster@example.com", name, language, date(2026, 1, 15), 1)


def press_of(of: Campaign, frozen: Editions, stationery: Stationery) -> CampaignPress:
    """Compile editions that are not stored."""
    return CampaignPress(of, {language: edition.to_json() for language, edition in frozen.items()}, stationery)


@dataclass(frozen=True, slots=True)
class _When:
    """The moment (UTC) of the launch and the zone in which it was named; what each reader's own clock is to show."""

    at: datetime
    zone: str
    wall_time: str | None = None


def _bound(conn: Connection, campaign_id: int, when: _When, stationery: Stationery, house: House) -> Campaign:
    campaigns.hold(conn, campaign_id)  # or what is frozen could be older than what is bound
    frozen = _try_out(conn, campaign_id, stationery, house)
    of = _schedule(conn, campaign_id, when, frozen)
    releases.enter(conn, campaign_id, of.version, bind(conn, of, house), clock.now(conn))
    return of


def _schedule(conn: Connection, campaign_id: int, when: _When, frozen: Sequence[Editions]) -> Campaign:
    """Move it to `scheduled` with these editions, which were made of its content under the same lock."""
    of = campaigns.get(conn, campaign_id)
    trials.keep(conn, campaign_id, len(frozen))
    if when.wall_time is not None and len(frozen) > 1:
        raise InputRefused(
            f"campaign {campaign_id} tries {len(frozen)} subjects, and cannot go by each reader's own clock as well",
            "schedule it for one moment, or give it one subject",
        )
    values: dict[str, Any] = {"send_at": when.at, "zone": when.zone, "wall_time": when.wall_time, "problem": None}
    values |= _aging(conn, of, when.at)
    campaigns.require_move(conn, campaign_id, CampaignState.SCHEDULED, **values)
    _store(conn, campaign_id, frozen)
    return campaigns.get(conn, campaign_id)


def _topic_of(of: Campaign) -> Topic:
    if of.topic is None:
        raise InputRefused(f"campaign {of.id} is a confirmation mail", "it goes by itself; name a newsletter")
    if of.renews is not None:
        raise InputRefused(f"campaign {of.id} asks to renew consent", "it goes by itself; pause it or cancel it")
    return of.topic


def _aging(conn: Connection, of: Campaign, at: datetime) -> dict[str, Any]:
    """Give how old the prices are and until when they are good; they may not be of a time after the sending."""
    found = prices(parse_content(source, file=file) for file, source in campaigns.contents(conn, of.id).values())
    if found is None:
        return {"prices_as_of": None, "prices_until": None}
    if found.as_of > at:
        raise InputRefused(
            f"the prices of campaign {of.id} are of a time after it is sent", "mend `as_of`, or send it later"
        )
    return {"prices_as_of": found.as_of, "prices_until": found.until}


def _require_replaceable(conn: Connection, of: Campaign, now: datetime) -> None:
    if of.state not in {CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.PAUSED}:
        cure = f"`campaigns pause {of.id}` first" if of.state is CampaignState.SENDING else "create a new one"
        raise MoveRefused(f"campaign {of.id} is {of.state}: its content stays as it is", cure)
    if of.state is CampaignState.PAUSED and not batches.are_all_in(conn, of.id, now):
        raise MoveRefused(
            f"workers still hold letters of campaign {of.id}", "try again in a minute, when they have given them back"
        )


def _try_out(conn: Connection, campaign_id: int, stationery: Stationery, house: House) -> list[Editions]:
    """Compose it for difficult names, in every language and with every subject; give the editions. Raises
    ContentInvalid.
    """
    of = campaigns.get(conn, campaign_id)
    found = variants(conn, of, house)
    for frozen in found:
        press = press_of(of, frozen, stationery)
        for language in frozen:
            for name in _TRIAL_NAMES:
                press.letter(trial_recipient(language, name), of.created_at)
    return found


def _check(conn: Connection, campaign_id: int, house: House, trial: Terms | None = None) -> list[Editions]:
    """Make sure that a draft can be composed, and enter whether it tries subjects; give the editions."""
    found = variants(conn, campaigns.get(conn, campaign_id), house)
    trials.keep(conn, campaign_id, len(found), trial)
    return found


def _entitled(content: Content, no: int, mark: str) -> Content:
    """Give it its own subject, or the one of this number; "" stays the campaign's."""
    subject = content.subjects[no] if content.subjects else content.subject
    return dataclasses.replace(content, subject=mark + subject) if subject else content


def _store(conn: Connection, campaign_id: int, found: Sequence[Editions], no: int = 1) -> None:
    """Store the editions with each subject under numbers of their own, from `no` on."""
    for place, frozen in enumerate(found):
        texts = {language: edition.to_json() for language, edition in frozen.items()}
        hashed = {k: (text, hashlib.sha256(text.encode()).digest()) for k, text in texts.items()}
        campaigns.freeze_editions(conn, campaign_id, hashed, no=no + place)
