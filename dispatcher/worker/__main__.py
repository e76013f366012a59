"""The programs of a worker: `python -m dispatcher.worker PROGRAM ...`.

watch (watches and ticks) · listener (a Celery worker, hears the broker) · sender (sends) · intake (files handed in)

An entrance of their own, past the command line: they run for months, and what one of them loads stays in memory.
"""

import importlib
import sys


def main(program: str, *words: str) -> int:
    """Be one of them until told to end; give the exit code."""
    leave_out()
    code: int = importlib.import_module(f"dispatcher.worker.{program}").main(*words)
    return code


def leave_out() -> None:
    """Keep structlog from loading what it loads where it is installed: rich, for the tracebacks of a terminal, 5 MB."""
    for name in ("rich", "greenlet"):
        sys.modules[name] = None  # type: ignore[assignment]  # to an import: it is not installed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
