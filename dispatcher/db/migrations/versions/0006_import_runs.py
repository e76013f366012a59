"""How far each file of people was taken in

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Json, Utc

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "import_run",
        sa.Column("id", Id, nullable=False),
        sa.Column("order_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("file_sha256", sa.LargeBinary(32), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("options", Json, nullable=False),
        sa.Column("rows_done", sa.BigInteger(), nullable=False),
        sa.Column("counts", Json, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("finished_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_run")),
    )
    op.create_index(
        "uq_import_run_open",
        "import_run",
        ["order_sha256"],
        unique=True,
        postgresql_where=sa.text("finished_at IS NULL"),
        sqlite_where=sa.text("finished_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("import_run")
