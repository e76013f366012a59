"""What processes cost: CPU seconds and peak memory of a program and of all that it started.

What must stay true: nothing is looked at between `start` and `stop`. A look at every process five times a second took a
twentieth of two cores from what it measured; the system keeps account of both by itself.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_HIGH_WATER = "VmHWM:"  # of /proc/PID/status: the most resident memory there ever was, in kB (proc_pid_status(5))


@dataclass(slots=True)
class Cost:
    """CPU seconds between two moments, and the largest memory of a single process until then, in MB."""

    cpu_s: float
    peak_mb: float


@dataclass
class Meter:
    """Weighs some programs from `start` to `stop`. `programs`: process ids by name."""

    programs: dict[str, int]
    _began: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        """Begin."""
        self._began = {name: _cpu(pid) for name, pid in self.programs.items()}

    def stop(self) -> dict[str, Cost]:
        """End, and give the costs by name."""
        return {name: Cost(_cpu(pid) - self._began[name], _peak(pid)) for name, pid in self.programs.items()}


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu(pid: int) -> float:
    """Seconds of a program and all its children, those included that have ended and were waited for."""
    total = 0.0
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _peak(pid: int) -> float:
    """The most memory that any process of a program had, in MB; where the system does not keep it, what it has now."""
    sizes = [0.0]
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):
            sizes.append(_high_water(process.pid) or process.memory_info().rss / 1e6)
    return max(sizes)


def _high_water(pid: int) -> float | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    kb = next((line.split()[1] for line in status.splitlines() if line.startswith(_HIGH_WATER)), None)
    return int(kb) * 1024 / 1e6 if kb else None
