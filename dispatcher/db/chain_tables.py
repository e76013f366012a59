"""The end of the consent ledger's hash chain, and its signed checkpoints: part of the schema, beside tables.py."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, LargeBinary, Table, Text

from dispatcher.db.columns import Id, Utc
from dispatcher.db.metadata import metadata

# Where the chain of consent events ends: one row, locked by whoever appends.
consent_chain = Table(
    "consent_chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("instance", LargeBinary(16), nullable=False),  # random: which ledger this is
    Column("begun_at", Utc, nullable=False),
    Column("chained_later", BigInteger, nullable=False),  # the first so many were there before the chain was
    Column("events", BigInteger, nullable=False),
    Column("last_id", Id, nullable=False),  # the highest number given out
    Column("head", LargeBinary(32), nullable=False),  # chain_hash of the newest event
    CheckConstraint("id = 1", name="one_row"),
)

# What the chain's end was at a moment, signed: INSERT only. Copies kept elsewhere find a chain that was made anew.
consent_checkpoint = Table(
    "consent_checkpoint",
    metadata,
    Column("id", Id, primary_key=True),
    Column("instance", LargeBinary(16), nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("head", LargeBinary(32), nullable=False),
    Column("at", Utc, nullable=False),
    Column("key", Text, nullable=False),  # the short name of the verifying key
    Column("restored_to", BigInteger),  # it acknowledges a restore: what was signed before and lies behind is gone
    Column("signature", LargeBinary(64), nullable=False),
)
