"""Where somebody stands refers to its event without a key: it is made of that event, and verified against the ledger.

Revision ID: 0029
Revises: 0028
"""

import re

from alembic import op

from dispatcher.db.checks import mend

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_KEY = (
    "CONSTRAINT fk_subscription_subscriber_id FOREIGN KEY(subscriber_id, event_id)"
    " REFERENCES consent_event (subscriber_id, id)"
)
_STATE = "CONSTRAINT ck_subscription_state_known"  # stands in every definition of the table, however it came about


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE subscription DROP CONSTRAINT fk_subscription_subscriber_id")
    else:
        mend(op.get_bind(), "subscription", rf",\s*{re.escape(_KEY)}", "")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE subscription ADD {_KEY}")
    else:
        mend(op.get_bind(), "subscription", re.escape(_STATE), f"{_KEY}, {_STATE}")
