"""Rows as plain facts: what a dossier and an export are made of, in words that JSON knows.

What must stay true: the same rows give the same octets (`canonical`), on both databases: times are in UTC to the
microsecond, octets in hexadecimal.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

Fact = str | int | bool | None | list[Any] | dict[str, Any]
Facts = dict[str, Any]


def canonical(facts: Mapping[str, Any]) -> bytes:
    """Write facts as JSON in exactly one way: keys sorted, no blanks, UTF-8 (RFC 8785; there are no fractions)."""
    return json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def rows(found: Iterable[Any]) -> list[Facts]:
    """Give rows as facts, each with the names of its columns."""
    return [{name: plain(value) for name, value in row._mapping.items()} for row in found]


def plain(value: Any) -> Fact:
    """Give one value as JSON has it."""
    match value:
        case datetime():
            return moment(value)
        case date():
            return value.isoformat()
        case bytes() | memoryview():
            return bytes(value).hex()
        case _:
            kept: Fact = value
            return kept


def moment(at: datetime) -> str:
    """Write a moment: 2026-11-24T16:03:12.000417Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_moment(text: str) -> datetime:
    """Read what `moment` wrote."""
    return datetime.fromisoformat(text)
