"""The staff: accounts, sessions, invitations, failed log-ins, and what everybody did. An entry of that log is never
changed: the database refuses it, whoever tries.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Json, Utc

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_LANGUAGES = "language IN ('de', 'en')"
_ROLES = "role IN ('viewer', 'editor', 'sender', 'data-protection', 'admin')"
_STAGES = "stage IN ('second-factor', 'enrol', 'full')"
_ACTORS = "actor IN ('member', 'operator', 'key', 'nobody')"


def upgrade() -> None:
    op.create_table(
        "staff_member",
        sa.Column("id", Id, primary_key=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("totp_secret", sa.Text()),
        sa.Column("totp_step", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("seen_at", Utc()),
        sa.Column("off_at", Utc()),
        sa.CheckConstraint(_LANGUAGES, name=op.f("ck_staff_member_language_known")),
        sa.CheckConstraint(_ROLES, name=op.f("ck_staff_member_role_known")),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_staff_member_email_lower")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_member")),
        sa.UniqueConstraint("email", name=op.f("uq_staff_member_email")),
    )
    op.create_table(
        "staff_recovery_code",
        sa.Column("member_id", Id, nullable=False),
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["staff_member.id"], name=op.f("fk_staff_recovery_code_member_id")),
        sa.PrimaryKeyConstraint("member_id", "code_hash", name=op.f("pk_staff_recovery_code")),
    )
    op.create_table(
        "staff_session",
        sa.Column("token_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("member_id", Id, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("seen_at", Utc(), nullable=False),
        sa.CheckConstraint(_STAGES, name=op.f("ck_staff_session_stage_known")),
        sa.ForeignKeyConstraint(["member_id"], ["staff_member.id"], name=op.f("fk_staff_session_member_id")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_staff_session")),
    )
    op.create_index(op.f("ix_staff_session_member_id"), "staff_session", ["member_id"])
    op.create_index(op.f("ix_staff_session_seen_at"), "staff_session", ["seen_at"])
    op.create_table(
        "staff_invitation",
        sa.Column("token_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("member_id", Id),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["staff_member.id"], name=op.f("fk_staff_invitation_member_id")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_staff_invitation")),
    )
    op.create_index("ix_staff_invitation_member_id", "staff_invitation", ["member_id"], unique=True)
    op.create_table(
        "login_attempt",
        sa.Column("id", Id, primary_key=True),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("bucket_hash", sa.LargeBinary(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_attempt")),
    )
    op.create_index(op.f("ix_login_attempt_at"), "login_attempt", ["at"])
    op.create_index(op.f("ix_login_attempt_bucket_hash_at"), "login_attempt", ["bucket_hash", "at"])
    _audit()


def _audit() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", Id, primary_key=True),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("member_id", Id),
        sa.Column("actor_name", sa.Text()),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("about", sa.Text()),
        sa.Column("about_id", Id),
        sa.Column("detail", Json, nullable=False),
        sa.CheckConstraint(_ACTORS, name=op.f("ck_audit_entry_actor_known")),
        sa.CheckConstraint(
            "(actor = 'member') = (member_id IS NOT NULL)", name=op.f("ck_audit_entry_member_is_named")
        ),
        sa.CheckConstraint("about IS NOT NULL OR about_id IS NULL", name=op.f("ck_audit_entry_about_has_kind")),
        sa.ForeignKeyConstraint(["member_id"], ["staff_member.id"], name=op.f("fk_audit_entry_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index(op.f("ix_audit_entry_member_id_id"), "audit_entry", ["member_id", "id"])
    op.create_index(op.f("ix_audit_entry_action_id"), "audit_entry", ["action", "id"])
    op.create_index("ix_audit_entry_about", "audit_entry", ["about", "about_id", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER audit_entry_never_changed BEFORE UPDATE OR DELETE ON audit_entry"
            " FOR EACH ROW EXECUTE FUNCTION never_changed()"
        )
        return
    for change in ("update", "delete"):
        op.execute(
            f"CREATE TRIGGER audit_entry_no_{change} BEFORE {change.upper()} ON audit_entry"
            " BEGIN SELECT RAISE(ABORT, 'a row of audit_entry is never changed'); END"
        )


def downgrade() -> None:
    for table in (
        "audit_entry", "login_attempt", "staff_invitation", "staff_session", "staff_recovery_code", "staff_member",
    ):  # fmt: skip
        op.drop_table(table)
