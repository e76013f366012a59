"""The life of a campaign.

    draft -> scheduled -> preparing -> sending <-> paused
      ^________|             |            |
    sending -> sent          every one of them, before sent -> cancelled
    preparing -> draft       after a restore from a backup only (on_hold.py)

What must stay true: a move is one UPDATE whose WHERE names the states it may start from. No row back, no move: of two
who try at once, one wins and the other is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, case, delete, func, insert, literal_column, or_, select, update

from dispatcher.db.entering import enter
from dispatcher.db.tables import campaign, content, edition
from dispatcher.db.terms import CampaignKind, CampaignState, Hold, Language, Topic, UnknownPolicy
from dispatcher.domain.audience import filters, narrowing
from dispatcher.domain.audience.filters import EVERYBODY, Filter
from dispatcher.domain.newsletters import authors
from dispatcher.domain.programs import outbox
from dispatcher.domain.rates.providers import checked_rate
from dispatcher.domain.staff.audit import NOBODY, Actor
from dispatcher.errors import MoveRefused, NotFound

_S = CampaignState
# From which states each state may be entered.
MOVES: dict[CampaignState, frozenset[CampaignState]] = {
    _S.DRAFT: frozenset({_S.SCHEDULED, _S.PREPARING}),  # after a restore: domain/newsletters/on_hold.py
    _S.SCHEDULED: frozenset({_S.DRAFT, _S.SCHEDULED}),  # from scheduled: another time
    _S.PREPARING: frozenset({_S.SCHEDULED}),
    _S.SENDING: frozenset({_S.PREPARING, _S.PAUSED}),
    _S.PAUSED: frozenset({_S.SENDING}),
    _S.SENT: frozenset({_S.SENDING}),
    _S.CANCELLED: frozenset({_S.DRAFT, _S.SCHEDULED, _S.PREPARING, _S.SENDING, _S.PAUSED}),
}
# Under way: what is left of its audience is still frozen, also while it is paused.
LAUNCHED = frozenset({_S.SENDING, _S.PAUSED})

# A deferred letter is given up after this many seconds: prices go stale faster than product news.
_EXPIRES_AFTER = {Topic.FINANCE_NEWS: 12 * 3600}
EXPIRES_AFTER_DEFAULT = 48 * 3600


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as stored."""

    id: int
    kind: CampaignKind
    topic: Topic | None
    name: str
    subject: str
    default_language: Language
    state: CampaignState
    problem: str | None
    send_at: datetime | None
    zone: str | None
    unknown_policy: UnknownPolicy
    expires_after_s: int
    request_id: int | None
    audience: int | None
    created_at: datetime
    launched_at: datetime | None
    finished_at: datetime | None
    rate_per_min: int | None = None  # over all workers; None: as fast as can be
    renews: int | None = None  # it asks to renew consent, under the declaration of this number
    hold: Hold | None = None  # paused by itself: why
    epoch: int = 0  # grows with what running workers must heed at once: rate, content, how long prices are good
    prices_as_of: datetime | None = None
    prices_until: datetime | None = None  # from then on no letter passes the gate
    edition_no: int = 1  # which edition letters are made of; of a trial of subjects, those of the first
    wall_time: str | None = None  # goes out when each reader's own clock shows this
    series_id: int | None = None  # an issue of this series; a draft waits for its turn
    version: int = 1  # of what was written
    filter: Filter = EVERYBODY  # whom it is for, of those who agreed
    unfrozen_from: int | None = None  # from this person on its audience is still to be frozen

    @property
    def is_launching(self) -> bool:
        """Claim that people are still being added to its audience: `audience` is how many there are so far."""
        return self.unfrozen_from is not None and self.state in LAUNCHED

    def expires_at(self, due_at: datetime | None) -> datetime:
        """Give the moment after which a letter that was put off is given up; `due_at`: its own time, if it had one."""
        return (due_at or self.launched_at or self.created_at) + timedelta(seconds=self.expires_after_s)

    def is_stale(self, now: datetime) -> bool:
        """Claim that its prices are older than it allows."""
        return self.prices_until is not None and self.prices_until <= now

    def edition_of(self, variant: int | None) -> int:
        """Give the edition with this subject of a trial; None: there is one subject, or none is chosen."""
        return edition_for(self.edition_no, variant)


def edition_for(edition_no: int, variant: int | None) -> int:
    """Give the edition with this subject, where the one with the first has the number `edition_no`."""
    return edition_no if variant is None else edition_no + variant - 1


_COLUMNS = [campaign.c[name] for name in Campaign.__slots__]
# As the index of newsletters has it, which are few among the letters that ask for a confirmation.
_IS_NEWSLETTER: ColumnElement[bool] = literal_column(f"campaign.kind = '{CampaignKind.NEWSLETTER.value}'")


Contents = dict[Language, tuple[str, str]]  # what a marketer wrote, by language: (file name, source)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a marketer hands in."""

    topic: Topic
    name: str
    subject: str
    default_language: Language
    contents: Contents
    rate_per_min: int | None = None
    by: Actor = NOBODY  # who wrote it
    filter: Filter = EVERYBODY  # whom it is for, of those who agreed


def create(conn: Connection, draft: Draft, now: datetime) -> int:
    """Enter a newsletter as a draft; give its id. Raises FilterRefused."""
    narrowing.require_sound(conn, draft.filter, now)
    row = {
        "kind": CampaignKind.NEWSLETTER,
        "topic": draft.topic,
        "name": draft.name,
        "subject": draft.subject,
        "default_language": draft.default_language,
        "state": CampaignState.DRAFT,
        "unknown_policy": UnknownPolicy.HOLD,
        "expires_after_s": _EXPIRES_AFTER.get(draft.topic, EXPIRES_AFTER_DEFAULT),
        "rate_per_min": checked_rate(draft.rate_per_min),
        "filter": draft.filter.to_json() if draft.filter else None,
        "created_at": now,
    }
    campaign_id = int(conn.execute(insert(campaign).returning(campaign.c.id), row).scalar_one())
    write_contents(conn, campaign_id, draft.contents)
    authors.note(conn, campaign_id, 1, draft.by, now)
    return campaign_id


def create_confirmations(conn: Connection, requests: Mapping[int, Language], now: datetime) -> list[int]:
    """Enter for each request the one letter that asks for a confirmation, due at once; give their ids in this order.

    It goes the way of every campaign, before all newsletters, and may be sent again when its fate is unknown.
    """
    alike = {
        "kind": CampaignKind.CONFIRMATION, "subject": "", "state": CampaignState.SCHEDULED, "priority": 100,
        "send_at": now, "unknown_policy": UnknownPolicy.RESEND, "expires_after_s": EXPIRES_AFTER_DEFAULT,
        "created_at": now,
    }  # fmt: skip
    rows = [
        {**alike, "name": f"confirmation {request_id}", "default_language": language, "request_id": request_id}
        for request_id, language in requests.items()
    ]
    entered = enter(conn, campaign.c.request_id, rows)
    return [entered[request_id] for request_id in requests]


def get(conn: Connection, campaign_id: int) -> Campaign:
    """Give a campaign. Raises NotFound."""
    of = find(conn, campaign_id)
    if of is None:
        raise NotFound(f"there is no campaign {campaign_id}", "`dispatcher campaigns list` shows those there are")
    return of


def hold(conn: Connection, campaign_id: int) -> None:
    """Hold a campaign until the end of the transaction: nobody else can edit, release or launch it meanwhile."""
    conn.execute(select(campaign.c.id).where(campaign.c.id == campaign_id).with_for_update())


def find(conn: Connection, campaign_id: int) -> Campaign | None:
    """Find a campaign; None: there is none of this number."""
    row = conn.execute(select(*_COLUMNS).where(campaign.c.id == campaign_id)).one_or_none()
    return _campaign(row) if row is not None else None


def newest(
    conn: Connection,
    limit: int = 50,
    before: int | None = None,
    state: CampaignState | None = None,
    after: int | None = None,
    named: str = "",
) -> list[Campaign]:
    """Give the newest newsletters first: of those with a smaller number than `before`, or those just above `after`; in
    one state, if named, and with this in their name, whether it is written large or small.
    """
    c = campaign.c
    wanted = select(*_COLUMNS).where(_IS_NEWSLETTER).limit(limit)
    if before is not None:
        wanted = wanted.where(c.id < before)
    if state is not None:
        wanted = wanted.where(c.state == state)
    if named:  # SQLite tells "Ü" from "ü"
        forms = {named, named.lower(), named.upper(), named.capitalize()}
        wanted = wanted.where(or_(*(c.name.icontains(form, autoescape=True) for form in sorted(forms))))
    if after is not None:
        rows = conn.execute(wanted.where(c.id > after).order_by(c.id)).all()[::-1]
    else:
        rows = list(conn.execute(wanted.order_by(c.id.desc())))
    return [_campaign(row) for row in rows]


def between(conn: Connection, since: datetime, until: datetime, limit: int = 500) -> list[Campaign]:
    """Give the newsletters that began in this time, or are to begin in it, in that order; no drafts."""
    c = campaign.c
    began = func.coalesce(c.launched_at, c.send_at)
    wanted = select(*_COLUMNS).where(_IS_NEWSLETTER, c.state != _S.DRAFT, began >= since, began < until)
    return [_campaign(row) for row in conn.execute(wanted.order_by(began, c.id).limit(limit))]


def standing_still(conn: Connection, limit: int = 50) -> list[Campaign]:
    """Give the newsletters that wait for somebody: what is held, cannot begin or waits for a choice, see `problem`."""
    c = campaign.c
    waits = c.state.in_([_S.DRAFT, _S.PREPARING, _S.PAUSED, _S.SENDING])
    wanted = select(*_COLUMNS).where(_IS_NEWSLETTER, waits, c.problem.is_not(None))
    return [_campaign(row) for row in conn.execute(wanted.order_by(c.id).limit(limit))]


def move(
    conn: Connection, campaign_id: int, to: CampaignState, *, only_from: CampaignState | None = None, **values: object
) -> bool:
    """Move a campaign, and set `values` with it; what held it does so no more, unless they say so.

    False: it stood in no state from which this is allowed.
    """
    sources = MOVES[to] if only_from is None else MOVES[to] & {only_from}
    values = {"hold": None} | values
    moved = conn.execute(
        update(campaign)
        .where(campaign.c.id == campaign_id, campaign.c.state.in_(sources))
        .values(state=to, **values)
        .returning(campaign.c.kind, campaign.c.topic)
    ).one_or_none()
    if moved is None:
        return False
    if moved.kind == CampaignKind.NEWSLETTER:
        outbox.note_move(conn, campaign_id, moved.topic, to)
    return True


def require_move(
    conn: Connection, campaign_id: int, to: CampaignState, *, only_from: CampaignState | None = None, **values: object
) -> None:
    """Move a campaign or raise: NotFound, or MoveRefused saying where it stands and what would be possible."""
    if move(conn, campaign_id, to, only_from=only_from, **values):
        return
    stands = get(conn, campaign_id).state
    possible = sorted(state for state, sources in MOVES.items() if stands in sources)
    raise MoveRefused(
        f"campaign {campaign_id} is {stands}; it cannot become {to}",
        f"from here it can become: {', '.join(possible)}" if possible else "this is its end; create a new one",
    )


def pause(conn: Connection, campaign_id: int) -> None:
    """Hold a running campaign: no further letter passes the gate. Raises NotFound, MoveRefused."""
    require_move(conn, campaign_id, _S.PAUSED)


def cancel(conn: Connection, campaign_id: int, now: datetime) -> None:
    """End a campaign for good: what has not passed the gate never will. Raises NotFound, MoveRefused."""
    require_move(conn, campaign_id, _S.CANCELLED, finished_at=now)


def note_audience(conn: Connection, campaign_id: int, size: int, unfrozen_from: int | None = None) -> None:
    """Write down how many people are in the audience, and from whom on it is still to be frozen; None: it is whole."""
    values = {"audience": size, "unfrozen_from": unfrozen_from}
    conn.execute(update(campaign).where(campaign.c.id == campaign_id).values(**values))


def launching(conn: Connection, limit: int = 100) -> list[int]:
    """Give the campaigns whose audience is still being frozen."""
    c = campaign.c
    found = select(c.id).where(c.unfrozen_from.is_not(None), c.state.in_(LAUNCHED)).order_by(c.id).limit(limit)
    return list(conn.execute(found).scalars())


def hold_launching(conn: Connection, campaign_id: int) -> Campaign | None:
    """Hold a campaign whose audience is still being frozen until the end of the transaction; None: it is none such.
    Its letters go on meanwhile, but it does not move, and nobody else gives numbers to batches of it.
    """
    c = campaign.c
    mine = select(*_COLUMNS).where(c.id == campaign_id, c.unfrozen_from.is_not(None), c.state.in_(LAUNCHED))
    row = conn.execute(mine.with_for_update(key_share=True)).one_or_none()
    return _campaign(row) if row is not None else None


def note_problem(conn: Connection, campaign_id: int, problem: str | None) -> None:
    """Write down why a campaign stands still, in words; None: it does not any more."""
    conn.execute(update(campaign).where(campaign.c.id == campaign_id).values(problem=problem, hold=None))


def set_rate(conn: Connection, campaign_id: int, rate_per_min: int | None) -> None:
    """Let at most this many of a campaign's letters go a minute from now on; None: as many as can.

    Raises InputRefused for no rate, NotFound, and MoveRefused when the campaign is over.
    """
    c, rate = campaign.c, checked_rate(rate_per_min)
    # To say again what holds already must not send every worker to look again.
    epoch = c.epoch + case((c.rate_per_min.is_not_distinct_from(rate), 0), else_=1)
    changed = conn.execute(
        update(campaign)
        .where(c.id == campaign_id, c.state.not_in([_S.SENT, _S.CANCELLED]))
        .values(rate_per_min=rate, epoch=epoch)
        .returning(campaign.c.id)
    )
    if changed.one_or_none() is None:
        stands = get(conn, campaign_id).state
        raise MoveRefused(f"campaign {campaign_id} is {stands}: its letters are gone", "a new one can have a rate")


def rates(conn: Connection) -> dict[int, int]:
    """Give the letters a minute of each campaign that sends and has a rate."""
    c = campaign.c
    found = conn.execute(select(c.id, c.rate_per_min).where(c.state == _S.SENDING, c.rate_per_min.is_not(None)))
    return {row.id: row.rate_per_min for row in found}


def put_contents(conn: Connection, campaign_id: int, files: Contents, by: Actor, now: datetime) -> None:
    """Write down what a marketer wrote, in place of what was there: another version of it."""
    c = campaign.c
    write_contents(conn, campaign_id, files)
    saved = update(campaign).where(c.id == campaign_id).values(version=c.version + 1).returning(c.version)
    authors.note(conn, campaign_id, int(conn.execute(saved).scalar_one()), by, now)


def write_contents(conn: Connection, campaign_id: int, files: Contents) -> None:
    """Store what a marketer wrote, in place of what was there."""
    conn.execute(delete(content).where(content.c.campaign_id == campaign_id))
    rows = [
        {"campaign_id": campaign_id, "language": language, "file": file, "source": source}
        for language, (file, source) in files.items()
    ]
    conn.execute(insert(content), rows)


def contents(conn: Connection, campaign_id: int) -> Contents:
    """Give what the marketer wrote."""
    rows = conn.execute(
        select(content.c.language, content.c.file, content.c.source)
        .where(content.c.campaign_id == campaign_id)
        .limit(len(Language))
    )
    return {Language(r.language): (r.file, r.source) for r in rows}


def freeze_editions(
    conn: Connection, campaign_id: int, frozen: dict[Language, tuple[str, bytes]], *, no: int = 1
) -> None:
    """Store the frozen letter per language as (text, SHA-256), in place of an earlier release's from this number on."""
    conn.execute(delete(edition).where(edition.c.campaign_id == campaign_id, edition.c.no >= no))
    rows = [
        {"campaign_id": campaign_id, "no": no, "language": language, "frozen": text, "sha256": sha256}
        for language, (text, sha256) in frozen.items()
    ]
    conn.execute(insert(edition), rows)


def editions(conn: Connection, campaign_id: int, no: int = 1) -> dict[Language, str]:
    """Give the frozen letters of an edition by language; empty before release."""
    rows = conn.execute(
        select(edition.c.language, edition.c.frozen)
        .where(edition.c.campaign_id == campaign_id, edition.c.no == no)
        .limit(len(Language))
    )
    return {Language(r.language): r.frozen for r in rows}


def count_editions(conn: Connection, of: Campaign) -> int:
    """Count the frozen letters in their newest form: more than one are those of a trial of subjects."""
    numbers = select(func.count(edition.c.no.distinct()))
    of_now = numbers.where(edition.c.campaign_id == of.id, edition.c.no >= of.edition_no)
    return int(conn.execute(of_now).scalar_one())


def _campaign(row: object) -> Campaign:
    values = {name: getattr(row, name) for name in Campaign.__slots__}
    values["kind"] = CampaignKind(values["kind"])
    values["topic"] = Topic(values["topic"]) if values["topic"] else None
    values["default_language"] = Language(values["default_language"])
    values["state"] = CampaignState(values["state"])
    values["unknown_policy"] = UnknownPolicy(values["unknown_policy"])
    values["hold"] = Hold(values["hold"]) if values["hold"] else None
    values["filter"] = filters.stored(values["filter"])
    return Campaign(**values)
