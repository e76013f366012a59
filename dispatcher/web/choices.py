"""What saving the preferences page means: a comparison of what the form says with where the person stands.

What must stay true: nobody leaves a topic that the page did not show them as theirs, and nobody agrees to words by
leaving something as it was. Consent under older words is neither current nor ended: it has a choice of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from dispatcher.db.terms import Language, SubscriptionState, Topic
from dispatcher.domain import consent, coverage
from dispatcher.web.forms import Form


class Older(StrEnum):
    """What can be done about consent under older words."""

    KEEP = "keep"
    RENEW = "renew"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Stands:
    """Where a person stands: topics with current consent, with consent under older words, and not confirmed yet."""

    current: frozenset[Topic] = frozenset()
    older: frozenset[Topic] = frozenset()
    pending: frozenset[Topic] = frozenset()

    def boxes(self, covered: Iterable[Topic]) -> list[Topic]:
        """Give the topics that have a box: those that can be joined, and those that can be left."""
        offered = {*covered, *self.current} - self.older
        return [topic for topic in Topic if topic in offered]


@dataclass(frozen=True, slots=True)
class Sent:
    """What the form says. `stood`: the topics whose box was ticked when it was handed out; None: it does not say."""

    ticked: frozenset[Topic] = frozenset()
    stood: frozenset[Topic] | None = None
    older: Mapping[Topic, Older] | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What saving the page means. `language` is None if it stays."""

    leaving: tuple[Topic, ...]
    joining: tuple[Topic, ...]  # which is to renew, where consent is under older words
    language: Language | None


def stands(conn: Connection, subscriber_id: int) -> Stands:
    """Look up where a person stands."""
    states = {topic: state for topic, (state, _) in consent.standing(conn, subscriber_id).items()}
    current = frozenset(coverage.current_topics(conn, subscriber_id))
    confirmed = frozenset(t for t, state in states.items() if state is SubscriptionState.CONFIRMED)
    pending = frozenset(t for t, state in states.items() if state is SubscriptionState.PENDING)
    return Stands(current, confirmed - current, pending)


def read(form: Form) -> Sent:
    """Read what the form says; what is none of our words says nothing."""
    older = {topic: form.first(field_of(topic)) for topic in Topic}
    return Sent(
        frozenset(topic for topic in Topic if topic in form.all("topic")),
        _topics(form.first("stood")) if form.all("stood") else None,
        {topic: Older(said) for topic, said in older.items() if said in list(Older)},
        form.first("language"),
    )


def field_of(topic: Topic) -> str:
    """Give the name of the field in which the choice about older words stands."""
    return f"older-{topic}"


def decide(sent: Sent, where: Stands, spoken: Language) -> Change:
    """Compare what was ticked and chosen with what stands."""
    chosen = sent.older or {}
    leaving, joining = [], []
    for topic in Topic:
        if topic in where.current or topic in where.older:
            if _leaves(topic, sent, chosen.get(topic)):
                leaving.append(topic)
            elif topic in where.older and chosen.get(topic) is Older.RENEW:
                joining.append(topic)
        elif topic in sent.ticked:
            joining.append(topic)
    is_other = sent.language in list(Language) and sent.language != spoken
    return Change(tuple(leaving), tuple(joining), Language(sent.language) if is_other else None)


def _leaves(topic: Topic, sent: Sent, chosen: Older | None) -> bool:
    """A page from before may have a box where there is a choice now, and the other way round."""
    if chosen is not None:
        return chosen is Older.WITHDRAW
    return topic not in sent.ticked and (sent.stood is None or topic in sent.stood)


def _topics(words: str) -> frozenset[Topic]:
    return frozenset(topic for topic in Topic if topic in words.split())
