"""Newsletters beside each other, as a table and a chart: what share of the audience each reached, and how fast."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dispatcher.console import charts
from dispatcher.console.charts import Series
from dispatcher.console.declare import Values, area, look
from dispatcher.console.paper import Telling
from dispatcher.console.visit import Visit
from dispatcher.domain.newsletters import campaigns, tallies
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.tallies import Tally
from dispatcher.domain.staff.roles import Permission

MOST = 12
_LATELY = 6  # that are compared when none is named
_LOOKED_AT = 50
_PARTS = ("failed", "unknown", "deferred", "withheld", "remaining")


@dataclass(frozen=True, slots=True)
class Line:
    """A newsletter, its figures, and how long it took, in seconds; None: it is not over."""

    of: Campaign
    counted: Tally
    took: float | None


def show(visit: Visit) -> Values:
    """Give the newsletters that were ticked, or the newest that were sent; the newest first."""
    wanted = _wanted(visit)
    if wanted:
        found = [of for number in wanted if (of := campaigns.find(visit.conn, number)) is not None]
    else:
        found = campaigns.newest(visit.conn, _LOOKED_AT)
    launched = [of for of in found if of.topic is not None and of.audience]
    chosen = sorted(launched, key=lambda of: -of.id)[: MOST if wanted else _LATELY]
    counted = tallies.tallies(visit.conn, chosen, visit.desk.memory)
    lines = [Line(of, counted[of.id], _took(of)) for of in chosen]
    return {"lines": lines, "chart": _chart(visit, lines) if lines else "", "most": MOST}


def _chart(visit: Visit, lines: Sequence[Line]) -> Markup:
    """Draw what share of each audience did not get it, by reason: what arrived would make all bars look alike."""
    series = [
        Series(part, visit.say(f"campaign.part_{part}"), [100 * _share(line.counted, part) for line in lines])
        for part in _PARTS
    ]
    tell = Telling(visit.language)
    name = visit.say("comparison.chart")
    return charts.bars(name, [line.of.name for line in lines], series, lambda value: tell.share(value, 100))


def _share(counted: Tally, part: str) -> float:
    people: int = getattr(counted, part)
    return people / counted.audience


def _wanted(visit: Visit) -> list[int]:
    said = visit.request.query_params.getlist("id")[:MOST]
    return list(dict.fromkeys(int(text) for text in said if text.isascii() and text.isdigit() and len(text) < 19))


def _took(of: Campaign) -> float | None:
    return (of.finished_at - of.launched_at).total_seconds() if of.finished_at and of.launched_at else None


PAGES = area("campaigns", look("/campaigns/compare", Permission.SEE_CAMPAIGNS, "campaigns_compare", show))
