"""The event that a subscription names is one of the same person: one key of two columns instead of two keys.

Revision ID: 0021
Revises: 0020
"""

import re

from alembic import op

from dispatcher.db.checks import mend

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_INDEX = "ix_consent_event_subscriber_id_id"
_OF_EVENT = "CONSTRAINT fk_subscription_event_id FOREIGN KEY(event_id) REFERENCES consent_event (id)"
_OF_PERSON = "CONSTRAINT fk_subscription_subscriber_id FOREIGN KEY(subscriber_id) REFERENCES subscriber (id)"
_OF_BOTH = (
    "CONSTRAINT fk_subscription_subscriber_id FOREIGN KEY(subscriber_id, event_id)"
    " REFERENCES consent_event (subscriber_id, id)"
)


def upgrade() -> None:
    _index(is_unique=True)
    if op.get_bind().dialect.name == "postgresql":
        for name in ("event_id", "subscriber_id"):
            op.execute(f"ALTER TABLE subscription DROP CONSTRAINT fk_subscription_{name}")
        op.execute(f"ALTER TABLE subscription ADD {_OF_BOTH}")
    else:
        _mend(f"{_OF_EVENT}, {_OF_PERSON}", _OF_BOTH)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE subscription DROP CONSTRAINT fk_subscription_subscriber_id")
        op.execute(f"ALTER TABLE subscription ADD {_OF_EVENT}, ADD {_OF_PERSON}")
    else:
        _mend(_OF_BOTH, f"{_OF_EVENT}, {_OF_PERSON}")
    _index(is_unique=False)


def _index(*, is_unique: bool) -> None:
    op.drop_index(_INDEX, table_name="consent_event")
    op.create_index(_INDEX, "consent_event", ["subscriber_id", "id"], unique=is_unique)


def _mend(before: str, after: str) -> None:
    pattern = re.escape(before).replace(",\\ CONSTRAINT", r",\s+CONSTRAINT")
    mend(op.get_bind(), "subscription", pattern, after)
