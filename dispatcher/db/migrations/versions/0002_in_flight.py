"""What is in flight stands in the batch; the table of lanes goes, and the second index of the ledger"""

import sqlalchemy as sa
from alembic import op

from dispatcher.db.columns import Id, Json, Utc

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batch", sa.Column("in_flight", Json, nullable=True))
    _carry_over()
    op.drop_table("lane")
    op.drop_index("ix_delivery_subscriber_id", table_name="delivery")


def _carry_over() -> None:
    """A worker that was killed before the upgrade left its intents behind: they are settled as those of any other."""
    conn = op.get_bind()
    lanes = conn.execute(
        sa.text(
            "SELECT campaign_id, batch_no, in_flight, attempt, consent_event_id, relay FROM lane"
            " ORDER BY campaign_id, batch_no, token"
        )
    )
    flights: dict[tuple[int, int], dict[int, list[object]]] = {}
    for campaign_id, no, *flight in lanes:
        flights.setdefault((campaign_id, no), {})[flight[0]] = flight
    statement = sa.text("UPDATE batch SET in_flight = :flights WHERE campaign_id = :campaign AND no = :no").bindparams(
        sa.bindparam("flights", type_=Json)
    )
    for (campaign_id, no), theirs in flights.items():
        conn.execute(statement, {"flights": list(theirs.values()), "campaign": campaign_id, "no": no})


def downgrade() -> None:
    op.create_index("ix_delivery_subscriber_id", "delivery", ["subscriber_id"])
    op.create_table(
        "lane",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("batch_no", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("in_flight", Id, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("consent_event_id", Id, nullable=False),
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("worker", "slot", name=op.f("pk_lane")),
        postgresql_with={"fillfactor": "20"},
    )
    op.create_index("ix_lane_campaign_id_batch_no", "lane", ["campaign_id", "batch_no"])
    op.drop_column("batch", "in_flight")
