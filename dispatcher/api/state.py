"""/health and /key: is everything well, and who am I here?"""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from dispatcher import broker
from dispatcher.api.desk import AtDesk, Desk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.shapes import Moment, Told
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Scope
from dispatcher.domain import ending_marks
from dispatcher.domain.people import rights
from dispatcher.domain.programs import webhooks
from dispatcher.errors import MoveRefused
from dispatcher.sending import sweep

router = APIRouter(tags=["state"])


class PartTold(Told):
    """One part: is it well, what does it say, what to do."""

    part: str
    is_well: bool
    says: str
    cure: str | None


class HealthTold(Told):
    """Whether everything is well. `dispatcher doctor` looks at more, the relays too."""

    is_well: bool
    parts: list[PartTold]


class KeyTold(Told):
    """The key by which this was asked."""

    id: int
    name: str
    scopes: list[Scope]
    created_at: Moment
    expires_at: Moment | None = Field(description="null: good until it is revoked.")


@router.get("/health", operation_id="get_health")
def health(desk: AtDesk, _: Annotated[Caller, needs()]) -> HealthTold:
    """Look at database, broker and work. Any key will do; 503: the database is away."""
    parts = [look(desk) for look in _LOOKS]
    return HealthTold(is_well=all(part.is_well for part in parts), parts=parts)


@router.get("/key", operation_id="get_key")
def key(caller: Annotated[Caller, needs()]) -> KeyTold:
    """Tell what the key may do, and how long."""
    k = caller.key
    return KeyTold(id=k.id, name=k.name, scopes=sorted(k.scopes), created_at=k.created_at, expires_at=k.expires_at)


def _database(desk: Desk) -> PartTold:
    with reading(desk.engine).connect() as conn:
        is_owed = ending_marks.is_in_debt(conn)
    if is_owed:
        what, cure = "lines are owed to the file of endings", "make room on its disk; a worker writes them then"
        return PartTold(part="database", is_well=False, says=what, cure=cure)
    return PartTold(part="database", is_well=True, says=f"{desk.engine.dialect.name} answers", cure=None)


def _broker(desk: Desk) -> PartTold:
    wrong = broker.answers(desk.settings)
    if wrong is None:
        return PartTold(part="broker", is_well=True, says="answers", cure=None)
    cure = "start it; without it campaigns start late, but complete"
    return PartTold(part="broker", is_well=False, says="does not answer", cure=cure)


def _work(desk: Desk) -> PartTold:
    work = sweep.waiting(desk.engine)
    says = f"{work.newsletters} newsletter batches and {work.confirmations} confirmations wait"
    return PartTold(part="work", is_well=True, says=says, cure=None)


def _rights(desk: Desk) -> PartTold:
    with reading(desk.engine).connect() as conn:
        late = rights.overdue(conn, clock.now(conn))
    if late:
        says = f"{len(late)} requests of people are overdue, the oldest since {late[0].due_on}"
        return PartTold(part="rights", is_well=False, says=says, cure="see: dispatcher subscribers rights")
    return PartTold(part="rights", is_well=True, says="no request of a person is overdue", cure=None)


def _webhooks(desk: Desk) -> PartTold:
    with reading(desk.engine).connect() as conn:
        try:
            says = webhooks.require_taken(conn)
        except MoveRefused as error:
            return PartTold(part="webhooks", is_well=False, says=error.what, cure=error.cure)
    return PartTold(part="webhooks", is_well=True, says=says, cure=None)


_LOOKS: tuple[Callable[[Desk], PartTold], ...] = (_database, _broker, _work, _rights, _webhooks)
