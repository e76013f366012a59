"""Restriction of processing: since when a person's data is kept and nothing else is done with it. And which transaction
wrote a mark of the files of endings, so that a database is known for a copy in its own place, too.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.checks import admit, refuse
from dispatcher.db.columns import Utc

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_KINDS = ("restricted", "released")
_RIGHTS = ("restriction",)


def upgrade() -> None:
    op.add_column("subscriber", sa.Column("restricted_at", Utc(), nullable=True))
    op.create_index(
        "ix_subscriber_restricted",
        "subscriber",
        ["id"],
        postgresql_where=sa.text("restricted_at IS NOT NULL"),
        sqlite_where=sa.text("restricted_at IS NOT NULL"),
    )
    op.add_column("ending_file", sa.Column("written_by", sa.BigInteger(), nullable=True))
    admit(op.get_bind(), "consent_event", "kind", _KINDS)
    admit(op.get_bind(), "rights_request", "kind", _RIGHTS)


def downgrade() -> None:
    refuse(op.get_bind(), "rights_request", "kind", _RIGHTS)
    refuse(op.get_bind(), "consent_event", "kind", _KINDS)
    op.drop_column("ending_file", "written_by")
    op.drop_index("ix_subscriber_restricted", table_name="subscriber")
    op.drop_column("subscriber", "restricted_at")
