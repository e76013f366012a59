"""A whole house of real processes for a journey: broker, worker, web, on one database; the relay records all."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
from sqlalchemy import Engine, update

from dispatcher import settings as settings_module
from dispatcher.db import clock
from dispatcher.db.tables import batch
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import house as houses
from dispatcher.settings import Settings
from dispatcher.worker import supervisor
from dispatcher.worker.programs import Program
from tests.processes import Forked, command
from tests.relay import RelayProcess
from tests.stage import Stage

KEYS = f"k2:{'2' * 64} k1:{'1' * 64}"


def wait_for(claim: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until a claim holds; fail with what was waited for."""
    began = time.monotonic()
    while not claim():
        waited = time.monotonic() - began
        assert waited < seconds, f"waited {seconds:g} s for {what}"
        time.sleep(min(max(waited / 20, 0.01), 0.1))  # to look costs as much as what is waited for; few look often


@dataclass
class RunningHouse:
    """Processes under one set of settings."""

    var: Path
    database_url: str
    relay: RelayProcess
    web_port: int = 0
    lanes: int = 4
    processes: list[Forked] = field(default_factory=list)
    broker: Program | None = None
    clients: list[httpx.Client] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "DISPATCHER_VAR": str(self.var),
            "DISPATCHER_DATABASE_URL": self.database_url,
            "DISPATCHER_SMTP_URL": self.relay.url(lanes=self.lanes),
            "DISPATCHER_PUBLIC_URL": f"http://127.0.0.1:{self.web_port}",
            "DISPATCHER_SECRET_KEYS": KEYS,
            "DISPATCHER_LOG": "json",
            **self.extra,
        }

    @property
    def settings(self) -> Settings:
        return settings_module.load(self.environ, self.var)

    @property
    def keyring(self) -> Keyring:
        return houses.keyring(self.settings)

    def start(self, *words: str) -> Forked:
        """Start `dispatcher WORDS`; its lines go to a file under `var`."""
        log = self.var / f"{words[0]}.log"
        self.processes.append(Forked(command, self.environ, self.var, words, log, log))
        return self.processes[-1]

    def run(self, *words: str) -> str:
        """Run `dispatcher WORDS` to its end; give what it printed."""
        with TemporaryDirectory() as folder:
            said, complained = Path(folder, "said"), Path(folder, "complained")
            code = Forked(command, self.environ, self.var, words, said, complained).wait(120)
            assert code == 0, f"dispatcher {' '.join(words)} ended with {code}: {complained.read_text()}"
            return said.read_text(encoding="utf-8")

    def start_web(self) -> httpx.Client:
        """Start the pages; give a client of theirs."""
        self.start("web", "--port", str(self.web_port))
        client = httpx.Client(base_url=f"http://127.0.0.1:{self.web_port}", timeout=20)
        self.clients.append(client)
        wait_for(lambda: _answers(client), "the pages")
        return client

    def end_broker(self) -> None:
        """End the broker."""
        assert self.broker is not None
        self.broker.end(5.0)

    def end(self) -> None:
        """End everything that was started, with its children."""
        for client in self.clients:
            client.close()
        for process in self.processes:
            kill_tree(process.pid)
            process.wait()


def sender_of(worker: Forked) -> psutil.Process | None:
    """Find the process of a worker that sends campaigns: the child of its Celery worker `bulk`."""
    for child in psutil.Process(worker.pid).children():
        if "bulk" in {child.name(), *child.cmdline()}:
            grandchildren = child.children()
            return grandchildren[0] if grandchildren else None
    return None


def kill_tree(pid: int) -> None:
    """SIGKILL a process and all below it."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)


def let_leases_end(engine: Engine) -> None:
    """Move the clock: every lease of a batch is over."""
    with engine.begin() as conn:
        over = clock.now(conn) - timedelta(seconds=1)
        conn.execute(update(batch).where(batch.c.state == "leased").values(lease_until=over))


def open_house(
    tmp_path: Path, database_url: str, *, lanes: int, relay_options: tuple[str, ...]
) -> Iterator[RunningHouse]:
    """Open a house with broker and relay running; worker and web are started by the journey."""
    with ExitStack() as stack:
        relay = stack.enter_context(RelayProcess(tmp_path / "accepted.jsonl", *relay_options))
        house = RunningHouse(tmp_path, database_url, relay, web_port=free_port(), lanes=lanes)
        house.broker = supervisor.House(house.settings, 0, None).programs[0]
        house.broker.start()
        stack.callback(house.end_broker)
        stack.callback(house.end)
        yield house


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def stage_of(house: RunningHouse, engine: Engine) -> Stage:
    """Give the stage on which a house of real processes plays."""
    return Stage(engine, house.keyring, houses.stationery(house.settings), houses.house(house.settings))
