"""A person is entered on their word: asked by mail to confirm or, with evidence of their consent, current at once."""

from datetime import UTC, datetime, time

from starlette.responses import Response

from dispatcher.console.declare import Mend, Values
from dispatcher.console.said import by, said_address, said_day, said_language, said_line
from dispatcher.console.visit import Visit
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.people import subscribers
from dispatcher.domain.typed import clean_name
from dispatcher.errors import InputRefused
from dispatcher.sending import adding
from dispatcher.sending.adding import Given, Wish
from dispatcher.web.language import topic_title
from dispatcher.zone import ZONE


def new(visit: Visit) -> Values:
    """Ask for whom, for what, and how their wish came in."""
    return {
        "topics": list(Topic),
        "chosen": visit.form.all("topic"),
        "languages": list(Language),
        "versions": [version.name for version in declarations.versions(visit.conn)],
        "has_evidence": any(visit.said(name) for name in ("day", "time", "evidence", "version")),
    }


def add(visit: Visit) -> Response:
    """Enter a person."""
    wish = _wish(visit)
    entered = adding.add(visit.conn, visit.desk.keyring, visit.desk.settings, wish, visit.now)
    if (mail := entered.mail) is not None:
        visit.afterwards(lambda: visit.desk.site.nudge(mail))
    person = subscribers.by_hash(visit.conn, address_hash(visit.desk.keyring, said_address(visit)))
    if person is None:
        raise Mend({"": "subscribers.not_entered"})
    fates = {topic: fate.value for topic, fate in entered.fates.items()}
    visit.note("subscriber", person.id, asked=mail is not None, **{topic.value: fate for topic, fate in fates.items()})
    if fates:
        told = "; ".join(f"{topic_title(topic, visit.language)}: {visit.say(f'subscribers.fate_{fate}')}"
                         for topic, fate in fates.items())  # fmt: skip
        return visit.go(f"/subscribers/{person.id}", "subscribers.entered", what=told)
    return visit.go(f"/subscribers/{person.id}", "subscribers.is_asked" if mail else "subscribers.is_not_asked")


def _wish(visit: Visit) -> Wish:
    topics = tuple(topic for topic in Topic if topic in visit.form.all("topic"))
    if not topics:
        raise Mend({"topic": "subscribers.topic_missing"})
    try:
        name = clean_name(visit.said("name"))
    except InputRefused:
        raise Mend({"name": "people.name_wrong"}) from None
    address, source = said_address(visit).mail, said_line(visit, "source")
    return Wish(address, topics, by(visit), source, name, said_language(visit), given=_given(visit))


def _given(visit: Visit) -> Given | None:
    day = said_day(visit, "day")
    if not any(visit.said(name) for name in ("day", "time", "evidence", "version")):
        return None
    if day is None:
        raise Mend({"day": "subscribers.day_missing"})
    try:
        at = datetime.combine(day, time.fromisoformat(visit.said("time")), ZONE).astimezone(UTC)
    except ValueError:
        raise Mend({"time": "subscribers.time_missing"}) from None
    if at > visit.now:
        raise Mend({"day": "subscribers.day_ahead"})
    return Given(at, said_line(visit, "evidence"), visit.said("version") or None)
