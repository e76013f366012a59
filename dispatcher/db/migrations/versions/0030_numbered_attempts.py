"""Attempts at the sign-up form are numbered within what they are counted by

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_NUMBERED = """
UPDATE signup_attempt SET number = n.number FROM (
    SELECT id, row_number() OVER (PARTITION BY bucket_hash ORDER BY at, id) AS number FROM signup_attempt
) AS n WHERE n.id = signup_attempt.id
"""


def upgrade() -> None:
    op.add_column("signup_attempt", sa.Column("number", Id, nullable=False, server_default=sa.text("0")))
    op.execute(_NUMBERED)
    op.create_index(op.f("ix_signup_attempt_bucket_hash_number"), "signup_attempt", ["bucket_hash", "number"])
    op.drop_index(op.f("ix_signup_attempt_bucket_hash_at"), "signup_attempt")


def downgrade() -> None:
    op.create_index(op.f("ix_signup_attempt_bucket_hash_at"), "signup_attempt", ["bucket_hash", "at"])
    op.drop_index(op.f("ix_signup_attempt_bucket_hash_number"), "signup_attempt")
    op.drop_column("signup_attempt", "number")
