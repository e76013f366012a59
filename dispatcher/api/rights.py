"""/rights: what a person may ask of us, served by a program on their word, and entered in the log. The program has to
know that it is them: nothing here asks.
"""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.api.desk import AtDesk, Desk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import Said, Told, Typed
from dispatcher.db.engine import scrub
from dispatcher.db.terms import Language, Scope, Topic
from dispatcher.rights import serving
from dispatcher.rights.dossier import House
from dispatcher.rights.serving import Order

router = APIRouter(prefix="/rights", tags=["rights"])

Server = Annotated[Caller, needs(Scope.RIGHTS_WRITE)]


class PersonSaid(Said):
    """Who asks, and since when."""

    address: Typed
    received_on: date | None = Field(
        default=None, description="The day on which the request came in, not a later one than today; null: now."
    )


class ExportSaid(PersonSaid):
    """Who asks for a copy, and in which language it is explained."""

    language: Language | None = Field(default=None, description="Of the explanations; null: the person's.")


class ExportTold(Told):
    """Everything that is held about a person."""

    language: Language
    held: dict[str, Any] = Field(
        description="By section, as `dispatcher subscribers access` gives it; `explanation` says what each field means."
    )


class ErasureTold(Told):
    """What an erasure did."""

    outcome: str
    topics: list[Topic] = Field(description="The topics that ended by it.")
    is_clean: bool = Field(description="No copy is left in the database's files. false: erase again when it is quiet.")


@router.post("/export", operation_id="export_person", response_model=ExportTold)
def export(desk: AtDesk, caller: Server, once: OnceOnly, said: ExportSaid) -> Response:
    """Give a person everything held about them, explained (Art. 15 and 20 GDPR). Entered in the log each time; once for
    requests with the same Idempotency-Key, each of which gets what is held when it comes: no copy is kept.
    """
    s, order = desk.settings, _order(desk, caller, said)
    house = House(s.sender_name, s.sender_address, s.impressum, caller.by)
    facts, language = serving.exported(desk.engine, desk.keyring, house, order, said.language)
    told = ExportTold(language=language, held=facts)

    def act(conn: Connection, _now: datetime) -> Done:
        serving.note_export(conn, desk.keyring, order)
        return Done(told, kept=ExportTold(language=language, held={}))

    return once.do(said, act, again=told)


@router.post("/erase", operation_id="erase_person", response_model=ErasureTold)
def erase(desk: AtDesk, caller: Server, once: OnceOnly, said: PersonSaid) -> Response:
    """Erase a person (Art. 17 GDPR): address and name, for good. What stays is the proof of consent. Entered in the
    log; to repeat it is harmless.
    """
    order = _order(desk, caller, said)

    def act(conn: Connection, _now: datetime) -> Done:
        outcome, topics = serving.erase_within(conn, desk.keyring, order)
        told = ErasureTold(outcome=outcome, topics=list(topics), is_clean=False)
        return Done(told, finish=lambda: told.model_copy(update={"is_clean": scrub(desk.engine)}))

    return once.do(said, act)


def _order(desk: Desk, caller: Caller, said: PersonSaid) -> Order:
    day = datetime(said.received_on.year, said.received_on.month, said.received_on.day) if said.received_on else None  # noqa: DTZ001  (a day)
    return serving.order(desk.engine, said.address, day, caller.by)
