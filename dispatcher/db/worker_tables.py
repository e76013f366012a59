"""The tables about workers, a part of the schema (tables.py): what they say of themselves, what is asked of them."""

from sqlalchemy import Boolean, Column, Integer, Table, Text, text

from dispatcher.db.columns import Json, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import WorkerRole

# What a worker process said of itself last. Written by that process alone, every few seconds while it sends; nothing is
# decided by it. One that ends in order takes its row away; one that was killed leaves it, and the tick clears up.
worker_report = Table(
    "worker_report",
    metadata,
    Column("process", Text, primary_key=True),  # host, process id, and a word of its own
    Column("role", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("is_sending", Boolean, nullable=False, server_default=text("false")),  # false: it waits to be called
    Column("tick_at", Utc),  # when its last round of the tick began,
    Column("tick_ms", Integer),  # and how long it took
    Column("relays", Json, nullable=False),  # how it finds each relay: domain/delivery/workers.py
    one_of("role", WorkerRole),
    postgresql_with={"fillfactor": "50"},
)

# Somebody wants a relay to be tried again at once: each process that keeps it closed reads it at its next look.
relay_wish = Table(
    "relay_wish",
    metadata,
    Column("relay", Text, primary_key=True),
    Column("at", Utc, nullable=False),
)
