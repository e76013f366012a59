"""Batches: ids out of line (the gate rewrites the row at every turn, and not the ids), and what tells poison.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batch", sa.Column("left_last", sa.Integer(), nullable=True))
    _store("EXTERNAL")


def downgrade() -> None:
    _store("EXTENDED")
    op.drop_column("batch", "left_last")


def _store(how: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE batch ALTER COLUMN subscriber_ids SET STORAGE {how}")
