"""Files that are handed in at the console or by a program; the never-mail list in the order of time

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Json, Utc

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_STATES = "'looking', 'looked', 'importing', 'imported', 'failed', 'discarded'"
_AT_WORK = sa.text("state IN ('looking', 'importing')")


def upgrade() -> None:
    op.create_table(
        "upload",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("stored", sa.Text(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("how", Json, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", Utc(), nullable=False),
        sa.Column("begun_at", Utc(), nullable=True),
        sa.Column("columns", Json, nullable=True),
        sa.Column("octets_done", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("counts", Json, nullable=False),
        sa.Column("looked", Json, nullable=True),
        sa.Column("run_id", Id, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("cure", sa.Text(), nullable=True),
        sa.Column("token", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", Utc(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("file_gone_at", Utc(), nullable=True),
        sa.Column("rejects_gone_at", Utc(), nullable=True),
        sa.CheckConstraint("kind IN ('people', 'never-mail')", name=op.f("ck_upload_kind_known")),
        sa.CheckConstraint(f"state IN ({_STATES})", name=op.f("ck_upload_state_known")),
        sa.CheckConstraint("(owner IS NULL) = (lease_until IS NULL)", name=op.f("ck_upload_owner_has_lease")),
        sa.CheckConstraint("state <> 'failed' OR problem IS NOT NULL", name=op.f("ck_upload_failed_has_problem")),
        sa.CheckConstraint(
            "state NOT IN ('looking', 'importing') OR file_gone_at IS NULL", name=op.f("ck_upload_at_work_has_file")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["import_run.id"], name=op.f("fk_upload_run_id_import_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
        sa.UniqueConstraint("stored", name=op.f("uq_upload_stored")),
    )
    op.create_index("ix_upload_due", "upload", ["id"], postgresql_where=_AT_WORK, sqlite_where=_AT_WORK)
    op.create_index("ix_suppression_reason_at", "suppression", ["reason", "at"])


def downgrade() -> None:
    op.drop_index("ix_suppression_reason_at", "suppression")
    op.drop_table("upload")
