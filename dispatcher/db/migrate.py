"""Bring a database up to date with tables.py, by Alembic. A test holds the two against each other.

Every command looks whether the database is up to date, and few bring it there. So to look needs no Alembic: to import
it takes a quarter of a second.
"""

from sqlalchemy import Connection, Engine, inspect, text

from dispatcher.assets import PACKAGE
from dispatcher.db.engine import reading
from dispatcher.errors import PartUnavailable

_MIGRATIONS = PACKAGE / "db" / "migrations"
_LOCK = 7_233_001  # advisory: two that migrate at once take turns


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Run the migrations that are missing; give the revision before and after. Safe to repeat and to run twice."""
    with engine.begin() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = _revision(conn)
        _run_migrations(conn)
        after = _revision(conn)
        assert after is not None
        return before, after


def require_current(engine: Engine) -> None:
    """Check that the database is at the newest revision. Raises PartUnavailable with the cure."""
    with reading(engine).connect() as conn:
        stands = _revision(conn)
    if stands != newest():
        raise PartUnavailable(
            f"the database is at revision {stands or 'none'}, this version needs {newest()}",
            "run: dispatcher db upgrade",
        )


def newest() -> str:
    """Give the newest revision: the highest number that a file of a migration begins with."""
    return max(path.name for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def _revision(conn: Connection) -> str | None:
    if not inspect(conn).has_table("alembic_version"):
        return None
    return conn.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _run_migrations(conn: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
