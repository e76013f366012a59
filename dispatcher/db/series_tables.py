"""Series: newsletters that come again, a part of the schema (tables.py). Their life: domain/newsletters/series.py."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text, text

from dispatcher.db.columns import Id, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import IssueOutcome, SeriesState, Topic

# A newsletter that comes again. What it sends next is the oldest draft whose `campaign.series_id` names it.
series = Table(
    "series",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("subject", Text, nullable=False),  # of issues whose content brings none
    Column("every", Text, nullable=False),  # the days, in the words of domain/newsletters/recurrence.py
    Column("at", Text, nullable=False),  # the wall-clock time, 09:00
    Column("zone", Text, nullable=False),  # IANA
    Column("state", Text, nullable=False),
    Column("problem", Text),  # why it was paused by itself, in words
    Column("next_at", Utc),  # when the next issue is due; NULL: it is not active
    Column("created_at", Utc, nullable=False),
    one_of("topic", Topic),
    one_of("state", SeriesState),
    CheckConstraint("(state = 'active') = (next_at IS NOT NULL)", name="active_has_next"),
    # The tick looks for what is due.
    Index(
        "ix_series_due",
        "next_at",
        postgresql_where=text("next_at IS NOT NULL"),
        sqlite_where=text("next_at IS NOT NULL"),
    ),
)

# What became of each issue of a series when its time came. The key forbids that one comes twice.
series_issue = Table(
    "series_issue",
    metadata,
    Column("series_id", Id, ForeignKey("series.id"), nullable=False),
    Column("at", Utc, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("campaign_id", Id, ForeignKey("campaign.id")),
    Column("note", Text),  # why, in words
    PrimaryKeyConstraint("series_id", "at"),
    one_of("outcome", IssueOutcome),
    CheckConstraint("(outcome = 'released') = (campaign_id IS NOT NULL)", name="released_has_campaign"),
)
