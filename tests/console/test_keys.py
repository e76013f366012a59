"""Programs at the console: keys of the API, shown once, and endpoints that are told what happens."""

import re
from html import unescape

import pytest
from sqlalchemy import update

from dispatcher.db import clock
from dispatcher.db.tables import webhook_message
from dispatcher.db.terms import Role, Scope, Topic
from dispatcher.domain import consent
from dispatcher.domain.consent import Evidence
from dispatcher.domain.programs import api_keys
from tests.console.office import Browser, Office, on_sqlite, text_of

INSIDE = "https://127.0.0.1/hooks?token=secret-of-theirs"  # nothing is sent there


@pytest.fixture
def admin(office: Office) -> Browser:
    return office.browser_of(Role.ADMIN)


def shown(page_text: str, field: str) -> str:
    return unescape(re.findall(rf'id="{field}" readonly value="([^"]+)"', page_text)[0])


def test_a_key_is_shown_once_opens_what_was_ticked_and_ends_at_once(office: Office, admin: Browser) -> None:
    made = admin.post("/people/keys/new", {"name": "Shop", "scope": ["subscribers:write", "nothing"], "days": "90"})
    key = shown(made.text, "key")
    with office.engine.begin() as conn:
        found = api_keys.find(conn, key)
        assert found is not None
        assert (found.scopes, found.created_by) == ({Scope.SUBSCRIBERS_WRITE}, "Anna Beispiel")
        assert found.expires_at is not None
        assert (found.expires_at - clock.now(conn)).days == 89
    listed = admin.get("/people/keys")
    assert key not in listed.text
    assert "Shop von Anna Beispiel" in text_of(listed)
    assert admin.post(f"/people/keys/{found.id}/revoke").status_code == 303
    assert "entzogen am" in text_of(admin.get("/people/keys"))
    with office.engine.begin() as conn:
        ended = api_keys.find(conn, key)
        assert ended is not None
        assert not ended.is_good(clock.now(conn))
    assert [(row.action, row.about, row.detail) for row in office.rows("audit_entry")] == [
        ("keys.made", "key", {"scopes": "subscribers:write"}), ("keys.revoked", "key", {})
    ]  # fmt: skip


@on_sqlite
@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"name": "", "scope": "consent:read", "days": ""}, "Bitte einen Namen in einer Zeile"),
        ({"name": "Shop", "days": ""}, "was das Programm darf"),
    ],
)
def test_a_key_needs_a_name_and_something_that_it_may(
    office: Office, admin: Browser, data: dict[str, str], says: str
) -> None:
    answer = admin.post("/people/keys/new", data)
    assert (answer.status_code, says in text_of(answer)) == (422, True)
    assert office.rows("api_key") == []


def test_an_endpoint_is_entered_tried_paused_and_taken_away(office: Office, admin: Browser) -> None:
    maria = office.subscribe("maria@example.com")
    made = admin.post("/people/webhooks/new", {"url": INSIDE, "kind": ["consent.ended"]})
    assert shown(made.text, "secret").startswith("whsec_")
    one = "/people/webhooks/1"
    assert shown(made.text, "secret") not in admin.get(one).text
    tried = admin.post(f"{one}/test")
    assert tried.status_code == 422
    assert "Die Probe kam nicht an" in text_of(tried)
    assert "127.0.0.1 führt in ein inneres Netz (127.0.0.1)." in text_of(tried)
    with office.engine.begin() as conn:
        consent.withdraw(conn, maria, list(Topic), Evidence("letter"), clock.now(conn))
        conn.execute(update(webhook_message).values(state="given-up", due_at=None, ended_at=clock.now(conn)))
    assert "aufgegebene noch einmal senden" in text_of(admin.get(one))
    assert admin.post(f"{one}/replay").status_code == 303
    assert {row.state for row in office.rows("webhook_message")} == {"waiting"}
    assert admin.post(f"{one}/off").status_code == 303
    refused = admin.post(f"{one}/test")
    assert (refused.status_code, "Schalten Sie ihn zuerst ein" in text_of(refused)) == (422, True)
    assert admin.post(f"{one}/on").status_code == 303
    waiting = len(office.rows("webhook_message"))
    assert f"auch nicht die {waiting} Meldungen" in text_of(admin.get(f"{one}/remove"))
    assert admin.post(f"{one}/remove").status_code == 303
    assert office.rows("webhook_endpoint") == office.rows("webhook_message") == []
    assert "secret-of-theirs" not in repr(office.rows("audit_entry"))


@on_sqlite
def test_the_address_of_a_receiver_may_be_a_secret_of_its_own(office: Office, admin: Browser) -> None:
    admin.post("/people/webhooks/new", {"url": INSIDE, "kind": ["consent.ended"]})
    officer = office.browser_of(Role.DATA_PROTECTION)
    assert "secret-of-theirs" in admin.get("/people/webhooks/1").text
    assert "secret-of-theirs" not in officer.get("/people/webhooks/1").text + officer.get("/people/webhooks").text


@on_sqlite
@pytest.mark.parametrize("url", ["", "http://shop.example.de", "https://a:b@shop.example.de", "shop.example.de"])
def test_what_is_no_address_of_a_receiver_is_said_beside_its_field(office: Office, admin: Browser, url: str) -> None:
    answer = admin.post("/people/webhooks/new", {"url": url, "kind": ["consent.ended"]})
    assert (answer.status_code, "keine Adresse, die mit https beginnt" in text_of(answer)) == (422, True)
    assert "wovon es erfahren soll" in text_of(admin.post("/people/webhooks/new", {"url": INSIDE}))
    assert office.rows("webhook_endpoint") == []
