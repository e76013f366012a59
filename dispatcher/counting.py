"""Numbers of things in a sentence: "1 event", "2,000 events"."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """Give a number with its noun: in the singular for one, else `many`, or with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
