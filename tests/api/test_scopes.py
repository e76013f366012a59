"""Each scope on each route: a key may do what it names, and nothing else follows from it."""

import re
from typing import Any

import pytest

from dispatcher.db.terms import Scope
from tests.api.program import House, on_sqlite

S = Scope
NEEDS: dict[str, set[Scope]] = {
    "list_campaigns": {S.CAMPAIGNS_READ},
    "create_campaign": {S.CAMPAIGNS_WRITE},
    "get_campaign": {S.CAMPAIGNS_READ},
    "get_campaign_contents": {S.CAMPAIGNS_READ},
    "get_campaign_status": {S.CAMPAIGNS_READ},
    "list_campaign_missing": {S.CAMPAIGNS_READ, S.SUBSCRIBERS_READ},
    "preview_campaign": {S.CAMPAIGNS_READ},
    "check_campaign": {S.CAMPAIGNS_WRITE},
    "schedule_campaign": {S.CAMPAIGNS_SEND},
    "start_campaign": {S.CAMPAIGNS_SEND},
    "pause_campaign": {S.CAMPAIGNS_SEND},
    "resume_campaign": {S.CAMPAIGNS_SEND},
    "cancel_campaign": {S.CAMPAIGNS_SEND},
    "edit_campaign": {S.CAMPAIGNS_WRITE},
    "take_campaign_back": {S.CAMPAIGNS_SEND},
    "choose_campaign_subject": {S.CAMPAIGNS_SEND},
    "set_campaign_rate": {S.CAMPAIGNS_SEND},
    "count_audience": {S.CAMPAIGNS_READ},
    "list_feeds": {S.CAMPAIGNS_READ},
    "add_feed": {S.CAMPAIGNS_WRITE},
    "get_feed": {S.CAMPAIGNS_READ},
    "fetch_feed": {S.CAMPAIGNS_WRITE},
    "remove_feed": {S.CAMPAIGNS_WRITE},
    "change_feed": {S.CAMPAIGNS_WRITE},
    "switch_feed_off": {S.CAMPAIGNS_WRITE},
    "switch_feed_on": {S.CAMPAIGNS_WRITE},
    "list_subscribers": {S.SUBSCRIBERS_READ},
    "lookup_subscriber": {S.SUBSCRIBERS_READ},
    "get_subscriber": {S.SUBSCRIBERS_READ},
    "list_subscriber_letters": {S.SUBSCRIBERS_READ},
    "add_subscriber": {S.SUBSCRIBERS_WRITE},
    "withdraw_consent": {S.SUBSCRIBERS_WRITE},
    "note_objection": {S.SUBSCRIBERS_WRITE},
    "list_suppressions": {S.SUBSCRIBERS_READ},
    "lookup_suppressions": {S.SUBSCRIBERS_READ},
    "suppress": {S.SUBSCRIBERS_WRITE},
    "list_imports": {S.SUBSCRIBERS_READ},
    "hand_in_people": {S.SUBSCRIBERS_WRITE},
    "get_import": {S.SUBSCRIBERS_READ},
    "start_import": {S.SUBSCRIBERS_WRITE},
    "discard_import": {S.SUBSCRIBERS_WRITE},
    "get_import_rejects": {S.SUBSCRIBERS_READ},
    "list_declarations": {S.CONSENT_READ},
    "get_declaration": {S.CONSENT_READ},
    "list_consent_events": {S.CONSENT_READ},
    "list_subscriber_consent_events": {S.CONSENT_READ},
    "export_person": {S.RIGHTS_WRITE},
    "erase_person": {S.RIGHTS_WRITE},
    "list_webhooks": {S.WEBHOOKS_WRITE},
    "add_webhook": {S.WEBHOOKS_WRITE},
    "get_webhook": {S.WEBHOOKS_WRITE},
    "list_webhook_messages": {S.WEBHOOKS_WRITE},
    "test_webhook": {S.WEBHOOKS_WRITE},
    "replay_webhook": {S.WEBHOOKS_WRITE},
    "switch_webhook_off": {S.WEBHOOKS_WRITE},
    "switch_webhook_on": {S.WEBHOOKS_WRITE},
    "get_health": set(),
    "get_key": set(),
}
OPEN = {"get_problem_kind"}


def _operations(document: Any) -> dict[str, tuple[str, str, Any]]:
    return {
        operation["operationId"]: (method.upper(), re.sub(r"\{\w+\}", "1", path), operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


@on_sqlite
def test_each_scope_opens_what_it_names_and_nothing_else(api_house: House) -> None:
    operations = _operations(api_house.program().get("/openapi.json"))
    assert set(operations) == set(NEEDS) | OPEN
    for scope in Scope:
        program = api_house.program(scope)
        for name, needed in NEEDS.items():
            method, path, _ = operations[name]
            if name == "get_health":
                continue  # it waits for a broker that is not there
            answer = program.ask(method, path)
            lacking = needed - {scope}
            assert (answer.status_code == 403) is bool(lacking), (scope, name, answer.text)
            if lacking:
                assert all(word in answer.json()["detail"] for word in lacking)


@on_sqlite
def test_the_document_says_which_scopes_each_operation_needs(api_house: House) -> None:
    operations = _operations(api_house.program().get("/openapi.json"))
    for name, needed in NEEDS.items():
        (security,) = operations[name][2]["security"]
        assert set(security["key"]) == set(needed)
    for name in OPEN:
        assert "security" not in operations[name][2]


@on_sqlite
def test_to_look_through_somebodys_eyes_needs_the_scope_for_people_as_well(api_house: House) -> None:
    program = api_house.program(S.CAMPAIGNS_READ)
    assert "subscribers:read" in program.refused("POST", "/campaigns/1/preview", {"address": "x@example.de"})["detail"]
    assert program.refused("POST", "/campaigns/1/preview", {})["status"] == 404


@on_sqlite
@pytest.mark.parametrize("way", ["only", "without"])
def test_to_count_a_domain_needs_the_scope_for_people_as_well(api_house: House, way: str) -> None:
    asked = {"topic": "finance-news", way: "domain=example.com"}
    alone = api_house.program(S.CAMPAIGNS_READ)
    answer = alone.ask("GET", "/audience", params=asked)
    assert (answer.status_code, "subscribers:read" in answer.json()["detail"]) == (403, True)
    assert alone.get("/audience", params={"topic": "finance-news", way: "language=de"})["people"] == 0
    assert api_house.program(S.CAMPAIGNS_READ, S.SUBSCRIBERS_READ).get("/audience", params=asked)["people"] == 0
