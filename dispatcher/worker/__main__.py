"""One Celery worker, as `dispatcher worker` starts it: `python -m dispatcher.worker NAME QUEUES CONCURRENCY`.

An entrance of its own, past the command line and past Celery's: a process that sends needs neither, and each costs
memory in every child.
"""

import os
import sys
import warnings

from celery.exceptions import SecurityWarning

from dispatcher import settings as settings_module
from dispatcher.db.terms import WorkerRole
from dispatcher.observe import logs
from dispatcher.worker.tasks import make_worker_app


def main(name: str, queues: str, concurrency: str) -> int:
    """Run until told to end; give the exit code."""
    settings = settings_module.load()
    logs.configure(settings.log)
    # Celery warns that root might unpickle what others wrote; here only JSON is accepted.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = make_worker_app(settings, WorkerRole(name)).Worker(
        hostname=f"{name}.{os.getpid()}@%h", queues=queues, concurrency=int(concurrency), loglevel="WARNING",
        quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True,
    )  # fmt: skip
    worker.start()
    return worker.exitcode or 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
