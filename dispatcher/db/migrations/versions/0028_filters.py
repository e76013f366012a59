"""Campaigns for some of those who agreed

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Json

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaign", sa.Column("filter", Json, nullable=True))


def downgrade() -> None:
    op.drop_column("campaign", "filter")
