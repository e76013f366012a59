"""The database: engine, schema, migrations, clock."""
