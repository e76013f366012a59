"""The log of what people ask for by right: part of the schema, beside tables.py."""

from sqlalchemy import CheckConstraint, Column, Date, LargeBinary, Table, Text

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
    Column("due_on", Date, nullable=False),  # the last day of the month that the law gives, in the sender's zone
    Column("done_at", Utc),
    Column("operator", Text),  # by whom it was done
    Column("outcome", Text),  # in words, without the address
    one_of("kind", RightKind),
    CheckConstraint("(done_at IS NULL) = (outcome IS NULL)", name="done_has_outcome"),
)
