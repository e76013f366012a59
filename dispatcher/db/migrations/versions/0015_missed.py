"""Two indexes: of the letters that did not arrive, so that they can be counted and paged through among millions that
did; and of newsletters, among the letters that ask for a confirmation.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_MISSED = sa.text("outcome <> 'sent'")
_NEWSLETTER = sa.text("kind = 'newsletter'")


def upgrade() -> None:
    op.create_index(
        "ix_delivery_missed",
        "delivery",
        ["campaign_id", "outcome", "subscriber_id"],
        postgresql_where=_MISSED,
        sqlite_where=_MISSED,
    )
    op.create_index(
        "ix_campaign_newsletter", "campaign", ["id"], postgresql_where=_NEWSLETTER, sqlite_where=_NEWSLETTER
    )


def downgrade() -> None:
    op.drop_index("ix_campaign_newsletter", "campaign")
    op.drop_index("ix_delivery_missed", "delivery")
