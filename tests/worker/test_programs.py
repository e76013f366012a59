"""What a worker's programs load; and that nobody waits for a sender that hangs."""

import gc
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from dispatcher import settings
from dispatcher.db.terms import CampaignKind, WorkerRole
from dispatcher.worker import crew
from dispatcher.worker.crew import Sender
from dispatcher.worker.orders import Order, Waiting
from dispatcher.worker.programs import of_a_worker
from dispatcher.worker.sender import make_bench, run_drain
from tests.journeys.house import KEYS

# Each stands in memory once a process, from the first day to the last: what a program does not need, it may not load.
NOT_IN = {
    "sender": (
        "anyio", "babel", "celery", "click", "cryptography", "dateutil", "dns", "email_validator", "httpcore", "kombu",
        "psycopg", "pygments", "redis", "rich", "sqlite3", "sqlalchemy.orm", "starlette", "dispatcher.broker",
        "dispatcher.compose.freezing", "dispatcher.domain.imports", "dispatcher.sending.sweep",
    ),
    "listener": (
        "babel", "jinja2", "psycopg", "rich", "sqlalchemy", "dispatcher.compose",
        "dispatcher.domain", "dispatcher.sending",
    ),
    "watch": ("babel", "rich", "sqlalchemy.orm", "starlette", "uvloop"),
}  # fmt: skip
_ASKING = (
    "import sys; from dispatcher.worker import __main__ as programs; programs.leave_out();"
    " __import__('dispatcher.worker.' + sys.argv[1]); print(*(name for name, module in sys.modules.items() if module))"
)


@pytest.mark.parametrize("program", NOT_IN)
def test_a_program_loads_nothing_that_only_others_need(program: str) -> None:
    asked = [sys.executable, "-c", _ASKING, program]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
    assert sorted(set(NOT_IN[program]) & set(said.stdout.split())) == []


@pytest.fixture
def _house(engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"VAR": str(tmp_path), "DATABASE_URL": database_url, "SECRET_KEYS": KEYS, "ENDINGS": str(tmp_path / "e")}
    for name, value in settings.items():
        monkeypatch.setenv(f"DISPATCHER_{name}", value)


@pytest.mark.usefixtures("_house")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_sender_whose_worker_is_gone_ends_in_peace() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(of_a_worker("sender", WorkerRole.BULK), stdin=pipe, stdout=pipe, stderr=pipe) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        assert sender.stderr is not None
        sender.stdout.close()
        sender.stdin.write(Order().line())
        sender.stdin.close()
        assert sender.wait(60) == 0, sender.stderr.read()


@pytest.fixture
def _as_it_collected() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("_house", "_as_it_collected")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_drain_leaves_nothing_for_the_collector_so_that_no_sender_grows_from_order_to_order() -> None:
    bench = make_bench(settings.load(), lambda: False)
    left = []
    for _ in range(2):  # the first one compiles statements
        run_drain(bench, [CampaignKind.NEWSLETTER], 60.0)
        left.append(gc.collect())
    bench.engine.dispose()
    assert left[1] < 20, left


@pytest.mark.usefixtures("_house")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_sender_that_hangs_is_killed_and_there_is_another_for_the_next_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "LONGEST", 0.3)
    sender = Sender(WorkerRole.BULK, lambda: False)
    sender.start()
    hanging = _senders()[0]
    hanging.send_signal(signal.SIGSTOP)
    assert sender.follow(Order()) == Waiting()
    assert not hanging.is_running()
    monkeypatch.setattr(crew, "LONGEST", 30.0)
    assert sender.follow(Order()) == Waiting()
    sender.end()
    assert _senders() == []


def _senders() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "sender" in child.cmdline()]
