"""Which version of a campaign was released: what four eyes have seen.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Until now nothing could be edited: what was released was the first version.
    op.add_column("campaign_release", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("campaign_release", "version")
