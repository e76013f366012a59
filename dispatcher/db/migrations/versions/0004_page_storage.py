"""Batches: ids out of line (the gate rewrites the row at every turn, and not the ids), and what tells poison. A letter that is
sent again because its fate is not known keeps that knowledge.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batch", sa.Column("left_last", sa.Integer(), nullable=True))
    op.add_column("deferral", sa.Column("consent_event_id", Id, nullable=True))
    _store("EXTERNAL")


def downgrade() -> None:
    _store("EXTENDED")
    op.drop_column("deferral", "consent_event_id")
    op.drop_column("batch", "left_last")


def _store(how: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE batch ALTER COLUMN subscriber_ids SET STORAGE {how}")
