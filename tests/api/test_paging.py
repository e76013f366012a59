"""Lists in pages: whoever reads on misses nothing and sees nothing twice, whatever is entered meanwhile."""

import pytest

from dispatcher.db import clock
from dispatcher.db.terms import Topic
from tests import builders
from tests.api.program import DRAFT, PLAIN, House, Program, on_sqlite


@pytest.mark.both_databases
def test_what_is_entered_between_two_pages_shifts_none(program: Program, api_house: House) -> None:
    for _ in range(3):
        program.post("/campaigns", DRAFT)
    api_house.add(*(f"p{n}@example.de" for n in range(3)), topics=(Topic.FINANCE_NEWS,))
    seen: dict[str, list[object]] = {"/campaigns": [], "/subscribers": [], "/consent-events": []}
    for path, found in seen.items():
        name = {"/campaigns": "id", "/subscribers": "address", "/consent-events": "id"}[path]
        for number, one in enumerate(program.all(path, limit=1)):
            found.append(one[name])
            if number == 0:
                program.post("/campaigns", DRAFT)
                api_house.add(f"late-{path[1:3]}@example.de", topics=(Topic.FINANCE_NEWS,))
    assert seen["/campaigns"] == [3, 2, 1]  # the newest first: what came later is on no later page
    assert seen["/subscribers"] == [f"p{n}@example.de" for n in range(3)] + ["late-ca@example.de", "late-su@example.de"]
    assert seen["/consent-events"] == list(range(1, 7))


@pytest.mark.both_databases
def test_whoever_reads_events_on_later_gets_just_the_new_ones(program: Program, api_house: House) -> None:
    api_house.add("p1@example.de", topics=(Topic.FINANCE_NEWS,))
    page = program.get("/consent-events")
    assert (page["next"], [event["id"] for event in page["items"]]) == (None, [1])
    nothing = program.get("/consent-events", params={"cursor": page["resume"]})
    assert nothing == {"items": [], "next": None, "resume": page["resume"]}
    api_house.add("p2@example.de", topics=(Topic.FINANCE_NEWS,))
    later = program.get("/consent-events", params={"cursor": nothing["resume"]})
    assert [event["id"] for event in later["items"]] == [2]


@on_sqlite
def test_a_list_of_people_can_be_narrowed_by_topic_and_state(program: Program, api_house: House) -> None:
    api_house.add("p1@example.de", topics=(Topic.FINANCE_NEWS,))
    (p2,) = api_house.add("p2@example.de", topics=(Topic.PRODUCT_NEWS,))
    program.post(f"/subscribers/{p2}/withdraw", {"topics": ["product-news"], "source": "by telephone"})
    for params, found in (
        ({"topic": "finance-news"}, ["p1@example.de"]),
        ({"state": "withdrawn"}, ["p2@example.de"]),
        ({"topic": ["finance-news", "product-news"], "state": "confirmed"}, ["p1@example.de"]),
    ):
        assert [one["address"] for one in program.get("/subscribers", params=params)["items"]] == found


@pytest.mark.both_databases
def test_who_is_missing_is_named_page_by_page(served: tuple[House, str]) -> None:
    api_house, program = served[0], served[0].program()
    api_house.add(*(f"p{n}@example.de" for n in range(5)), topics=(Topic.FINANCE_NEWS,))
    with api_house.engine.begin() as conn:
        now = clock.now(conn)
        builders.suppress(conn, api_house.keyring, ["p1@example.de", "p3@example.de"], now)
    program.post("/campaigns", {**DRAFT, "contents": [{"source": PLAIN}]})
    assert program.get("/campaigns/1/missing") == {"items": [], "next": None}
    program.post("/campaigns/1/start")
    assert api_house.launch(1)
    missing = [(one["address"][:2], one["outcome"]) for one in program.all("/campaigns/1/missing", limit=2)]
    assert missing == [(f"p{n}", "remaining") for n in (0, 2, 4)] + [("p1", "withheld"), ("p3", "withheld")]
