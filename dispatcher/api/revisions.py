"""PUT /campaigns/{id} and take-back: a draft is saved anew, and what is scheduled is a draft again.

What must stay true: nothing is overwritten unread. A saving names the version that was read in `If-Match` (RFC 9110,
13.1.1); where somebody has saved since, it is refused, and says who.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.api.audience import FilterSaid
from dispatcher.api.campaigns import CampaignTold, ContentSaid, contents_of, newsletter, told
from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import CampaignId, Line, Said
from dispatcher.api.trial_shapes import TrialSaid
from dispatcher.db import clock
from dispatcher.db.terms import Language, Scope
from dispatcher.domain.audience.filters import EVERYBODY
from dispatcher.domain.newsletters import campaigns as life
from dispatcher.domain.newsletters.revisions import Revision
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Deed
from dispatcher.sending import house as houses
from dispatcher.sending import release

router = APIRouter(prefix="/campaigns", tags=["campaigns"])

VersionRead = Annotated[
    str,
    Header(
        alias="If-Match", pattern=r'^"[1-9][0-9]{0,8}"$',
        description='The version that you read, in quotes: `"3"` for `version` 3.',
    ),
]  # fmt: skip


class RevisionSaid(Said):
    """A draft as it is to stand; all of it but its topic and its rate."""

    subject: Line
    name: Line = Field(description="Your name for it.")
    contents: Annotated[list[ContentSaid], Field(min_length=1, max_length=len(Language))] = Field(
        description="A letter for each language; the first one's is for whoever speaks none of the others."
    )
    filter: FilterSaid | None = Field(description="For whom of those who agreed it is; null: for all of them.")
    trial: TrialSaid | None = Field(
        default=None, description="How the `subjects` of its contents are tried; without it, as before."
    )


class ReasonSaid(Said):
    """Why a newsletter is taken back."""

    because: Line = Field(description="It is written down with the release that ends.")


@router.put("/{campaign_id}", operation_id="edit_campaign")
def edit(
    desk: AtDesk,
    caller: Annotated[Caller, needs(Scope.CAMPAIGNS_WRITE)],
    campaign_id: CampaignId,
    said: RevisionSaid,
    if_match: VersionRead,
) -> CampaignTold:
    """Save a draft anew. What somebody else saved since you read it is not overwritten: you are told who."""
    files = contents_of(said.contents)
    wanted = said.filter.read() if said.filter is not None else EVERYBODY
    revision = Revision(int(if_match.strip('"')), caller.actor, said.subject, said.name, files, filter=wanted)
    trial = said.trial.terms() if said.trial is not None else None
    with desk.engine.begin() as conn:
        newsletter(conn, campaign_id)
        now = clock.now(conn)
        saved = release.edit(conn, campaign_id, revision, houses.house(desk.settings), now, trial)
        audit.record(conn, caller.actor, Deed("campaigns.edit", "campaign", campaign_id, {"version": saved}), now)
        return told(conn, life.get(conn, campaign_id))


@router.post("/{campaign_id}/take-back", operation_id="take_campaign_back", response_model=CampaignTold)
def take_back(
    caller: Annotated[Caller, needs(Scope.CAMPAIGNS_SEND)], once: OnceOnly, campaign_id: CampaignId, said: ReasonSaid
) -> Response:
    """Make a scheduled newsletter a draft again. Its release ends with the reason."""

    def act(conn: Connection, now: datetime) -> Done:
        newsletter(conn, campaign_id)
        release.take_back(conn, campaign_id, said.because, caller.actor, now)
        audit.record(conn, caller.actor, Deed("campaigns.take_back", "campaign", campaign_id), now)
        return Done(told(conn, life.get(conn, campaign_id)))

    return once.do(said, act)
