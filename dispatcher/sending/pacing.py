"""The pacer of a process: permits at hand under each key that has a rate. Pure: the clock is passed in.

    take(keys) ---> one permit of each key, or of none: then the seconds to wait
    wanted() -----> what to reserve, before a key runs dry        (sending/buckets.py reserves it)
    add() <-------- what was reserved

What must stay true: a letter takes a permit under every key it has, or under none; no permit is used before its moment;
what was reserved at a rate that does not hold any more is dropped. A key without a rate costs nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from dispatcher.domain.rates.paces import HORIZON_US, Ask, Grant

CHUNK = 0.25  # seconds' worth of permits to reserve at a time
_KEEP = 1.0  # seconds (or one step) after its moment for which a permit is good: what is not used makes no burst later
_SHORTLY = 0.02  # seconds: an answer is under way
_HORIZON = HORIZON_US / 1_000_000


@dataclass(slots=True)
class _Run:
    """Permits in a row: the first is good at `first`, each next one a step later."""

    first: float
    count: int


@dataclass(slots=True)
class _Stock:
    """The permits under one key."""

    rate: float  # a second
    runs: deque[_Run] = field(default_factory=deque)
    is_asked: bool = False
    is_in_demand: bool = False
    ask_at: float = 0.0

    @property
    def chunk(self) -> int:
        return max(1, round(self.rate * CHUNK))

    def wait(self, now: float) -> float:
        """Give the seconds until a permit is good; 0: one is."""
        self._drop_stale(now)
        if self.runs:
            return max(self.runs[0].first - now, 0.0)
        return max(_SHORTLY, 0.0 if self.is_asked else self.ask_at - now)

    def use(self) -> None:
        """Use the first permit."""
        run = self.runs[0]
        run.first += 1 / self.rate
        run.count -= 1
        if not run.count:
            self.runs.popleft()

    def is_low(self, now: float) -> bool:
        """Say whether it is time to ask for more."""
        left = sum(run.count for run in self.runs)
        return self.is_in_demand and not self.is_asked and now >= self.ask_at and left <= self.chunk // 2

    def reset(self, rate: float) -> None:
        """Begin anew at another rate."""
        self.rate, self.ask_at = rate, 0.0
        self.runs.clear()

    def _drop_stale(self, now: float) -> None:
        step = 1 / self.rate
        oldest = now - max(_KEEP, step)
        while self.runs and self.runs[0].first < oldest:
            run = self.runs[0]
            stale = min(int((oldest - run.first) / step) + 1, run.count)
            run.first += stale * step
            run.count -= stale
            if not run.count:
                self.runs.popleft()


class Pacer:
    """Holds a process to the rates. `on_low` is called when `wanted` has something to say."""

    def __init__(self, on_low: Callable[[], None] = lambda: None) -> None:
        self._stocks: dict[str, _Stock] = {}
        self._on_low = on_low

    @property
    def is_idle(self) -> bool:
        """Say that nothing has a rate."""
        return not self._stocks

    def set_rates(self, rates: Mapping[str, float]) -> None:
        """Hold to these rates (permits a second, by key) from now on, and to no others."""
        for key in self._stocks.keys() - rates.keys():
            del self._stocks[key]
        for key, rate in rates.items():
            stock = self._stocks.setdefault(key, _Stock(rate))
            if stock.rate != rate:
                stock.reset(rate)

    def take(self, keys: Iterable[str], now: float) -> float:
        """Take a permit of each of these keys that has a rate, or none. Give 0, or the seconds until to try again."""
        if not self._stocks:
            return 0.0
        stocks = [stock for key in keys if (stock := self._stocks.get(key)) is not None]
        wait = 0.0
        for stock in stocks:
            stock.is_in_demand = True
            wait = max(wait, stock.wait(now))
        if not wait:
            for stock in stocks:
                stock.use()
        if any(stock.is_low(now) for stock in stocks):
            self._on_low()
        return wait

    def wanted(self, now: float) -> dict[str, Ask]:
        """Give what to reserve now. Each is given once; `add` ends the wait for it."""
        asks = {}
        for key, stock in self._stocks.items():
            if stock.is_low(now):
                stock.is_asked, stock.is_in_demand = True, False
                asks[key] = Ask(stock.rate, stock.chunk)
        return asks

    def add(self, asked: Mapping[str, Ask], granted: Mapping[str, Grant], now: float) -> None:
        """Take in what was reserved. What is missing from `granted` could not be asked for: again in a second."""
        for key, ask in asked.items():
            stock = self._stocks.get(key)
            if stock is None:
                continue
            stock.is_asked = False
            grant = granted.get(key)
            if grant is None:
                stock.ask_at = now + 1.0
            elif ask.rate_per_s != stock.rate:
                continue
            elif grant.permits:
                stock.runs.append(_Run(now + grant.wait_s, grant.permits))
            else:
                stock.ask_at = now + max(grant.wait_s - _HORIZON, _SHORTLY)
