"""Preflights and releases, and who wrote which version of a campaign

Revision ID: 0012
Revises: 0011
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Json, Utc

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_HOLDS = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.add_column("campaign", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.create_table(
        "preflight",
        sa.Column("id", Id, nullable=False),
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("goes_at", Utc(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        *_hashes(),
        sa.Column("findings", Json, nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_preflight_campaign_id_campaign")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preflight")),
    )
    op.create_index("ix_preflight_campaign_id", "preflight", ["campaign_id"])
    op.create_table(
        "campaign_release",
        sa.Column("id", Id, nullable=False),
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("preflight_id", Id, nullable=True),
        sa.Column("at", Utc(), nullable=False),
        *_actor(),
        sa.Column("people", sa.Integer(), nullable=True),
        sa.Column("despite", Json, nullable=True),
        *_hashes(),
        sa.Column("ended_at", Utc(), nullable=True),
        sa.Column("ended_why", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_why IS NULL)", name=op.f("ck_campaign_release_end_has_reason")
        ),
        sa.CheckConstraint(
            "(preflight_id IS NULL) = (actor = 'nobody')",
            name=op.f("ck_campaign_release_looked_over_by_somebody"),
        ),
        *_checks("campaign_release"),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_release_campaign_id_campaign")
        ),
        sa.ForeignKeyConstraint(
            ["preflight_id"], ["preflight.id"], name=op.f("fk_campaign_release_preflight_id_preflight")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_release")),
    )
    op.create_index("ix_campaign_release_campaign_id", "campaign_release", ["campaign_id"])
    op.create_index(
        "uq_campaign_release_holds",
        "campaign_release",
        ["campaign_id"],
        unique=True,
        postgresql_where=_HOLDS,
        sqlite_where=_HOLDS,
    )
    op.create_table(
        "campaign_version",
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        *_actor(),
        *_checks("campaign_version"),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_version_campaign_id_campaign")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "version", name=op.f("pk_campaign_version")),
    )


def _hashes() -> list[sa.Column[bytes]]:
    names = ("content", "template", "house", "audience")
    return [sa.Column(f"{name}_sha256", sa.LargeBinary(length=32), nullable=False) for name in names]


def _actor() -> list[sa.Column[Any]]:
    return [
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("member_id", Id, nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=True),
    ]


def _checks(table: str) -> list[sa.Constraint]:
    return [
        sa.CheckConstraint(
            "actor IN ('member', 'operator', 'key', 'nobody')", name=op.f(f"ck_{table}_actor_known")
        ),
        sa.CheckConstraint(
            "(actor = 'member') = (member_id IS NOT NULL)", name=op.f(f"ck_{table}_member_is_named")
        ),
        sa.ForeignKeyConstraint(["member_id"], ["staff_member.id"], name=op.f(f"fk_{table}_member_id_staff_member")),
    ]


def downgrade() -> None:
    op.drop_table("campaign_version")
    op.drop_table("campaign_release")
    op.drop_table("preflight")
    op.drop_column("campaign", "version")
