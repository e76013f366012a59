"""/campaigns/{id}/preview: a letter as one reader will get it."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from dispatcher.api.campaigns import newsletter
from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.people import by_id
from dispatcher.api.shapes import CampaignId, PublicId, Said, Told, Typed
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, Scope
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters import trials
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.sending import house as houses
from dispatcher.sending import proof, release
from dispatcher.sending.press import Stationery

router = APIRouter(prefix="/campaigns", tags=["campaigns"])


class ReaderSaid(Said):
    """Through whose eyes to look: a person's, by public id or by address; with neither, those of somebody made up."""

    subscriber: PublicId | None = None
    address: Typed | None = None
    language: Language | None = Field(default=None, description="Of the made-up reader; without it, the default.")
    subject: Literal["A", "B", "C", "D"] = Field(default="A", description="Which one of a trial.")


class PreviewTold(Told):
    """One letter."""

    html: str
    text: str
    message: str = Field(description="The whole message (RFC 5322), without a signature of ours.")


@router.post("/{campaign_id}/preview", operation_id="preview_campaign")
def preview(
    desk: AtDesk, caller: Annotated[Caller, needs(Scope.CAMPAIGNS_READ)], campaign_id: CampaignId, said: ReaderSaid
) -> PreviewTold:
    """Compose the letter for one reader; nothing is sent or stored. To name a person needs subscribers:read as well."""
    if said.subscriber or said.address:
        caller.require(Scope.SUBSCRIBERS_READ)
    stationery = houses.stationery(desk.settings, signs=False)
    with reading(desk.engine).connect() as conn:
        of = newsletter(conn, campaign_id)
        press = proof.press_for(conn, of, stationery, houses.house(desk.settings), trials.read_letter(said.subject))
        to, now = _reader(conn, of, said, stationery), clock.now(conn)
    message = press.letter(to, now).body
    return PreviewTold(html=press.page(to, now), text=press.plain(to, now), message=message.decode("utf-8", "replace"))


def _reader(conn: Connection, of: Campaign, said: ReaderSaid, stationery: Stationery) -> Recipient:
    if said.subscriber is not None:
        return proof.as_recipient(conn, of, by_id(conn, said.subscriber))
    if said.address is not None:
        return proof.recipient_for(conn, of, said.address, stationery)
    return release.trial_recipient(said.language or of.default_language)
