"""PostgreSQL's arrays, written as text: many rows as one parameter a column. Runs for each letter."""

from collections.abc import Iterable, Sequence


def array_of(numbers: Iterable[object]) -> str:
    """Write a PostgreSQL array of numbers or times."""
    return "{" + ",".join(["NULL" if number is None else str(number) for number in numbers]) + "}"


def array_of_texts(texts: Sequence[str | None]) -> str:
    """Write a PostgreSQL array of texts. Nearly always none is missing and none holds a mark that must be escaped."""
    given = [text for text in texts if text is not None]
    together = "".join(given)
    if given and len(given) == len(texts) and '"' not in together and "\\" not in together:
        return '{"' + '","'.join(given) + '"}'
    return "{" + ",".join(["NULL" if text is None else _quoted(text) for text in texts]) + "}"


def array_of_octets(values: Iterable[bytes | None]) -> str:
    """Write a PostgreSQL array of octets."""
    return "{" + ",".join(["NULL" if octets is None else f'"\\\\x{octets.hex()}"' for octets in values]) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
