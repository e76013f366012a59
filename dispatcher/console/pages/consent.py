"""Who agreed to what: how many there are of each topic, and how many came and went."""

from collections.abc import Sequence

from dispatcher.console import growth
from dispatcher.console.declare import Moment, Values, area, live, look
from dispatcher.console.growth import By
from dispatcher.console.visit import Visit
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain.resting import Resting
from dispatcher.domain.staff.roles import Permission
from dispatcher.zone import ZONE


def show(visit: Visit) -> Values:
    """Give how many stand how with each topic, and the charts."""
    by = By(visit.asked("by")) if visit.asked("by") in list(By) else By.WEEK
    moment = Moment(visit.desk, visit.conn, visit.now, {})
    standing, moved = visit.desk.resting.known(), visit.desk.movements.known()
    values: dict[str, object] = {"by": by, "periods": list(By), "topics": list(Topic), **poll(moment)}
    if standing is None or moved is None:
        return values
    stretches = growth.stretches(moved.value, by, visit.now.astimezone(ZONE).date())
    return values | {
        "lines": [(topic, people(standing.value, topic)) for topic in Topic],
        "at": min(standing.at, moved.at),
        "charts_of": [(topic, growth.chart(stretches, topic, by, visit.language)) for topic in Topic],
        "stretches": stretches[::-1],
    }


def poll(moment: Moment) -> Values:
    """Say whether everybody is counted: the page is asked for anew once they are."""
    standing, moved = moment.desk.resting.known(), moment.desk.movements.known()
    return {"is_counted": standing is not None and moved is not None}


def people(counted: Sequence[Resting], topic: Topic) -> dict[str, int]:
    """Count who stands how with a topic: `good`, `older` (confirmed, in words that count no more), and so on."""
    found = {"good": 0, "older": 0, "pending": 0, "withdrawn": 0}
    for each in counted:
        if each.topic is topic:
            found[_name(each)] += each.people
    return found


def _name(each: Resting) -> str:
    if each.state is not SubscriptionState.CONFIRMED:
        return each.state
    return "good" if each.is_covered else "older"


PAGES = area(
    "consent",
    look("/consent", Permission.SEE_CONSENT, "consent", show),
    live("/consent/live", Permission.SEE_CONSENT, "consent_live", poll, every=1),
)
