"""Mailbox providers of people and batches, and what rates need"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Utc

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Who kept which mailboxes on the day of this migration. Everybody after it is sorted by domain/rates/providers.py.
_DOMAINS = {
    "google": ("gmail.com", "googlemail.com"),
    "microsoft": (
        "outlook.com", "outlook.de", "hotmail.com", "hotmail.de", "hotmail.co.uk", "hotmail.fr", "live.com", "live.de",
        "live.at", "msn.com",
    ),
    "yahoo": ("yahoo.com", "yahoo.de", "yahoo.co.uk", "yahoo.fr", "ymail.com", "aol.com", "aol.de"),
    "gmx-webde": ("gmx.de", "gmx.net", "gmx.at", "gmx.ch", "gmx.com", "gmx.eu", "gmx.org", "web.de", "email.de"),
    "apple": ("icloud.com", "me.com", "mac.com"),
    "t-online": ("t-online.de", "magenta.de"),
}  # fmt: skip


def upgrade() -> None:
    op.add_column("subscriber", sa.Column("provider", sa.Text(), server_default="other", nullable=False))
    op.add_column("batch", sa.Column("provider", sa.Text(), server_default="other", nullable=False))
    op.add_column("campaign", sa.Column("rate_per_min", sa.Integer(), nullable=True))
    _sort_people()
    op.create_table(
        "mailbox_provider",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("is_rate_set", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("rate_per_min", sa.Integer(), nullable=True),
        sa.Column("paused_until", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_mailbox_provider")),
    )
    op.create_table(
        "mailbox_domain",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), server_default="other", nullable=False),
        sa.Column("mx", sa.Text(), nullable=True),
        sa.Column("looked_up_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_mailbox_domain")),
    )
    op.create_index("ix_mailbox_domain_looked_up_at", "mailbox_domain", ["looked_up_at"])
    op.create_table(
        "pace",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_pace")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "slowdown",
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("rate_per_min", sa.Integer(), nullable=True),
        sa.Column("since", Utc(), nullable=False),
        sa.Column("paused_until", Utc(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("relay", "provider", name=op.f("pk_slowdown")),
    )
    op.create_table(
        "relay_day",
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("deferred", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("relay", "provider", "day", name=op.f("pk_relay_day")),
    )


def _sort_people() -> None:
    """Sort everybody who is there already; batches under way stay with `other`, which mixes them as before."""
    conn = op.get_bind()
    is_postgresql = conn.dialect.name == "postgresql"
    # The domain is what stands behind the last @; a quoted local part, which could hold one, is never stored.
    domain = "split_part(address, '@', 2)" if is_postgresql else "substr(address, instr(address, '@') + 1)"
    cases = " ".join(
        f"WHEN {domain} IN ({', '.join(repr(name) for name in names)}) THEN '{provider}'"
        for provider, names in _DOMAINS.items()
    )
    known = ", ".join(repr(name) for names in _DOMAINS.values() for name in names)
    conn.execute(
        sa.text(f"UPDATE subscriber SET provider = CASE {cases} END WHERE address IS NOT NULL AND {domain} IN ({known})")
    )


def downgrade() -> None:
    for table in ("relay_day", "slowdown", "pace", "mailbox_domain", "mailbox_provider"):
        op.drop_table(table)
    op.drop_column("campaign", "rate_per_min")
    op.drop_column("batch", "provider")
    op.drop_column("subscriber", "provider")
