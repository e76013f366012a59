"""The words people agree to, and the notice they are shown: part of the schema, beside tables.py."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from dispatcher.db.columns import Id, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import Language, Topic

# The words people agree to. A row is never changed: new words are a new version. A version is a row per language, all
# with one number; of two versions the one with the larger number is valid later.
declaration = Table(
    "declaration",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("language", String(2), nullable=False),
    Column("text", Text, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("topics", JSON, nullable=False),  # list of topics these words cover
    Column("valid_from", Utc, nullable=False),
    Column("number", Integer, nullable=False, server_default="0"),
    UniqueConstraint("key", "version", "language"),
    Index("ix_declaration_number", "number", "language", unique=True),
    one_of("language", Language),
)

# From when on a consent for a topic must rest on words of at least this number. A version that covers older consent has
# no row. Never changed; the gate reads it with every letter, so it holds a handful of rows.
renewal = Table(
    "renewal",
    metadata,
    Column("topic", Text, nullable=False),
    Column("number", Integer, nullable=False),  # of the declaration
    Column("valid_from", Utc, nullable=False),
    Column("covers_unknown", Boolean, nullable=False),  # consent that names no declaration known to us stays good
    PrimaryKeyConstraint("topic", "number"),
    one_of("topic", Topic),
)

# Every text of the privacy notice that a form has linked, by its hash, which is what an event names. Never changed.
privacy_notice = Table(
    "privacy_notice",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("language", String(2), nullable=False),
    Column("text", Text, nullable=False),
    Column("first_shown_at", Utc, nullable=False),
    one_of("language", Language),
)
