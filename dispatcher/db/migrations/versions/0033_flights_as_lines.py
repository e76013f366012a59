"""What is in flight stands in the batch as lines of text, kept as they are: the gate writes it anew at every turn, and to make
JSON of it and to compress that took a third of its statement

Revision ID: 0033
Revises: 0032
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Json

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _carry_over(Json, sa.Text(), _lines)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE batch ALTER COLUMN in_flight SET STORAGE EXTERNAL")


def downgrade() -> None:
    _carry_over(sa.Text(), Json, _lists)


def _carry_over(before: sa.types.TypeEngine[Any], after: sa.types.TypeEngine[Any], make: Callable[..., object]) -> None:
    """A worker that was killed before left its intents behind: they are settled as those of any other."""
    conn = op.get_bind()
    old = sa.table("batch", sa.column("campaign_id"), sa.column("no"), sa.column("in_flight", before))
    new = sa.table("batch", sa.column("campaign_id"), sa.column("no"), sa.column("in_flight", after))
    found = conn.execute(sa.select(old).where(old.c.in_flight.is_not(None))).all()
    op.drop_column("batch", "in_flight")
    op.add_column("batch", sa.Column("in_flight", after, nullable=True))
    for row in found:
        of = sa.and_(new.c.campaign_id == row.campaign_id, new.c.no == row.no)
        conn.execute(sa.update(new).where(of).values(in_flight=make(row.in_flight)))


def _lines(flights: list[list[object]]) -> str:
    return "".join(f"{event} {who} {attempt} {relay}\n" for who, attempt, event, relay in flights)


def _lists(flights: str) -> list[list[object]]:
    lines = [line.split(" ", 3) for line in flights.split("\n") if line]
    return [[int(who), int(attempt), int(event), relay] for event, who, attempt, relay in lines]
