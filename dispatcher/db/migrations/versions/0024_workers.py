"""What worker processes say of themselves, and relays that are to be tried again at once

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Json, Utc

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "worker_report",
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("seen_at", Utc(), nullable=False),
        sa.Column("is_sending", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("tick_at", Utc(), nullable=True),
        sa.Column("tick_ms", sa.Integer(), nullable=True),
        sa.Column("relays", Json, nullable=False),
        sa.CheckConstraint("role IN ('watch', 'waited', 'bulk')", name=op.f("ck_worker_report_role_known")),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_worker_report")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "relay_wish",
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("relay", name=op.f("pk_relay_wish")),
    )


def downgrade() -> None:
    op.drop_table("relay_wish")
    op.drop_table("worker_report")
