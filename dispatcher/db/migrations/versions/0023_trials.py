"""Trials of subjects, and batches that wait for the subject that is chosen.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.checks import admit, refuse
from dispatcher.db.columns import Id, Json, Utc

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_WAITING = "state <> 'waiting' OR variant IS NULL"
_HOW = "(chosen IS NULL) = (chosen_at IS NULL) AND (chosen IS NULL) = (chosen_by IS NULL)"


def upgrade() -> None:
    op.create_table(
        "trial",
        sa.Column("campaign_id", Id, autoincrement=False, nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("wait_s", sa.Integer(), nullable=False),
        sa.Column("otherwise", sa.Text(), nullable=False),
        sa.Column("variants", sa.Integer(), nullable=True),
        sa.Column("until", Utc(), nullable=True),
        sa.Column("chosen", sa.Integer(), nullable=True),
        sa.Column("chosen_at", Utc(), nullable=True),
        sa.Column("chosen_by", sa.Text(), nullable=True),
        sa.Column("figures", Json, nullable=True),
        sa.CheckConstraint("otherwise IN ('first', 'wait')", name=op.f("ck_trial_otherwise_known")),
        sa.CheckConstraint(
            "chosen_by IN ('hand', 'figures', 'otherwise', 'few')", name=op.f("ck_trial_chosen_by_known")
        ),
        sa.CheckConstraint("share BETWEEN 1 AND 90", name=op.f("ck_trial_share_leaves_a_rest")),
        sa.CheckConstraint("wait_s > 0", name=op.f("ck_trial_waits")),
        sa.CheckConstraint(
            "chosen IS NULL OR chosen BETWEEN 1 AND variants", name=op.f("ck_trial_chosen_is_one_of_them")
        ),
        sa.CheckConstraint(_HOW, name=op.f("ck_trial_chosen_says_how")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_trial_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_trial")),
    )
    admit(op.get_bind(), "batch", "state", ["waiting"])
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("batch", sa.Column("variant", sa.Integer(), nullable=True))
        op.create_check_constraint(op.f("ck_batch_waiting_has_no_variant"), "batch", _WAITING)
    else:
        op.execute(
            f"ALTER TABLE batch ADD COLUMN variant INTEGER CONSTRAINT ck_batch_waiting_has_no_variant CHECK ({_WAITING})"
        )


def downgrade() -> None:
    """Whoever waits for a subject is served with the first: the older program knows no other."""
    op.execute("UPDATE batch SET state = 'ready' WHERE state = 'waiting'")
    op.drop_column("batch", "variant")
    refuse(op.get_bind(), "batch", "state", ["waiting"])
    op.drop_table("trial")
