"""Feeds of news that fill series, a part of the schema (tables.py). domain/newsletters/news_feeds.py has their life."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from dispatcher.db.columns import Id, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import Language

# A feed elsewhere whose new entries become the next issue of a series; a series has one at most. The columns from
# `brought_for` on say how far it is with the issue under way.
news_feed = Table(
    "news_feed",
    metadata,
    Column("id", Id, primary_key=True),
    Column("url", Text, nullable=False),
    Column("series_id", Id, ForeignKey("series.id"), nullable=False, unique=True),
    Column("language", String(2), nullable=False),
    Column("releases", Boolean, nullable=False),  # goes by itself, if preflight lets it; else it waits as a draft
    Column("most", Integer, nullable=False),  # articles in an issue
    Column("ahead_s", Integer, nullable=False),  # how long before the time it is asked
    Column("created_at", Utc, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("etag", Text),  # of its last answer, sent along with the next request (RFC 9110 13.1)
    Column("last_modified", Text),
    Column("brought_for", Utc),  # the time of the issue for which everything is done
    Column("draft_id", Id, ForeignKey("campaign.id")),  # made for an issue, not yet handed over
    Column("turn", Integer, nullable=False, server_default="0"),  # grows with each claim: the fence
    Column("not_before", Utc),  # somebody is at it until then, or it is not tried again before
    Column("said", Text),  # what came of it last, in words
    Column("said_at", Utc),
    Column("failing_since", Utc),  # nothing could be had from it since then
    Column("off_at", Utc),  # somebody switched it off: it is not asked, and no issue waits for it
    one_of("language", Language),
)

# Which entries of a feed were used or passed over, by the SHA-256 of id, link or title. The key forbids that one comes
# twice.
news_entry = Table(
    "news_entry",
    metadata,
    Column("feed_id", Id, ForeignKey("news_feed.id"), nullable=False),
    Column("key", LargeBinary(32), nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("campaign_id", Id, ForeignKey("campaign.id")),  # NULL: passed over, for newer ones filled the issue
    PrimaryKeyConstraint("feed_id", "key"),
)
