"""Whatever is asked of the API, as its document has it or not: no fault, and every answer as the document says."""

from collections.abc import Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from tests.api.program import DRAFT, House, on_sqlite
from tests.stories import stories

EXAMPLES = 3  # for each operation and mode
# What is as described can be impossible all the same: no such person, no such zone, a campaign that is over.
# That no key opens nothing, test_keys.py and test_scopes.py show at less cost.
LEFT_OUT = ("positive_data_acceptance", "use_after_free", "ensure_resource_availability", "ignored_auth")


def _ask(operation: APIOperation, mode: GenerationMode, known: Mapping[str, Any], how: Mapping[str, Any]) -> set[int]:
    """Ask for one operation as often as EXAMPLES says; give the statuses of the answers."""
    seen = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=stories(EXAMPLES), database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case: Case) -> None:
        if mode is GenerationMode.POSITIVE:  # what exists has more to say than what does not
            case.path_parameters.update({name: known[name] for name in case.path_parameters})
        seen.add(case.call_and_validate(**how).status_code)

    ask()
    return seen


@on_sqlite
def test_whatever_is_asked_nothing_fails_and_every_answer_is_as_the_document_says(served: tuple[House, str]) -> None:
    house, url = served
    program = house.program()
    program.post("/campaigns", DRAFT)
    program.post("/webhooks", {"url": "https://hooks.example.de/", "types": ["consent.given"]})
    plan = {"name": "N", "topic": "finance-news", "subject": "S", "every": "daily", "at": "09:00"}
    program.post("/feeds", {"url": "http://127.0.0.1/feed.xml", "series": plan})  # of the inside: it is never asked
    (maria,) = house.add("maria@example.de")
    known = {
        "campaign_id": 1,
        "subscriber_id": maria,
        "version": "2026-01",
        "kind": "invalid",
        "endpoint_id": 1,
        "feed_id": 1,
        "import_id": 1,
    }
    program.ask("POST", "/imports", params={"origin": "CRM"}, content=b"email,topics\nanna@example.de,finance-news\n")
    load_all_checks()
    how = {
        "headers": {"Authorization": f"Bearer {program.key}"},
        "excluded_checks": [check for check in CHECKS.get_all() if check.__name__ in LEFT_OUT],
    }
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json").exclude(path="/health")  # it waits for the broker
    seen = set()
    for found in schema.get_all_operations():
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            seen |= _ask(found.ok(), mode, known, how)
    assert {200, 404, 409, 422} <= seen
    assert not [status for status in seen if status >= 500]
