"""/rights: what a person may ask of us, served by a program on their word, and entered in the log. The program has to
know that it is them: nothing here asks.
"""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from dispatcher.api.desk import AtDesk, Desk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.shapes import Said, Told, Typed
from dispatcher.db.terms import Language, Scope, Topic
from dispatcher.rights import serving
from dispatcher.rights.dossier import House
from dispatcher.rights.records import Facts
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


@router.post("/export", operation_id="export_person")
def export(desk: AtDesk, caller: Server, said: ExportSaid) -> ExportTold:
    """Give a person everything held about them, explained (Art. 15 and 20 GDPR). Entered in the log each time."""
    s = desk.settings
    house = House(s.sender_name, s.sender_address, s.impressum, caller.by)
    told: list[ExportTold] = []

    def hand_out(facts: Facts, language: Language) -> None:
        told.append(ExportTold(language=language, held=facts))

    serving.export(desk.engine, desk.keyring, house, _order(desk, caller, said), said.language, hand_out)
    return told[0]


@router.post("/erase", operation_id="erase_person")
def erase(desk: AtDesk, caller: Server, said: PersonSaid) -> ErasureTold:
    """Erase a person (Art. 17 GDPR): address and name, for good. What stays is the proof of consent. Entered in the
    log; to repeat it is harmless.
    """
    erased = serving.erase(desk.engine, desk.keyring, _order(desk, caller, said))
    return ErasureTold(outcome=erased.outcome, topics=list(erased.topics), is_clean=erased.is_clean)


def _order(desk: Desk, caller: Caller, said: PersonSaid) -> Order:
    day = datetime(said.received_on.year, said.received_on.month, said.received_on.day) if said.received_on else None  # noqa: DTZ001  (a day)
    return serving.order(desk.engine, said.address, day, caller.by)
