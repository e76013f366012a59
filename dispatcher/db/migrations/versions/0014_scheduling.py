"""How long prices are good, and editions by number: content that is replaced under way makes another one. Readers' time
zones, and batches with a time of their own. Series.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Utc

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_HOLDS = "hold IN ('stale-prices')"
_TOPICS = "topic IN ('product-news', 'finance-news', 'special-offers')"
_STATES = "state IN ('active', 'paused', 'ended')"
_OUTCOMES = "outcome IN ('released', 'empty', 'skipped', 'missed', 'refused')"
_LANGUAGES = "language IN ('de', 'en')"


def upgrade() -> None:
    _checked_column("campaign", "hold", _HOLDS)
    op.add_column("campaign", sa.Column("epoch", sa.Integer(), server_default="0", nullable=False))
    op.add_column("campaign", sa.Column("prices_as_of", Utc(), nullable=True))
    op.add_column("campaign", sa.Column("prices_until", Utc(), nullable=True))
    op.add_column("campaign", sa.Column("edition_no", sa.Integer(), server_default="1", nullable=False))
    op.add_column("delivery", sa.Column("edition_no", sa.Integer(), nullable=True))
    _number_editions()
    op.add_column("campaign", sa.Column("wall_time", sa.Text(), nullable=True))
    op.add_column("batch", sa.Column("due_at", Utc(), nullable=True))
    op.add_column("subscriber", sa.Column("zone", sa.Text(), nullable=True))
    _series()


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("every", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("next_at", Utc(), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.CheckConstraint(_TOPICS, name=op.f("ck_series_topic_known")),
        sa.CheckConstraint(_STATES, name=op.f("ck_series_state_known")),
        sa.CheckConstraint("(state = 'active') = (next_at IS NOT NULL)", name=op.f("ck_series_active_has_next")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
    )
    op.create_index(
        "ix_series_due",
        "series",
        ["next_at"],
        postgresql_where=sa.text("next_at IS NOT NULL"),
        sqlite_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_table(
        "series_issue",
        sa.Column("series_id", Id, nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("campaign_id", Id, nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(_OUTCOMES, name=op.f("ck_series_issue_outcome_known")),
        sa.CheckConstraint(
            "(outcome = 'released') = (campaign_id IS NOT NULL)", name=op.f("ck_series_issue_released_has_campaign")
        ),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"]),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"]),
        sa.PrimaryKeyConstraint("series_id", "at", name=op.f("pk_series_issue")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("campaign", sa.Column("series_id", Id, nullable=True))
        op.create_foreign_key("fk_campaign_series_id", "campaign", "series", ["series_id"], ["id"])
    else:
        op.execute("ALTER TABLE campaign ADD COLUMN series_id INTEGER CONSTRAINT fk_campaign_series_id REFERENCES series (id)")
    op.create_index("ix_campaign_series_id", "campaign", ["series_id"])


def _checked_column(table: str, column: str, check: str) -> None:
    """Add a column with words of its own. SQLite takes a CHECK with the column, and at no other time."""
    if op.get_bind().dialect.name == "postgresql":
        op.add_column(table, sa.Column(column, sa.Text(), nullable=True))
        op.create_check_constraint(op.f(f"ck_{table}_{column}_known"), table, check)
    else:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT CONSTRAINT ck_{table}_{column}_known CHECK ({check})")


def _number_editions() -> None:
    if op.get_bind().dialect.name != "postgresql":
        _make_editions_anew("no, ", "1, ", sa.Column("no", sa.Integer(), nullable=False))
        return
    op.add_column("edition", sa.Column("no", sa.Integer(), server_default="1", nullable=False))
    op.alter_column("edition", "no", server_default=None)
    op.drop_constraint("pk_edition", "edition")
    op.create_primary_key("pk_edition", "edition", ["campaign_id", "no", "language"])


def _forget_numbers() -> None:
    op.execute("DELETE FROM edition WHERE no > 1")
    if op.get_bind().dialect.name != "postgresql":
        _make_editions_anew("", "")
        return
    op.drop_constraint("pk_edition", "edition")
    op.create_primary_key("pk_edition", "edition", ["campaign_id", "language"])
    op.drop_column("edition", "no")


def _make_editions_anew(numbered: str, numbers: str, *no: sa.Column[int]) -> None:
    """SQLite alters no key. Nothing refers to this table."""
    op.rename_table("edition", "edition_before")
    op.create_table(
        "edition",
        sa.Column("campaign_id", Id, nullable=False),
        *no,
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("frozen", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint(_LANGUAGES, name=op.f("ck_edition_language_known")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"]),
        sa.PrimaryKeyConstraint("campaign_id", *(column.name for column in no), "language", name=op.f("pk_edition")),
    )
    kept = "campaign_id, language, frozen, sha256"
    op.execute(f"INSERT INTO edition ({numbered}{kept}) SELECT {numbers}{kept} FROM edition_before")
    op.drop_table("edition_before")


def downgrade() -> None:
    op.drop_index("ix_campaign_series_id", "campaign")
    op.drop_column("campaign", "series_id")
    op.drop_table("series_issue")
    op.drop_table("series")
    op.drop_column("subscriber", "zone")
    op.drop_column("batch", "due_at")
    op.drop_column("campaign", "wall_time")
    _forget_numbers()
    op.drop_column("delivery", "edition_no")
    for column in ("edition_no", "prices_until", "prices_as_of", "epoch"):
        op.drop_column("campaign", column)
    op.drop_column("campaign", "hold")
