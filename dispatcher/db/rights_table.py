"""The log of what people ask for by right, and by which addresses they were known before: part of the schema, beside
tables.py.
"""

from sqlalchemy import CheckConstraint, Column, Date, ForeignKey, LargeBinary, PrimaryKeyConstraint, Table, Text

from dispatcher.db.columns import Id, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import RightKind

# What people asked for by right, until when it is due and what became of it. By keyed hash: it outlives the address.
rights_request = Table(
    "rights_request",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("address_hash", LargeBinary(32), nullable=False, index=True),
    Column("received_at", Utc, nullable=False),
    Column("due_on", Date, nullable=False),  # the last day that the law gives, in the sender's zone
    Column("extended_at", Utc),  # the person was told that it takes two months more (Art. 12(3) GDPR),
    Column("extension_reason", Text),  # and why
    Column("done_at", Utc),
    Column("operator", Text),  # by whom it was done
    Column("outcome", Text),  # in words, without the address
    one_of("kind", RightKind),
    CheckConstraint("(done_at IS NULL) = (outcome IS NULL)", name="done_has_outcome"),
    CheckConstraint("outcome <> ''", name="outcome_is_said"),
    CheckConstraint("(extended_at IS NULL) = (extension_reason IS NULL)", name="extension_has_reason"),
    CheckConstraint("extension_reason <> ''", name="extension_reason_is_said"),
)

# Under which addresses somebody was known before they moved; keyed hashes only. Goes with the person's own hash.
former_address = Table(
    "former_address",
    metadata,
    Column("subscriber_id", Id, ForeignKey("subscriber.id"), nullable=False),
    Column("event_id", Id, nullable=False),  # the change by which it ceased to be theirs
    Column("address_hash", LargeBinary(32), nullable=False, index=True),
    Column("until", Utc, nullable=False),
    PrimaryKeyConstraint("subscriber_id", "event_id"),
)
