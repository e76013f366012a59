"""Webhooks: endpoints, and the outbox of what they are to be told

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Json, Utc

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_KINDS = (
    "'consent.given', 'consent.ended', 'person.erased', 'campaign.moved', 'suppression.added', 'webhook.test'"
)


def upgrade() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", Id, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", Json, nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("delivered_at", Utc(), nullable=True),
        sa.Column("off_at", Utc(), nullable=True),
        sa.Column("off_why", sa.Text(), nullable=True),
        sa.CheckConstraint("off_at IS NOT NULL OR off_why IS NULL", name=op.f("ck_webhook_endpoint_off_has_time")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoint")),
    )
    op.create_table(
        "webhook_message",
        sa.Column("id", Id, nullable=False),
        sa.Column("endpoint_id", Id, nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", Utc(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("ended_at", Utc(), nullable=True),
        sa.CheckConstraint(f"kind IN ({_KINDS})", name=op.f("ck_webhook_message_kind_known")),
        sa.CheckConstraint(
            "state IN ('waiting', 'delivered', 'given-up')", name=op.f("ck_webhook_message_state_known")
        ),
        sa.CheckConstraint(
            "(state = 'waiting') = (due_at IS NOT NULL)", name=op.f("ck_webhook_message_waiting_is_due")
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoint.id"], name=op.f("fk_webhook_message_endpoint_id_webhook_endpoint")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_message")),
        sa.UniqueConstraint("message_id", name=op.f("uq_webhook_message_message_id")),
    )
    op.create_index("ix_webhook_message_due", "webhook_message", ["endpoint_id", "due_at"])
    op.create_index("ix_webhook_message_endpoint_id_id", "webhook_message", ["endpoint_id", "id"])
    op.create_index(op.f("ix_webhook_message_at"), "webhook_message", ["at"])


def downgrade() -> None:
    op.drop_table("webhook_message")
    op.drop_table("webhook_endpoint")
