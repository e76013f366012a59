"""What takes longer to find out than a page may: it is found out beside, on a thread, and pages show what is known.

    page --> known: a value, and when it was found out      (at once, or after a blink if nothing is known yet)
               |
               +--> too old: a thread finds it out anew, and no second one beside it

What must stay true: no page waits longer than its patience; nothing is found out while nobody looks.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.engine import reading
from dispatcher.errors import DispatcherError

Value = TypeVar("Value")
_BLINK = 0.05  # seconds a page waits for a newer value than it has
_PATIENCE = 0.25  # and for the first one, or when something was done that changes it
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Known(Generic[Value]):
    """A value, and when it was found out."""

    value: Value
    at: datetime


class Beside(Generic[Value]):
    """A value that is found out beside the pages; `good_for` are seconds for which it is not asked for anew."""

    def __init__(self, name: str, find: Callable[[], Known[Value]], good_for: float) -> None:
        self._name = name
        self._find = find
        self._good_for = good_for
        self._lock = threading.Lock()
        self._known: Known[Value] | None = None
        self._good_until = 0.0
        self._forgotten = 0  # times
        self._under_way: threading.Event | None = None

    def known(self) -> Known[Value] | None:
        """Give what is known; None: nothing yet, look again."""
        is_out = self._known is None or self._good_until == 0.0
        under_way = self._look_out()
        if under_way is not None:
            under_way.wait(_PATIENCE if is_out else _BLINK)
        return self._known

    def find_out(self) -> bool:
        """Find it out on somebody's word, and wait for it for a moment; False: it is under way already."""
        if self._under_way is not None:
            return False
        self.forget()
        self.known()
        return True

    @property
    def last(self) -> Known[Value] | None:
        """Give what was found out, without looking for anything newer."""
        return self._known

    @property
    def is_under_way(self) -> bool:
        """Claim that it is being found out at this moment."""
        return self._under_way is not None

    def forget(self) -> None:
        """Let the value be out of date: something was done that changes it. It is shown until there is another."""
        with self._lock:
            self._good_until = 0.0
            self._forgotten += 1

    def _look_out(self) -> threading.Event | None:
        """Start to find out, unless the value is good; give what tells that a search is over."""
        with self._lock:
            if self._under_way is not None or steady() <= self._good_until:
                return self._under_way
            self._under_way = over = threading.Event()
        threading.Thread(target=self._run, args=(over,), name=f"beside {self._name}", daemon=True).start()
        return over

    def _run(self, over: threading.Event) -> None:
        begun, forgotten = steady(), self._forgotten
        try:
            self._known = self._find()
        except (DispatcherError, SQLAlchemyError, OSError) as error:
            log.warning("beside.failed", what=self._name, error=type(error).__name__)
        finally:
            with self._lock:
                # What takes long to find out is looked for less often: never more than a tenth of the time.
                rest = max(self._good_for, 9 * (steady() - begun))
                self._good_until = steady() + rest if forgotten == self._forgotten else 0.0
                self._under_way = None
            over.set()


def read_beside(
    name: str, engine: Engine, read: Callable[[Connection], Value], good_for: float = 10.0
) -> Beside[Value]:
    """Read something from the database, beside."""

    def find() -> Known[Value]:
        with reading(engine).connect() as conn:
            return Known(read(conn), clock.now(conn))

    return Beside(name, find, good_for)
