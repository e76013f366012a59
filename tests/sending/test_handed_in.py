"""Files that are handed in: looked at, taken in, killed in the middle, let go of."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.tables import (
    consent_event,
    import_run,
    opt_in_request,
    subscriber,
    subscription,
    suppression,
    upload,
)
from dispatcher.db.terms import SuppressionReason, Topic, UploadState
from dispatcher.domain import periods, retention, uploads
from dispatcher.domain import suppression as never
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.imports import Fate, Instructions, writing
from dispatcher.domain.retention import Step
from dispatcher.errors import MoveRefused
from dispatcher.sending.handed_in import orders, work
from dispatcher.sending.house import keyring
from dispatcher.worker import intake
from tests.databases import emptied
from tests.journeys.house import wait_for
from tests.processes import FORKS, Forked
from tests.sending.handing_in import HEADER, PROOF, Counter, environ_of, held_worker, settings_of

_S = UploadState
CHUNK, ROWS = 700, 3_000


@pytest.fixture
def counter(engine: Engine, database_url: str, tmp_path: Path) -> Counter:
    return Counter(engine, settings_of(database_url, tmp_path))


def many(rows: int = ROWS) -> str:
    """Give a file with rows of each kind."""
    lines = []
    for n in range(rows):
        if n % 10 == 3:
            lines.append(f"p{n}@example.de,,,finance-news special-offers,,,,")
        elif n % 100 == 7:
            lines.append(f"broken {n},,,finance-news,,,,")
        elif n % 100 == 8:
            lines.append(f"P{n // 2}@example.de,,,finance-news,{PROOF}")  # named in an earlier row
        else:
            lines.append(f"p{n}@example.de,Maria,de,finance-news,{PROOF}")
    return HEADER + "\n".join(lines) + "\n"


def left_behind(engine: Engine) -> dict[str, Any]:
    """Give all that an import leaves, apart from ids and moments of writing."""
    s, t, e, u, r = subscriber.c, subscription.c, consent_event.c, upload.c, import_run.c
    with reading(engine).connect() as conn:
        return {
            "stands": conn.execute(
                select(s.address, t.topic, t.state)
                .join_from(subscription, subscriber, t.subscriber_id == s.id)
                .order_by(s.address, t.topic)
            ).all(),
            "events": conn.execute(
                select(s.address, e.topic, e.kind, e.given_at, e.source, e.ip)
                .join_from(consent_event, subscriber, e.subscriber_id == s.id)
                .order_by(s.address, e.topic, e.kind)
            ).all(),
            "runs": conn.execute(select(r.counts, r.rows_done, r.finished_at.is_(None))).all(),
            "files": conn.execute(select(u.counts, u.looked, u.state, u.octets_done)).all(),
        }  # fmt: skip


def test_a_worker_that_is_killed_in_the_middle_leaves_the_file_to_the_next_and_all_ends_as_without_the_kill(
    counter: Counter, database_url: str, tmp_path: Path, sqlite_template: Path
) -> None:
    number = counter.hand_in(many())
    counter.work()
    assert counter.see(number).state is _S.LOOKED
    counter.start(number)
    events = FORKS.Event(), FORKS.Event()
    killed = Forked(held_worker, environ_of(database_url, tmp_path), "the killed one", CHUNK, events)
    assert events[0].wait(60)
    killed.kill()
    counter.work()  # nothing happens: the killed one holds the file until its lease ends
    assert counter.see(number).state is _S.IMPORTING
    assert sum(counter.see(number).counts[fate] for fate in Fate) == CHUNK
    work.release(counter.engine, "the killed one", is_dead=True)  # as the watcher does, whose child it was
    counter.work()
    rejects = counter.place.shelf.rejects(counter.see(number).stored).read_text("utf-8-sig")
    found = left_behind(counter.engine)
    assert found["runs"][0][0]["confirmed"] > 2000
    assert len(rejects.splitlines()) == 1 + found["runs"][0][0]["rejected"]

    emptied(counter.engine, sqlite_template)
    other = counter.hand_in(many())
    counter.work()
    counter.start(other)
    counter.work()
    assert counter.see(other).state is _S.IMPORTED
    assert left_behind(counter.engine) == found


def test_a_lease_that_is_over_lets_the_next_worker_go_on_and_the_former_writes_nothing_more(counter: Counter) -> None:
    number = counter.hand_in(HEADER + f"maria@example.de,,,finance-news,{PROOF}\n")
    with counter.engine.begin() as conn:
        former = uploads.claim(conn, "former", clock.now(conn))
        assert former is not None
        assert uploads.claim(conn, "too early", clock.now(conn)) is None
    with counter.engine.begin() as conn:
        later = clock.now(conn) + uploads.LEASE
        assert uploads.is_due(conn, later)
        assert uploads.claim(conn, "next", later) is not None
    for write in (
        lambda conn, now: uploads.advance(conn, former, 1, {}, now),
        lambda conn, now: uploads.finish(conn, former, {}, now),
        lambda conn, now: uploads.fail(conn, former, "what", "cure", now),
        lambda conn, now: uploads.recognise(conn, former, None, None),
    ):
        with pytest.raises(uploads.Overtaken), counter.engine.begin() as conn:
            write(conn, clock.now(conn))
    work.release(counter.engine, "next", is_dead=False)
    counter.work()
    assert counter.see(number).state is _S.LOOKED


def test_a_dry_run_counts_what_the_import_does_and_who_left_stays_away(counter: Counter) -> None:
    with counter.engine.begin() as conn:
        barred = address_hash(keyring(counter.settings), parse_address("never@example.de"))
        never.suppress(conn, [barred], None, SuppressionReason.COMPLAINT, "a letter", clock.now(conn))
    left = counter.hand_in(
        "email\nleft@example.de\n", how=Instructions(topics=(Topic.FINANCE_NEWS,), everybody_left=True)
    )
    counter.work()
    counter.start(left)
    number = counter.hand_in(
        HEADER + f"left@example.de,,,finance-news,{PROOF}\nnever@example.de,,,finance-news,{PROOF}\n"
        f"maria@example.de,,,finance-news,{PROOF}\nnew@example.de,,,finance-news,,,,\nbroken,,,finance-news,,,,\n",
        confirm=True,
    )
    counter.work()
    looked = counter.see(number)
    assert (looked.state, looked.octets_done) == (_S.LOOKED, looked.octets)
    expected = {"confirmed": 1, "pending": 1, "withdrawn": 1, "suppressed": 1, "rejected": 1}
    assert {name: looked.counts[name] for name in expected} == expected
    with reading(counter.engine).connect() as conn:
        assert conn.execute(select(func.count()).select_from(subscriber)).scalar_one() == 0  # nothing is written
    counter.start(number)
    counter.work()
    taken = counter.see(number)
    assert (taken.state, taken.looked) == (_S.IMPORTED, looked.counts)
    assert taken.counts == {**looked.counts, "asked_to_confirm": 1}
    with reading(counter.engine).connect() as conn:
        assert conn.execute(select(func.count()).select_from(opt_in_request)).scalar_one() == 1
        run = conn.execute(select(import_run.c.by, import_run.c.file).where(import_run.c.id == taken.run_id)).one()
        assert tuple(run) == ("Anna Beispiel", "people.csv")
    assert counter.lying == sorted(f"{counter.see(each).stored}.rejects" for each in (left, number))


def test_a_file_that_cannot_be_read_says_why_and_is_looked_at_once_more_read_otherwise(counter: Counter) -> None:
    number = counter.hand_in("E-Mail;Vorname\nmaria@example.de;Maria\n")
    counter.work()
    failed = counter.see(number)
    assert failed.state is _S.FAILED
    assert failed.problem == "the header lacks the column email and topics"
    assert failed.columns == {"header": ["E-Mail", "Vorname"], "at": {}}
    with pytest.raises(MoveRefused):
        counter.start(number)
    how = orders.people(
        Instructions(columns={"email": "E-Mail", "name": "Vorname"}, topics=(Topic.FINANCE_NEWS,)), confirm=False
    )
    with counter.engine.begin() as conn:
        uploads.look_again(conn, number, how, clock.now(conn))
    counter.work()
    looked = counter.see(number)
    assert (looked.state, looked.problem, looked.counts["pending"]) == (_S.LOOKED, None, 1)
    assert looked.columns is not None
    assert looked.columns["at"] == {"email": 0, "name": 1}


def test_a_header_that_is_an_address_is_not_kept(counter: Counter) -> None:
    number = counter.hand_in("maria@example.de;Maria\n")
    counter.work()
    assert (counter.see(number).state, counter.see(number).columns) == (_S.FAILED, None)


def test_a_file_that_nobody_survives_fails_at_last_and_stops_no_other(counter: Counter) -> None:
    deadly, other = counter.hand_in(many(10)), counter.hand_in(many(20))
    for _ in range(uploads.MOST_ATTEMPTS):
        with counter.engine.begin() as conn:
            mine = uploads.claim(conn, "dies", clock.now(conn))
            assert mine is not None
            assert mine.id == deadly
        work.release(counter.engine, "dies", is_dead=True)
    counter.work()
    assert (counter.see(deadly).state, counter.see(deadly).problem) == (_S.FAILED, work.DIED)
    assert counter.see(other).state is _S.LOOKED


def test_a_worker_that_is_told_to_end_gives_the_file_back_at_once(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "chunks", lambda rows: _chunks(rows, 10))
    number = counter.hand_in(many(50))
    counter.work()
    counter.start(number)
    counter.told_to_end = [False, False, True]
    counter.work()
    stands = counter.see(number)
    assert (stands.state, stands.attempts) == (_S.IMPORTING, 0)
    counter.work()
    assert counter.see(number).counts == counter.see(number).looked


_chunks: Callable[..., Any] = writing.chunks


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_watcher_starts_a_program_for_what_waits_and_gives_back_what_one_held_that_died(
    counter: Counter, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ_of(database_url, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(intake, "_PAUSE", 0.0)
    watcher = intake.Intake(counter.settings, counter.engine)
    watcher.step()
    assert watcher.program is None  # nothing waits
    number = counter.hand_in(many(10))
    monkeypatch.setattr(intake, "_LOOK", 0.0)
    wait_for(lambda: watcher.step() or watcher.program is not None, "the program to be started")
    assert watcher.program is not None
    assert watcher.program.process is not None
    watcher.program.process.kill()
    watcher.program.process.wait()
    with counter.engine.begin() as conn:
        assert uploads.claim(conn, watcher.owner, clock.now(conn)) is not None  # as it might have before it died
    wait_for(lambda: watcher.step() or counter.see(number).state is _S.LOOKED, "the next program to look at the file")
    watcher.end()


def test_a_worker_without_the_file_leaves_it_to_others_and_says_so(counter: Counter) -> None:
    number = counter.hand_in(many(10))
    path = counter.place.shelf.path(counter.see(number).stored)
    path.rename(path.with_suffix(".elsewhere"))
    counter.work()
    assert (counter.see(number).state, counter.see(number).problem) == (_S.LOOKING, work.NO_FILE)
    path.with_suffix(".elsewhere").rename(path)
    counter.work()
    assert counter.see(number).state is _S.LOOKED


def test_what_is_over_goes_from_the_folder_and_what_is_under_way_stays(counter: Counter) -> None:
    taken, waiting, discarded = (counter.hand_in(f"{HEADER}p{n}@example.de,,,finance-news,,,,\n") for n in range(3))
    counter.work()
    counter.start(taken)
    with counter.engine.begin() as conn:
        uploads.discard(conn, discarded, "Anna Beispiel", clock.now(conn))
    counter.work()
    stored = {name: counter.see(name).stored for name in (taken, waiting, discarded)}
    assert counter.lying == sorted([f"{stored[taken]}.rejects", stored[waiting], f"{stored[waiting]}.rejects"])
    with counter.engine.begin() as conn:
        later = clock.now(conn) + timedelta(days=7)
        assert retention.take(conn, Step.UPLOADS, periods.DEFAULT, later, None).rows == 2
        assert retention.take(conn, Step.UPLOADS, periods.DEFAULT, later, None).rows == 0
    work.sweep(counter.engine, counter.place.shelf)
    assert counter.lying == []
    assert (counter.see(taken).state, counter.see(waiting).state) == (_S.IMPORTED, _S.DISCARDED)
    assert counter.see(waiting).decided_by == uploads.RETENTION


def test_a_never_mail_list_is_looked_at_and_taken_in_and_twice_is_harmless(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "chunks", lambda rows: _chunks(rows, 2))
    text = "email,scope\na@example.de,\nb@example.de,finance-news\nA@example.de,\nbroken,\nc@example.de,\n"
    number = counter.hand_in_never(text)
    counter.work()
    assert counter.see(number).looked == {"new": 3, "there": 1, "rejected": 1}
    counter.start(number)
    counter.told_to_end = [False, True]  # in the middle
    counter.work()
    counter.work()
    assert counter.see(number).counts == counter.see(number).looked
    again = counter.hand_in_never(text)
    counter.work()
    assert counter.see(again).looked == {"new": 0, "there": 4, "rejected": 1}
    with reading(counter.engine).connect() as conn:
        assert conn.execute(select(func.count()).select_from(suppression)).scalar_one() == 3
