"""Pauses, changes of address, and what retention notes

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.checks import admit, refuse
from dispatcher.db.columns import Id, Json, Utc

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KINDS = ("paused", "resumed", "move-asked", "move-allowed", "address-changed")
_ERRANDS = "errand IN ('opt-in', 'leave-address', 'take-address', 'moved')"
_OUTCOMES = "outcome IN ('sent', 'failed', 'unknown', 'withheld')"


def upgrade() -> None:
    op.add_column("subscriber", sa.Column("paused_until", sa.Date(), nullable=True))
    op.create_index(
        "ix_subscriber_paused",
        "subscriber",
        ["paused_until"],
        postgresql_where=sa.text("paused_until IS NOT NULL"),
        sqlite_where=sa.text("paused_until IS NOT NULL"),
    )
    op.create_index(
        "ix_subscription_pending",
        "subscription",
        ["since"],
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    )
    _errands()
    op.create_table(
        "delivery_count",
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.CheckConstraint(_OUTCOMES, name=op.f("ck_delivery_count_outcome_known")),
        sa.PrimaryKeyConstraint("campaign_id", "outcome", name=op.f("pk_delivery_count")),
    )
    op.create_table(
        "retention_run",
        sa.Column("id", Id, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("finished_at", Utc(), nullable=True),
        sa.Column("is_open", sa.Boolean(), nullable=True),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("after", Json, nullable=True),
        sa.Column("counts", Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_run")),
        sa.UniqueConstraint("is_open", name=op.f("uq_retention_run_is_open")),
    )
    admit(op.get_bind(), "consent_event", "kind", _KINDS)


def _errands() -> None:
    errand = sa.Column("errand", sa.Text(), server_default="opt-in", nullable=False)
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("opt_in_request", errand)
        op.create_check_constraint(op.f("ck_opt_in_request_errand_known"), "opt_in_request", _ERRANDS)
    else:  # SQLite takes a CHECK with the column, and at no other time
        op.execute(
            "ALTER TABLE opt_in_request ADD COLUMN errand TEXT DEFAULT 'opt-in' NOT NULL"
            f" CONSTRAINT ck_opt_in_request_errand_known CHECK ({_ERRANDS})"
        )
    op.add_column("opt_in_request", sa.Column("other_address", sa.Text(), nullable=True))
    op.add_column("opt_in_request", sa.Column("other_hash", sa.LargeBinary(32), nullable=True))
    op.add_column("opt_in_request", sa.Column("erased_at", Utc(), nullable=True))


def downgrade() -> None:
    refuse(op.get_bind(), "consent_event", "kind", _KINDS)
    op.drop_table("retention_run")
    op.drop_table("delivery_count")
    for column in ("erased_at", "other_hash", "other_address", "errand"):
        op.drop_column("opt_in_request", column)
    op.drop_index("ix_subscription_pending", table_name="subscription")
    op.drop_index("ix_subscriber_paused", table_name="subscriber")
    op.drop_column("subscriber", "paused_until")
