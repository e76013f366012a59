"""One database for many stories that hypothesis tells: emptied in between, never made anew."""

import shutil
from pathlib import Path

from sqlalchemy import Engine, event, text

from dispatcher.db.engine import make_engine
from dispatcher.db.tables import metadata


def hurried(folder: Path) -> Engine:
    """Make the one engine for all stories on SQLite: what it compiled once serves them all."""
    engine = make_engine(f"sqlite:///{folder}/walk.db")

    @event.listens_for(engine, "connect")
    def _hurry(connection, _record) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # no power cut is tried here

    return engine


def emptied(engine: Engine, template: Path) -> Engine:
    """Empty the database, as fast as can be; give its engine."""
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or "")
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
        shutil.copy(template, path)
    else:
        with engine.begin() as conn:
            conn.execute(text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY"))
    return engine
