"""`dispatcher subscribers access`, `rectify`, `erase` and `rights`."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, event, insert, select, update
from sqlalchemy.exc import IntegrityError

from dispatcher.cli.context import Context
from dispatcher.cli.main import cli
from dispatcher.db import clock
from dispatcher.db.engine import make_engine, scrub
from dispatcher.db.tables import campaign, consent_event, rights_request, subscriber
from dispatcher.db.terms import ConsentKind, RightKind, Topic
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import rights
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused, TokenInvalid
from dispatcher.rights import serving
from dispatcher.rights.serving import Order
from dispatcher.sending import opt_in
from tests import builders
from tests.cli.conftest import Run

MARIA = "maria@example.de"


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        now = clock.now(conn)
        who = builders.add_people(conn, keyring, [MARIA], now)[MARIA]
        builders.agree(conn, [who], Topic.FINANCE_NEWS, now, ConsentKind.CONFIRMED)
    return who


def _log(dispatcher: Run) -> list[dict[str, object]]:
    requests: list[dict[str, object]] = dispatcher("subscribers", "rights", "--json").json["requests"]
    return requests


@pytest.mark.both_databases
@pytest.mark.usefixtures("maria")
def test_an_export_holds_everything_with_explanations_as_json_and_as_a_page(dispatcher: Run, outside: Path) -> None:
    ran = dispatcher("subscribers", "access", MARIA, "-o", "m.json", "--html", "m.html", "--by", "anna")
    assert ran.code == 0
    facts = json.loads((outside / "m.json").read_bytes())
    assert facts["person"]["address"] == MARIA
    assert facts["events"][0]["kind"] == "confirmed"
    assert set(facts["notice"]) >= {"purposes", "recipients", "periods", "origin", "rights", "complaint"}
    assert facts["explanation"]["events"]["fields"]["ip"] == "IP-Adresse der Anfrage"
    assert "Auskunft über Ihre gespeicherten Daten" in (outside / "m.html").read_text(encoding="utf-8")
    (asked,) = _log(dispatcher)
    assert (asked["kind"], asked["operator"], asked["outcome"]) == ("access", "anna", "everything held was exported")
    assert (
        dispatcher("subscribers", "access", MARIA, "--language", "en").json["notice"]["purposes"].startswith("To send")
    )


@pytest.mark.usefixtures("maria")
def test_an_export_that_cannot_be_written_is_not_entered_as_done(dispatcher: Run) -> None:
    assert "cannot be written" in dispatcher("subscribers", "access", MARIA, "-o", "no/folder.json").error[0]
    assert _log(dispatcher) == []


@pytest.mark.usefixtures("maria")
def test_name_and_language_are_put_right(dispatcher: Run, engine: Engine) -> None:
    ran = dispatcher("subscribers", "rectify", MARIA, "--name", " Marie Muster ", "--language", "en")
    assert ran.out == "put right: name, language\n"
    with engine.begin() as conn:
        row = conn.execute(select(subscriber)).one()
    assert (row.name, row.language) == ("Marie Muster", "en")
    assert "line break" in dispatcher("subscribers", "rectify", MARIA, "--name", "x\r\nBcc: y").error[0]
    assert [asked["outcome"] for asked in _log(dispatcher)] == ["put right: name, language"]


@pytest.mark.usefixtures("maria")
def test_a_misspelt_address_ends_at_once_and_the_right_one_is_asked_first(dispatcher: Run, engine: Engine) -> None:
    ran = dispatcher("subscribers", "rectify", MARIA, "--address", "marie@example.de", "--name", "Marie")
    assert "the right one was asked to confirm finance-news" in ran.out
    with engine.begin() as conn:
        kind, state = conn.execute(select(campaign.c.kind, campaign.c.state)).one()
        kinds = conn.execute(select(consent_event.c.kind).order_by(consent_event.c.id)).scalars().all()
        source = conn.execute(select(consent_event.c.source).order_by(consent_event.c.id.desc()).limit(1)).scalar_one()
    assert (kind, state) == ("confirmation", "scheduled")
    assert kinds == ["confirmed", "requested", "withdrawn"]
    assert source == "operator, rectification of the address on the person's request (Art. 16 GDPR)"
    new = dispatcher("subscribers", "show", "marie@example.de", "--json").json
    assert (new["name"], new["topics"]["finance-news"]["state"]) == ("Marie", "pending")
    assert not any("@" in str(asked["outcome"]) for asked in _log(dispatcher))


@pytest.mark.usefixtures("maria")
def test_the_same_address_in_another_spelling_keeps_its_consent(dispatcher: Run) -> None:
    assert "spelling" in dispatcher("subscribers", "rectify", MARIA, "--address", "Maria@Example.de").out
    shown = dispatcher("subscribers", "show", MARIA, "--json").json
    assert (shown["address"], shown["topics"]["finance-news"]["state"]) == ("Maria@example.de", "confirmed")


@pytest.mark.usefixtures("maria")
def test_nothing_changes_when_the_right_address_may_not_be_asked(
    dispatcher: Run, engine: Engine, keyring: Keyring
) -> None:
    with engine.begin() as conn:
        builders.suppress(conn, keyring, ["marie@example.de"], clock.now(conn))
    assert "never-mail list" in dispatcher("subscribers", "rectify", MARIA, "--address", "marie@example.de").error[0]
    assert dispatcher("subscribers", "show", MARIA, "--json").json["topics"]["finance-news"]["state"] == "confirmed"
    assert _log(dispatcher) == []
    assert dispatcher("subscribers", "rectify", MARIA).code == 2


@pytest.mark.usefixtures("maria")
def test_to_erase_asks_first_and_no_is_no(dispatcher: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = CliRunner().invoke(cli, ["subscribers", "erase", MARIA], input="n\n", obj=Context())
    assert ran.exit_code == 1
    assert f"Erase 1 person, {MARIA}, for good?" in ran.output
    with engine.begin() as conn:
        assert conn.execute(select(subscriber.c.address)).scalar_one() == MARIA


@pytest.mark.usefixtures("maria")
def test_a_request_that_was_entered_is_done_by_the_erasure(dispatcher: Run, engine: Engine) -> None:
    entered = dispatcher("subscribers", "rights", "add", MARIA, "--kind", "erasure", "--received", "2026-01-31")
    assert entered.out == "request 1, erasure: due on 2026-02-28\n"
    (asked,) = _log(dispatcher)
    assert asked["overdue"] is True
    assert re.search(r"erasure +2026-01-31 +2026-02-28 +\d+ overdue", dispatcher("subscribers", "rights").out)
    assert dispatcher("subscribers", "erase", MARIA, "--yes").out.startswith("erased: address and name are gone")
    (asked,) = _log(dispatcher)
    assert (asked["overdue"], asked["outcome"], asked["due_on"]) == (False, "erased", "2026-02-28")
    again = dispatcher("subscribers", "erase", MARIA, "--yes")
    assert again.out.startswith("was erased already")
    with engine.begin() as conn:
        assert MARIA not in str(conn.execute(select(rights_request)).all())


def test_what_was_done_by_letter_is_closed_in_words_without_an_address(dispatcher: Run) -> None:
    dispatcher("subscribers", "rights", "add", "tom@example.de", "--kind", "access")
    assert (
        "holds an @" in dispatcher("subscribers", "rights", "close", 1, "--outcome", "wrote to tom@example.de").error[0]
    )
    assert dispatcher("subscribers", "rights", "close", 1, "--outcome", "answered by letter", "--by", "anna").code == 0
    assert "no request 1 is open" in dispatcher("subscribers", "rights", "close", 1, "--outcome", "x").error[0]
    assert "future" in dispatcher(
        "subscribers", "rights", "add", "tom@example.de", "--kind", "access", "--received", "2999-01-01"
    ).error[0]  # fmt: skip


def test_the_doctor_names_requests_that_are_overdue(dispatcher: Run, engine: Engine) -> None:
    dispatcher("subscribers", "rights", "add", "tom@example.de", "--kind", "access")
    with engine.begin() as conn:
        yesterday = clock.now(conn).date() - timedelta(days=2)
        conn.execute(update(rights_request).values(due_on=yesterday))
    (found,) = [part for part in dispatcher("doctor", "--json").json["parts"] if part["part"] == "rights"]
    assert found["well"] is False
    assert found["says"] == f"1 request is overdue, the oldest since {yesterday}"
    assert found["cure"] == "see: dispatcher subscribers rights"


@pytest.mark.parametrize("command", ["access", "erase", "rectify"])
def test_of_an_unknown_address_each_command_says_so(dispatcher: Run, command: str) -> None:
    more = ["--yes"] if command == "erase" else ["--name", "x"] if command == "rectify" else []
    assert "nobody here has the address" in dispatcher("subscribers", command, "tom@example.de", *more).error[0]


@pytest.mark.usefixtures("maria")
@pytest.mark.parametrize("more", [["--name", "Maria"], ["--language", "en"], ["--address", "m@example.de"]])
def test_nothing_is_written_into_what_was_erased(dispatcher: Run, engine: Engine, more: list[str]) -> None:
    dispatcher("subscribers", "erase", MARIA, "--yes")
    what, cure = dispatcher("subscribers", "rectify", MARIA, *more).error
    assert what == "this person's address is gone: they were erased, or have left"
    assert cure == "let them sign up anew"
    with engine.begin() as conn:
        row = conn.execute(select(subscriber)).one()
    assert (row.address, row.name, row.language) == (None, "", "de")


def test_a_misspelt_address_loses_the_links_that_were_sent_to_it(
    dispatcher: Run, engine: Engine, keyring: Keyring
) -> None:
    dispatcher("subscribers", "add", MARIA, "--topic", "finance-news", "--source", "by phone")
    with engine.begin() as conn:
        now = clock.now(conn)
        token = opt_in.asked(conn, 1, keyring, "https://news.example.de").confirm_url.rpartition("/")[2]
        assert opt_in.find(conn, token, now).address == MARIA
    assert dispatcher("subscribers", "rectify", MARIA, "--address", "marie@example.de").code == 0
    with engine.begin() as conn, pytest.raises(TokenInvalid):
        opt_in.find(conn, token, now)


def test_who_asked_twice_is_served_once(dispatcher: Run) -> None:
    for _ in range(2):
        dispatcher("subscribers", "rights", "add", MARIA, "--kind", "access")
    dispatcher("subscribers", "add", MARIA, "--topic", "finance-news", "--source", "by phone")
    dispatcher("subscribers", "access", MARIA, "-o", "m.json")
    assert [asked["outcome"] for asked in _log(dispatcher)] == ["everything held was exported"] * 2


@pytest.mark.usefixtures("maria")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_erasure_is_done_though_somebody_writes_for_longer_than_its_scrubbing_waits(
    engine: Engine, keyring: Keyring, database_url: str
) -> None:
    impatient = make_engine(database_url)

    @event.listens_for(impatient, "checkout")
    def _impatient(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA busy_timeout=1")

    with engine.begin():  # a writer that stays
        assert scrub(impatient) is False
    order = Order(parse_address(MARIA), None, "anna")
    assert serving.erase(engine, keyring, order).is_clean is True
    assert serving.erase(engine, keyring, order).outcome == "was erased already"


def test_a_request_is_put_off_once_by_two_months_and_in_time(dispatcher: Run, engine: Engine) -> None:
    dispatcher("subscribers", "rights", "add", MARIA, "--kind", "access")
    with engine.begin() as conn:
        received = datetime(2026, 12, 31, 12, 0, tzinfo=UTC)
        number = rights.enter(conn, RightKind.ACCESS, b"h" * 32, received)
        in_time = received + timedelta(days=20)
        extended = rights.extend(conn, number, " many at once ", in_time)
        assert (extended.due_on, extended.extension_reason) == (date(2027, 3, 31), "many at once")
        with pytest.raises(InputRefused, match="extended before"):
            rights.extend(conn, number, "once more", in_time)
        late = rights.enter(conn, RightKind.ACCESS, b"h" * 32, received)
        with pytest.raises(InputRefused, match="its month is over"):
            rights.extend(conn, late, "too late", received + timedelta(days=40))
    ran = dispatcher("subscribers", "rights", "extend", 1, "--reason", "fourteen came in at once")
    assert "tell the person" in ran.out
    assert "holds an @" in dispatcher("subscribers", "rights", "extend", 1, "--reason", "a@example.de").error[0]
    assert "reason is empty" in dispatcher("subscribers", "rights", "extend", 1, "--reason", " ").error[0]
    assert "no request 9 is open" in dispatcher("subscribers", "rights", "extend", 9, "--reason", "x").error[0]
    assert "fourteen came in at once" in [asked["extension_reason"] for asked in _log(dispatcher)]


def test_a_request_does_not_end_in_no_words(dispatcher: Run, engine: Engine) -> None:
    dispatcher("subscribers", "rights", "add", MARIA, "--kind", "access")
    assert "the outcome is empty" in dispatcher("subscribers", "rights", "close", 1, "--outcome", "  ").error[0]
    with pytest.raises(IntegrityError), engine.begin() as conn:
        conn.execute(update(rights_request).values(done_at=clock.now(conn), outcome=""))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # a thousand lines are slow to set
def test_more_requests_than_are_listed_are_said_to_be_more(dispatcher: Run, engine: Engine) -> None:
    with engine.begin() as conn:
        now = clock.now(conn)
        row = {"kind": "access", "address_hash": b"h" * 32, "received_at": now, "due_on": now.date()}
        conn.execute(insert(rights_request), [row] * rights.LISTED)
    assert "only 1000 are shown" in dispatcher("subscribers", "rights").out
    assert dispatcher("subscribers", "rights", "--json").json["is_cut"] is True
