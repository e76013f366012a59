"""/campaigns/{id}/choose: the rest of a trial of subjects gets the one that is named. The shapes of trials."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.api.campaigns import CampaignTold, newsletter, told
from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import CampaignId, Said
from dispatcher.db.terms import Scope
from dispatcher.domain.newsletters import campaigns as life
from dispatcher.domain.newsletters import trials

router = APIRouter(prefix="/campaigns", tags=["campaigns"])


class ChoiceSaid(Said):
    """Which subject the rest of a trial gets."""

    subject: Literal["A", "B", "C", "D"] = Field(description="By its letter, as `status` has it.")


@router.post("/{campaign_id}/choose", operation_id="choose_campaign_subject", response_model=CampaignTold)
def choose(
    desk: AtDesk,
    caller: Annotated[Caller, needs(Scope.CAMPAIGNS_SEND)],
    once: OnceOnly,
    campaign_id: CampaignId,
    said: ChoiceSaid,
) -> Response:
    """Give the rest of a trial this subject, at once."""

    def act(conn: Connection, now: datetime) -> Done:
        newsletter(conn, campaign_id)
        trials.choose(conn, campaign_id, trials.read_letter(said.subject), caller.actor, now)
        return Done(told(conn, life.get(conn, campaign_id)), desk.nudge_drains)

    return once.do(said, act)
