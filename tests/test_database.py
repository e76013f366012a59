"""The database: both kinds behave alike, and migrations and tables.py say the same."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Integer, Text, insert, literal_column, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from dispatcher.assets import PACKAGE
from dispatcher.db import clock, migrate, shortcut
from dispatcher.db import engine as engines
from dispatcher.db.columns import Id, Rows, Utc
from dispatcher.db.engine import check, make_engine, reading
from dispatcher.db.shortcut import both
from dispatcher.db.tables import (
    declaration,
    delivery,
    former_address,
    metadata,
    signup_attempt,
    subscriber,
    subscription,
)
from dispatcher.errors import PartUnavailable, SettingInvalid
from tests.databases import DURABLE

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_migrations_and_tables_describe_the_same_schema(engine: Engine) -> None:
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        differing = [(said[0], getattr(said[1], "column_keys", said)) for said in compare_metadata(context, metadata)]
    of_events = [("add_fk", [name]) for name in ("declaration_id", "request_id", "subscriber_id")]
    assert sorted(differing) == (
        of_events if engine.dialect.name == "postgresql" else []
    )  # a trigger holds these three


def test_to_migrate_again_changes_nothing(engine: Engine) -> None:
    before, after = migrate.upgrade(engine)
    assert before == after


def test_people_who_are_there_already_are_sorted_by_provider_when_the_database_is_brought_up_to_date(
    engine: Engine,
) -> None:
    addresses = ["anna@gmail.com", "b@hotmail.de", "c@gmx.at", "d@web.de", "e@t-online.de", "f@example.de", None]
    with engine.begin() as conn:
        revise(conn, command.downgrade, "0002")
        for number, address in enumerate(addresses):
            conn.execute(
                text(
                    "INSERT INTO subscriber (public_id, address, address_hash, language, created_at)"
                    " VALUES (:id, :address, :id, 'de', CURRENT_TIMESTAMP)"
                ),
                {"id": bytes([number]), "address": address},
            )
    migrate.upgrade(engine)
    with engine.begin() as conn:
        sorted_ = conn.execute(select(subscriber.c.provider).order_by(subscriber.c.public_id)).scalars().all()
    assert sorted_ == ["google", "microsoft", "gmx-webde", "gmx-webde", "t-online", "other", "other"]


def test_words_that_were_agreed_to_are_numbered_when_the_database_is_brought_up_to_date(engine: Engine) -> None:
    with engine.begin() as conn:
        revise(conn, command.downgrade, "0004")
        for statement in (
            "INSERT INTO subscriber (id, public_id, address_hash, language, created_at)"
            " VALUES (1, :b, :b, 'de', CURRENT_TIMESTAMP)",
            "INSERT INTO declaration (id, key, version, language, text, sha256, topics, valid_from) VALUES"
            " (1, 'newsletter', 'b', 'de', 'x', :b, '[]', '2026-01-01 00:00:00'),"
            " (2, 'newsletter', 'b', 'en', 'x', :b, '[]', '2026-01-01 00:00:00'),"
            " (3, 'newsletter', 'a', 'de', 'x', :b, '[]', '2026-02-01 00:00:00')",
            "INSERT INTO consent_event (id, subscriber_id, topic, kind, at, source, salt, declaration_id) VALUES"
            " (1, 1, 'finance-news', 'confirmed', CURRENT_TIMESTAMP, 'x', :b, 3),"
            " (2, 1, 'product-news', 'confirmed', CURRENT_TIMESTAMP, 'x', :b, 2),"
            " (3, 1, 'special-offers', 'imported', CURRENT_TIMESTAMP, 'x', :b, NULL)",
            "INSERT INTO subscription (topic, subscriber_id, state, event_id, since) SELECT"
            " topic, subscriber_id, 'confirmed', id, at FROM consent_event",
        ):
            conn.execute(text(statement), {"b": b"12345678"} if ":b" in statement else {})
    migrate.upgrade(engine)
    with engine.begin() as conn:
        numbers = dict(conn.execute(select(declaration.c.id, declaration.c.number)).all())
        resting = dict(conn.execute(select(subscription.c.topic, subscription.c.declaration_number)).all())
    assert numbers == {1: 1, 2: 1, 3: 2}
    assert resting == {"finance-news": 2, "product-news": 1, "special-offers": None}


def test_the_newest_revision_is_the_one_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", str(PACKAGE / "db" / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.newest()]


def revise(conn: Connection, order: Callable[[Config, str], None], revision: str) -> None:
    """Move a database to an earlier or a later revision."""
    config = Config()
    config.set_main_option("script_location", str(PACKAGE / "db" / "migrations"))
    config.attributes["connection"] = conn
    order(config, revision)


def test_an_old_database_is_refused_with_the_cure(tmp_path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(PartUnavailable) as caught:
        migrate.require_current(engine)
    assert caught.value.cure == "run: dispatcher db upgrade"
    engine.dispose()


def test_what_sqlite_has_committed_survives_a_power_cut(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_SQLITE_PRAGMAS", DURABLE)
    engine = make_engine(f"sqlite:///{tmp_path}/durable.db")
    with engine.connect() as conn:
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL: the log is synced at each commit
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    engine.dispose()


def test_an_unsupported_database_is_named() -> None:
    with pytest.raises(SettingInvalid, match="DISPATCHER_DATABASE_URL: mysql"):
        make_engine("mysql://localhost/x")


def test_a_database_that_is_away_is_named_without_its_password() -> None:
    engine = make_engine("postgresql://me:geheim@127.0.0.1:1/x")
    with pytest.raises(PartUnavailable) as caught:
        check(engine)
    assert "127.0.0.1:1" in caught.value.what
    assert "geheim" not in caught.value.what


def test_times_come_back_aware_and_in_utc(engine: Engine) -> None:
    with engine.begin() as conn:
        conn.execute(insert(signup_attempt).values(at=NOW, bucket="ip", bucket_hash=b"x"))
        assert conn.execute(select(signup_attempt.c.at)).scalar_one() == NOW


def test_a_naive_time_is_refused(engine: Engine) -> None:
    with engine.begin() as conn, pytest.raises(Exception, match="without a time zone"):
        conn.execute(insert(signup_attempt).values(at=NOW.replace(tzinfo=None), bucket="ip", bucket_hash=b"x"))


def test_the_databases_clock_is_about_ours(engine: Engine) -> None:
    with reading(engine).connect() as conn:
        assert abs((clock.now(conn) - datetime.now(UTC)).total_seconds()) < 5


def test_rows_can_be_handed_in_as_one_parameter(engine: Engine) -> None:
    with engine.connect() as conn:
        people = Rows("people", {"id": Id, "name": Text(), "at": Utc()})
        rows = people.table(conn.dialect.name)
        plain = [(4, "NULL", NOW), (5, "", NOW), (6, "{c, d}", NOW)]
        for handed in (plain, [(3, 'a "b", \\ {c}', NOW), (1 << 40, None, None), *plain]):
            got = conn.execute(select(rows).order_by(rows.c.id), people.values(conn.dialect.name, handed)).all()
            assert [tuple(row) for row in got] == sorted(handed)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(2**62, -1, "a")],
        [(1, 2**31 - 1, ""), (None, 3, None), (-(2**63), None, "ü\\\"{,}'\n")],
        [(n, -n, str(n)) for n in range(32)],  # numbers are packed in blocks of so many
        [(2**40 + n, n, str(n)) for n in range(70)],
        [(n if n != 69 else None, n, str(n)) for n in range(70)],
    ],
    ids=["none", "one", "missing", "a-block", "blocks", "missing-in-the-last"],
)
def test_rows_that_are_packed_come_as_they_were(
    engine: Engine, rows: list[tuple[int | None, int | None, str | None]]
) -> None:
    given = Rows("given", {"big": Id, "small": Integer(), "word": Text()}, packed=True)
    dialect = engine.dialect.name
    table = given.table(dialect)
    asked = shortcut.compiled(select(table.c.big, table.c.small, table.c.word), dialect)
    with engine.begin() as conn:
        assert shortcut.run(conn, asked, given.values(dialect, rows)) == rows


def test_what_fails_past_sqlalchemy_is_the_same_error_and_the_next_connection_is_good(engine: Engine) -> None:
    is_postgresql = engine.dialect.name == "postgresql"
    asked = "pg_terminate_backend(pg_backend_pid())" if is_postgresql else "no_such_function()"
    statement = both(select(literal_column(asked)))
    with pytest.raises(OperationalError), engine.begin() as conn:
        statement.run(conn)
    with engine.begin() as conn:
        assert both(select(literal_column("1"))).run(conn) == [(1,)]


def test_a_letter_cannot_be_recorded_twice(engine: Engine) -> None:
    row = {"campaign_id": 1, "subscriber_id": 1, "outcome": "failed", "at": NOW}
    with engine.begin() as conn:
        conn.execute(insert(delivery).values(row))
    with pytest.raises(IntegrityError), engine.begin() as conn:
        conn.execute(insert(delivery).values(row))


def test_a_sent_letter_must_name_its_consent(engine: Engine) -> None:
    with pytest.raises(IntegrityError, match="sent_names_consent"), engine.begin() as conn:
        conn.execute(insert(delivery).values(campaign_id=1, subscriber_id=1, outcome="sent", at=NOW))


def test_whoever_moved_already_is_found_by_their_former_address_when_the_database_is_brought_up_to_date(
    engine: Engine,
) -> None:
    was, is_now = b"1" * 32, b"2" * 32
    with engine.begin() as conn:
        revise(conn, command.downgrade, "0006")
        for statement in (
            "INSERT INTO subscriber (id, public_id, address_hash, language, created_at)"
            " VALUES (1, :b, :b, 'de', CURRENT_TIMESTAMP)",
            "INSERT INTO consent_event (id, subscriber_id, kind, at, source, salt)"
            " VALUES (7, 1, 'address-changed', CURRENT_TIMESTAMP, :source, :b)",
        ):
            given = {"b": is_now, "source": f"a page: {was.hex()} became {is_now.hex()}"}
            conn.execute(text(statement), {name: value for name, value in given.items() if f":{name}" in statement})
    migrate.upgrade(engine)
    with engine.begin() as conn:
        row = conn.execute(select(former_address)).one()
    assert (row.subscriber_id, row.event_id, bytes(row.address_hash)) == (1, 7, was)
