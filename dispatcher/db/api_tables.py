"""The tables of the API, a part of the schema (tables.py): who may call it, and what was answered to requests that may
come twice.
"""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from dispatcher.db.columns import Id, Json, Utc
from dispatcher.db.metadata import metadata

# A key with which a program calls the API. The key itself is shown once, when it is made; here is its hash. A row is
# never deleted: answers and events name the key by which they came.
api_key = Table(
    "api_key",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),  # whose it is, in words
    Column("hint", Text, nullable=False),  # its first characters, to tell it from others
    Column("key_sha256", LargeBinary(32), nullable=False, unique=True),  # 256 random bits: a plain hash is enough
    Column("scopes", Json, nullable=False),  # what it may do: words of db/terms.py
    Column("created_at", Utc, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Utc),  # NULL: good until it is revoked
    Column("revoked_at", Utc),
    Column("last_used_at", Utc),  # to the minute
)

# What was answered to a request that named an Idempotency-Key, so that its repetition gets the same. Written in the
# transaction of what the request did; its unique key is what makes a twin wait. Kept a day.
api_answer = Table(
    "api_answer",
    metadata,
    Column("id", Id, primary_key=True),
    Column("api_key_id", Id, ForeignKey("api_key.id"), nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", LargeBinary(32), nullable=False),  # method, path and content: another one is refused
    Column("at", Utc, nullable=False),
    Column("status", Integer),  # NULL within the transaction only
    Column("body", Text),  # JSON; no address stands in it
    UniqueConstraint("api_key_id", "idempotency_key"),
    Index(None, "at"),  # retention lets go of the oldest
)
