"""How long things are kept, and why; what the next run would let go of, and what the last ones did."""

from collections.abc import Mapping
from datetime import timedelta

from dispatcher.console.declare import Values, area, look
from dispatcher.console.visit import Visit
from dispatcher.domain import retention
from dispatcher.domain.periods import Rule, Unit
from dispatcher.domain.retention import Step
from dispatcher.domain.staff.roles import Permission
from dispatcher.sending import house, keeping
from dispatcher.sending.keeping import EVERY

_RUNS = 14
_UNITS: Mapping[Unit, str] = {Unit.DAYS: "day", Unit.MONTHS: "month", Unit.YEARS: "year"}


def show(visit: Visit) -> Values:
    """Give each period with its reason and what is due by it, and the last runs."""
    rules = house.retention(visit.desk.settings)
    runs = keeping.newest(visit.conn, _RUNS)
    return {
        "planned": retention.plan(visit.conn, rules, visit.now),
        "runs": runs,
        "next_at": max(runs[0].started_at + EVERY, visit.now) if runs else visit.now,
        "is_late": not runs or runs[0].started_at + EVERY + _GRACE < visit.now,
        "steps": list(Step),
        "span": span,
    }


def span(rule: Rule) -> tuple[str, int]:
    """Give the key of the sentence that says how long a rule keeps, and its number."""
    if not rule.count:
        return "retention.at_once", 0
    return f"retention.{_UNITS[rule.unit]}{'' if rule.count == 1 else 's'}", rule.count


_GRACE = timedelta(hours=1)
PAGES = area("consent", look("/consent/retention", Permission.SEE_CONSENT, "retention", show))
