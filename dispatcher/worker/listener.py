"""One Celery worker: `python -m dispatcher.worker listener NAME QUEUES CONCURRENCY`.

It hears the broker and gives orders to its senders, programs of their own (sender.py), from a thread for each. So it
knows no database, and they know no Celery.
"""

import os
import signal
import warnings

from celery import signals
from celery.exceptions import SecurityWarning

from dispatcher import settings as settings_module
from dispatcher.db.terms import WorkerRole
from dispatcher.observe import logs
from dispatcher.worker.crew import Crew
from dispatcher.worker.stop import Stop
from dispatcher.worker.tasks import make_worker_app


def main(name: str, queues: str, concurrency: str) -> int:
    """Run until told to end; give the exit code."""
    settings = settings_module.load()
    logs.configure(settings.log)
    # Celery warns that root might unpickle what others wrote; here only JSON is accepted.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    stop = Stop()
    crew = Crew(WorkerRole(name), int(concurrency), stop.is_set)
    worker = make_worker_app(settings, crew, stop).Worker(
        hostname=f"{name}.{os.getpid()}@%h", queues=queues, concurrency=int(concurrency), pool="threads",
        loglevel="WARNING", quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True,
    )  # fmt: skip
    signals.worker_ready.connect(_heed_one_sigterm, weak=False)
    crew.start()
    try:
        worker.start()
    finally:
        crew.end()
    return worker.exitcode or 0


def _heed_one_sigterm(**_: object) -> None:
    """Hear a second SIGTERM no more. Whoever ends us asks, and the kernel does when they are gone; Celery's handler,
    interrupted by itself, waits for a lock of its own for ever.
    """
    handle = signal.getsignal(signal.SIGTERM)
    assert callable(handle)

    def once(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        handle(number, frame)  # type: ignore[arg-type]

    signal.signal(signal.SIGTERM, once)
