"""How a file is to be read, as its row keeps it, and back.

What must stay true: the same file with the same order is one run, whether it is named at the command line or handed in.
"""

from collections.abc import Mapping
from typing import Any

from dispatcher.db.terms import SuppressionReason, Topic
from dispatcher.domain.imports import Format, Instructions
from dispatcher.domain.imports.runs import Order
from dispatcher.domain.suppression_files import Default
from dispatcher.domain.uploads import Upload

ENCODINGS = ("utf-8", "windows-1252", "latin-1", "utf-16")


def people(how: Instructions, *, confirm: bool) -> dict[str, Any]:
    """Write down how a file of people is to be read; `confirm`: those without evidence are asked by mail."""
    return {
        "format": how.format, "columns": dict(how.columns), "topics": list(how.topics), "encoding": how.encoding,
        "left": how.everybody_left, "confirm": confirm,
    }  # fmt: skip


def never_mail(scope: Topic | None, reason: SuppressionReason, encoding: str) -> dict[str, Any]:
    """Write down what holds for rows of a never-mail list that do not say so themselves."""
    return {"scope": scope, "reason": reason, "encoding": encoding}


def instructions(mine: Upload) -> Instructions:
    """Read how a file of people is to be read."""
    how = mine.how
    return Instructions(
        format=Format(how["format"]) if how["format"] else None,
        columns=how["columns"],
        topics=tuple(map(Topic, how["topics"])),
        encoding=how["encoding"],
        everybody_left=how["left"],
        file_name=mine.file,
    )


def default(mine: Upload) -> Default:
    """Read what holds for rows of a never-mail list."""
    scope = Topic(mine.how["scope"]) if mine.how["scope"] else None
    return Default(scope, SuppressionReason(mine.how["reason"]), f"import: {mine.origin}")


def run_of(mine: Upload, found: Format) -> Order:
    """Give the order by which a run is known; `found` is whose columns the file has."""
    how: Mapping[str, Any] = mine.how
    options = {
        "confirm": how["confirm"],
        "topics": " ".join(how["topics"]),
        "columns": [f"{ours}={theirs}" for ours, theirs in how["columns"].items()],
        "left": how["left"],
        "encoding": how["encoding"],
        "from": found.value,
    }
    return Order(mine.file, mine.sha256, mine.origin, options, mine.decided_by or mine.by)
