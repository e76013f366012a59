"""Bring a database up to date with tables.py, by Alembic. A test holds the two against each other."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from dispatcher.assets import PACKAGE
from dispatcher.db.engine import reading
from dispatcher.errors import PartUnavailable

_LOCK = 7_233_001  # advisory: two that migrate at once take turns


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Run the migrations that are missing; give the revision before and after. Safe to repeat and to run twice."""
    with engine.begin() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = _revision(conn)
        config = _config()
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
        after = _revision(conn)
        assert after is not None
        return before, after


def require_current(engine: Engine) -> None:
    """Check that the database is at the newest revision. Raises PartUnavailable with the cure."""
    with reading(engine).connect() as conn:
        stands = _revision(conn)
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if stands != newest:
        raise PartUnavailable(
            f"the database is at revision {stands or 'none'}, this version needs {newest}",
            "run: dispatcher db upgrade",
        )


def _revision(conn: Connection) -> str | None:
    if not inspect(conn).has_table("alembic_version"):
        return None
    return MigrationContext.configure(conn).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(PACKAGE / "db" / "migrations").replace("%", "%%"))
    return config
