"""/campaigns: enter, look at, run and account for newsletters."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.api.audience import FilterSaid, FilterTold, told_filter
from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import (
    CampaignId,
    Cursor,
    Limit,
    Line,
    Moment,
    PublicId,
    Said,
    Source,
    Told,
    decode,
    encode,
)
from dispatcher.api.trial_shapes import TrialSaid, TrialTold
from dispatcher.compose.content import parse_content
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import CampaignKind, CampaignState, Language, Outcome, Scope, Topic
from dispatcher.domain.audience.filters import EVERYBODY
from dispatcher.domain.newsletters import accounts, missing
from dispatcher.domain.newsletters import campaigns as life
from dispatcher.domain.newsletters.campaigns import Campaign, Contents, Draft
from dispatcher.domain.newsletters.missing import Part, Place
from dispatcher.domain.newsletters.shares import By, shares
from dispatcher.errors import ContentInvalid, NotFound
from dispatcher.sending import house as houses
from dispatcher.sending import release, subjects

router = APIRouter(prefix="/campaigns", tags=["campaigns"])
_LARGEST_RATE = 10_000_000


class Counts(Told):
    """Figures that come from rows: audience = sent + deferred + failed + unknown + withheld + remaining."""

    audience: int
    sent: int
    deferred: int
    failed: int
    unknown: int
    withheld: int
    remaining: int


class CampaignTold(Told):
    """A newsletter as it stands."""

    id: int
    topic: Topic
    name: str
    subject: str
    default_language: Language
    state: CampaignState
    problem: str | None = Field(description="Why it stands still, in words.")
    send_at: Moment | None
    zone: str | None = Field(description="The IANA time zone in which `send_at` was named.")
    rate_per_min: int | None = Field(description="Letters a minute at most, over all workers; null: no limit.")
    renews: int | None = Field(description="It asks to renew consent, under the declaration of this number.")
    version: int = Field(description="Of what was written: one more with each saving.")
    filter: FilterTold | None = Field(description="For whom of those who agreed it is; null: for all of them.")
    created_at: Moment
    launched_at: Moment | None
    finished_at: Moment | None
    counts: Counts | None = Field(description="null: its audience is not frozen yet, or counts were not asked for.")


class CampaignPage(Told):
    """Newsletters, the newest first."""

    items: list[CampaignTold]
    next: str | None = Field(description="The cursor of the next page; null: there is none.")


class ContentSaid(Said):
    """A letter in one language: Markdown with front matter, which names the language (docs/content.md)."""

    source: Source
    file: Annotated[Line, Field(max_length=200)] | None = Field(
        default=None, description="What errors call it; without it, content.LANGUAGE.md."
    )


class DraftSaid(Said):
    """A newsletter that is to be entered."""

    topic: Topic
    subject: Line = Field(description="A content may bring its own for its language.")
    name: Line | None = Field(default=None, description="Your name for it; without it, the subject.")
    contents: Annotated[list[ContentSaid], Field(min_length=1, max_length=len(Language))] = Field(
        description="A letter for each language; the first one's is for whoever speaks none of the others."
    )
    rate_per_min: Annotated[int, Field(ge=1, le=_LARGEST_RATE)] | None = None
    filter: FilterSaid | None = Field(
        default=None, description="For whom of those who agreed it is; without it, for all of them."
    )
    trial: TrialSaid | None = Field(
        default=None, description="How the `subjects` of its contents are tried; without it, by the defaults."
    )


class ContentTold(Told):
    """What the author wrote, in one language."""

    language: Language
    file: str
    source: str


class ContentsTold(Told):
    """What the author wrote."""

    items: list[ContentTold]


class RateSaid(Said):
    """How fast it may go."""

    rate_per_min: Annotated[int, Field(ge=1, le=_LARGEST_RATE)] | None = Field(description="null: as fast as can be.")


class ShareTold(Counts):
    """The part that is one mailbox provider's, or one relay's."""

    name: str


class StatusTold(Counts):
    """A campaign in figures."""

    state: CampaignState
    rate_per_s: float = Field(description="Of the last half minute; of a campaign that is over, from start to end.")
    eta_s: int | None = Field(description="Seconds that are left; null: cannot be known.")
    problem: str | None
    is_launching: bool = Field(
        description="Letters go out while people are still being added: `audience` and `remaining` are so far."
    )
    shares: list[ShareTold] | None = Field(description="With `by`: its parts, which add up to the whole.")
    trial: TrialTold | None = Field(description="Of its subjects; null: it has one.")


class MissingTold(Told):
    """Someone in the audience who did not get it, and why."""

    subscriber: PublicId
    address: str
    outcome: str = Field(description=f"remaining, deferred, {Outcome.FAILED}, {Outcome.UNKNOWN} or {Outcome.WITHHELD}.")
    reason: str


class MissingPage(Told):
    """Who did not get it. While it runs, whoever moves on between two pages comes twice; the later word is right."""

    items: list[MissingTold]
    next: str | None


@router.get("", operation_id="list_campaigns")
def list_(
    desk: AtDesk,
    _: Annotated[Caller, needs(Scope.CAMPAIGNS_READ)],
    state: Annotated[CampaignState | None, Query(description="Only those in this state.")] = None,
    counts: Annotated[bool, Query(description="Count each of them, which takes its time.")] = True,
    cursor: Cursor = None,
    limit: Limit = 20,
) -> CampaignPage:
    """List newsletters, the newest first."""
    place = decode("campaigns", cursor, int)
    with reading(desk.engine).connect() as conn:
        found = life.newest(conn, limit + 1, place[0] if place else None, state)
        items = [told(conn, of, counts=counts) for of in found[:limit]]
    return CampaignPage(items=items, next=encode("campaigns", found[limit - 1].id) if len(found) > limit else None)


@router.post("", operation_id="create_campaign", status_code=201, response_model=CampaignTold)
def create(
    desk: AtDesk, caller: Annotated[Caller, needs(Scope.CAMPAIGNS_WRITE)], once: OnceOnly, said: DraftSaid
) -> Response:
    """Enter a draft. What cannot be composed is refused, with file and line."""

    def act(conn: Connection, now: datetime) -> Done:
        trial = said.trial.terms() if said.trial is not None else None
        campaign_id = release.draft(conn, _draft(said, caller), houses.house(desk.settings), now, trial)
        return Done(told(conn, life.get(conn, campaign_id)))

    return once.do(said, act, 201)


@router.get("/{campaign_id}", operation_id="get_campaign")
def get(desk: AtDesk, _: Annotated[Caller, needs(Scope.CAMPAIGNS_READ)], campaign_id: CampaignId) -> CampaignTold:
    """Give one newsletter, with its figures."""
    with reading(desk.engine).connect() as conn:
        return told(conn, newsletter(conn, campaign_id))


@router.get("/{campaign_id}/contents", operation_id="get_campaign_contents")
def contents(desk: AtDesk, _: Annotated[Caller, needs(Scope.CAMPAIGNS_READ)], campaign_id: CampaignId) -> ContentsTold:
    """Give what the author wrote, in each language."""
    with reading(desk.engine).connect() as conn:
        found = life.contents(conn, newsletter(conn, campaign_id).id)
    items = [ContentTold(language=language, file=file, source=source) for language, (file, source) in found.items()]
    return ContentsTold(items=items)


@router.get("/{campaign_id}/status", operation_id="get_campaign_status")
def status(
    desk: AtDesk,
    _: Annotated[Caller, needs(Scope.CAMPAIGNS_READ)],
    campaign_id: CampaignId,
    by: Annotated[By | None, Query(description="Take it apart as well.")] = None,
) -> StatusTold:
    """Count it, true to the row."""
    with reading(desk.engine).connect() as conn:
        of = newsletter(conn, campaign_id)
        counted = accounts.status(conn, of, clock.now(conn))
        trial = subjects.report(conn, of, clock.now(conn))
        parts = [ShareTold.model_validate(part) for part in shares(conn, of, by)] if by else None
    return StatusTold(**asdict(counted), shares=parts, trial=TrialTold.of(trial) if trial is not None else None)


@router.get("/{campaign_id}/missing", operation_id="list_campaign_missing")
def list_missing(
    desk: AtDesk,
    _: Annotated[Caller, needs(Scope.CAMPAIGNS_READ, Scope.SUBSCRIBERS_READ)],
    campaign_id: CampaignId,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> MissingPage:
    """Name who did not get it, and why. Before its audience is frozen, nobody is missing."""
    place = decode(f"missing {campaign_id}", cursor, int, int, int)
    if place and place[0] not in set(Part):
        place[0] = Part.FINAL
    after = Place(Part(place[0]), *place[1:]) if place else missing.START
    with reading(desk.engine).connect() as conn:
        people, more = missing.page(conn, newsletter(conn, campaign_id), after, limit)
    items = [
        MissingTold(subscriber=one.public_id.hex(), address=one.address, outcome=one.outcome, reason=one.reason)
        for one in people
    ]
    return MissingPage(items=items, next=encode(f"missing {campaign_id}", *more) if more else None)


@router.post("/{campaign_id}/pause", operation_id="pause_campaign", response_model=CampaignTold)
def pause(_: Annotated[Caller, needs(Scope.CAMPAIGNS_SEND)], once: OnceOnly, campaign_id: CampaignId) -> Response:
    """Hold it while it is sent: no further letter passes the gate."""

    def act(conn: Connection, _now: datetime) -> Done:
        newsletter(conn, campaign_id)
        life.pause(conn, campaign_id)
        return Done(told(conn, life.get(conn, campaign_id)))

    return once.do(None, act)


@router.post("/{campaign_id}/resume", operation_id="resume_campaign", response_model=CampaignTold)
def resume(
    desk: AtDesk, _: Annotated[Caller, needs(Scope.CAMPAIGNS_SEND)], once: OnceOnly, campaign_id: CampaignId
) -> Response:
    """Go on with one that is paused, where it stopped."""

    def act(conn: Connection, now: datetime) -> Done:
        newsletter(conn, campaign_id)
        release.resume(conn, campaign_id, now)
        return Done(told(conn, life.get(conn, campaign_id)), desk.nudge_drains)

    return once.do(None, act)


@router.post("/{campaign_id}/cancel", operation_id="cancel_campaign", response_model=CampaignTold)
def cancel(_: Annotated[Caller, needs(Scope.CAMPAIGNS_SEND)], once: OnceOnly, campaign_id: CampaignId) -> Response:
    """End it for good: what has not passed the gate never will."""

    def act(conn: Connection, now: datetime) -> Done:
        newsletter(conn, campaign_id)
        life.cancel(conn, campaign_id, now)
        return Done(told(conn, life.get(conn, campaign_id)))

    return once.do(None, act)


@router.put("/{campaign_id}/rate", operation_id="set_campaign_rate")
def rate(
    desk: AtDesk, _: Annotated[Caller, needs(Scope.CAMPAIGNS_SEND)], campaign_id: CampaignId, said: RateSaid
) -> CampaignTold:
    """Let at most so many letters go a minute, over all workers; also while it is sent."""
    with desk.engine.begin() as conn:
        newsletter(conn, campaign_id)
        life.set_rate(conn, campaign_id, said.rate_per_min)
        return told(conn, life.get(conn, campaign_id))


def newsletter(conn: Connection, campaign_id: int) -> Campaign:
    """Find a newsletter; the mail that asks one person to confirm is none. Raises NotFound."""
    of = life.find(conn, campaign_id)
    if of is None or of.kind is not CampaignKind.NEWSLETTER:
        raise NotFound(f"there is no newsletter {campaign_id}", "GET /campaigns lists them")
    return of


def told(conn: Connection, of: Campaign, *, counts: bool = True) -> CampaignTold:
    """Tell a newsletter as it stands."""
    counted = None
    if counts and of.audience is not None:
        counted = Counts.model_validate(accounts.status(conn, of, clock.now(conn)))
    shown = {name: getattr(of, name) for name in CampaignTold.model_fields if name not in {"counts", "filter"}}
    return CampaignTold(**shown, filter=told_filter(conn, of.filter), counts=counted)


def contents_of(said: Sequence[ContentSaid]) -> Contents:
    """Read the letters by their languages. Raises ContentInvalid."""
    found: dict[Language, tuple[str, str]] = {}
    for place, content in enumerate(said):
        file = content.file or f"contents[{place}]"
        language = Language(parse_content(content.source, file=file).language)
        if language in found:
            raise ContentInvalid(file, 0, f"is the second one with language: {language}", "send one for each language")
        found[language] = (content.file or f"content.{language}.md", content.source)
    return found


def _draft(said: DraftSaid, caller: Caller) -> Draft:
    found = contents_of(said.contents)
    name, wanted = said.name or said.subject, said.filter.read() if said.filter is not None else EVERYBODY
    return Draft(said.topic, name, said.subject, next(iter(found)), found, said.rate_per_min, caller.actor, wanted)
