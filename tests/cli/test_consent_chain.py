"""`dispatcher consent verify`, `checkpoint` and `public-key`, as an operator calls them."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, delete, text, update
from structlog.testing import capture_logs

from dispatcher.db import clock
from dispatcher.db.tables import consent_chain, consent_checkpoint, consent_event, subscription
from dispatcher.domain import checkpoints, consent, seal
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import notary
from dispatcher.settings import Settings, load
from tests.cli.conftest import Run
from tests.domain.ledgers import append, fill
from tests.test_database import revise


@pytest.fixture
def people(engine: Engine, keyring: Keyring) -> list[int]:
    return fill(engine, keyring)


@pytest.fixture
def settings(outside: Path) -> Settings:
    return load({}, outside)


def _change(engine: Engine) -> None:
    with engine.begin() as conn:
        conn.execute(update(consent_event).where(consent_event.c.id == 4).values(source="another form"))


def test_a_ledger_that_is_well_is_said_to_be(dispatcher: Run, engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        consent.forget_personal(conn, consent_event.c.subscriber_id == people[0])
    dispatcher("consent", "checkpoint")
    ran = dispatcher("consent", "verify")
    assert (ran.code, ran.out.splitlines()) == (
        0,
        [
            "well: 6 events, each chained to the one before; 1 checkpoints match",
            "3 of them without personal fields, as erasure and retention leave them",
        ],
    )
    said = dispatcher("consent", "verify", "--json").json
    assert (said["well"], said["events"], said["blanked"], said["checkpoints"]) == (True, 6, 3, 1)


def test_a_broken_ledger_is_named_with_event_person_time_and_cure(
    dispatcher: Run, engine: Engine, people: list[int]
) -> None:
    _change(engine)
    what, cure = dispatcher("consent", "verify").error
    assert what == (
        f"the consent ledger is broken at event 4 of person {people[1]}, 2026-11-23 09:00:01 UTC, changed: "
        "it is not what was written"
    )
    assert "compare with a backup" in cure
    ran = dispatcher("consent", "verify", "--json")
    assert (ran.code, ran.json["broken"]["event"], ran.json["broken"]["wrong"]) == (1, 4, "changed")


def test_a_ledger_made_anew_is_found_by_a_checkpoint_kept_elsewhere(
    dispatcher: Run, engine: Engine, people: list[int], outside: Path
) -> None:
    elsewhere = outside / "elsewhere.jsonl"
    printed = dispatcher("consent", "checkpoint", "-o", elsewhere).out
    dispatcher("consent", "checkpoint", "-o", elsewhere)
    assert elsewhere.read_text().splitlines()[0] == printed.strip()
    assert (outside / "var" / notary.FILE).read_text() == elsewhere.read_text()
    assert dispatcher("consent", "verify", "--checkpoint", elsewhere).code == 0
    with engine.begin() as conn:  # somebody with time and the right to write: all of it anew, and whole in itself
        for table in (subscription, consent_event, consent_chain, consent_checkpoint):
            conn.execute(delete(table))
        append(conn, people, 6)
    assert dispatcher("consent", "verify").code == 0
    what, _ = dispatcher("consent", "verify", "--checkpoint", elsewhere).error
    assert "checkpoint does not match" in what


def test_a_checkpoint_of_an_earlier_key_needs_that_key(
    dispatcher: Run, people: list[int], outside: Path, settings: Settings
) -> None:
    dispatcher("consent", "checkpoint")
    old = outside / "old.pem"
    old.write_text(dispatcher("consent", "public-key").out)
    settings.seal_key.unlink()
    what, cure = dispatcher("consent", "verify").error
    assert "checkpoint is not signed by us" in what
    assert "--public-key" in cure
    assert dispatcher("consent", "verify", "--public-key", old).code == 0


def test_the_public_key_is_printed_and_the_private_one_kept(dispatcher: Run, settings: Settings) -> None:
    ran = dispatcher("consent", "public-key")
    assert ran.out.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert stat.S_IMODE(settings.seal_key.stat().st_mode) == 0o600
    signature = seal.load_or_make(settings).sign(b"x")
    assert seal.verify(ran.out, b"x", signature)


def test_an_empty_ledger_has_nothing_to_sign(dispatcher: Run) -> None:
    assert dispatcher("consent", "checkpoint").error[0] == "the ledger is empty"
    assert dispatcher("consent", "verify").code == 0


def test_files_that_hold_something_else_are_refused(dispatcher: Run, people: list[int], outside: Path) -> None:
    other = outside / "other.txt"
    assert "cannot be read" in dispatcher("consent", "verify", "--checkpoint", other).error[0]
    other.write_text("ü", encoding="utf-8")
    assert "not plain text" in dispatcher("consent", "verify", "--checkpoint", other).error[0]
    other.write_text("hello")
    assert "no checkpoint" in dispatcher("consent", "verify", "--checkpoint", other).error[0]
    assert "checkpoint is not" not in dispatcher("consent", "verify", "--public-key", other).out


def test_a_worker_makes_one_checkpoint_a_day_and_none_of_nothing(
    engine: Engine, keyring: Keyring, settings: Settings
) -> None:
    assert notary.step(engine, settings) is None
    people = fill(engine, keyring)
    made = notary.step(engine, settings)
    assert made is not None
    assert notary.step(engine, settings) is None
    with engine.begin() as conn:  # a day goes by
        conn.execute(update(consent_checkpoint).values(at=clock.now(conn) - timedelta(days=1, seconds=1)))
        append(conn, people, 1)
    again = notary.step(engine, settings)
    assert again is not None
    assert (made.events, again.events) == (6, 7)
    lines = (settings.var / notary.FILE).read_text().splitlines()
    assert [json.loads(line)["events"] for line in lines] == [6, 7]
    assert all(
        point.is_signed_by([seal.load_or_make(settings).public_pem]) for point in checkpoints.parse("\n".join(lines))
    )


def test_a_checkpoint_that_cannot_be_made_stops_nothing_and_the_log_says_why(
    engine: Engine, keyring: Keyring, settings: Settings
) -> None:
    fill(engine, keyring)
    (settings.var / notary.FILE).mkdir()
    daily = notary.Notary(engine, settings)
    with capture_logs() as logged:
        assert daily.step() is None
        assert daily.step() is None  # not at once again
    assert [(entry["event"], "cannot be written" in entry["what"]) for entry in logged] == [("checkpoint.failed", True)]
    with engine.connect() as conn:
        assert list(checkpoints.kept(conn)) == []
    (settings.var / notary.FILE).rmdir()
    assert notary.Notary(engine, settings).step() is not None


def test_help_shows_examples(dispatcher: Run) -> None:
    for name in ("verify", "checkpoint", "public-key"):
        assert f"dispatcher consent {name}" in dispatcher("consent", name, "--help").out


def test_events_from_before_the_chain_are_chained_by_the_upgrade_and_said_to_be(
    dispatcher: Run, engine: Engine, people: list[int]
) -> None:
    with engine.begin() as conn:  # as an older version left them: unchained, with a gap
        conn.execute(delete(subscription))
        conn.execute(delete(consent_event).where(consent_event.c.id == 2))
        revise(conn, command.downgrade, "0004")
        conn.execute(text("UPDATE consent_event SET chain_hash = NULL"))
    assert dispatcher("db", "upgrade").code == 0
    ran = dispatcher("consent", "verify")
    assert ran.code == 0
    assert "well: 5 events" in ran.out
    assert "the first 5 were chained at" in ran.out
    with engine.begin() as conn:
        assert append(conn, people, 1) == [7]
    assert dispatcher("consent", "verify").code == 0
    _change(engine)
    assert dispatcher("consent", "verify", "--json").json["broken"]["event"] == 4
