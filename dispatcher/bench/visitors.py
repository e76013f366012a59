"""Visitors for a measurement: they send prepared requests over connections that stay open, and time each answer.

    python -m dispatcher.bench.visitors PORT VISITORS < requests > figures

A line is one request, octet by octet, as a JSON string. Each visitor sends its next one as soon as it has its answer.
In a process of its own, so that what the visitors cost is not counted as the pages'.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from dispatcher.db.clock import steady

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


@dataclass
class Seen:
    """What the visitors saw."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)


async def visit(port: int, visitors: int, requests: list[bytes]) -> tuple[float, Seen]:
    """Send every request; give the seconds it took and what was seen."""
    seen, waiting = Seen(), iter(requests)
    began = steady()
    await asyncio.gather(*(_visitor(port, waiting, seen) for _ in range(visitors)))
    return steady() - began, seen


async def _visitor(port: int, waiting: Iterator[bytes], seen: Seen) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in waiting:
        began = steady()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        await reader.readexactly(int(length[1]) if length else 0)
        seen.milliseconds.append((steady() - began) * 1000)
        seen.statuses[head[9:12].decode()] += 1
    writer.close()


def main() -> None:
    """Be the visitors."""
    port, visitors = map(int, sys.argv[1:])
    requests = [json.loads(line).encode("latin-1") for line in sys.stdin]
    seconds, seen = asyncio.run(visit(port, visitors, requests))
    json.dump({"seconds": seconds, "milliseconds": seen.milliseconds, "statuses": seen.statuses}, sys.stdout)


if __name__ == "__main__":
    main()
