"""Webhooks: whom we tell what happens here, and what is still to be told. Part of the schema, beside tables.py."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from dispatcher.db.columns import Id, Json, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import MessageState, WebhookKind

# A receiver of what happens here. A row is never deleted, and its URL never changes: the secret is bound to it.
webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("id", Id, primary_key=True),
    Column("url", Text, nullable=False),
    Column("kinds", Json, nullable=False),  # of what it is told: words of db/terms.py
    Column("secret", Text, nullable=False),  # sealed under a key of the ring
    Column("created_at", Utc, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("delivered_at", Utc),  # when it last took something
    Column("off_at", Utc),  # since when it is told nothing
    Column("off_why", Text),  # what it answered at last; NULL: somebody switched it off
    CheckConstraint("off_at IS NOT NULL OR off_why IS NULL", name="off_has_time"),
)

# The outbox: what is to be told to one endpoint, written in the transaction of what it tells. People are named by
# their public id alone. Retention lets go of it.
webhook_message = Table(
    "webhook_message",
    metadata,
    Column("id", Id, primary_key=True),
    Column("endpoint_id", Id, ForeignKey("webhook_endpoint.id"), nullable=False),
    Column("message_id", Text, nullable=False, unique=True),  # by which the receiver knows a second attempt
    Column("kind", Text, nullable=False),
    Column("at", Utc, nullable=False),  # when it happened
    Column("payload", Text, nullable=False),  # JSON, as it is signed and sent, the same at each attempt
    Column("state", Text, nullable=False),
    Column("due_at", Utc),  # not before; while an attempt is made, when another may be made
    Column("attempts", Integer, nullable=False, server_default="0"),  # also the fence: who records must know it
    Column("answer", Text),  # what came of the last attempt
    Column("ended_at", Utc),  # delivered or given up
    one_of("kind", WebhookKind),
    one_of("state", MessageState),
    CheckConstraint("(state = 'waiting') = (due_at IS NOT NULL)", name="waiting_is_due"),
    Index("ix_webhook_message_due", "endpoint_id", "due_at"),  # what is to be delivered
    Index(None, "endpoint_id", "id"),  # the log of one endpoint
    Index(None, "at"),  # retention lets go of the oldest
)
