"""The log of what people asked for by right, and under which addresses they were known before

Revision ID: 0007
Revises: 0006
"""

import re

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Utc

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rights_request",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("received_at", Utc(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("extended_at", Utc(), nullable=True),
        sa.Column("extension_reason", sa.Text(), nullable=True),
        sa.Column("done_at", Utc(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('access', 'portability', 'rectification', 'erasure')", name=op.f("ck_rights_request_kind_known")
        ),
        sa.CheckConstraint("(done_at IS NULL) = (outcome IS NULL)", name=op.f("ck_rights_request_done_has_outcome")),
        sa.CheckConstraint("outcome <> ''", name=op.f("ck_rights_request_outcome_is_said")),
        sa.CheckConstraint(
            "(extended_at IS NULL) = (extension_reason IS NULL)", name=op.f("ck_rights_request_extension_has_reason")
        ),
        sa.CheckConstraint("extension_reason <> ''", name=op.f("ck_rights_request_extension_reason_is_said")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rights_request")),
    )
    op.create_index("ix_rights_request_address_hash", "rights_request", ["address_hash"])
    op.create_table(
        "former_address",
        sa.Column("subscriber_id", Id, nullable=False),
        sa.Column("event_id", Id, nullable=False),
        sa.Column("address_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("until", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscriber.id"], name=op.f("fk_former_address_subscriber_id_subscriber")
        ),
        sa.PrimaryKeyConstraint("subscriber_id", "event_id", name=op.f("pk_former_address")),
    )
    op.create_index("ix_former_address_address_hash", "former_address", ["address_hash"])
    _find_former()


def _find_former() -> None:
    """Whoever has moved already: the event names both hashes, `... HASH became HASH`."""
    conn = op.get_bind()
    event = sa.table("consent_event", *(sa.column(name) for name in ("id", "subscriber_id", "kind", "source")),
                     sa.column("at", Utc()))  # fmt: skip
    former = sa.table("former_address", *(sa.column(name) for name in ("subscriber_id", "event_id")),
                      sa.column("address_hash", sa.LargeBinary(32)), sa.column("until", Utc()))  # fmt: skip
    moves = sa.select(event.c.id, event.c.subscriber_id, event.c.source, event.c.at)
    for row in conn.execute(moves.where(event.c.kind == "address-changed")).all():
        if found := re.search(r"\b([0-9a-f]{64}) became [0-9a-f]{64}$", row.source):
            hashed = bytes.fromhex(found[1])
            values = {"subscriber_id": row.subscriber_id, "event_id": row.id, "address_hash": hashed, "until": row.at}
            conn.execute(sa.insert(former).values(values))


def downgrade() -> None:
    op.drop_table("former_address")
    op.drop_table("rights_request")
