"""The consent ledger becomes a hash chain, and every event that is there already a link of it.

All of them are chained, rather than left out behind a mark: from this day on no change to any of them goes unnoticed. It
proves nothing about the days before, so the chain says how many were chained later than they were written, and when.

Revision ID: 0008
Revises: 0007
"""

import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

from dispatcher.db import checks
from dispatcher.db.columns import Id, Utc

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Version 1 of domain/proof/chain.py, as it was on the day of this migration.
_VERSION = b"\x01"
_PERSONAL = ("source", "ip", "user_agent", "message_id", "relay_reply")
_SEALED = (
    "id", "subscriber_id", "topic", "kind", "at", "given_at", "language", "declaration_id", "declaration_named",
    "privacy_sha256", "request_id", "mail_template", "mail_sha256",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAGE = 1000


def upgrade() -> None:
    op.create_table(
        "consent_chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("instance", sa.LargeBinary(length=16), nullable=False),
        sa.Column("begun_at", Utc(), nullable=False),
        sa.Column("chained_later", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("last_id", Id, nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_consent_chain_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_chain")),
    )
    op.create_table(
        "consent_checkpoint",
        sa.Column("id", Id, nullable=False),
        sa.Column("instance", sa.LargeBinary(length=16), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("restored_to", sa.BigInteger(), nullable=True),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_checkpoint")),
    )
    _make_endings()
    op.add_column("consent_event", sa.Column("personal_sha256", sa.LargeBinary(length=32), nullable=True))
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        # SQLite takes NOT NULL off by a new table only, and to drop the old one it would look through all that refers to it.
        op.add_column("consent_event", sa.Column("new_salt", sa.LargeBinary(length=16), nullable=True))
        op.execute("UPDATE consent_event SET new_salt = salt")
        op.execute("ALTER TABLE consent_event DROP COLUMN salt")
        op.execute("ALTER TABLE consent_event RENAME COLUMN new_salt TO salt")
    else:
        op.alter_column("consent_event", "salt", nullable=True)
    chain(op.get_bind())
    # A worker of the version before, which knows no chain, is refused from now on, rather than breaking it.
    for column in ("chain_hash", "personal_sha256"):
        checks.demand(op.get_bind(), "consent_event", column)
    if not is_sqlite:
        op.execute("ALTER TABLE consent_event ALTER COLUMN id DROP DEFAULT")


def _make_endings() -> None:
    """How far the files of endings are in this database: what a restore goes by."""
    op.create_table(
        "ending_file",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("home", sa.Text(), nullable=True),
        sa.Column("lost_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ending_file")),
    )
    op.create_table(
        "ending_owed",
        sa.Column("id", Id, nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ending_owed")),
    )


def chain(conn: sa.Connection, page: int = PAGE) -> None:
    """Chain what is there, a page at a time; an empty ledger is begun by its first event."""
    event = sa.table(
        "consent_event",
        *(sa.column(name, Utc() if name in {"at", "given_at"} else None) for name in (*_SEALED, *_PERSONAL, "salt")),
        sa.column("personal_sha256", sa.LargeBinary()),
        sa.column("chain_hash", sa.LargeBinary()),
    )
    count = conn.execute(sa.select(sa.func.count()).select_from(event)).scalar_one()
    if not count:
        return
    instance, begun_at = secrets.token_bytes(16), datetime.now(UTC)
    head = sha256(b"dispatcher consent chain" + _VERSION + _written([instance, begun_at, count])).digest()
    seal = (
        sa.update(event)
        .where(event.c.id == sa.bindparam("of"))
        .values(personal_sha256=sa.bindparam("personal"), chain_hash=sa.bindparam("hash"))
    )
    last_id = 0
    while rows := conn.execute(sa.select(event).where(event.c.id > last_id).order_by(event.c.id).limit(page)).all():
        links = []
        for row in rows:
            personal = sha256(_VERSION + _written([getattr(row, c) for c in ("salt", *_PERSONAL)])).digest()
            head = sha256(_VERSION + _written([head, personal, *(getattr(row, c) for c in _SEALED)])).digest()
            links.append({"of": row.id, "personal": personal, "hash": head})
        conn.execute(seal, links)
        last_id = rows[-1].id
    conn.execute(
        sa.text(
            "INSERT INTO consent_chain (id, instance, begun_at, chained_later, events, last_id, head)"
            " VALUES (1, :instance, :begun_at, :count, :count, :last_id, :head)"
        ).bindparams(sa.bindparam("begun_at", type_=Utc())),
        {"instance": instance, "begun_at": begun_at, "count": count, "last_id": last_id, "head": head},
    )


def _written(values: list[object]) -> bytes:
    return b"".join(_field(value) for value in values)


def _field(value: object) -> bytes:
    match value:
        case None:
            return b"-"
        case str():
            letter, octets = b"t", value.encode()
        case datetime():
            letter, octets = b"d", b"%d" % ((value - _EPOCH) // timedelta(microseconds=1))
        case int():
            letter, octets = b"i", b"%d" % value
        case _:
            letter, octets = b"o", bytes(value)  # type: ignore[call-overload]
    return b"%b%d:%b" % (letter, len(octets), octets)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # numbers came from the chain; from here on from the sequence again
        op.execute("ALTER TABLE consent_event ALTER COLUMN id SET DEFAULT nextval('consent_event_id_seq')")
        op.execute(
            "SELECT setval(pg_get_serial_sequence('consent_event', 'id'), coalesce(max(id), 0) + 1, false)"
            " FROM consent_event"
        )
    checks.excuse(op.get_bind(), "consent_event", "chain_hash")
    # salt stays nullable: of people who were erased it is gone.
    op.execute("ALTER TABLE consent_event DROP COLUMN personal_sha256")
    op.drop_table("ending_owed")
    op.drop_table("ending_file")
    op.drop_table("consent_checkpoint")
    op.drop_table("consent_chain")
