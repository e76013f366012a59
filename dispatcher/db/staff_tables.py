"""Who works here, who is logged in, and what they did: part of the schema, beside tables.py."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from dispatcher.db.columns import Id, Json, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import ActorKind, Language, Role, SessionStage

# Somebody of the staff. A row never goes, for the audit log names it; who has left is switched off.
staff_member = Table(
    "staff_member",
    metadata,
    Column("id", Id, primary_key=True),
    Column("email", Text, nullable=False, unique=True),  # in lower case
    Column("name", Text, nullable=False),
    Column("language", String(2), nullable=False),
    Column("role", Text, nullable=False),
    Column("password_hash", Text),  # argon2id, with its parameters; NULL: the invitation was not taken yet
    Column("totp_secret", Text),  # sealed under a key of the ring; NULL: no second factor
    Column("totp_step", BigInteger, nullable=False, server_default="0"),  # of the last code that was taken
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc),  # the last log-in
    Column("off_at", Utc),  # since when switched off; NULL: may log in
    one_of("language", Language),
    one_of("role", Role),
    CheckConstraint("email = lower(email)", name="email_lower"),
)

# Codes for the day the phone is lost, as keyed hashes. One that is used is gone.
staff_recovery_code = Table(
    "staff_recovery_code",
    metadata,
    Column("member_id", Id, ForeignKey("staff_member.id"), nullable=False),
    Column("code_hash", LargeBinary(32), nullable=False),
    PrimaryKeyConstraint("member_id", "code_hash"),
)

# Who is logged in, or is doing so. The cookie holds the token, this its hash; to end a session is to delete its row.
staff_session = Table(
    "staff_session",
    metadata,
    Column("token_sha256", LargeBinary(32), primary_key=True),
    Column("member_id", Id, ForeignKey("staff_member.id"), nullable=False, index=True),
    Column("stage", Text, nullable=False),
    Column("device", Text, nullable=False),  # browser and system, in a few words
    Column("started_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False, index=True),
    one_of("stage", SessionStage),
)

# A link by which somebody sets their password, once. Whoever takes it deletes it.
staff_invitation = Table(
    "staff_invitation",
    metadata,
    Column("token_sha256", LargeBinary(32), primary_key=True),
    Column("member_id", Id, ForeignKey("staff_member.id")),  # NULL: the first administrator, who names themselves
    Column("expires_at", Utc, nullable=False),
    Index("ix_staff_invitation_member_id", "member_id", unique=True),  # a new link ends the one before
)

# Log-ins that failed, for their limits. Keyed hashes; swept after an hour.
login_attempt = Table(
    "login_attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Utc, nullable=False, index=True),
    Column("bucket_hash", LargeBinary(16), nullable=False),
    Index(None, "bucket_hash", "at"),
)

# Who did what: INSERT only, written in the transaction of what it tells. People are named by number, never by address.
audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Utc, nullable=False),
    Column("actor", Text, nullable=False),
    Column("member_id", Id, ForeignKey("staff_member.id")),
    Column("actor_name", Text),  # of an operator: the account on that machine; of a key: its public name
    Column("action", Text, nullable=False),  # area.what, as people.role
    Column("about", Text),  # the kind of thing: member, campaign, subscriber, ...
    Column("about_id", Id),
    Column("detail", Json, nullable=False),  # facts by name, without addresses
    one_of("actor", ActorKind),
    CheckConstraint("(actor = 'member') = (member_id IS NOT NULL)", name="member_is_named"),
    CheckConstraint("about IS NOT NULL OR about_id IS NULL", name="about_has_kind"),
    Index(None, "member_id", "id"),  # what one person did
    Index(None, "action", "id"),  # what was done of one kind
    Index("ix_audit_entry_about", "about", "about_id", "id"),  # the story of one thing
)
