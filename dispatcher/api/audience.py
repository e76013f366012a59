"""/audience: who would get a newsletter, and whom a filter leaves of them, counted before there is a draft."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.shapes import Line, Said, Told
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, Scope, Topic
from dispatcher.domain.audience import audiences, filters, narrowing
from dispatcher.domain.audience.filters import MOST_CONDITIONS, Filter
from dispatcher.sending import filter_words

router = APIRouter(prefix="/audience", tags=["campaigns"])

_SHAPE = (
    f"`field=value` or `field=value,value` for one of several; fields are {', '.join(f'`{f}`' for f in filters.Field)} "
    "(docs/filters.md)."
)
Conditions = Annotated[list[Line], Field(max_length=MOST_CONDITIONS)]


class FilterSaid(Said):
    """For whom of those who agreed it is. It takes people away and never adds any."""

    only: Conditions = Field(default=[], description=f"Each of these is true of them: {_SHAPE}")
    without: Conditions = Field(default=[], description="And none of these, written alike.")

    def read(self) -> Filter:
        """Read it. Raises FilterRefused."""
        return filters.parse(self.only, self.without)


class FilterTold(Told):
    """For whom of those who agreed it is."""

    only: list[str] = Field(description="Each of these is true of them.")
    without: list[str] = Field(description="And none of these.")
    said_de: str = Field(description="The same in German words.")
    said_en: str = Field(description="The same in English words.")


def told_filter(conn: Connection, of: Filter) -> FilterTold | None:
    """Tell a filter; None: it is for everybody who agreed."""
    if not of:
        return None
    told, said = of.to_json(), {language: filter_words.say(conn, of, language) for language in Language}
    return FilterTold(only=told["only"], without=told["without"], said_de=said[Language.DE], said_en=said[Language.EN])


class AudienceTold(Told):
    """How many people would get it now."""

    topic: Topic
    everybody: int = Field(description="Who would get it without a filter.")
    people: int = Field(description="Whom the filter leaves of them.")
    filter: FilterTold | None


@router.get("", operation_id="count_audience")
def count(
    desk: AtDesk,
    caller: Annotated[Caller, needs(Scope.CAMPAIGNS_READ)],
    topic: Topic,
    only: Annotated[Conditions, Query(description=f"Each of these is true of them: {_SHAPE}")] = [],  # noqa: B006
    without: Annotated[Conditions, Query(description="And none of these, written alike.")] = [],  # noqa: B006
) -> AudienceTold:
    """Count who would get a newsletter now, and whom a filter leaves of them.

    A filter by `domain` needs `subscribers:read` as well: a domain may be one person's, and a count would tell of them.
    """
    of = filters.parse(only, without)
    if any(one.field is filters.Field.DOMAIN for one in (*of.only, *of.without)):
        caller.require(Scope.SUBSCRIBERS_READ)
    with reading(desk.engine).connect() as conn:
        narrowing.require_sound(conn, of, clock.now(conn))
        everybody = int(conn.execute(audiences.reached(topic)).scalar_one())
        people = int(conn.execute(audiences.reached(topic, of)).scalar_one()) if of else everybody
        return AudienceTold(topic=topic, everybody=everybody, people=people, filter=told_filter(conn, of))
