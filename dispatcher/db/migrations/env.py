"""Alembic's entrance: it is handed a connection, and never makes one."""

from alembic import context

from dispatcher.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    compare_type=True,
    transaction_per_migration=False,
)
context.run_migrations()
