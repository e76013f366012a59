"""Objections stand in the log of rights.

Revision ID: 0018
Revises: 0017
"""

from alembic import op

from dispatcher.db.checks import admit, refuse

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_RIGHTS = ("objection",)


def upgrade() -> None:
    admit(op.get_bind(), "rights_request", "kind", _RIGHTS)


def downgrade() -> None:
    refuse(op.get_bind(), "rights_request", "kind", _RIGHTS)
