"""A copy of a SQLite database, made while others go on writing, and put back in its place.

What must stay true: a copy is one moment of the database, checked, on the disk, and nobody else's to read, before it
has its name; an earlier file is never overwritten. What was there before is laid aside, not deleted.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy.engine import make_url

from dispatcher.db.side_file import sync_folder
from dispatcher.errors import InputRefused, PartUnavailable

_STEPS = 20_000  # of SQLite's machine, between two looks at how far the copy is


def file_of(database_url: str) -> Path:
    """Give the file of a SQLite database. Raises InputRefused for PostgreSQL, with what to do there."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise InputRefused(
            "this is PostgreSQL, which has means of its own: pg_dump, pg_basebackup, continuous archiving",
            "use them as docs/production.md says; after a restore: dispatcher restore (without a file)",
        )
    return Path(url.database)


@contextlib.contextmanager
def copied(source: Path, target: Path, tell: Callable[[int, int], object]) -> Iterator[Path]:
    """Copy a database beside `target`, checked; give the copy, which gets its name when the block ends well.

    `tell` hears how many octets of how many are written. Raises InputRefused when there is such a file already,
    PartUnavailable when the copy cannot be written or is not whole.
    """
    if target.exists():
        raise InputRefused(f"{target} exists, and a backup is never overwritten", "name another file")
    part = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _vacuum_into(source, part, tell)
        check(part)
        _sync(part)
        yield part
        os.link(part, target)  # unlike a rename it overwrites nothing
        sync_folder(target)
    except FileExistsError:
        raise InputRefused(f"{target} exists, and a backup is never overwritten", "name another file") from None
    except (OSError, sqlite3.Error) as error:
        words = getattr(error, "strerror", None) or str(error)
        what = f"no backup was made at {target}: {words}"
        raise PartUnavailable(what, "make room, check path and rights, then try again") from None
    finally:
        part.unlink(missing_ok=True)


def check(path: Path) -> None:
    """Check that a file is a whole database of ours. Raises InputRefused."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
            said = conn.execute("PRAGMA integrity_check(1)").fetchone()[0]
            tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise InputRefused(f"{path} is not a whole SQLite database: {error}", "name another backup") from None
    if said != "ok":
        raise InputRefused(f"{path} is damaged: {said}", "name another backup")
    if "consent_event" not in tables:
        raise InputRefused(f"{path} is no database of dispatcher", "name a file that `dispatcher backup` made")


def require_unused(path: Path) -> None:
    """Check that no other program has the database open. Raises InputRefused. A file that is no database any more
    cannot tell; whoever has it open notices at its next transaction that it was replaced.
    """
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=0.5)) as conn:
            # To leave the write-ahead log takes the file for oneself, and empties the log.
            conn.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.OperationalError as error:
        if "lock" in str(error):
            what = f"{path} is open in another program: a worker, the pages, or a command"
            raise InputRefused(what, "stop them all (`dispatcher up`, `web`, `worker`), then restore") from None
    except sqlite3.DatabaseError:
        return  # it is damaged: that is why it is to be replaced


def put_back(copy: Path, live: Path, aside: Path) -> Path | None:
    """Put a copy in the place of the database; give where the former one lies now, if there was one."""
    moved = None
    for suffix in ("", "-wal", "-shm"):
        former = live.with_name(live.name + suffix)
        if former.exists():
            former.rename(aside.with_name(aside.name + suffix))
            moved = aside
    copy.rename(live)
    sync_folder(live)
    return moved


def _vacuum_into(source: Path, part: Path, tell: Callable[[int, int], object]) -> None:
    """One read transaction: writers are not kept waiting, and what was erased does not come along in free pages."""
    with contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as conn:
        pages, size = (conn.execute(f"PRAGMA {word}").fetchone()[0] for word in ("page_count", "page_size"))
        total = pages * size

        def look() -> int:
            tell(min(part.stat().st_size, total), total)
            return 0  # go on

        conn.set_progress_handler(look, _STEPS)
        conn.execute("VACUUM INTO ?", (str(part),))
        tell(total, total)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
