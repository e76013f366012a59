"""Many sign up, or leave, at one moment: for each it is as if they had come one after the other."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_address

import pytest
from sqlalchemy import text

from dispatcher.db import clock
from dispatcher.db.terms import ConsentKind, Topic
from dispatcher.domain import tokens
from dispatcher.domain.consent import Evidence
from dispatcher.domain.tokens import Purpose
from dispatcher.sending.opt_in import IsKnown
from dispatcher.web import stamp, unsubscribe
from dispatcher.web.enrolling import ByProgram, Entered, Filled, Outcome, Typed, enrol
from dispatcher.web.forms import Form
from dispatcher.web.limits import LIMITS, Bucket, Refused, Silenced
from dispatcher.web.unsubscribe import Leave
from tests.domain.ledgers import verified
from tests.web.test_statements import counted
from tests.web.visitor import MARIA, House

pytestmark = pytest.mark.both_databases

FINANCE = Topic.FINANCE_NEWS
_WAITS = text("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")


def filled(house: House, address: str, ip: str = "192.0.2.7", **more: timedelta) -> Filled:
    """Give a form as it reaches us."""
    form = house.form(address=address, stamp=house.stamp(**more))
    given = stamp.read(house.keyring, form["stamp"])
    assert given is not None
    fields = {name: tuple(value) if isinstance(value, list) else (value,) for name, value in form.items()}
    evidence = Evidence("form", ip, language=given.language, declaration_id=given.declaration_id)
    return Filled(Form(fields), given, ip_address(ip), evidence)


def enrolled(house: House, *forms: Filled) -> list[Outcome]:
    with house.engine.begin() as conn:
        return enrol(conn, house.keyring, forms, clock.now(conn))


def left(house: House, *leaves: Leave) -> list[unsubscribe.Left | None]:
    with house.engine.begin() as conn:
        return unsubscribe.serve(conn, leaves, clock.now(conn))


def leave(house: House, token: str, source: str, everything: bool = False) -> Leave:
    return Leave(tokens.verify(house.keyring, Purpose.UNSUBSCRIBE, token), everything, Evidence(source))


def test_forms_of_one_moment_get_each_what_it_would_have_got_alone(house: House) -> None:
    house.add("known@example.de")
    found = enrolled(
        house,
        filled(house, "anna@example.com"),
        filled(house, "no address"),
        filled(house, "ben@example.com", age=timedelta(seconds=1)),
        filled(house, "known@example.de"),
        filled(house, "clara@example.com", age=timedelta(days=2)),
        filled(house, "ANNA@example.com"),
        filled(house, "dora@example.com"),
    )
    kinds = [Entered, Typed, ByProgram, IsKnown, Typed, IsKnown, Entered]
    assert [type(outcome) for outcome in found] == kinds
    mails = {row.request_id: row.id for row in house.rows("campaign")}
    people = {row.id: row.address for row in house.rows("subscriber")}
    asked = {people[row.subscriber_id]: mails[row.id] for row in house.rows("opt_in_request")}
    assert asked == {"anna@example.com": found[0].campaign_id, "dora@example.com": found[6].campaign_id}
    assert verified(house.engine, now=house.now()).broken is None


def test_somebody_who_signs_up_twice_at_one_moment_is_asked_as_often_as_one_after_the_other(house: House) -> None:
    first, second = enrolled(house, filled(house, MARIA), filled(house, MARIA))
    assert isinstance(first, Entered)
    assert isinstance(second, IsKnown)
    for _ in range(4):
        assert house.visitor().post("/", data=house.form()).status_code == 200
    assert len(house.rows("opt_in_request")) == 2  # as many mails as an address gets in a day


def test_a_limit_holds_among_those_who_come_at_one_moment(house: House) -> None:
    most = LIMITS[Bucket.IP].most
    enrolled(house, *(filled(house, f"a{i}@example.com") for i in range(most - 2)))
    found = enrolled(
        house, *(filled(house, f"b{i}@example.com") for i in range(4)), filled(house, "c@example.de", "192.0.2.8")
    )
    assert [type(outcome) for outcome in found] == [Entered, Entered, Refused, Refused, Entered]
    at_once = enrolled(house, *(filled(house, f"d{i}@example.com", "192.0.2.9") for i in range(most + 2)))
    assert [type(outcome) for outcome in at_once] == [Entered] * most + [Refused] * 2
    assert at_once[-1] == Refused(LIMITS[Bucket.IP].within)
    other_places = [filled(house, MARIA, f"198.51.100.{i}") for i in range(LIMITS[Bucket.ADDRESS].most + 1)]
    assert [type(outcome) for outcome in enrolled(house, *other_places)] == [
        Entered,
        IsKnown,
        IsKnown,
        IsKnown,
        Silenced,
    ]


def test_people_who_leave_at_one_moment_leave_each_by_their_own_link(house: House) -> None:
    anna, ben = house.add("anna@example.com"), house.add("ben@example.com")
    link = house.token(Purpose.UNSUBSCRIBE, anna, FINANCE)
    found = left(
        house,
        leave(house, link, "first"),
        leave(house, house.token_of_nobody(Purpose.UNSUBSCRIBE), "nobody"),
        leave(house, house.token(Purpose.UNSUBSCRIBE, ben, FINANCE), "all", everything=True),
        leave(house, link, "second"),
    )
    assert [one and (one[0].id, set(one[1])) for one in found] == [
        (anna, {FINANCE}), None, (ben, set(Topic)), (anna, {FINANCE}),
    ]  # fmt: skip
    ended = [
        (row.subscriber_id, row.source) for row in house.rows("consent_event") if row.kind == ConsentKind.WITHDRAWN
    ]
    assert ended == [(anna, "first"), *[(ben, "all")] * len(Topic)]
    assert len(house.rows("suppression")) == 1 + len(Topic)
    assert verified(house.engine, now=house.now()).broken is None


def test_many_cost_the_database_no_more_statements_than_one(house: House) -> None:
    people = [house.add(f"person{i}@example.de") for i in range(9)]
    leaves = [leave(house, house.token(Purpose.UNSUBSCRIBE, person, FINANCE), "link") for person in people]
    forms = [filled(house, f"new{i}@example.com") for i in range(9)]
    with counted(house.engine) as alone:
        left(house, leaves[0])
        enrolled(house, forms[0])
    with counted(house.engine) as together:
        left(house, *leaves[1:])
        enrolled(house, *forms[1:])
    more_of_each = 14 if house.engine.dialect.name == "sqlite" else 0  # its limits are asked one by one
    assert len(together) <= len(alone) + more_of_each, together


def test_two_processes_count_one_after_the_other(house: House) -> None:
    hers, *theirs = [filled(house, f"{name}@example.com") for name in ("anna", "ben", "clara")]
    with ThreadPoolExecutor(1) as other, house.engine.begin() as conn:
        enrol(conn, house.keyring, [hers], clock.now(conn))
        following = other.submit(enrolled, house, *theirs)
        while house.engine.dialect.name == "postgresql" and not conn.execute(_WAITS).scalar_one():
            assert not following.done()
        conn.commit()
        assert [type(one) for one in following.result(30)] == [Entered, Entered]
    counted_in_all = [row.number for row in house.rows("signup_attempt") if row.bucket == Bucket.TOTAL]
    assert sorted(counted_in_all) == [1, 2, 3]
