"""How far a look at a campaign is that the console began

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Utc

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "preflight_run",
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("member_id", Id, nullable=False),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("seen_at", Utc(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("ended_at", Utc(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "problem IS NULL OR ended_at IS NOT NULL", name=op.f("ck_preflight_run_problem_ends_it")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_preflight_run_campaign_id_campaign")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["staff_member.id"], name=op.f("fk_preflight_run_member_id_staff_member")
        ),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_preflight_run")),
    )


def downgrade() -> None:
    op.drop_table("preflight_run")
