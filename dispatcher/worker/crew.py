"""Senders as whoever gives them orders sees them: programs, started before the first order and again when one died.

What must stay true: one order at a time for each; a sender that died or hangs leaves its letters to the next claim and
nobody waits for it; none outlives whoever gives it orders.
"""

import select
import subprocess
from collections.abc import Callable
from queue import SimpleQueue

import structlog

from dispatcher.db.terms import WorkerRole
from dispatcher.settings import environment
from dispatcher.steady import steady
from dispatcher.worker.orders import Order, Waiting
from dispatcher.worker.programs import of_a_worker

log = structlog.get_logger()
LONGEST = 900.0  # seconds: an order's own, and 600 that the reply to a dot may take (RFC 5321, 4.5.3.2.6)
_LOOK = 200  # milliseconds between two looks whether we were told to end
_PATIENCE = 25.0  # seconds for the letters under way when we end


class Sender:
    """One sender. Orders come from one thread at a time."""

    def __init__(self, role: WorkerRole, is_stopping: Callable[[], bool]) -> None:
        self._role, self._is_stopping = role, is_stopping
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program, if it does not run."""
        if self._process is None or self._process.poll() is not None:
            argv = of_a_worker("sender", self._role)
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(argv, env=environment(), stdin=pipe, stdout=pipe, bufsize=0)  # noqa: S603

    def follow(self, order: Order) -> Waiting:
        """Have an order followed. A sender that dies over it has answered that nothing waits: the tick looks itself."""
        self.start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(order.line())
            line = self._answer(process)
        except BrokenPipeError:
            line = b""
        if not line:
            self._bury()
            return Waiting()
        return Waiting.read(line)

    def _answer(self, process: subprocess.Popen[bytes]) -> bytes:
        """Wait for the answer; b"" when the sender died. One that takes longer than anything may is killed."""
        assert process.stdout is not None
        until, is_told = steady() + LONGEST, False
        ear = select.poll()
        ear.register(process.stdout, select.POLLIN)
        while not ear.poll(_LOOK):
            if self._is_stopping() and not is_told:
                process.terminate()
                is_told = True
            if steady() > until:
                log.error("sender.hangs", role=self._role, seconds=LONGEST, doing="killing it")
                process.kill()
                until += LONGEST
        return process.stdout.readline()

    def tell(self) -> None:
        """Tell the program to end: no more orders, and letters under way come to their end."""
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        """End the program; after a while, by force."""
        self.tell()
        if self._process is None:
            return
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            log.warning("program.killed", program=f"sender {self._role}")
            self._process.kill()
        self._bury()

    def _bury(self) -> None:
        """Wait for the end of a process that is ending, and close what led to it."""
        if self._process is None:
            return
        with self._process as process:  # closes the pipes, and waits
            pass
        self._process = None
        if process.returncode and not self._is_stopping():
            log.warning("sender.died", role=self._role, code=process.returncode)


class Crew:
    """Some senders, for threads that give orders: each order goes to one that has none."""

    def __init__(self, role: WorkerRole, count: int, is_stopping: Callable[[], bool]) -> None:
        self._all = [Sender(role, is_stopping) for _ in range(count)]
        self._idle = SimpleQueue[Sender]()
        for sender in self._all:
            self._idle.put(sender)

    def start(self) -> None:
        """Start them all."""
        for sender in self._all:
            sender.start()

    def follow(self, order: Order) -> Waiting:
        """Have an order followed by whoever is idle."""
        sender = self._idle.get()
        try:
            return sender.follow(order)
        finally:
            self._idle.put(sender)

    def end(self) -> None:
        """End them all; all are told before any is waited for."""
        for sender in self._all:
            sender.tell()
        for sender in self._all:
            sender.end()
