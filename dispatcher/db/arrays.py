"""PostgreSQL's arrays, written as text: many rows as one parameter a column. Runs for each letter."""

from collections.abc import Iterable


def array_of(numbers: Iterable[object]) -> str:
    """Write a PostgreSQL array of numbers or times."""
    return "{" + ",".join(["NULL" if number is None else str(number) for number in numbers]) + "}"


def array_of_texts(texts: Iterable[str | None]) -> str:
    """Write a PostgreSQL array of texts."""
    return "{" + ",".join(["NULL" if text is None else _quoted(text) for text in texts]) + "}"


def array_of_octets(values: Iterable[bytes | None]) -> str:
    """Write a PostgreSQL array of octets."""
    return "{" + ",".join(["NULL" if octets is None else f'"\\\\x{octets.hex()}"' for octets in values]) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
