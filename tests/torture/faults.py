"""The fault matrix: what may happen to a house besides a kill. Each scene is one campaign, and ends with the checker.

Scenes that need a whole `dispatcher worker` with its broker are in house_faults.py.
"""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import wait
from pathlib import Path

import psutil
import psycopg

from dispatcher.bench.postgres import PostgresServer
from dispatcher.db.terms import UnknownPolicy
from tests.journeys.house import wait_for
from tests.torture import weathers
from tests.torture.ground import Databases, Ground, clear, lay_out
from tests.torture.points import Tempo
from tests.torture.scenes import Result, result_of
from tests.torture.weathers import Case
from tests.torture.witness import Weather
from tests.torture.worker import Order

PEOPLE = 300
_SLOW = Weather(delay=0.01)
_ROOT = Path(__file__).resolve().parents[2]


class Impossible(Exception):
    """This scene cannot be played here; says why."""


Play = Callable[[Databases, Path], Result]


@dataclass(frozen=True)
class Scene:
    """A fault by name, the kinds of database it is for, and how it is played."""

    name: str
    kinds: tuple[str, ...]
    play: Play
    is_key: bool = False  # runs in the short form too


@contextmanager
def on(
    databases: Databases, folder: Path, weather: Weather = _SLOW, people: int = PEOPLE, **more: object
) -> Iterator[Ground]:
    """Lay out a ground with a campaign that is due, and clear it at the end."""
    ground = lay_out(databases, folder, people, weather, **more)
    try:
        ground.schedule()
        yield ground
    finally:
        clear(databases, ground)


def reach(ground: Ground, letters: int) -> None:
    """Wait until so many letters were accepted."""
    wait_for(lambda: len(ground.witness.accepted()) >= letters, f"{letters} letters")


def finish(ground: Ground, name: str, seconds: float = 60.0, *, stops: int = 0) -> Result:
    """Wait until the workers have ended by themselves; check what came of it."""
    for worker in list(ground.workers):
        if worker.wait(seconds) is None:
            ground.crashes.append(f"a worker was not through after {seconds:g} s: {ground.standing()}")
            worker.kill()
        ground.bury(worker)
    return result_of(ground.evidence(name), stops=stops)


def under(case: Case, policy: UnknownPolicy = UnknownPolicy.HOLD) -> Play:
    """Play a weather of the relay's."""

    def play(databases: Databases, folder: Path) -> Result:
        tempo = Tempo(lease=weathers.LEASE)
        like = {"tempo": tempo, "waits": case.waits, "policy": policy, "refuses": case.refuses}
        with on(databases, folder, case.weather, people=200, **like) as ground:
            ground.start()
            return finish(ground, case.name)

    return play


def asleep(databases: Databases, folder: Path) -> Result:
    """The machine sleeps for longer than the lease: all workers are stopped, and go on as if nothing had been."""
    with on(databases, folder, tempo=Tempo(lease=1.0)) as ground:
        workers = [ground.start() for _ in range(1 if databases.kind == "sqlite" else 2)]
        reach(ground, 50)
        for worker in workers:
            worker.tell(signal.SIGSTOP)
        wait([workers[0].sentinel], 1.6)
        for worker in workers:
            worker.tell(signal.SIGCONT)
            ground.deaths += 1
        return finish(ground, "asleep", stops=len(workers))


def disk_full_on_sqlite(databases: Databases, folder: Path) -> Result:
    """The database may not grow any more, in the middle; then there is room again."""
    with on(databases, folder, people=600) as ground:
        pages = Path(ground.url.removeprefix("sqlite:///")).stat().st_size // 4096
        worker = ground.start(pages=pages + 4)
        log = folder / "workers.log"
        wait_for(lambda: log.exists() and b"OperationalError" in log.read_bytes(), "the disk to be full")
        wait([worker.sentinel], 0.5)  # it goes on trying
        assert worker.is_running
        ground.kill(worker)
        ground.deaths = _connections(ground)  # each drain that fails may leave a letter per line in doubt
        ground.run_to_the_end()
        return finish(ground, "disk full")


def crashed(how: str) -> Play:
    """PostgreSQL goes away in the middle and comes back; the worker lives through it."""

    def play(databases: Databases, folder: Path) -> Result:
        server = PostgresServer(durable=True)
        try:
            own = Databases("postgresql", folder, server)
            with on(own, folder / "crash", tempo=Tempo(lease=2.0)) as ground:
                ground.start()
                reach(ground, 50)
                _take_down(server, how)
                wait([ground.workers[0].sentinel], 0.3)
                server.start()
                ground.engine.dispose()
                ground.deaths += 1
                return finish(ground, f"PostgreSQL {how}")
        finally:
            server.remove()

    return play


def disk_full_on_postgresql(databases: Databases, folder: Path) -> Result:
    """The disk of PostgreSQL, a small one in memory, is full in the middle; then there is room again."""
    if os.geteuid() != 0:
        raise Impossible("only root may mount a small disk")
    disk = Path(tempfile.mkdtemp(prefix="dispatcher-disk-"))  # not below `folder`: PostgreSQL's user has to reach it
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=240m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        raise Impossible("mounting a small disk is not allowed here")
    try:
        return _with_a_small_disk(disk, folder)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
        disk.rmdir()


def an_hour_off(seconds: int) -> Play:
    """One of two workers has a clock that is wrong: a library is loaded before its C library, as for any program."""

    def play(databases: Databases, folder: Path) -> Result:
        folder.mkdir(parents=True)
        library = _build_skew(folder)
        with on(databases, folder / "clock") as ground:
            order = Order(ground.environ, ground.folder, ground.tempo)
            (folder / "order").write_bytes(pickle.dumps(order))
            wrong = subprocess.Popen(
                [sys.executable, "-m", "tests.torture.worker", str(folder / "order")],
                cwd=_ROOT, env={**os.environ, "LD_PRELOAD": str(library), "SKEW": str(seconds)},
            )  # fmt: skip
            reach(ground, 20)
            ground.start()
            result = finish(ground, f"a clock {seconds:+} s off")
            assert wrong.wait(30) == 0
            _assert_skewed(folder / "clock" / "workers.log", seconds)
            return result

    return play


def _take_down(server: PostgresServer, how: str) -> None:
    if how == "kill -9":
        parent = psutil.Process(server.pid)
        everyone = [*parent.children(recursive=True), parent]
        for process in everyone:
            with suppress(psutil.NoSuchProcess):  # a backend may end by itself meanwhile
                process.kill()
        psutil.wait_procs(everyone, 10)
        (server.data / "postmaster.pid").unlink(missing_ok=True)
    else:
        server.stop(how)


def _with_a_small_disk(disk: Path, folder: Path) -> Result:
    usual, tempfile.tempdir = tempfile.tempdir, str(disk)
    try:
        server = PostgresServer(durable=True)
    finally:
        tempfile.tempdir = usual
    try:
        tempo = Tempo(lease=2.0)
        with on(Databases("postgresql", folder, server), folder / "full", tempo=tempo, people=1000) as ground:
            ground.start()
            reach(ground, 50)
            filler = disk / "filler"
            subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], stderr=subprocess.DEVNULL, check=False)
            log = folder / "full" / "workers.log"
            _use_up_the_log(server)
            wait_for(lambda: b"failed" in log.read_bytes(), "the disk to be full")
            wait([ground.workers[0].sentinel], 1.0)
            filler.unlink()
            if not psutil.pid_exists(server.pid):
                server.start()
            ground.engine.dispose()
            ground.deaths = _connections(ground)
            return finish(ground, "disk full")
    finally:
        server.remove()


def _use_up_the_log(server: PostgresServer) -> None:
    """Begin new files of the write-ahead log until there is no room for another."""
    with suppress(psycopg.Error), psycopg.connect(server.url, autocommit=True) as conn:
        for number in range(100):
            conn.execute("CREATE TABLE IF NOT EXISTS log_filler (number integer)")
            conn.execute("INSERT INTO log_filler VALUES (%s)", (number,))
            conn.execute("SELECT pg_switch_wal()")


def _connections(ground: Ground) -> int:
    """Say how often so many lanes as there are have been opened, at most."""
    return max(letter.connection for letter in ground.witness.accepted()) // ground.lanes + 1


_SKEW = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long skew(void) { const char *s = getenv("SKEW"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, t);
  if (!result && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += skew();
  return result;
}
int gettimeofday(struct timeval *t, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec; t->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
"""


def _build_skew(folder: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Impossible("there is no C compiler to build the wrong clock with")
    source, library = folder / "skew.c", folder / "skew.so"
    source.write_text(_SKEW)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def _assert_skewed(log: Path, seconds: int) -> None:
    """The worker's own log lines bear its own time: make sure that it was wrong."""
    stamps = [json.loads(line)["timestamp"] for line in log.read_text().splitlines() if line.startswith("{")]
    times = [datetime.fromisoformat(stamp) for stamp in stamps]
    assert any(abs((at - datetime.now(UTC)).total_seconds() - seconds) < 60 for at in times), (
        "no worker's clock was wrong"
    )


SCENES = [
    *(Scene(case.name, ("sqlite", "postgresql"), under(case), case.is_key) for case in weathers.CASES),
    Scene("asleep for longer than the lease", ("sqlite", "postgresql"), asleep, is_key=True),
    Scene("SQLite: disk full", ("sqlite",), disk_full_on_sqlite, is_key=True),
    Scene("PostgreSQL: stopped as by a crash", ("postgresql",), crashed("immediate")),
    Scene("PostgreSQL: kill -9", ("postgresql",), crashed("kill -9")),
    Scene("PostgreSQL: restarted", ("postgresql",), crashed("fast")),
    Scene("PostgreSQL: disk full", ("postgresql",), disk_full_on_postgresql),
    Scene("a worker's clock an hour ahead", ("postgresql",), an_hour_off(3600)),
    Scene("a worker's clock an hour behind", ("postgresql",), an_hour_off(-3600)),
]
