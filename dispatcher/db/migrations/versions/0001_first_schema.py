"""first schema"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, IdList, Utc

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "declaration",
        sa.Column("id", Id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("topics", sa.JSON(), nullable=False),
        sa.Column("valid_from", Utc(), nullable=False),
        sa.Column("covers_older", sa.Boolean(), server_default=sa.text("(true)"), nullable=False),
        sa.CheckConstraint("language IN ('de', 'en')", name=op.f("ck_declaration_language_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declaration")),
        sa.UniqueConstraint("key", "version", "language", name=op.f("uq_declaration_key_version_language")),
    )
    op.create_table(
        "deferral",
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("subscriber_id", Id, nullable=False),
        sa.Column("batch_no", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("retry_at", Utc(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("relay", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("campaign_id", "subscriber_id", name=op.f("pk_deferral")),
    )
    with op.batch_alter_table("deferral", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_deferral_campaign_id_batch_no_retry_at"),
            ["campaign_id", "batch_no", "retry_at"],
            unique=False,
        )

    op.create_table(
        "delivery",
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("subscriber_id", Id, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("consent_event_id", Id, nullable=True),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("relay", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('sent', 'failed', 'unknown', 'withheld')", name=op.f("ck_delivery_outcome_known")
        ),
        sa.CheckConstraint(
            "outcome NOT IN ('sent', 'unknown') OR consent_event_id IS NOT NULL",
            name=op.f("ck_delivery_sent_names_consent"),
        ),
        sa.PrimaryKeyConstraint("campaign_id", "subscriber_id", name=op.f("pk_delivery")),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_delivery_subscriber_id"), ["subscriber_id"], unique=False)

    op.create_table(
        "lane",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("batch_no", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("in_flight", Id, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("consent_event_id", Id, nullable=False),
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("worker", "slot", name=op.f("pk_lane")),
        postgresql_with={"fillfactor": "20"},
    )
    with op.batch_alter_table("lane", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_lane_campaign_id_batch_no"), ["campaign_id", "batch_no"], unique=False)

    op.create_table(
        "secret_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=16), nullable=False),
        sa.Column("first_seen", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secret_key")),
    )
    op.create_table(
        "signup_attempt",
        sa.Column("id", Id, nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("bucket_hash", sa.LargeBinary(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signup_attempt")),
    )
    with op.batch_alter_table("signup_attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_signup_attempt_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_signup_attempt_bucket_hash_at"), ["bucket_hash", "at"], unique=False)

    op.create_table(
        "subscriber",
        sa.Column("id", Id, nullable=False),
        sa.Column("public_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("address_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("erased_at", Utc(), nullable=True),
        sa.CheckConstraint("language IN ('de', 'en')", name=op.f("ck_subscriber_language_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriber")),
        sa.UniqueConstraint("address_hash", name=op.f("uq_subscriber_address_hash")),
        sa.UniqueConstraint("public_id", name=op.f("uq_subscriber_public_id")),
    )
    op.create_table(
        "suppression",
        sa.Column("address_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.CheckConstraint(
            "reason IN ('withdrawn', 'objected', 'complaint', 'bounced', 'operator', 'erased')",
            name=op.f("ck_suppression_reason_known"),
        ),
        sa.CheckConstraint(
            "scope IN ('all', 'product-news', 'finance-news', 'special-offers')",
            name=op.f("ck_suppression_scope_known"),
        ),
        sa.PrimaryKeyConstraint("address_hash", "scope", name=op.f("pk_suppression")),
    )
    op.create_table(
        "opt_in_request",
        sa.Column("id", Id, nullable=False),
        sa.Column("subscriber_id", Id, nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=16), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("topics", sa.JSON(), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("declaration_id", Id, nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("requested_at", Utc(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("used_at", Utc(), nullable=True),
        sa.CheckConstraint("language IN ('de', 'en')", name=op.f("ck_opt_in_request_language_known")),
        sa.ForeignKeyConstraint(["declaration_id"], ["declaration.id"], name=op.f("fk_opt_in_request_declaration_id")),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name=op.f("fk_opt_in_request_subscriber_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opt_in_request")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_opt_in_request_token_sha256")),
    )
    with op.batch_alter_table("opt_in_request", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_opt_in_request_subscriber_id"), ["subscriber_id"], unique=False)

    op.create_table(
        "campaign",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("default_language", sa.String(length=2), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("send_at", Utc(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("unknown_policy", sa.Text(), nullable=False),
        sa.Column("expires_after_s", sa.Integer(), nullable=False),
        sa.Column("request_id", Id, nullable=True),
        sa.Column("audience", sa.Integer(), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("launched_at", Utc(), nullable=True),
        sa.Column("finished_at", Utc(), nullable=True),
        sa.CheckConstraint(
            "(kind = 'confirmation') = (request_id IS NOT NULL)", name=op.f("ck_campaign_confirmation_has_request")
        ),
        sa.CheckConstraint(
            "(kind = 'newsletter') = (topic IS NOT NULL)", name=op.f("ck_campaign_newsletter_has_topic")
        ),
        sa.CheckConstraint("default_language IN ('de', 'en')", name=op.f("ck_campaign_default_language_known")),
        sa.CheckConstraint("kind IN ('newsletter', 'confirmation')", name=op.f("ck_campaign_kind_known")),
        sa.CheckConstraint(
            "state IN ('draft', 'scheduled', 'preparing', 'sending', 'paused', 'sent', 'cancelled')",
            name=op.f("ck_campaign_state_known"),
        ),
        sa.CheckConstraint(
            "topic IN ('product-news', 'finance-news', 'special-offers')", name=op.f("ck_campaign_topic_known")
        ),
        sa.CheckConstraint("unknown_policy IN ('hold', 'resend')", name=op.f("ck_campaign_unknown_policy_known")),
        sa.ForeignKeyConstraint(["request_id"], ["opt_in_request.id"], name=op.f("fk_campaign_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
        sa.UniqueConstraint("request_id", name=op.f("uq_campaign_request_id")),
    )
    with op.batch_alter_table("campaign", schema=None) as batch_op:
        batch_op.create_index(
            "ix_campaign_alive",
            ["state", "send_at"],
            unique=False,
            postgresql_where=sa.text("state IN ('scheduled', 'preparing', 'sending')"),
            sqlite_where=sa.text("state IN ('scheduled', 'preparing', 'sending')"),
        )

    op.create_table(
        "consent_event",
        sa.Column("id", Id, nullable=False),
        sa.Column("subscriber_id", Id, nullable=False),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("given_at", Utc(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("ip", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("language", sa.String(length=2), nullable=True),
        sa.Column("declaration_id", Id, nullable=True),
        sa.Column("declaration_named", sa.Text(), nullable=True),
        sa.Column("privacy_sha256", sa.LargeBinary(length=32), nullable=True),
        sa.Column("request_id", Id, nullable=True),
        sa.Column("mail_template", sa.Text(), nullable=True),
        sa.Column("mail_sha256", sa.LargeBinary(length=32), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("relay_reply", sa.Text(), nullable=True),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(length=32), nullable=True),
        sa.CheckConstraint(
            "kind IN ('requested', 'confirmation-sent', 'confirmed', 'imported', 'listed', 'withdrawn', 'objected', 'expired', 'erased')",
            name=op.f("ck_consent_event_kind_known"),
        ),
        sa.CheckConstraint(
            "topic IN ('product-news', 'finance-news', 'special-offers')", name=op.f("ck_consent_event_topic_known")
        ),
        sa.ForeignKeyConstraint(["declaration_id"], ["declaration.id"], name=op.f("fk_consent_event_declaration_id")),
        sa.ForeignKeyConstraint(["request_id"], ["opt_in_request.id"], name=op.f("fk_consent_event_request_id")),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name=op.f("fk_consent_event_subscriber_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_event")),
    )
    with op.batch_alter_table("consent_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consent_event_subscriber_id_id"), ["subscriber_id", "id"], unique=False)

    op.create_table(
        "batch",
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("subscriber_ids", IdList, nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("token", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", Utc(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", Utc(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("(state = 'leased') = (owner IS NOT NULL)", name=op.f("ck_batch_leased_has_owner")),
        sa.CheckConstraint(
            "state IN ('ready', 'leased', 'deferred', 'done', 'quarantined')", name=op.f("ck_batch_state_known")
        ),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_batch_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "no", name=op.f("pk_batch")),
        postgresql_with={"fillfactor": "70"},
    )
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.create_index(
            "ix_batch_open",
            ["state", "not_before"],
            unique=False,
            postgresql_where=sa.text("state IN ('ready', 'leased', 'deferred')"),
            sqlite_where=sa.text("state IN ('ready', 'leased', 'deferred')"),
        )

    op.create_table(
        "content",
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint("language IN ('de', 'en')", name=op.f("ck_content_language_known")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_content_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "language", name=op.f("pk_content")),
    )
    op.create_table(
        "edition",
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("frozen", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("language IN ('de', 'en')", name=op.f("ck_edition_language_known")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_edition_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "language", name=op.f("pk_edition")),
    )
    op.create_table(
        "subscription",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("subscriber_id", Id, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("event_id", Id, nullable=False),
        sa.Column("since", Utc(), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'confirmed', 'withdrawn')", name=op.f("ck_subscription_state_known")),
        sa.CheckConstraint(
            "topic IN ('product-news', 'finance-news', 'special-offers')", name=op.f("ck_subscription_topic_known")
        ),
        sa.ForeignKeyConstraint(["event_id"], ["consent_event.id"], name=op.f("fk_subscription_event_id")),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name=op.f("fk_subscription_subscriber_id")),
        sa.PrimaryKeyConstraint("topic", "subscriber_id", name=op.f("pk_subscription")),
    )
    with op.batch_alter_table("subscription", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subscription_subscriber_id"), ["subscriber_id"], unique=False)
