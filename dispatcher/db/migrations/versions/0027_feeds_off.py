"""Feeds can be switched off without being forgotten

Revision ID: 0027
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Utc

revision = "0027"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("news_feed", sa.Column("off_at", Utc(), nullable=True))


def downgrade() -> None:
    op.drop_column("news_feed", "off_at")
