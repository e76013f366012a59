"""The tables about rates, a part of the schema (tables.py): what was set, what was learnt, what was counted along."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, PrimaryKeyConstraint, Table, Text, text

from dispatcher.db.columns import Utc
from dispatcher.db.metadata import metadata

# What the operator set about a mailbox provider, other than the presets of domain/rates/providers.py.
mailbox_provider = Table(
    "mailbox_provider",
    metadata,
    Column("key", Text, primary_key=True),
    Column("is_rate_set", Boolean, nullable=False, server_default=text("false")),  # false: the preset's rate counts
    Column("rate_per_min", Integer),  # over each relay; NULL: no limit
    Column("paused_until", Utc),
)

# Which provider's mail servers take the mail of a domain that no preset names, as DNS said.
mailbox_domain = Table(
    "mailbox_domain",
    metadata,
    Column("domain", Text, primary_key=True),  # A-labels
    Column("provider", Text, nullable=False, server_default="other"),
    Column("mx", Text),  # the preferred mail server
    Column("looked_up_at", Utc, index=True),  # NULL: still to be asked for
)

# The moment of the last permit that was given out under a key: the next comes 1/rate later. Used when the broker,
# which keeps the same, is away.
pace = Table(
    "pace",
    metadata,
    Column("key", Text, primary_key=True),
    Column("last_us", BigInteger, nullable=False),  # microseconds since 1970
    postgresql_with={"fillfactor": "50"},
)

# What a provider's answers over a relay made of the rate there. A row without pause and rate says nothing any more.
slowdown = Table(
    "slowdown",
    metadata,
    Column("relay", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("rate_per_min", Integer),  # at `since`; doubled every few minutes from then on; NULL: not slowed
    Column("since", Utc, nullable=False),
    Column("paused_until", Utc),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("relay", "provider"),
)

# What became of the attempts of a day (UTC), by relay and provider: a warm-up goes by it. Counted along, for rates
# only: every figure of a campaign comes from the ledger.
relay_day = Table(
    "relay_day",
    metadata,
    Column("relay", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("deferred", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    PrimaryKeyConstraint("relay", "provider", "day"),
)
