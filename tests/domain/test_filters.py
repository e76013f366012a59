"""Filters of audiences: how they are read, that both databases take whom plain Python takes, and never anybody more."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, update

from dispatcher.db.tables import batch, campaign, consent_event, delivery, delivery_count, subscriber, subscription
from dispatcher.db.terms import CampaignState, ConsentKind, Language, Topic
from dispatcher.domain.audience import audiences, filters, narrowing
from dispatcher.domain.audience.filters import CHOICES, DAYS, EVERYBODY, Condition, Field, Filter
from dispatcher.domain.newsletters import campaigns, revisions
from dispatcher.domain.newsletters.revisions import Revision
from dispatcher.domain.staff.audit import NOBODY
from dispatcher.errors import FilterRefused
from dispatcher.zone import ZONE
from tests import builders
from tests.domain.dispatch import NOW, TOPIC, Dispatch
from tests.stories import stories

DOMAINS = ("example.de", "xn--bcher-kva.example", "mail.example.de", "de")
BIRTHDAYS = (date(2026, 3, 29), date(2026, 3, 30), date(2026, 11, 23))  # on the first clocks go forward
EARLIER = (1, 2)  # campaigns; nobody has received one of another number


# --- read ---


def test_a_filter_is_read_whatever_its_order_and_spelling_and_told_in_one_way() -> None:
    one = filters.parse(
        ["Language = DE", "received=9,7,7", "agreed-since=2026-01-31"], ["domain=@Example.COM,bücher.de"]
    )
    other = filters.parse(
        ["agreed-since=20260131", "received=7,9", "language=de"], ["domain=bücher.de", "domain=example.com"]
    )
    assert one == other
    assert one.to_json() == {
        "only": ["language=de", "agreed-since=2026-01-31", "received=7,9"],
        "without": ["domain=example.com,xn--bcher-kva.de"],
    }
    assert filters.stored(one.to_json()) == one
    assert one.earlier == [7, 9]
    assert not filters.stored(None)


@pytest.mark.parametrize(
    ("only", "without", "key"),
    [
        (["age=30"], [], "unknown"),
        (["language"], [], "unknown"),
        (["language="], [], "empty"),
        (["language=fr"], [], "wrong"),
        (["domain=nonsense at all"], [], "wrong"),
        (["received=seven"], [], "wrong"),
        (["received=0"], [], "wrong"),
        (["agreed-since=yesterday"], [], "wrong"),
        (["agreed-since=0001-01-01"], [], "wrong"),
        (["agreed-since=2026-01-01,2026-02-01"], [], "values"),
        ([], ["agreed-since=2026-01-01"], "day_without"),
        (["language=de", "language=en"], [], "twice"),
        (["agreed-since=2026-02-01", "agreed-before=2026-02-01"], [], "nobody"),
        (["language=de"], ["language=de"], "nobody"),
        (["received=7"], ["received=7,8"], "nobody"),
        ([], ["language=de,en"], "nobody"),
        ([f"received={number}" for number in range(1, 22)], [], "many"),
    ],
)
def test_what_is_no_filter_or_is_for_nobody_is_refused_with_what_and_why(
    only: list[str], without: list[str], key: str
) -> None:
    with pytest.raises(FilterRefused) as refused:
        filters.parse(only, without)
    assert refused.value.key == key
    assert refused.value.cure


# --- taken ---


@dataclass(frozen=True)
class Person:
    """What the database holds of somebody, as plain values."""

    language: str
    provider: str
    address: str | None
    name: str
    kind: str  # of the event that decides
    state: str
    since: datetime
    outcomes: dict[int, str]


def _takes(of: Filter, person: Person) -> bool:
    received = {number for number, outcome in person.outcomes.items() if outcome == "sent"}
    perhaps = received | {number for number, outcome in person.outcomes.items() if outcome == "unknown"}
    return all(_is_true(one, person, received) for one in of.only) and not any(
        _is_true(one, person, perhaps) for one in of.without
    )


def _is_true(one: Condition, person: Person, received: set[int]) -> bool:
    day = person.since.astimezone(ZONE).date() if person.state == "confirmed" else None
    domain = person.address.split("@")[-1] if person.address is not None else None
    truth = {
        Field.LANGUAGE: person.language in one.values,
        Field.PROVIDER: person.provider in one.values,
        Field.DOMAIN: domain in one.values,
        Field.NAME: bool(person.name),
        Field.CONSENT: person.kind in one.values,
        Field.AGREED_SINCE: day is not None and str(day) >= one.values[0],
        Field.AGREED_BEFORE: day is not None and str(day) < one.values[0],
        Field.RECEIVED: bool({str(number) for number in received} & set(one.values)),
    }
    return truth[one.field]


def _settle(dispatch: Dispatch) -> None:
    """People of every kind, and two campaigns that some of them received."""
    kinds = [ConsentKind.IMPORTED, ConsentKind.CONFIRMED, ConsentKind.REQUESTED]
    made = list(product(DOMAINS[:3], BIRTHDAYS, kinds, ("", "Maria Muster")))
    with dispatch.engine.begin() as conn:
        added = builders.add_people(conn, dispatch.keyring, [f"p{n}@{one[0]}" for n, one in enumerate(made)], NOW)
        by_number = dict(zip(range(len(made)), added.values(), strict=True))
        for number, (_, day, kind, name) in enumerate(made):
            at = datetime.combine(day, datetime.min.time(), ZONE) - timedelta(seconds=number % 2)
            builders.agree(conn, [by_number[number]], TOPIC, at.astimezone(UTC), kind)
            language, provider = ("de", "google") if number % 3 else ("en", "other")
            values = {"name": name, "language": language, "provider": provider}
            conn.execute(update(subscriber).where(subscriber.c.id == by_number[number]).values(**values))
        conn.execute(update(subscriber).where(subscriber.c.id == by_number[5]).values(address=None))
        for who in (by_number[6], by_number[7]):
            builders.withdraw(conn, [who], TOPIC, NOW)
        for of, step in zip(EARLIER, (2, 3), strict=True):
            for number in range(0, len(made), step):
                outcome = ("sent", "unknown", "failed")[number % 3]
                event = conn.execute(select(consent_event.c.id).limit(1)).scalar_one()
                row = {"campaign_id": of, "subscriber_id": by_number[number], "outcome": outcome, "at": NOW}
                conn.execute(delivery.insert().values(**row, consent_event_id=event))


def _everybody(conn: Connection) -> dict[int, Person]:
    s, e = subscriber.c, consent_event.c
    rows = conn.execute(
        select(s.id, s.language, s.provider, s.address, s.name, e.kind, subscription.c.state, subscription.c.since)
        .join(subscription, subscription.c.subscriber_id == s.id)
        .join(consent_event, e.id == subscription.c.event_id)
        .where(subscription.c.topic == TOPIC)
    ).all()
    d = delivery.c
    outcomes: dict[int, dict[int, str]] = {}
    for row in conn.execute(select(d.campaign_id, d.subscriber_id, d.outcome)):
        outcomes.setdefault(row.subscriber_id, {})[row.campaign_id] = row.outcome
    return {row[0]: Person(*row[1:], outcomes.get(row[0], {})) for row in rows}  # type: ignore[arg-type]


def _texts(field: Field) -> st.SearchStrategy[str]:
    if field in DAYS:
        return st.sampled_from([*BIRTHDAYS, date(2026, 3, 28)]).map(lambda day: f"{field}={day}")
    known = {Field.DOMAIN: DOMAINS, Field.RECEIVED: ("1", "2", "3")}.get(field) or CHOICES[field]
    values = st.lists(st.sampled_from(list(known)), min_size=1, max_size=2)
    return values.map(lambda chosen: f"{field}={','.join(chosen)}")


def _filters() -> st.SearchStrategy[Filter]:
    only = st.lists(st.sampled_from(list(Field)).flatmap(_texts), max_size=3)
    without = st.lists(st.sampled_from([field for field in Field if field not in DAYS]).flatmap(_texts), max_size=2)

    def made(texts: tuple[list[str], list[str]]) -> Filter | None:
        try:
            return filters.parse(*texts)
        except FilterRefused:
            return None

    return st.tuples(only, without).map(made).filter(lambda found: found is not None)  # type: ignore[return-value]


def test_a_filter_takes_whom_plain_python_takes_and_nobody_who_would_not_get_it_without(dispatch: Dispatch) -> None:
    _settle(dispatch)
    with dispatch.engine.begin() as conn:
        people = _everybody(conn)
        reasons = {row.subscriber_id: row.reason for row in conn.execute(audiences.everyone(TOPIC))}
        assert set(reasons) == set(people)

        @settings(max_examples=stories(15))
        @given(_filters())
        def agree(of: Filter) -> None:
            found = {row.subscriber_id: row.reason for row in conn.execute(audiences.everyone(TOPIC, of))}
            assert set(found) == {who for who, person in people.items() if _takes(of, person)}
            assert found.items() <= reasons.items()
            assert conn.execute(audiences.reached(TOPIC, of)).scalar_one() == list(found.values()).count(None)

        agree()


def test_whoever_is_not_taken_by_only_is_taken_by_without(dispatch: Dispatch) -> None:
    _settle(dispatch)
    with dispatch.engine.begin() as conn:
        everybody = {row.subscriber_id for row in conn.execute(audiences.everyone(TOPIC))}
        for text in (
            "language=de",
            "provider=google",
            "domain=example.de,mail.example.de",
            "consent=confirmed",
            "name=known",
        ):
            one = {row.subscriber_id for row in conn.execute(audiences.everyone(TOPIC, filters.parse([text])))}
            other = {row.subscriber_id for row in conn.execute(audiences.everyone(TOPIC, filters.parse([], [text])))}
            assert one
            assert one | other == everybody
            assert not one & other


# --- kept ---


def _sent(dispatch: Dispatch) -> int:
    with dispatch.engine.begin() as conn:
        number = builders.create_campaign(conn, NOW)
        values = {"state": CampaignState.SENT, "launched_at": NOW, "finished_at": NOW}
        conn.execute(update(campaign).where(campaign.c.id == number).values(**values))
        return number


def test_a_draft_keeps_its_filter_until_an_edit_says_another(dispatch: Dispatch) -> None:
    earlier = _sent(dispatch)
    wanted = filters.parse(["language=de"], [f"received={earlier}"])
    with dispatch.engine.begin() as conn:
        contents = {Language.DE: ("news.de.md", builders.CONTENT)}
        draft = campaigns.Draft(Topic.FINANCE_NEWS, "n", "Gold", Language.DE, contents, filter=wanted)
        number = campaigns.create(conn, draft, NOW)
        assert campaigns.get(conn, number).filter == wanted
        revisions.edit(conn, number, Revision(1, NOBODY, subject="Silber"), NOW)
        assert campaigns.get(conn, number).filter == wanted
        with pytest.raises(FilterRefused, match=f"no newsletter {number} before"):
            revisions.edit(conn, number, Revision(2, NOBODY, filter=filters.parse([f"received={number}"])), NOW)
        assert revisions.edit(conn, number, Revision(2, NOBODY, filter=EVERYBODY), NOW) == 3
        assert campaigns.get(conn, number).filter == EVERYBODY


def test_what_cannot_be_answered_is_refused_when_it_is_entered(dispatch: Dispatch) -> None:
    earlier = _sent(dispatch)
    with dispatch.engine.begin() as conn:
        draft = builders.create_campaign(conn, NOW)

        def key(*only: str) -> str:
            with pytest.raises(FilterRefused) as refused:
                narrowing.require_sound(conn, filters.parse(only), NOW)
            return refused.value.key

        narrowing.require_sound(conn, filters.parse([f"received={earlier}", "agreed-since=2026-11-23"]), NOW)
        assert key("agreed-since=2026-11-24") == "future"
        assert key(f"received={earlier},4711") == "no_campaign"
        assert key(f"received={draft}") == "not_sent"
        conn.execute(delivery_count.insert().values(campaign_id=earlier, outcome="sent", people=3))
        assert key(f"received={earlier}") == "folded"
        assert narrowing.folded(conn, [earlier, draft]) == [earlier]


def test_an_audience_is_frozen_as_its_filter_takes_it_withheld_people_too(dispatch: Dispatch) -> None:
    people = dispatch.people(6)
    dispatch.withdraw(people[0])
    dispatch.withdraw(people[1])
    with dispatch.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.id.in_([people[0], *people[3:]])).values(language="en"))
    of = dispatch.campaign(filter=filters.parse(["language=en"]))
    with dispatch.engine.begin() as conn:
        paged = [who for ids in conn.execute(select(batch.c.subscriber_ids)).scalars() for who in ids]
        withheld = conn.execute(select(delivery.c.subscriber_id)).scalars().all()
    assert (paged, withheld, of.audience) == (people[3:], [people[0]], 4)
