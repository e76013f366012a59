"""`dispatcher people`: accounts of the staff from the command line, and what the audit log says of it."""

import getpass

from sqlalchemy import Engine, select

from dispatcher.db import clock
from dispatcher.db.tables import audit_entry
from dispatcher.domain.staff import invitations, members
from tests.cli.conftest import Run

ANNA = ("anna@example.de", "--name", "Anna Beispiel", "--role", "admin")


def test_an_account_is_made_shown_changed_switched_off_and_on_again(dispatcher: Run, engine: Engine) -> None:
    made = dispatcher("people", "create", *ANNA, "--json").json
    assert made["link"].startswith("https://news.example.de/console/invitation/")
    dispatcher("people", "create", "Paul@Example.de", "--name", "Paul Neu", "--role", "viewer", "--language", "en")
    assert dispatcher("people", "role", "paul@example.de", "editor", "--json").json["role"] == "editor"
    assert dispatcher("people", "off", "paul@example.de", "--json").json["state"] == "off"
    (anna, paul) = dispatcher("people", "list", "--json").json["people"]
    assert (anna["state"], anna["second_factor"], paul["state"]) == ("invited", False, "off")
    assert dispatcher("people", "reset", "paul@example.de").error == (
        "the account of paul@example.de is switched off",
        "first: dispatcher people on",
    )
    assert "can log in again" in dispatcher("people", "on", "paul@example.de").out
    assert "/console/invitation/" in dispatcher("people", "reset", "paul@example.de").out
    assert "Anna Beispiel" in dispatcher("people", "list").out
    with engine.begin() as conn:
        entries = conn.execute(select(audit_entry).order_by(audit_entry.c.id)).all()
    did = ["invited", "invited", "role", "off", "on", "link"]
    assert [entry.action for entry in entries] == [f"people.{what}" for what in did]
    assert {(entry.actor, entry.actor_name) for entry in entries} == {("operator", getpass.getuser())}


def test_what_cannot_be_done_is_said_with_the_cure(dispatcher: Run, engine: Engine) -> None:
    dispatcher("people", "create", *ANNA)
    assert dispatcher("people", "create", *ANNA).error[0] == "there is an account with this address"
    assert dispatcher("people", "off", "x@example.de").error[1] == "`dispatcher people list` shows all of them"
    with engine.begin() as conn:
        members.set_password_hash(conn, 1, "x")
    assert dispatcher("people", "off", "anna@example.de").error == (
        "this is the last administrator who can log in",
        "make somebody else administrator first",
    )


def test_the_link_of_a_reset_is_the_only_one_that_is_good(dispatcher: Run, engine: Engine) -> None:
    links = [dispatcher("people", "create", *ANNA, "--json").json["link"]]
    links.append(dispatcher("people", "reset", "anna@example.de", "--json").json["link"])
    with engine.begin() as conn:
        found = [invitations.find(conn, link.rpartition("/")[2], clock.now(conn)) for link in links]
    assert [one is not None for one in found] == [False, True]
