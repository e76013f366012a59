"""`dispatcher consent verify`, `checkpoint` and `public-key`, as an operator calls them."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, delete, select, text, update
from structlog.testing import capture_logs

from dispatcher.cli import chain
from dispatcher.db import clock
from dispatcher.db.tables import consent_chain, consent_checkpoint, consent_event, subscription
from dispatcher.domain import consent
from dispatcher.domain.proof import checkpoints, seal
from dispatcher.domain.proof.walk import Wrong
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import notary
from dispatcher.settings import Settings, load
from tests.cli.conftest import Run
from tests.domain.ledgers import append, by_hand, fill
from tests.journeys.house import wait_for
from tests.test_database import revise


@pytest.fixture
def people(engine: Engine, keyring: Keyring) -> list[int]:
    return fill(engine, keyring, now=datetime.now(UTC))


@pytest.fixture
def settings(outside: Path) -> Settings:
    return load({}, outside)


def _change(engine: Engine) -> None:
    with engine.begin() as conn:
        conn.execute(update(consent_event).where(consent_event.c.id == 4).values(language="en"))


def test_a_ledger_that_is_well_is_said_to_be(dispatcher: Run, engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        consent.forget_personal(conn, consent_event.c.subscriber_id == people[0])
    made = datetime.fromisoformat(dispatcher("consent", "checkpoint").json["at"])
    ran = dispatcher("consent", "verify")
    assert (ran.code, ran.out.splitlines()) == (
        0,
        [
            "well: 6 events, each chained to the one before; 1 checkpoint matches",
            f"newest checkpoint of ours: {made:%Y-%m-%d %H:%M:%S} UTC; 0 events since are not signed yet",
            "3 of them without personal fields, as erasure and retention leave them",
            "3 of those are of people with an address, and neither old nor of a request that was let go of",
        ],
    )
    said = dispatcher("consent", "verify", "--json").json
    assert (said["well"], said["events"], said["blanked"], said["blanked_early"], said["checkpoints"]) == (
        True,
        6,
        3,
        3,
        1,
    )


@pytest.mark.both_databases
def test_a_broken_ledger_is_named_with_event_person_time_and_cure(
    dispatcher: Run, engine: Engine, people: list[int]
) -> None:
    _change(engine)
    what, cure = dispatcher("consent", "verify").error
    with engine.connect() as conn:
        at = conn.execute(select(consent_event.c.at).where(consent_event.c.id == 4)).scalar_one()
    assert what == (
        f"the consent ledger is broken at event 4 of person {people[1]}, {at:%Y-%m-%d %H:%M:%S} UTC, changed: "
        "it is not what was written, or not where it stood"
    )
    assert "compare with a backup" in cure
    ran = dispatcher("consent", "verify", "--json")
    [broken] = ran.json["broken"]
    assert (ran.code, broken["event"], broken["wrong"]) == (1, 4, "changed")


def test_a_ledger_made_anew_is_found_by_a_checkpoint_kept_elsewhere(
    dispatcher: Run, engine: Engine, people: list[int], outside: Path
) -> None:
    elsewhere = outside / "elsewhere.jsonl"
    printed = dispatcher("consent", "checkpoint", "-o", elsewhere).out
    dispatcher("consent", "checkpoint", "-o", elsewhere)
    assert elsewhere.read_text().split()[0] == printed.strip()
    assert (outside / "var" / notary.FILE).read_text() == elsewhere.read_text()
    assert dispatcher("consent", "verify", "--checkpoint", elsewhere).code == 0
    _make_anew(engine, people)
    what, _ = dispatcher("consent", "verify").error  # by the file that lies in var/
    assert "checkpoint does not match" in what
    (outside / "var" / notary.FILE).unlink()
    assert dispatcher("consent", "verify").code == 0
    what, _ = dispatcher("consent", "verify", "--checkpoint", elsewhere).error
    assert "checkpoint does not match" in what


def _make_anew(engine: Engine, people: list[int]) -> None:
    """Do what somebody does who may write and has the time: all of it anew, and whole in itself."""
    by_hand(engine, *map(delete, (subscription, consent_event, consent_chain, consent_checkpoint)))
    with engine.begin() as conn:
        append(conn, people, 6, now=datetime.now(UTC))


def test_a_ledger_that_is_gone_while_subscriptions_stand_is_missed(
    dispatcher: Run, engine: Engine, people: list[int]
) -> None:
    by_hand(engine, delete(consent_event), delete(consent_chain))
    ran = dispatcher("consent", "verify", "--json")
    assert (ran.code, ran.json["broken"][0]["wrong"]) == (1, "missing")


def test_every_finding_is_listed_with_its_cure_once(dispatcher: Run, engine: Engine, people: list[int]) -> None:
    with engine.begin() as conn:
        conn.execute(update(consent_event).where(consent_event.c.id.in_([2, 5])).values(language="en"))
    ran = dispatcher("consent", "verify")
    assert (ran.code, ran.out) == (1, "")
    assert [line.split(" of person")[0] for line in ran.err.splitlines()] == [
        "error: the consent ledger is broken at event 2",
        f"  cure: {chain._CURES[Wrong.CHANGED]}",
        "error: the consent ledger is broken at event 5",
    ]


def test_a_checkpoint_of_an_earlier_key_needs_that_key(
    dispatcher: Run, people: list[int], outside: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher("consent", "checkpoint")
    old = outside / "old.pem"
    old.write_text(dispatcher("consent", "public-key").out)
    seal.make(outside / "new.pem")
    monkeypatch.setenv("DISPATCHER_SEAL_KEY", str(outside / "new.pem"))
    what, cure = dispatcher("consent", "verify").error
    assert "checkpoint is not signed by us" in what
    assert "--public-key" in cure
    assert dispatcher("consent", "verify", "--public-key", old).code == 0
    settings.seal_key.unlink()
    monkeypatch.delenv("DISPATCHER_SEAL_KEY")
    assert dispatcher("consent", "verify", "--public-key", old).code == 0  # without any private key


def test_a_key_that_is_lost_is_missed_and_no_other_made(
    dispatcher: Run, people: list[int], outside: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dispatcher("consent", "verify").code == 0
    assert "is not there" in dispatcher("consent", "public-key").error[0]
    assert not settings.seal_key.exists()
    dispatcher("consent", "checkpoint")
    settings.seal_key.unlink()
    what, cure = dispatcher("consent", "checkpoint").error
    assert (
        what
        == f"DISPATCHER_SEAL_KEY: {settings.seal_key} is not there, but a key has signed checkpoints of this ledger"
    )
    assert "name the file with that key" in cure
    monkeypatch.setenv("DISPATCHER_SEAL_KEY", str(outside / "named.pem"))
    what, cure = dispatcher("consent", "checkpoint").error
    assert (what, "openssl genpkey" in cure) == (f"DISPATCHER_SEAL_KEY: {outside / 'named.pem'} is not there", True)
    assert not settings.seal_key.exists()
    assert not (outside / "named.pem").exists()


def test_the_public_key_is_printed_and_the_private_one_kept(dispatcher: Run, settings: Settings) -> None:
    made = seal.make(settings.seal_key)
    ran = dispatcher("consent", "public-key")
    assert ran.out.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert stat.S_IMODE(settings.seal_key.stat().st_mode) == 0o600
    assert seal.verify(ran.out, b"x", made.sign(b"x"))


def test_the_doctor_says_whose_key_signs_and_who_can_read_it(
    dispatcher: Run, people: list[int], settings: Settings
) -> None:
    def says() -> tuple[bool, str]:
        [part] = [part for part in dispatcher("doctor", "--json").json["parts"] if part["part"] == "seal"]
        return part["well"], part["says"]

    assert says() == (True, "no key yet: the first checkpoint or dossier makes it")
    assert not settings.seal_key.exists()
    dispatcher("consent", "checkpoint")
    settings.seal_key.chmod(0o640)
    assert says()[1].endswith(f"; others than its owner can read {settings.seal_key}")
    settings.seal_key.unlink()
    assert says() == (
        False,
        f"DISPATCHER_SEAL_KEY: {settings.seal_key} is not there, but a key has signed checkpoints of this ledger",
    )


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
    assert dispatcher("consent", "verify", "--public-key", other).error[0] == f"{other}: holds no public key in PEM"


def test_a_line_that_broke_off_spoils_no_other(
    dispatcher: Run, engine: Engine, people: list[int], outside: Path
) -> None:
    elsewhere = outside / "elsewhere.jsonl"
    dispatcher("consent", "checkpoint", "-o", elsewhere)
    with elsewhere.open("a") as file:
        file.write('{"at":"2026')
    dispatcher("consent", "checkpoint", "-o", elsewhere)
    with elsewhere.open("a") as file:
        file.write("[" * 200_000)
    ran = dispatcher("consent", "verify", "--checkpoint", elsewhere)
    assert (ran.code, "checkpoints match" in ran.out or "1 checkpoint matches" in ran.out) == (0, True)
    said = [f"line {n} of {elsewhere} is no checkpoint; a write may have broken off there" for n in (3, 5)]
    assert ran.err.splitlines() == said


@pytest.mark.both_databases
def test_after_a_restore_the_loss_is_acknowledged_once_and_said_ever_after(
    dispatcher: Run, engine: Engine, people: list[int], outside: Path
) -> None:
    now = datetime.now(UTC)
    with engine.begin() as conn:
        append(conn, people, 2, now=now)
    dispatcher("consent", "checkpoint")
    assert "nothing to acknowledge" in dispatcher("consent", "acknowledge").error[1]
    with engine.connect() as conn:
        six = conn.execute(select(consent_event.c.chain_hash).where(consent_event.c.id == 6)).scalar_one()
        events = conn.execute(select(consent_event.c.subscriber_id).order_by(consent_event.c.id)).all()
    assert len(events) == 8
    by_hand(  # a restore to the time of event 6: the file of checkpoints is newer
        engine,
        delete(consent_event).where(consent_event.c.id > 6),
        delete(consent_checkpoint),
        delete(subscription),
        update(consent_chain).values(events=6, last_id=6, head=six),
    )
    with engine.begin() as conn:
        append(conn, people, 5, now=now)
    assert "checkpoint does not match" in dispatcher("consent", "verify").error[0]
    ran = dispatcher("consent", "acknowledge")
    assert (ran.code, "later than event 7" in ran.out) == (0, True)
    ran = dispatcher("consent", "verify")
    assert (ran.code, "what was signed later than event 7 was lost by a restore" in ran.out) == (0, True)
    _change(engine)
    assert dispatcher("consent", "verify", "--json").json["broken"][0]["event"] == 4
    assert "at event 4" in dispatcher("consent", "acknowledge").error[0]


def test_a_worker_makes_checkpoints_by_itself_and_none_of_nothing(
    engine: Engine, keyring: Keyring, settings: Settings
) -> None:
    assert notary.step(engine, settings) is None
    assert not settings.seal_key.exists()
    people = fill(engine, keyring)
    made = notary.step(engine, settings)
    assert made is not None
    assert notary.step(engine, settings) is None
    _age_checkpoints(engine, settings)
    with engine.begin() as conn:
        append(conn, people, 1)
    again = notary.step(engine, settings)
    assert again is not None
    assert (made.events, again.events) == (6, 7)
    points, torn = checkpoints.parse((settings.var / notary.FILE).read_text())
    assert ([point.events for point in points], torn) == ([6, 7], [])
    key = seal.load(settings.seal_key)
    assert key is not None
    assert all(point.is_signed_by([key.public_pem]) for point in points)


def _age_checkpoints(engine: Engine, settings: Settings) -> None:
    """Let more than an hour go by since each was made."""
    key = seal.load(settings.seal_key)
    assert key is not None
    with engine.begin() as conn:
        earlier = clock.now(conn) - timedelta(hours=1, seconds=1)
        points = list(checkpoints.kept(conn))
        conn.execute(delete(consent_checkpoint))
        for point in points:
            bare = replace(point, at=earlier.strftime("%Y-%m-%dT%H:%M:%SZ"))
            signature = base64.b64encode(key.sign(bare.signed)).decode()
            checkpoints.keep(conn, replace(bare, signature=signature))


@pytest.mark.both_databases
def test_of_two_workers_who_come_at_once_one_makes_the_checkpoint(
    engine: Engine, keyring: Keyring, settings: Settings
) -> None:
    fill(engine, keyring)
    with ThreadPoolExecutor(2) as threads:
        with engine.begin() as conn:  # meanwhile nobody can keep one, but everybody sees that one is due
            if engine.dialect.name == "postgresql":
                conn.execute(text("LOCK TABLE consent_checkpoint IN SHARE MODE"))
            steps = [threads.submit(notary.step, engine, settings) for _ in range(2)]
            wait_for(lambda: _lines(settings) == 2, "both to write their line")
            wait_for(lambda: _waiting(engine) == 2 or all(each.done() for each in steps), "both to wait")
        made = [each.result() for each in steps]
    assert sorted(each is None for each in made) == [False, True]
    with engine.connect() as conn:
        assert len(list(checkpoints.kept(conn))) == 1


def _lines(settings: Settings) -> int:
    path = settings.var / notary.FILE
    return len(path.read_text().split()) if path.exists() else 0


def _waiting(engine: Engine) -> int:
    if engine.dialect.name == "sqlite":
        return 2  # it has one writer, so whoever comes later waits
    with engine.connect() as conn:
        return int(conn.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def test_a_checkpoint_that_cannot_be_made_stops_nothing_and_the_log_says_why(
    engine: Engine, keyring: Keyring, settings: Settings
) -> None:
    fill(engine, keyring)
    (settings.var / notary.FILE).mkdir(parents=True)
    each_minute = notary.Notary(engine, settings)
    with capture_logs() as logged:
        assert each_minute.step() is None
        assert each_minute.step() is None  # not at once again
    assert [(entry["event"], "cannot be written" in entry["what"]) for entry in logged] == [("checkpoint.failed", True)]
    with engine.connect() as conn:
        assert list(checkpoints.kept(conn)) == []
    (settings.var / notary.FILE).rmdir()
    settings.seal_key.chmod(0o644)
    with capture_logs() as logged:
        assert notary.Notary(engine, settings).step() is not None
    assert [entry["event"] for entry in logged] == ["seal.exposed", "checkpoint.made"]


def test_help_shows_examples(dispatcher: Run) -> None:
    for name in ("verify", "checkpoint", "acknowledge", "public-key"):
        assert f"dispatcher consent {name}" in dispatcher("consent", name, "--help").out


@pytest.mark.both_databases
def test_events_from_before_the_chain_are_chained_by_the_upgrade_and_said_to_be(
    dispatcher: Run, engine: Engine, people: list[int]
) -> None:
    by_hand(engine, delete(subscription), delete(consent_event).where(consent_event.c.id == 2))
    with engine.begin() as conn:  # as an older version left them: unchained, with a gap
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
    assert dispatcher("consent", "verify", "--json").json["broken"][0]["event"] == 4
