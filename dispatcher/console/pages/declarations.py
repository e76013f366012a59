"""The words people agree to: every version, who agreed to it, a new one, and asking those whose consent it ends.

What must stay true: nothing is entered before it was shown as people will read it, with the number of people it
touches; words that stand are never changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher import broker
from dispatcher.console import wishes
from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.reasons import Reason, of_words
from dispatcher.console.visit import Visit
from dispatcher.console.wishes import Typed
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, SubscriptionState, Topic
from dispatcher.domain import declarations, resting
from dispatcher.domain.newsletters import campaigns, renewals, tallies
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.tallies import Tally
from dispatcher.domain.resting import Resting
from dispatcher.domain.staff.roles import Permission
from dispatcher.domain.versions import Version
from dispatcher.errors import InputRefused, MoveRefused
from dispatcher.sending import declarations as first
from dispatcher.sending import house, renewal
from dispatcher.web.pages import markdown


@dataclass(frozen=True, slots=True)
class Resters:
    """How many people's consent for a topic rests on a version, and whether it counts; None: nobody's does."""

    topic: Topic
    people: int
    is_good: bool | None
    is_renewed: bool  # the version ended older consent for this topic


@dataclass(frozen=True, slots=True)
class Asked:
    """Who would be asked about a topic: how many, how many not and why; and how far the campaign is that asks now."""

    people: int
    not_asked: Sequence[tuple[Reason, int]]
    campaign: Campaign | None
    tally: Tally | None


def everything(visit: Visit) -> Values:
    """Give every version, the newest first, with the people whose consent rests on it."""
    standing, known = declarations.versions(visit.conn), visit.desk.resting.known()
    counted = known.value if known else []
    return {
        "lines": [(version, _resters(version, counted)) for version in reversed(standing)],
        "shown": _shown(visit),
        "unknown": _of_unknown(counted),
        "unmailed": _unmailed(counted),
        "at": known.at if known else None,
    }


def one(visit: Visit) -> Values:
    """Give a version: its words in each language, and who stands under it."""
    version, known = _version(visit), visit.desk.resting.known()
    counted = [each for each in known.value if each.number == version.number] if known else []
    return {
        "version": version,
        "texts": [(text, markdown(text.text)) for text in declarations.texts(visit.conn, version.number)],
        "shown": _shown(visit),
        "counted": counted,
        "at": known.at if known else None,
        "to_ask": _topics_to_ask(visit, version),
    }


def new(visit: Visit) -> Values:
    """Show the form for new words, filled with those that are shown now."""
    return _form(visit)


def _form(visit: Visit) -> dict[str, Any]:
    shown = {text.language: text.text for text in declarations.texts(visit.conn, _shown(visit) or 0)}
    known = visit.desk.resting.known()
    return {
        "typed": wishes.typed(visit, shown),
        "has_older": bool(shown),
        "topics": list(Topic),
        "languages": list(Language),
        "people": {topic: _good(known.value, topic) for topic in Topic} if known else {},
        "values": first.values(visit.desk.settings),
    }


def check(visit: Visit) -> Response:
    """Show new words as people will read them, with the number of people they touch; nothing is entered yet."""
    typed = wishes.typed(visit, {})
    with reading(visit.desk.engine).connect() as conn:
        if visit.said("do") == "edit":
            visit.lend(conn)
            return visit.page("consent_new", **_form(visit))
        draft = wishes.draft(visit, conn, clock.now(conn))
        counted = resting.counted(conn)
    return visit.page(
        "consent_check",
        typed=typed,
        draft=draft,
        texts=[(language, markdown(text)) for language, text in draft.texts.items()],
        stopped={topic: _stopped(counted, topic, typed) for topic in Topic if topic in draft.renews},
        topics=list(Topic),
    )


def enter(visit: Visit) -> Response:
    """Enter new words, for good."""
    first.enter(visit.conn, visit.desk.settings, visit.now)  # what older consent rests on is there before what is newer
    draft = wishes.draft(visit, visit.conn, visit.now)
    declarations.enter(visit.conn, draft, visit.now)
    entered = declarations.named(visit.conn, draft.version)
    visit.note("declaration", entered.number, version=entered.name, renews=" ".join(sorted(entered.renews)) or None)
    visit.afterwards(visit.desk.resting.forget)
    return visit.go(f"/consent/declarations/{entered.number}", "consent.is_entered", name=entered.version)


def ask(visit: Visit) -> Values:
    """Say who would be asked to agree to a version, topic by topic."""
    version = _version(visit)
    topics = _topics_to_ask(visit, version)
    return {"version": version, "asked": {topic: _who(visit, version, topic) for topic in topics}}


def start_asking(visit: Visit) -> Response:
    """Ask everyone concerned, once, by mail."""
    version, said = _version(visit), visit.said("topic")
    if said not in _topics_to_ask(visit, version):
        raise Mend({"": "consent.ask_not_now"})
    desk = visit.desk
    try:
        made = renewal.ask(visit.conn, version, Topic(said), house.house(desk.settings), visit.now, wishes.rate(visit))
    except (InputRefused, MoveRefused):
        raise Mend({"": "consent.ask_not_now"}) from None
    visit.note("campaign", made, version=version.name, topic=said)
    visit.afterwards(lambda: broker.nudge_launch(desk.settings, made))
    return visit.go(f"/campaigns/{made}", "consent.is_asked")


def _who(visit: Visit, version: Version, topic: Topic) -> Asked:
    counted = renewal.count(visit.conn, version, topic)
    not_asked = [(of_words(reason, ""), count) for reason, count in counted.most_common() if reason]
    number = renewals.asking(visit.conn, topic, version.number)
    of = campaigns.get(visit.conn, number) if number is not None else None
    return Asked(counted[None], not_asked, of, tallies.tally(visit.conn, of) if of is not None else None)


def _version(visit: Visit) -> Version:
    number = visit.number("declaration")
    found = next((each for each in declarations.versions(visit.conn) if each.number == number), None)
    if found is None:
        raise HTTPException(404)
    return found


def _shown(visit: Visit) -> int | None:
    found = declarations.current(visit.conn, Language.DE, visit.now)
    return found.number if found else None


def _topics_to_ask(visit: Visit, version: Version) -> list[Topic]:
    """Give the topics for which people can be asked to agree to this version (`renewal.check`)."""
    if version.number == _shown(visit):
        return [topic for topic in version.topics if declarations.renews_by_now(visit.conn, topic)]
    is_to_come = version.valid_from > visit.now
    return [topic for topic in version.topics if is_to_come and topic in version.renews]


def _resters(version: Version, counted: Sequence[Resting]) -> list[Resters]:
    return [
        Resters(topic, *_people(counted, version.number, topic), topic in version.renews) for topic in version.topics
    ]


def _people(counted: Sequence[Resting], number: int | None, topic: Topic) -> tuple[int, bool | None]:
    theirs = [each for each in counted if (each.number, each.topic) == (number, topic) and _is_consent(each)]
    return sum(each.people for each in theirs), all(each.is_covered for each in theirs) if theirs else None


def _of_unknown(counted: Sequence[Resting]) -> list[Resters]:
    each = (Resters(topic, *_people(counted, None, topic), is_renewed=False) for topic in Topic)
    return [resters for resters in each if resters.people]


def _unmailed(counted: Sequence[Resting]) -> dict[Topic, int]:
    """Count by topic who agreed and is not written to, because the words are not good any more."""
    found: dict[Topic, int] = {}
    for each in counted:
        if _is_consent(each) and not each.is_covered:
            found[each.topic] = found.get(each.topic, 0) + each.people
    return found


def _good(counted: Sequence[Resting], topic: Topic) -> int:
    return sum(each.people for each in counted if each.topic is topic and _is_consent(each) and each.is_covered)


def _stopped(counted: Sequence[Resting], topic: Topic, typed: Typed) -> int:
    """Count whose consent for a topic would count no more under the words that were typed."""
    unknown = _people(counted, None, topic) if typed.covers_unknown else (0, None)
    return _good(counted, topic) - (unknown[0] if unknown[1] else 0)


def _is_consent(each: Resting) -> bool:
    return each.state is SubscriptionState.CONFIRMED


_P = Permission
_ALL, _ONE = "/consent/declarations", "/consent/declarations/{declaration}"
PAGES = area(
    "consent",
    look(_ALL, _P.SEE_CONSENT, "consent_declarations", everything),
    look(f"{_ALL}/new", _P.EDIT_CONSENT, "consent_new", new),
    act(f"{_ALL}/new", _P.EDIT_CONSENT, "consent.entered", enter),
    act(f"{_ALL}/check", _P.EDIT_CONSENT, "consent.checked", check, mends=f"{_ALL}/new", alone=True),
    look(_ONE, _P.SEE_CONSENT, "consent_declaration", one),
    look(f"{_ONE}/ask", _P.EDIT_CONSENT, "consent_ask", ask),
    act(f"{_ONE}/ask", _P.EDIT_CONSENT, "consent.asked", start_asking),
)
