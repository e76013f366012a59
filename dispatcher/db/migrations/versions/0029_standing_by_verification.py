"""Where somebody stands refers to its event without a key: it is made of that event, and verified against the ledger. So
no key keeps an event from being deleted any more; a trigger does, which costs an insert nothing.

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
_REFUSAL = (
    "a row of consent_event is never deleted: the ledger is proof of consent, and each event is chained to the one before."
    " Personal fields are blanked instead: dispatcher subscribers erase, or retention."
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE subscription DROP CONSTRAINT fk_subscription_subscriber_id")
    else:
        mend(op.get_bind(), "subscription", rf",\s*{re.escape(_KEY)}", "")
    _refuse_deletes()


def downgrade() -> None:
    _allow_deletes()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE subscription ADD {_KEY}")
    else:
        mend(op.get_bind(), "subscription", re.escape(_STATE), f"{_KEY}, {_STATE}")


def _refuse_deletes() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION never_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$"
        )
        op.execute(
            "CREATE TRIGGER consent_event_never_deleted BEFORE DELETE OR TRUNCATE ON consent_event"
            " FOR EACH STATEMENT EXECUTE FUNCTION never_deleted()"
        )
    else:
        op.execute(
            "CREATE TRIGGER consent_event_never_deleted BEFORE DELETE ON consent_event"
            f" BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )


def _allow_deletes() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER consent_event_never_deleted ON consent_event")
        op.execute("DROP FUNCTION never_deleted()")
    else:
        op.execute("DROP TRIGGER consent_event_never_deleted")
