"""What a sender is asked to do, and what it answers: a line of JSON each, over its standard input and output.

The Celery workers and the watcher give orders and know no more of sending than this file.
"""

import json
from dataclasses import asdict, dataclass

from dispatcher.db.terms import CampaignKind


@dataclass(frozen=True, slots=True)
class Order:
    """Launch this campaign, if one is named, or take its launch a portion further; then begin letters of these kinds
    for so many seconds.
    """

    kinds: tuple[CampaignKind, ...] = ()
    seconds: float = 0.0
    launch: int | None = None

    def line(self) -> bytes:
        """Write it down."""
        return _line({"kinds": self.kinds, "seconds": self.seconds, "launch": self.launch})

    @classmethod
    def read(cls, line: bytes) -> "Order":
        """Read what `line` wrote."""
        said = json.loads(line)
        return cls(tuple(CampaignKind(kind) for kind in said["kinds"]), said["seconds"], said["launch"])


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many batches wait for a sender, and whose launch is to go on, as the sender saw it when it was through."""

    confirmations: int = 0
    newsletters: int = 0
    launching: tuple[int, ...] = ()

    def line(self) -> bytes:
        """Write it down."""
        return _line(asdict(self))

    @classmethod
    def read(cls, line: bytes) -> "Waiting":
        """Read what `line` wrote."""
        said = json.loads(line)
        return cls(said["confirmations"], said["newsletters"], tuple(said["launching"]))


def _line(said: dict[str, object]) -> bytes:
    return json.dumps(said).encode("ascii") + b"\n"
