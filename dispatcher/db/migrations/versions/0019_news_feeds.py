"""Feeds of news that fill series, and which of their entries were used; a feed that writes and releases by itself.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.checks import admit, refuse
from dispatcher.db.columns import Id, Utc

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_WITH_ACTOR = ("audit_entry", "campaign_release", "campaign_version")


def upgrade() -> None:
    op.create_table(
        "news_feed",
        sa.Column("id", Id, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("series_id", Id, nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("releases", sa.Boolean(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("ahead_s", sa.Integer(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.Column("brought_for", Utc(), nullable=True),
        sa.Column("draft_id", Id, nullable=True),
        sa.Column("turn", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", Utc(), nullable=True),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("said_at", Utc(), nullable=True),
        sa.Column("failing_since", Utc(), nullable=True),
        sa.CheckConstraint("language IN ('de', 'en')", name=op.f("ck_news_feed_language_known")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_news_feed_series_id")),
        sa.ForeignKeyConstraint(["draft_id"], ["campaign.id"], name=op.f("fk_news_feed_draft_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_news_feed")),
        sa.UniqueConstraint("series_id", name=op.f("uq_news_feed_series_id")),
    )
    op.create_table(
        "news_entry",
        sa.Column("feed_id", Id, nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seen_at", Utc(), nullable=False),
        sa.Column("campaign_id", Id, nullable=True),
        sa.ForeignKeyConstraint(["feed_id"], ["news_feed.id"], name=op.f("fk_news_entry_feed_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_news_entry_campaign_id")),
        sa.PrimaryKeyConstraint("feed_id", "key", name=op.f("pk_news_entry")),
    )
    for table in _WITH_ACTOR:
        admit(op.get_bind(), table, "actor", ["feed"])


def downgrade() -> None:
    for table in _WITH_ACTOR:
        refuse(op.get_bind(), table, "actor", ["feed"])
    op.drop_table("news_entry")
    op.drop_table("news_feed")
