"""Programs elsewhere are told what happens here: enter one, try it, see what it answered, pause it, take it away.

What must stay true: the secret stands in one answer and nowhere else; a page is made without asking anybody.
"""

from starlette.responses import Response

from dispatcher.console import paging
from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.visit import Visit
from dispatcher.db.engine import reading
from dispatcher.db.terms import MessageState, WebhookKind
from dispatcher.domain.programs import webhook_messages, webhooks
from dispatcher.domain.programs.outbox import MOST_ENDPOINTS
from dispatcher.domain.programs.webhooks import KINDS, Endpoint
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import InputRefused, MoveRefused
from dispatcher.sending import courier, house


def everything(visit: Visit) -> Values:
    """Give every endpoint, with what waits for it."""
    return {"endpoints": webhooks.listed(visit.conn), "counts": webhook_messages.counts(visit.conn)}


def new(visit: Visit) -> Values:
    """Ask where to, and of what it is to be told."""
    return {"kinds": KINDS, "chosen": visit.form.all("kind")}


def add(visit: Visit) -> Response:
    """Enter an endpoint, and show its secret once."""
    kinds = [WebhookKind(word) for word in visit.form.all("kind") if word in KINDS]
    if not kinds:
        raise Mend({"kind": "webhooks.kind_missing"})
    if sum(each.off_at is None for each in webhooks.listed(visit.conn)) >= MOST_ENDPOINTS:
        raise Mend({"": "webhooks.too_many"})
    try:
        made, secret = webhooks.add(visit.conn, visit.desk.keyring, visit.said("url"), kinds, visit.who.name, visit.now)
    except InputRefused:
        raise Mend({"url": "webhooks.url_wrong"}) from None
    visit.note("endpoint", made.id, kinds=" ".join(made.kinds))
    return visit.page("webhooks_made", of=made, secret=secret)


def one(visit: Visit) -> Values:
    """Give an endpoint, and what it was told at last."""
    of, before = _endpoint(visit), paging.number(visit.asked("before"))
    told = webhook_messages.log_of(visit.conn, of.id, paging.PER_PAGE + 1, before)
    return {
        "of": of,
        "told": told[: paging.PER_PAGE],
        "older": told[paging.PER_PAGE - 1].id if len(told) > paging.PER_PAGE else None,
        "given_up": webhook_messages.counts_of(visit.conn, of.id, MessageState.GIVEN_UP),
    }


def try_out(visit: Visit) -> Response:
    """Send a message of no meaning, and say what the receiver answered."""
    number, desk = visit.number("endpoint"), visit.desk
    try:
        with visit.change() as conn:
            message_id = webhooks.try_out(conn, number, visit.now)
            visit.note("endpoint", number)
    except MoveRefused:
        raise Mend({"": "webhooks.is_off"}) from None
    courier.deliver(house.satchel(desk.settings, desk.engine), budget=courier.PATIENCE)
    with reading(desk.engine).connect() as conn:
        answered = webhook_messages.named(conn, message_id)
    if answered.state is not MessageState.DELIVERED:
        raise Mend({"": "webhooks.took_it_not"})  # the log below has its answer
    return visit.go(f"/people/webhooks/{number}", "webhooks.took_it", answer=answered.answer or "")


def replay(visit: Visit) -> Response:
    """Send once more what it did not take in three days."""
    number = visit.number("endpoint")
    try:
        count = webhook_messages.replay(visit.conn, number, None, visit.now)
    except MoveRefused:
        raise Mend({"": "webhooks.is_off"}) from None
    visit.note("endpoint", number, messages=count)
    return visit.go(f"/people/webhooks/{number}", "webhooks.goes_again", count=count)


def switch_off(visit: Visit) -> Response:
    """Tell it nothing any more; what waits for it waits."""
    return _switched(visit, webhooks.switch_off(visit.conn, visit.number("endpoint"), visit.now), "webhooks.is_paused")


def switch_on(visit: Visit) -> Response:
    """Tell it again what happens, and what waits for it."""
    return _switched(visit, webhooks.switch_on(visit.conn, visit.number("endpoint")), "webhooks.is_on")


def ask(visit: Visit) -> Values:
    """Ask whether it is to be taken away, and say what goes with it."""
    of = _endpoint(visit)
    return {"of": of, "waiting": webhook_messages.counts_of(visit.conn, of.id, MessageState.WAITING)}


def remove(visit: Visit) -> Response:
    """Take it away, with everything it was to be told."""
    of = _endpoint(visit)
    webhooks.remove(visit.conn, of.id)
    visit.note("endpoint", of.id)
    return visit.go("/people/webhooks", "webhooks.is_removed", host=of.host)


def _switched(visit: Visit, of: Endpoint, notice: str) -> Response:
    visit.note("endpoint", of.id)
    return visit.go(f"/people/webhooks/{of.id}", notice)


def _endpoint(visit: Visit) -> Endpoint:
    return webhooks.get(visit.conn, visit.number("endpoint"))


_P = Permission
_ALL, _ONE = "/people/webhooks", "/people/webhooks/{endpoint}"
PAGES = area(
    "people",
    look(_ALL, _P.SEE_PEOPLE, "webhooks", everything),
    look(f"{_ALL}/new", _P.EDIT_PEOPLE, "webhooks_new", new),
    act(f"{_ALL}/new", _P.EDIT_PEOPLE, "webhooks.added", add),
    look(_ONE, _P.SEE_PEOPLE, "webhooks_one", one),
    act(f"{_ONE}/test", _P.EDIT_PEOPLE, "webhooks.tried", try_out, mends=_ONE, alone=True),
    act(f"{_ONE}/replay", _P.EDIT_PEOPLE, "webhooks.replayed", replay, mends=_ONE),
    act(f"{_ONE}/off", _P.EDIT_PEOPLE, "webhooks.off", switch_off, mends=_ONE),
    act(f"{_ONE}/on", _P.EDIT_PEOPLE, "webhooks.on", switch_on, mends=_ONE),
    look(f"{_ONE}/remove", _P.EDIT_PEOPLE, "webhooks_remove", ask),
    act(f"{_ONE}/remove", _P.EDIT_PEOPLE, "webhooks.removed", remove),
)
