"""Who is written to: a list, a search by address, and what is done about one person on their word.

What must stay true: an address stands in no path and no query, for those are logged: people go by number, and what is
looked for is posted.
"""

from starlette.responses import Response

from dispatcher.console import paging, story
from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.pages import joining
from dispatcher.console.said import person_of, said_address, said_scope, said_source
from dispatcher.console.visit import Visit
from dispatcher.db.engine import reading
from dispatcher.db.terms import EVERY_TOPIC, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import directory
from dispatcher.domain.people import subscribers as people
from dispatcher.domain.people.directory import Wanted
from dispatcher.domain.staff.roles import Permission


def everyone(visit: Visit) -> Values:
    """Give a page of people, filtered by topic and state."""
    asked = paging.asked(visit)
    wanted = Wanted(_topic(visit), _state(visit), asked.before, asked.after)
    lines = directory.page(visit.conn, wanted, paging.PER_PAGE + 1)
    return {
        "wanted": wanted,
        "sheet": paging.sheet(lines, asked, lambda line: line.id),
        "topics": list(Topic),
        "states": list(SubscriptionState),
    }


def search(visit: Visit) -> Response:
    """Lead to the person of an address; of an address that is nobody's, say what is known all the same."""
    address = said_address(visit)
    hashed = address_hash(visit.desk.keyring, address)
    with reading(visit.desk.engine).connect() as conn:
        person = people.by_hash(conn, hashed)
        if person is not None:
            return visit.go(f"/subscribers/{person.id}")
        traces = directory.traces(conn, hashed)
    lifted = suppression.LIFTED_BY_STAFF
    return visit.page("subscribers_nobody", address=address.mail, traces=traces, topics=list(Topic), lifted=lifted)


def one(visit: Visit) -> Values:
    """Give one person's whole story."""
    return story.tell(visit.conn, person_of(visit), paging.number(visit.asked("before")), visit.now)


def ask(visit: Visit) -> Values:
    """Show the form of something that is done about one person: what can be chosen."""
    person = person_of(visit)
    entries = suppression.entries(visit.conn, person.address_hash)
    stands = consent.standing(visit.conn, person.id)
    return {
        "person": person,
        "open": [topic for topic, (state, _) in stands.items() if state is not SubscriptionState.WITHDRAWN],
        "lifted": [entry for entry in entries if entry.reason in suppression.LIFTED_BY_STAFF],
        **_CHOICES,
    }


def ask_of_address(_visit: Visit) -> Values:
    """Show the form of something that is done about an address, whoever's it is."""
    return {"person": None, **_CHOICES}


def withdraw(visit: Visit) -> Response:
    """End a person's consent on their word, at once."""
    person, scope = person_of(visit), said_scope(visit)
    evidence = Evidence(source=said_source(visit))
    ended = consent.withdraw(visit.conn, person.id, [scope] if scope else list(Topic), evidence, visit.now)
    visit.note("subscriber", person.id, topics=" ".join(ended))
    return visit.go(f"/subscribers/{person.id}", "subscribers.has_withdrawn" if ended else "subscribers.had_withdrawn")


def suppress(visit: Visit) -> Response:
    """Put a person, or an address that is nobody's, on the never-mail list."""
    who, hashed = _whom(visit)
    if visit.said("reason") not in _REASONS:
        raise Mend({"reason": "subscribers.reason_missing"})
    source, reason = said_source(visit), SuppressionReason(visit.said("reason"))
    suppression.suppress(visit.conn, [hashed], said_scope(visit), reason, source, visit.now)
    return _done(visit, who, "subscribers.has_suppressed")


def lift(visit: Visit) -> Response:
    """Take an entry off the never-mail list, where it is the staff's to take."""
    who, hashed = _whom(visit)
    if not suppression.lift(visit.conn, hashed, said_scope(visit) or EVERY_TOPIC, said_source(visit), visit.now):
        raise Mend({"": "subscribers.not_lifted"})
    return _done(visit, who, "subscribers.has_lifted")


def _whom(visit: Visit) -> tuple[int | None, bytes]:
    """Give whom the path names, else whose address was typed; and its keyed hash."""
    if "subscriber" in visit.request.path_params:
        person = person_of(visit)
        return person.id, person.address_hash
    hashed = address_hash(visit.desk.keyring, said_address(visit))
    known = people.by_hash(visit.conn, hashed)
    return (known.id if known else None), hashed


def _done(visit: Visit, who: int | None, notice: str) -> Response:
    about = "subscriber" if who is not None else None
    visit.note(about, who, scope=visit.said("scope"), reason=visit.said("reason") or None)
    return visit.go(f"/subscribers/{who}" if who is not None else "/subscribers", notice)


def _topic(visit: Visit) -> Topic | None:
    return Topic(visit.asked("topic")) if visit.asked("topic") in list(Topic) else None


def _state(visit: Visit) -> SubscriptionState | None:
    return SubscriptionState(visit.asked("state")) if visit.asked("state") in list(SubscriptionState) else None


_REASONS = sorted(suppression.LIFTED_BY_STAFF | {SuppressionReason.COMPLAINT})
_CHOICES: Values = {"topics": list(Topic), "reasons": _REASONS}
_P = Permission
_ONE = "/subscribers/{subscriber}"
PAGES = area(
    "subscribers",
    look("/subscribers", _P.SEE_SUBSCRIBERS, "subscribers", everyone),
    act("/subscribers/search", _P.SEE_SUBSCRIBERS, "subscribers.searched", search, mends="/subscribers", alone=True),
    look("/subscribers/suppress", _P.EDIT_SUBSCRIBERS, "subscribers_suppress", ask_of_address),
    act("/subscribers/suppress", _P.EDIT_SUBSCRIBERS, "subscribers.suppressed", suppress),
    look("/subscribers/lift", _P.EDIT_SUBSCRIBERS, "subscribers_lift", ask_of_address),
    act("/subscribers/lift", _P.EDIT_SUBSCRIBERS, "subscribers.lifted", lift),
    look("/subscribers/new", _P.EDIT_SUBSCRIBERS, "subscribers_new", joining.new),
    act("/subscribers/new", _P.EDIT_SUBSCRIBERS, "subscribers.added", joining.add),
    look(_ONE, _P.SEE_SUBSCRIBERS, "subscribers_one", one),
    look(f"{_ONE}/withdraw", _P.EDIT_SUBSCRIBERS, "subscribers_withdraw", ask),
    act(f"{_ONE}/withdraw", _P.EDIT_SUBSCRIBERS, "subscribers.withdrew", withdraw),
    look(f"{_ONE}/suppress", _P.EDIT_SUBSCRIBERS, "subscribers_suppress", ask),
    act(f"{_ONE}/suppress", _P.EDIT_SUBSCRIBERS, "subscribers.suppressed", suppress),
    look(f"{_ONE}/lift", _P.EDIT_SUBSCRIBERS, "subscribers_lift", ask),
    act(f"{_ONE}/lift", _P.EDIT_SUBSCRIBERS, "subscribers.lifted", lift),
)
