"""Declarations by number: which words a consent rests on, from when on newer ones are needed, and who was asked to
renew. The texts of privacy notices. What people agreed to is never changed: the database refuses it, whoever tries.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Utc

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TOPICS = "topic IN ('product-news', 'finance-news', 'special-offers')"
_NEVER_CHANGED = ("declaration", "renewal", "privacy_notice")
_LANGUAGES = "language IN ('de', 'en')"


def upgrade() -> None:
    op.add_column("declaration", sa.Column("number", sa.Integer(), server_default="0", nullable=False))
    op.add_column("subscription", sa.Column("declaration_number", sa.Integer(), nullable=True))
    _number()
    op.create_index("ix_declaration_number", "declaration", ["number", "language"], unique=True)
    op.create_table(
        "renewal",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("valid_from", Utc(), nullable=False),
        sa.Column("covers_unknown", sa.Boolean(), nullable=False),
        sa.CheckConstraint(_TOPICS, name=op.f("ck_renewal_topic_known")),
        sa.PrimaryKeyConstraint("topic", "number", name=op.f("pk_renewal")),
    )
    op.create_table(
        "privacy_notice",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("first_shown_at", Utc(), nullable=False),
        sa.CheckConstraint(_LANGUAGES, name=op.f("ck_privacy_notice_language_known")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_privacy_notice")),
    )
    op.drop_column("declaration", "covers_older")  # which `renewal` says by topic
    op.add_column("opt_in_request", sa.Column("privacy_sha256", sa.LargeBinary(length=32), nullable=True))
    op.add_column("opt_in_request", sa.Column("renews", sa.Integer(), nullable=True))
    op.add_column("opt_in_request", sa.Column("campaign_id", Id, nullable=True))
    op.add_column("opt_in_request", sa.Column("released_at", Utc(), nullable=True))
    op.create_index(
        "ix_opt_in_request_renews",
        "opt_in_request",
        ["subscriber_id", "renews"],
        unique=True,
        postgresql_where=sa.text("renews IS NOT NULL"),
        sqlite_where=sa.text("renews IS NOT NULL"),
    )
    op.add_column("campaign", sa.Column("renews", sa.Integer(), nullable=True))
    _refuse_changes()


def _refuse_changes() -> None:
    """Whole databases can be copied all the same: to write rows, and to empty a table, is no change of a row."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION never_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
            " 'a row of % is never changed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
        )
    for table in _NEVER_CHANGED:
        if op.get_bind().dialect.name == "postgresql":
            op.execute(
                f"CREATE TRIGGER {table}_never_changed BEFORE UPDATE OR DELETE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION never_changed()"
            )
            continue
        for change in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change} BEFORE {change.upper()} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, 'a row of {table} is never changed'); END"
            )


def _allow_changes() -> None:
    for table in _NEVER_CHANGED:
        if op.get_bind().dialect.name == "postgresql":
            op.execute(f"DROP TRIGGER {table}_never_changed ON {table}")
        else:
            op.execute(f"DROP TRIGGER {table}_no_update")
            op.execute(f"DROP TRIGGER {table}_no_delete")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION never_changed()")


def _number() -> None:
    """Number the versions there are in the order in which they became valid, and note which consent rests on which."""
    conn = op.get_bind()
    rows = conn.execute(
        sa.text('SELECT "key", version FROM declaration GROUP BY "key", version ORDER BY min(valid_from), min(id)')
    ).all()
    for number, (key, version) in enumerate(rows, 1):
        conn.execute(
            sa.text('UPDATE declaration SET number = :number WHERE "key" = :key AND version = :version'),
            {"number": number, "key": key, "version": version},
        )
    conn.execute(
        sa.text(
            "UPDATE subscription SET declaration_number = (SELECT d.number FROM consent_event e"
            " JOIN declaration d ON d.id = e.declaration_id WHERE e.id = subscription.event_id)"
        )
    )


def downgrade() -> None:
    _allow_changes()
    op.drop_column("campaign", "renews")
    op.drop_index("ix_opt_in_request_renews", "opt_in_request")
    for column in ("released_at", "campaign_id", "renews", "privacy_sha256"):
        op.drop_column("opt_in_request", column)
    covers_older = sa.Column[bool]("covers_older", sa.Boolean(), server_default=sa.text("(true)"), nullable=False)
    op.add_column("declaration", covers_older)
    op.drop_table("privacy_notice")
    op.drop_table("renewal")
    op.drop_index("ix_declaration_number", "declaration")
    op.drop_column("subscription", "declaration_number")
    op.drop_column("declaration", "number")
