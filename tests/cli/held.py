"""An import that is held up in the middle, in a process of its own: whatever is to happen to it happens there."""

import signal
from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from dispatcher.domain.imports import writing
from tests.processes import command


def held_import(
    environ: Mapping[str, str], folder: Path, words: Sequence[str], said: Path, chunk: int, events: tuple[Event, Event]
) -> None:
    """Be `dispatcher WORDS` with smaller chunks. In the transaction of the second one set the first event, and wait for
    the other.
    """
    # What a shell that runs things in the background lets Python do with Ctrl-C is not what a terminal does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    there, go_on = events
    write, taken = writing.write, [0]

    def write_and_hold(*arguments: Any, **named: Any) -> Any:
        taken[0] += 1
        if taken[0] == 2:
            there.set()
            # In slices: a signal that comes just before a wait begins is looked at when the wait ends.
            for _ in range(600):
                if go_on.wait(0.1):
                    break
        return write(*arguments, **named)

    writing.chunks = partial(writing.chunks, size=chunk)  # type: ignore[assignment]
    writing.write = write_and_hold
    command(environ, folder, words, said, said)
