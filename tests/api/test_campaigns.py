"""A newsletter's life through the API, with a real relay at its end: the figures are those of the rows."""

from typing import Any

import pytest

from dispatcher.db.terms import CampaignState
from tests import builders
from tests.api.program import DRAFT, MARIA, PLAIN, House, Program, kind_of, on_sqlite
from tests.relay import ScriptedRelay
from tests.stage import Stage

DEEDS = ["campaigns.edit", "campaigns.release", "campaigns.take_back"]
ENGLISH = PLAIN.replace("language: de", "language: en")


@pytest.mark.both_databases
def test_a_newsletter_is_entered_released_sent_and_accounted_for(served: tuple[House, str], stage: Stage) -> None:
    api_house, program = served[0], served[0].program()
    maria, josef = api_house.add(MARIA, "josef@example.de")
    program.post(f"/subscribers/{josef}/withdraw", {"source": "by telephone"})
    contents = [{"source": PLAIN}, {"source": ENGLISH}]
    said = {**DRAFT, "name": "Week 48", "contents": contents, "rate_per_min": 6000}
    made = program.post("/campaigns", said)
    assert (made["state"], made["name"], made["rate_per_min"], made["counts"]) == ("draft", "Week 48", 6000, None)
    written = program.get("/campaigns/1/contents")["items"]
    assert {one["language"]: one["source"] for one in written} == {"de": PLAIN, "en": ENGLISH}
    assert program.post("/campaigns/1/start")["state"] == "scheduled"
    assert api_house.nudged == [1]
    assert api_house.launch(1)
    assert program.post("/campaigns/1/pause")["state"] == "paused"
    assert program.post("/campaigns/1/resume")["state"] == "sending"
    assert api_house.nudged == [1, "drains"]
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=1))
    assert [letter.recipient for letter in relay.accepted] == [MARIA]
    counts = {"audience": 2, "sent": 1, "deferred": 0, "failed": 0, "unknown": 0, "withheld": 1, "remaining": 0}
    assert program.get("/campaigns/1") == made | program.get("/campaigns")["items"][0]
    assert program.get("/campaigns/1")["counts"] == counts
    assert program.get("/campaigns", params={"counts": False})["items"][0]["counts"] is None
    status = program.get("/campaigns/1/status", params={"by": "provider"})
    assert {name: status[name] for name in counts} == counts
    assert [{name: part[name] for name in counts} for part in status["shares"]] == [counts]
    assert program.get("/campaigns/1/missing")["items"] == [
        {"subscriber": josef, "address": "josef@example.de", "outcome": "withheld", "reason": "withdrew the consent"}
    ]
    (letter,) = program.get(f"/subscribers/{maria}/letters")["items"]
    assert (letter["campaign_id"], letter["outcome"], letter["code"]) == (1, "sent", 250)
    event = program.get(f"/subscribers/{maria}/consent-events")["items"][1]
    assert (letter["consent_event_id"], letter["topic"]) == (event["id"], event["topic"])


@on_sqlite
def test_a_draft_can_be_put_off_and_ended_and_what_is_over_stays_so(served: tuple[House, str]) -> None:
    program = served[0].program()
    program.post("/campaigns", {**DRAFT, "contents": [{"source": PLAIN}]})
    at = {"at": "2027-01-01T09:00"}
    assert program.post("/campaigns/1/schedule", at)["send_at"] == "2027-01-01T08:00:00Z"
    assert program.post("/campaigns/1/schedule", {**at, "zone": "Asia/Tokyo"})["send_at"] == "2027-01-01T00:00:00Z"
    assert program.ask("PUT", "/campaigns/1/rate", json={"rate_per_min": 60}).json()["rate_per_min"] == 60
    assert program.ask("PUT", "/campaigns/1/rate", json={"rate_per_min": None}).json()["rate_per_min"] is None
    over = program.post("/campaigns/1/cancel")
    assert (over["state"], over["finished_at"] is not None) == ("cancelled", True)
    for path in ("/campaigns/1/cancel", "/campaigns/1/start", "/campaigns/1/resume"):
        assert kind_of(program.refused("POST", path)) == "not-possible-now"
    assert kind_of(program.refused("PUT", "/campaigns/1/rate", {"rate_per_min": 1})) == "not-possible-now"
    assert program.get("/campaigns", params={"state": "draft"})["items"] == []
    assert [one["id"] for one in program.get("/campaigns", params={"state": "cancelled"})["items"]] == [1]


def test_a_draft_is_saved_anew_by_whoever_read_its_newest_version_and_what_is_scheduled_is_taken_back(
    served: tuple[House, str],
) -> None:
    program = served[0].program()
    made = program.post("/campaigns", DRAFT)
    again = {"subject": "Silber", "name": "KW 50", "contents": [{"source": ENGLISH}, {"source": PLAIN}], "filter": None}
    read = {"If-Match": f'"{made["version"]}"'}
    saved = program.ask("PUT", "/campaigns/1", json=again, headers=read).json()
    assert (saved["version"], saved["subject"], saved["name"], saved["default_language"]) == (
        2,
        "Silber",
        "KW 50",
        "en",
    )
    late = program.ask("PUT", "/campaigns/1", json=again, headers=read)
    assert (late.status_code, kind_of(late.json())) == (412, "saved-meanwhile")
    assert "saved version 2" in late.json()["detail"]
    for nothing in ({}, {"If-Match": "*"}):
        assert kind_of(program.ask("PUT", "/campaigns/1", json=again, headers=nothing).json()) == "invalid"
    wrong = {**again, "contents": [{"source": PLAIN.replace("title:", "titel:")}]}
    broken = program.ask("PUT", "/campaigns/1", json=wrong, headers={"If-Match": '"2"'})
    assert kind_of(broken.json()) == "content-refused"
    assert program.get("/campaigns/1")["version"] == 2
    assert program.post("/campaigns/1/schedule", {"at": "2030-01-01T09:00"})["state"] == "scheduled"
    refused = program.ask("PUT", "/campaigns/1", json=again, headers={"If-Match": '"2"'}).json()
    assert kind_of(refused) == "not-possible-now"
    assert program.post("/campaigns/1/take-back", {"because": "the price is wrong"})["state"] == "draft"
    assert kind_of(program.refused("POST", "/campaigns/1/take-back", {"because": "again"})) == "not-possible-now"
    assert [row.action for row in served[0].rows("audit_entry")] == DEEDS


@on_sqlite
def test_a_preview_is_the_letter_of_a_real_person_and_changes_nothing(program: Program, api_house: House) -> None:
    (maria,) = api_house.add(MARIA)
    program.post("/campaigns", DRAFT)
    before = [api_house.rows(name) for name in ("campaign", "edition", "delivery")]
    for reader in ({"subscriber": maria}, {"address": MARIA}):
        shown = program.post("/campaigns/1/preview", reader)
        assert "Guten Tag Maria Muster" in shown["text"]
        assert "<html" in shown["html"]
        assert f"To: Maria Muster <{MARIA}>" in shown["message"]
    assert "maria.muster@example.com" in program.post("/campaigns/1/preview", {"language": "de"})["message"]
    assert program.refused("POST", "/campaigns/1/preview", {"address": "x@example.de"})["status"] == 404
    assert [api_house.rows(name) for name in ("campaign", "edition", "delivery")] == before


@on_sqlite
def test_the_mail_that_asks_somebody_to_confirm_is_no_newsletter(program: Program) -> None:
    program.post("/subscribers", {"address": MARIA, "topics": ["finance-news"], "source": "shop"})
    assert program.get("/campaigns")["items"] == []
    for method, path in (("GET", "/campaigns/1"), ("GET", "/campaigns/1/missing"), ("POST", "/campaigns/1/cancel")):
        assert program.refused(method, path)["detail"] == "there is no newsletter 1"


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ([{"source": builders.CONTENT}, {"source": builders.CONTENT}], "contents[1]: is the second one"),
        ([{"source": builders.CONTENT, "file": "gold.md"}, {"source": "no front matter"}], "contents[1], line 1"),
        ([{"source": builders.CONTENT.replace("{{ greeting }}", "{{ secret }}"), "file": "gold.md"}], "gold.md, line"),
    ],
)
@on_sqlite
def test_content_that_cannot_be_composed_is_refused_with_file_and_line_and_no_draft_is_left(
    program: Program, contents: Any, words: str
) -> None:
    problem = program.refused("POST", "/campaigns", {**DRAFT, "contents": contents})
    assert kind_of(problem) == "content-refused"
    assert words in problem["detail"]
    assert {"file", "line"} <= set(problem)
    assert program.get("/campaigns")["items"] == []


@on_sqlite
def test_states_of_the_api_are_those_of_the_house(program: Program) -> None:
    schemas = program.get("/openapi.json")["components"]["schemas"]
    assert schemas["CampaignState"]["enum"] == list(CampaignState)


SUBJECTS = PLAIN.replace("title:", "subjects: [Gold steigt, Gold fällt]\ntitle:")


def test_subjects_are_tried_and_one_is_chosen_by_a_program(served: tuple[House, str], stage: Stage) -> None:
    api_house, program = served[0], served[0].program()
    api_house.add(*(f"p{number}@example.de" for number in range(8)))
    terms = {"share": 50, "wait_s": 3600, "otherwise": "wait"}
    program.post("/campaigns", {**DRAFT, "contents": [{"source": SUBJECTS}], "trial": terms})
    before = program.get("/campaigns/1/status")["trial"]
    assert {name: before[name] for name in terms} == terms
    assert before["waits_for"] == "the launch"
    assert kind_of(program.refused("POST", "/campaigns/1/choose", {"subject": "B"})) == "not-possible-now"
    program.post("/campaigns/1/start")
    assert api_house.launch(1)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        assert len(relay.accepted) == 4
        assert program.refused("POST", "/campaigns/1/choose", {"subject": "C"})["detail"].endswith("no subject C")
        assert program.post("/campaigns/1/choose", {"subject": "B"})["state"] == "sending"
        assert api_house.nudged == [1, "drains"]
        stage.drain(relay.relay())
    assert len(relay.accepted) == 8
    after = program.get("/campaigns/1/status")["trial"]
    assert (after["chosen"], after["chosen_by"], after["waiting"]) == ("B", "hand", 0)
    assert [each["texts"] for each in after["subjects"]] == [{"de": "Gold steigt"}, {"de": "Gold fällt"}]
    (choice,) = [row for row in api_house.rows("audit_entry") if row.action == "campaigns.choose"]
    assert (choice.actor_name, choice.detail) == ("shop", {"subject": "B"})


@on_sqlite
def test_a_filter_is_counted_entered_and_told_and_what_is_none_is_refused(program: Program, api_house: House) -> None:
    api_house.add(MARIA, "josef@example.com")
    asked = {"topic": "finance-news", "only": ["language=de"], "without": ["domain=example.com"]}
    counted = program.get("/audience", params=asked)
    assert (counted["everybody"], counted["people"]) == (2, 1)
    assert counted["filter"]["said_de"] == "liest Deutsch; Adresse nicht bei example.com"
    assert program.get("/audience", params={"topic": "finance-news"})["filter"] is None
    wanted = {"only": ["language=DE"], "without": ["domain=@example.com"]}
    made = program.post("/campaigns", {**DRAFT, "filter": wanted})
    assert made["filter"] == counted["filter"]
    assert made["filter"]["only"] == ["language=de"]
    assert program.post("/campaigns", DRAFT)["filter"] is None
    for nonsense in ({"only": ["age=30"]}, {"only": ["agreed-since=2999-01-01"]}, {"only": ["received=4711"]}):
        assert kind_of(program.refused("POST", "/campaigns", {**DRAFT, "filter": nonsense})) == "refused"
