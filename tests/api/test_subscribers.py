"""People through the API: entered with proof, found without an address in any path, out at once."""

from datetime import UTC, datetime

from sqlalchemy import Engine

from dispatcher.sending import sweep
from tests.api.program import MARIA, House, Program, kind_of, on_sqlite
from tests.evidence import assert_filled, events, notice_of, words_of
from tests.relay import ScriptedRelay
from tests.stage import Stage

WISH = {
    "address": MARIA, "topics": ["finance-news", "finance-news"], "source": "shop, checkout 4", "name": "Maria Muster",
    "language": "en", "ip": "192.0.2.7", "user_agent": "a browser",
}  # fmt: skip
GIVEN = {"at": "2026-03-01T10:30:07+01:00", "evidence": "form 117, folder 4", "declaration": "2026-01"}


def test_without_evidence_the_person_is_asked_by_mail_and_every_field_of_the_proof_is_filled(
    program: Program, api_house: House, stage: Stage, engine: Engine
) -> None:
    told = program.post("/subscribers", WISH)
    assert told["topics"] == [{"topic": "finance-news", "fate": "asked"}]
    assert api_house.nudged == [1]
    (requested,) = events(engine, "requested")
    assert_filled(
        requested, kind="requested", topic="finance-news", source="API key 1 (shop): shop, checkout 4",
        ip="192.0.2.7", user_agent="a browser", language="en", request_id=1,
        declaration_id=lambda held: held is not None, privacy_sha256=lambda held: len(held) == 32,
    )  # fmt: skip
    assert words_of(engine, requested)[:2] == ("2026-01", "en")
    assert notice_of(engine, requested)
    assert sweep.begin(engine, 1, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=1))
    assert relay.accepted[0].recipient == MARIA
    assert program.get(f"/subscribers/{told['subscriber']}")["topics"][0]["state"] == "pending"
    assert program.post("/subscribers", WISH)["topics"][0]["fate"] == "asked"
    assert program.post("/subscribers", WISH)["topics"][0]["fate"] == "not-asked"  # two mails went today


def test_with_evidence_the_consent_counts_from_the_day_it_was_given(
    program: Program, api_house: House, engine: Engine
) -> None:
    told = program.post("/subscribers", {**WISH, "given": GIVEN})
    assert told["topics"] == [{"topic": "finance-news", "fate": "confirmed"}]
    assert api_house.nudged == []
    (imported,) = events(engine, "imported")
    assert_filled(
        imported, kind="imported", topic="finance-news", language="en", declaration_named="newsletter-2026-01",
        source="API key 1 (shop): shop, checkout 4; evidence: form 117, folder 4", ip="192.0.2.7",
        user_agent="a browser", given_at=datetime(2026, 3, 1, 9, 30, 7, tzinfo=UTC),
        declaration_id=lambda held: held is not None,
    )  # fmt: skip
    person = program.get(f"/subscribers/{told['subscriber']}")
    assert person["current"] == ["finance-news"]
    assert person["topics"][0] | {"since": ""} == {
        "topic": "finance-news", "state": "confirmed", "since": "", "declaration": "newsletter-2026-01",
    }  # fmt: skip
    for given, words in (
        ({**GIVEN, "at": "2099-01-01T00:00:00Z"}, "lies in the future"),
        ({**GIVEN, "declaration": "form 3"}, "no version 'form 3'"),
        ({**GIVEN, "evidence": " "}, "the evidence has to be one line"),
    ):
        assert words in program.refused("POST", "/subscribers", {**WISH, "given": given})["detail"]


def test_a_person_is_found_by_address_or_id_and_leaves_at_once(program: Program, api_house: House) -> None:
    maria, josef = api_house.add(MARIA, "josef@example.de")
    person = program.post("/subscribers/lookup", {"address": "Maria@EXAMPLE.de"})
    assert person == program.get(f"/subscribers/{maria}")
    assert (person["id"], person["address"], len(person["current"])) == (maria, MARIA, 3)
    word = {"topics": ["finance-news"], "source": "by telephone"}
    assert program.post(f"/subscribers/{maria}/withdraw", word) == {"ended": ["finance-news"]}
    assert program.post(f"/subscribers/{maria}/withdraw", word) == {"ended": []}
    assert program.post(f"/subscribers/{maria}/object", {"source": "a letter"}) == {
        "ended": ["product-news", "finance-news", "special-offers"]
    }
    left = program.get(f"/subscribers/{maria}")
    assert left["current"] == []
    assert {(one["scope"], one["reason"]) for one in left["suppressions"]} >= {("all", "objected")}
    assert program.post("/subscribers", {**WISH, "given": GIVEN})["topics"][0]["fate"] == "suppressed"
    kinds = [event["kind"] for event in program.all(f"/subscribers/{maria}/consent-events", limit=2)]
    assert kinds == ["confirmed"] * 3 + ["withdrawn"] + ["objected"] * 3
    assert program.get(f"/subscribers/{josef}")["current"] == ["finance-news", "product-news", "special-offers"]


def test_an_address_on_the_never_mail_list_is_known_there_by_its_hash_alone(program: Program, api_house: House) -> None:
    (maria,) = api_house.add(MARIA)
    assert program.post("/suppressions", {"address": "x@example.de", "source": "a letter"}) == {"new": 1}
    assert program.post("/suppressions", {"address": "X@example.de", "source": "again"}) == {"new": 0}
    said = {"subscriber": maria, "topics": ["finance-news"], "reason": "complaint", "source": "a feedback report"}
    assert program.post("/suppressions", said) == {"new": 1}
    (entry,) = program.post("/suppressions/lookup", {"address": "x@example.de"})["items"]
    assert (entry["scope"], entry["reason"], entry["source"]) == ("all", "operator", "API key 1 (shop): a letter")
    listed = list(program.all("/suppressions", limit=1))
    assert {(one["scope"], one["reason"]) for one in listed} == {("all", "operator"), ("finance-news", "complaint")}
    assert "example.de" not in str(listed)
    assert kind_of(program.refused("POST", "/suppressions", {"subscriber": "0" * 16, "source": "x"})) == "not-found"


@on_sqlite
def test_declarations_tell_their_words_and_whose_consent_rests_on_them(program: Program) -> None:
    program.post("/subscribers", {**WISH, "given": GIVEN})
    (version,) = program.get("/declarations")["items"]
    assert (version["name"], version["is_shown"], version["languages"]) == ("newsletter-2026-01", True, ["de", "en"])
    assert version["people"] == [{"topic": "finance-news", "state": "confirmed", "people": 1, "is_covered": True}]
    shown = program.get("/declarations/2026-01")
    assert {text["language"] for text in shown["texts"]} == {"de", "en"}
    assert program.refused("GET", "/declarations/2031-01")["cure"] == "there are: 2026-01"


@on_sqlite
def test_health_says_part_by_part_what_is_wrong_and_what_to_do(program: Program) -> None:
    health = program.get("/health")
    assert health["is_well"] is False
    parts = {part["part"]: part for part in health["parts"]}
    assert [name for name, part in parts.items() if not part["is_well"]] == ["broker"]
    assert parts["broker"]["cure"].startswith("start it")
    assert parts["work"]["says"] == "0 newsletter batches and 0 confirmations wait"
