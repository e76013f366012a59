"""What processes cost: CPU seconds and peak memory of a program and of all that it started."""

import threading
from dataclasses import dataclass, field

import psutil

_EVERY = 0.2  # seconds between two looks at memory


@dataclass(slots=True)
class Cost:
    """CPU seconds between two moments, and the largest memory of a single process meanwhile, in MB."""

    cpu_s: float
    peak_mb: float


@dataclass
class Meter:
    """Watches some programs from `start` to `stop`. `programs`: process ids by name."""

    programs: dict[str, int]
    _began: dict[str, float] = field(default_factory=dict)
    _peaks: dict[str, float] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._began = {name: _cpu(pid) for name, pid in self.programs.items()}
        self._peaks = dict.fromkeys(self.programs, 0.0)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, Cost]:
        """End, and give the costs by name."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        return {name: Cost(_cpu(pid) - self._began[name], self._peaks[name]) for name, pid in self.programs.items()}

    def _watch(self) -> None:
        while True:
            for name, pid in self.programs.items():
                self._peaks[name] = max([self._peaks[name], *_memory(pid)])
            if self._ended.wait(_EVERY):
                return


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
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _memory(pid: int) -> list[float]:
    sizes = []
    for process in _family(pid):
        try:
            sizes.append(process.memory_info().rss / 1e6)
        except psutil.NoSuchProcess:
            continue
    return sizes
