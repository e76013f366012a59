"""/campaigns/{id}/check, schedule and start: a newsletter is looked over, and let go.

What must stay true: the look, which asks the network, is over before the transaction begins that holds the release and
the answer that is kept for its twins.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.api.campaigns import CampaignTold, newsletter, told
from dispatcher.api.desk import AtDesk, Desk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.findings import FindingTold, ReleaseStopped
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import CampaignId, Line, Moment, Said, Told
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Scope
from dispatcher.domain import zones
from dispatcher.errors import InputRefused
from dispatcher.sending import house as houses
from dispatcher.sending.preflight import gate
from dispatcher.sending.preflight.findings import Check
from dispatcher.sending.preflight.gate import Order, Released, Stopped

router = APIRouter(prefix="/campaigns", tags=["campaigns"])


class DespiteSaid(Said):
    """Somebody answers for what a check found."""

    check: Check
    because: Line = Field(description="Why it goes all the same; it is written down with the release.")


Despite = Annotated[
    list[DespiteSaid], Field(max_length=len(Check), description="Checks that stop it, and why it goes all the same.")
]


class StartSaid(Said):
    """A newsletter is to go out now."""

    despite: Despite = Field(default_factory=list)


class MomentSaid(StartSaid):
    """When a newsletter is to go out."""

    at: Annotated[Line, Field(max_length=40)] = Field(description="Wall-clock time: 2026-12-01T09:00.")
    zone: Annotated[Line, Field(max_length=60)] = Field(default="Europe/Berlin", description="IANA time zone.")


class ReportTold(Told):
    """What was found when a newsletter was looked over."""

    at: Moment
    goes_at: Moment = Field(description="For which moment prices and offers were judged.")
    people: int = Field(description="Whose letters were composed.")
    stops: bool = Field(description="Something stops it.")
    findings: list[FindingTold] = Field(description="What stops it comes first.")


@router.post("/{campaign_id}/check", operation_id="check_campaign")
def check(desk: AtDesk, _: Annotated[Caller, needs(Scope.CAMPAIGNS_WRITE)], campaign_id: CampaignId) -> ReportTold:
    """Look a newsletter over before it goes: every recipient's letter, links, law, spam, DNS. Nothing is sent."""
    with reading(desk.engine).connect() as conn:
        newsletter(conn, campaign_id)
    report = gate.look(desk.engine, campaign_id, houses.desk(desk.settings, needs_keys=False))
    return ReportTold(
        at=report.at,
        goes_at=report.goes_at,
        people=report.people,
        stops=bool(report.stops()),
        findings=[FindingTold.of(finding) for finding in report.findings],
    )


@router.post("/{campaign_id}/schedule", operation_id="schedule_campaign", response_model=CampaignTold)
def schedule(
    desk: AtDesk,
    caller: Annotated[Caller, needs(Scope.CAMPAIGNS_SEND)],
    once: OnceOnly,
    campaign_id: CampaignId,
    said: MomentSaid,
) -> Response:
    """Look a draft over and release it for a moment; one that is scheduled, for another."""
    if (kept := once.kept(said)) is not None:
        return kept
    with reading(desk.engine).connect() as conn:
        newsletter(conn, campaign_id)
        at = zones.moment(said.at, said.zone, clock.now(conn))
    act = _look(desk, Order(campaign_id, at, said.zone, caller.actor, _reasons(said)))
    return once.do(said, act)


@router.post("/{campaign_id}/start", operation_id="start_campaign", response_model=CampaignTold)
def start(
    desk: AtDesk,
    caller: Annotated[Caller, needs(Scope.CAMPAIGNS_SEND)],
    once: OnceOnly,
    campaign_id: CampaignId,
    said: StartSaid | None = None,
) -> Response:
    """Look a newsletter over, release it and begin at once."""
    if (kept := once.kept(said)) is not None:
        return kept
    with reading(desk.engine).connect() as conn:
        newsletter(conn, campaign_id)
    act = _look(desk, Order(campaign_id, None, "UTC", caller.actor, _reasons(said)), lambda: desk.nudge(campaign_id))
    return once.do(said, act)


def _look(
    desk: Desk, order: Order, after: Callable[[], object] | None = None
) -> Callable[[Connection, datetime], Done]:
    """Look at what is to be released; give the act that releases it. Raises what gate.look_at raises."""
    parts = houses.desk(desk.settings, needs_keys=False)
    looked = gate.look_at(desk.engine, order, parts)

    def act(conn: Connection, _now: datetime) -> Done:
        match gate.release_it(conn, looked, parts):
            case Stopped(report):
                raise ReleaseStopped(order.campaign_id, report.stops(order.despite))
            case Released(of):
                return Done(told(conn, of), after)

    return act


def _reasons(said: StartSaid | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in said.despite if said is not None else ():
        if one.check in found:
            raise InputRefused(f"{one.check} is named twice in `despite`", "give one reason for each check")
        found[one.check.value] = one.because
    return found
