"""Who looked a campaign over, who released it, and who wrote it: a part of the schema, beside tables.py."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from dispatcher.db.columns import Id, Json, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import ActorKind

# What a preflight found, and of which state of things: the four hashes. Findings name people by number.
preflight = Table(
    "preflight",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign_id", Id, ForeignKey("campaign.id"), nullable=False, index=True),
    Column("at", Utc, nullable=False),
    Column("goes_at", Utc, nullable=False),  # for which moment prices and offers were judged
    Column("people", Integer, nullable=False),  # whose letters were composed
    Column("content_sha256", LargeBinary(32), nullable=False),
    Column("template_sha256", LargeBinary(32), nullable=False),
    Column("house_sha256", LargeBinary(32), nullable=False),
    Column("audience_sha256", LargeBinary(32), nullable=False),
    Column("findings", Json, nullable=False),
)

# A look that the console began: how far it is, for whoever watches it, in whichever process. One of a campaign is under
# way at a time; `no` is its fence, and one that gives no sign for a while is over.
preflight_run = Table(
    "preflight_run",
    metadata,
    Column("campaign_id", Id, ForeignKey("campaign.id"), primary_key=True),
    Column("no", Integer, nullable=False),
    Column("member_id", Id, ForeignKey("staff_member.id"), nullable=False),  # who began it
    Column("started_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),  # its last sign
    Column("stage", Text),  # which check is under way
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),  # 0: not known
    Column("ended_at", Utc),
    Column("problem", Text),  # why it came to no result, in words
    CheckConstraint("problem IS NULL OR ended_at IS NOT NULL", name="problem_ends_it"),
)

# Each release: by whom, on which preflight, despite what, and bound to which hashes. One of a campaign holds at a time.
campaign_release = Table(
    "campaign_release",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign_id", Id, ForeignKey("campaign.id"), nullable=False, index=True),
    Column("version", Integer, nullable=False, server_default="1"),  # of what was written
    Column("preflight_id", Id, ForeignKey("preflight.id")),  # NULL: by the program itself, for a show or a measurement
    Column("at", Utc, nullable=False),
    Column("actor", Text, nullable=False),  # who, as in the audit log
    Column("member_id", Id, ForeignKey("staff_member.id")),
    Column("actor_name", Text),
    Column("people", Integer),  # how many the releaser was told of
    Column("despite", Json),  # {check: reason}: what stopped it, and why it goes all the same
    Column("content_sha256", LargeBinary(32), nullable=False),
    Column("template_sha256", LargeBinary(32), nullable=False),
    Column("house_sha256", LargeBinary(32), nullable=False),
    Column("audience_sha256", LargeBinary(32), nullable=False),
    Column("ended_at", Utc),  # taken back, or replaced by a later one
    Column("ended_why", Text),
    CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name="end_has_reason"),
    one_of("actor", ActorKind),
    CheckConstraint("(actor = 'member') = (member_id IS NOT NULL)", name="member_is_named"),
    CheckConstraint("(preflight_id IS NULL) = (actor = 'nobody')", name="looked_over_by_somebody"),
    Index(
        "uq_campaign_release_holds",
        "campaign_id",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
        sqlite_where=text("ended_at IS NULL"),
    ),
)

# Who wrote which version of a campaign: whoever wrote it is not the second pair of eyes.
campaign_version = Table(
    "campaign_version",
    metadata,
    Column("campaign_id", Id, ForeignKey("campaign.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Utc, nullable=False),
    Column("actor", Text, nullable=False),  # who, as in the audit log
    Column("member_id", Id, ForeignKey("staff_member.id")),
    Column("actor_name", Text),
    PrimaryKeyConstraint("campaign_id", "version"),
    one_of("actor", ActorKind),
    CheckConstraint("(actor = 'member') = (member_id IS NOT NULL)", name="member_is_named"),
)
