"""An audience is frozen in portions: a campaign knows from whom on it is still to be frozen

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaign", sa.Column("unfrozen_from", Id, nullable=True))
    op.create_index(
        "ix_campaign_launching",
        "campaign",
        ["id"],
        postgresql_where=sa.text("unfrozen_from IS NOT NULL"),
        sqlite_where=sa.text("unfrozen_from IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_campaign_launching", "campaign")
    op.drop_column("campaign", "unfrozen_from")
