"""The log of what people asked for by right

Revision ID: 0007
Revises: 0006
"""

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
        sa.Column("done_at", Utc(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('access', 'portability', 'rectification', 'erasure')", name=op.f("ck_rights_request_kind_known")
        ),
        sa.CheckConstraint("(done_at IS NULL) = (outcome IS NULL)", name=op.f("ck_rights_request_done_has_outcome")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rights_request")),
    )
    op.create_index("ix_rights_request_address_hash", "rights_request", ["address_hash"])


def downgrade() -> None:
    op.drop_table("rights_request")
