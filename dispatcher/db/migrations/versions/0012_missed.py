"""An index of the letters that did not arrive, so that they can be counted and paged through among millions that did.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MISSED = sa.text("outcome <> 'sent'")


def upgrade() -> None:
    op.create_index(
        "ix_delivery_missed",
        "delivery",
        ["campaign_id", "outcome", "subscriber_id"],
        postgresql_where=_MISSED,
        sqlite_where=_MISSED,
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_missed", "delivery")
