"""People and the never-mail list as files: what goes out comes in again as it was."""

import csv
import json
import shutil
import stat
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from dispatcher.db.engine import make_engine, reading
from dispatcher.db.tables import suppression
from dispatcher.db.terms import SuppressionReason, Topic
from dispatcher.domain import consent, exports
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.exports import Wanted
from dispatcher.domain.suppression import suppress
from tests import builders
from tests.cli.conftest import Run
from tests.stage import Stage

HEADER = "email,name,language,topics,consent_at,consent_ip,consent_source,declaration\n"
ORIGIN = ("--origin", "CRM export")
PEOPLE = [
    "maria@example.de,'=Maria,de,finance-news special-offers,2026-01-31T14:05:00+01:00,192.0.2.7,=form 3,words-2026",
    "+tag@example.de,-,en,product-news,2026-01-31T14:05:01+01:00,2001:db8::1,\"form, 4\",",
    "josef@example.de,Jörg,de,finance-news,,,,",
    "left@example.de,L,de,finance-news product-news,2026-01-31T14:05:00+01:00,,form 3,",
    "barred@example.de,B,de,finance-news,2026-01-31T14:05:00+01:00,,form 3,",
]  # fmt: skip


@pytest.fixture
def people(dispatcher: Run, stage: Stage, outside: Path) -> Stage:
    """Give a house of five people: two confirmed, one pending, one who left one of two topics, one who complained."""
    (outside / "p.csv").write_text(HEADER + "\n".join(PEOPLE) + "\n", encoding="utf-8")
    assert dispatcher("subscribers", "import", "p.csv", *ORIGIN).code == 0
    assert dispatcher("consent", "withdraw", "left@example.de", "--topic", "finance-news").code == 0
    with stage.engine.begin() as conn:
        hashed = address_hash(stage.keyring, parse_address("barred@example.de"))
        suppress(conn, [hashed], Topic.FINANCE_NEWS, SuppressionReason.COMPLAINT, "a test", builders.clock.now(conn))
    return stage


def _people(engine: Engine) -> list[dict[str, object]]:
    """Give everybody as exported, but for the words about where an import came from."""
    found = [exports.facts(p) for page in exports.pages(engine, Wanted(), size=2) for p in page]
    for person in found:
        for topic in person["topics"].values():
            topic["source"] = topic["source"].partition(" (import: ")[0]
            if topic["state"] == "pending":
                topic["since"] = topic["source"] = None  # an import makes another wish of it
    return sorted(found, key=lambda person: str(person["address"]))


@pytest.mark.both_databases
def test_what_is_exported_comes_in_again_elsewhere_as_it_was(
    dispatcher: Run, people: Stage, outside: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dispatcher("subscribers", "export", "-o", "out.csv").code == 0
    other = outside / "other.db"
    shutil.copy(sqlite_template, other)
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", f"sqlite:///{other}")
    monkeypatch.setenv("DISPATCHER_ENDINGS", str(outside / "other.jsonl"))  # another house has a file of its own
    ran = dispatcher("subscribers", "import", "out.csv", "--origin", "the old house", "--json").json
    assert (ran["format"], ran["rows"], ran["rejected"]) == ("own", 5, 0)
    again = dispatcher("subscribers", "import", "out.csv", "--origin", "the old house", "--json").json
    assert (again["confirmed"], again["pending"], again["left"], again["barred"]) == (0, 0, 0, 0)
    engine = make_engine(f"sqlite:///{other}")
    try:
        assert _people(engine) == _people(people.engine)
    finally:
        engine.dispose()


def test_a_cell_that_a_spreadsheet_would_calculate_is_guarded(dispatcher: Run, people: Stage, outside: Path) -> None:
    dispatcher("subscribers", "export", "-o", "out.csv")
    with (outside / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert not [cell for row in rows for cell in row if cell[:1] in set("=+-@\t\r")]
    assert {"''=Maria", "'+tag@example.de", "'-"} <= {cell for row in rows for cell in row}
    assert stat.S_IMODE((outside / "out.csv").stat().st_mode) == 0o600
    assert not (outside / "out.csv.part").exists()


def test_topic_and_state_choose_people(dispatcher: Run, people: Stage, outside: Path) -> None:
    dispatcher("subscribers", "export", "--topic", "finance-news", "--state", "pending", "--json", "-o", "out.jsonl")
    (line,) = (outside / "out.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["address"] == "josef@example.de"
    listed = dispatcher("subscribers", "list", "--topic", "finance-news", "--limit", "2").out
    assert "maria@example.de" in listed
    assert "2 more; `dispatcher subscribers export -o FILE` writes all of them" in listed
    said = dispatcher("subscribers", "list", "--topic", "product-news", "--json").out
    assert [json.loads(line)["address"] for line in said.splitlines()] == ["+tag@example.de", "left@example.de"]


def test_the_never_mail_list_goes_out_as_hashes_and_comes_in_again(
    dispatcher: Run, people: Stage, outside: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dispatcher("suppressions", "export", "-o", "never.csv").code == 0
    said = (outside / "never.csv").read_text("utf-8")
    assert "@" not in said
    with reading(people.engine).connect() as conn:
        before = sorted(tuple(row) for row in conn.execute(select(*list(suppression.c)[:4])))
    shutil.copy(sqlite_template, outside / "other.db")
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", f"sqlite:///{outside}/other.db")
    monkeypatch.setenv("DISPATCHER_ENDINGS", str(outside / "other.jsonl"))
    ran = dispatcher("suppressions", "import", "never.csv", *ORIGIN, "--json").json
    assert (ran["rows"], ran["new"], ran["rejected"]) == (len(before), len(before), 0)
    assert dispatcher("suppressions", "import", "never.csv", *ORIGIN, "--json").json["new"] == 0
    engine = make_engine(f"sqlite:///{outside}/other.db")
    with reading(engine).connect() as conn:
        assert sorted(tuple(row) for row in conn.execute(select(*list(suppression.c)[:4]))) == before
    engine.dispose()
    monkeypatch.setenv("DISPATCHER_SECRET_KEYS", f"k9:{'39' * 32}")
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", f"sqlite:///{outside}/third.db")
    monkeypatch.setenv("DISPATCHER_ENDINGS", str(outside / "third.jsonl"))
    shutil.copy(sqlite_template, outside / "third.db")
    assert "another secret key" in dispatcher("suppressions", "import", "never.csv", *ORIGIN).error[0]


def test_addresses_are_put_on_the_never_mail_list(dispatcher: Run, people: Stage, outside: Path) -> None:
    (outside / "a.txt").write_text("maria@example.de\nbroken\nMARIA@example.de\n", encoding="utf-8")
    dry = dispatcher("suppressions", "import", "a.txt", *ORIGIN, "--dry-run").out
    assert dry.startswith("3 rows: 1 new, 1 there already, 1 rejected\nline 2: ")
    assert dry.endswith("dry run: nothing was written\n")
    assert dispatcher("suppressions", "import", "a.txt", *ORIGIN, "--reason", "bounced").code == 0
    listed = dispatcher("suppressions", "list", "--json").json["suppressions"]
    assert {"scope": "all", "reason": "bounced", "addresses": 1} in listed
    with people.engine.begin() as conn:
        permitted = conn.execute(consent.permits_newsletter(Topic.FINANCE_NEWS)).all()
    assert permitted == []  # josef never confirmed, left@ left, barred@ complained, and maria is on the list now


@pytest.mark.both_databases
def test_many_pages_hold_everybody_once(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        ids = builders.add_people(
            conn, stage.keyring, [f"p{n}@example.de" for n in range(25)], builders.clock.now(conn)
        )
        builders.agree(conn, list(ids.values()), Topic.FINANCE_NEWS, builders.clock.now(conn))
        consent.withdraw(conn, ids["p3@example.de"], list(Topic), Evidence(source="a test"), builders.clock.now(conn))
    found = [p.address for page in exports.pages(stage.engine, Wanted(), size=4) for p in page]
    assert sorted(found) == sorted(ids)
