"""Page by page through things that are numbered, the newest first: `?before=` goes on to older ones, `?after=` back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dispatcher.console.visit import Visit

Thing = TypeVar("Thing")
PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """From where on a page is asked for."""

    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Sheet(Generic[Thing]):
    """One page; `older` and `newer` are the names, mostly numbers, by which its neighbours are asked for; None at the
    ends.
    """

    things: Sequence[Thing]
    older: int | str | None
    newer: int | str | None


def asked(visit: Visit) -> Asked:
    """Read from where on a page is asked for."""
    return Asked(number(visit.asked("before")), number(visit.asked("after")))


def sheet(found: Sequence[Thing], wanted: Asked, number_of: Callable[[Thing], int]) -> Sheet[Thing]:
    """Make a page of the PER_PAGE + 1 things that were looked for, the newest first."""
    return cut(found, number_of, goes_back=wanted.after is not None, is_first=wanted.before is None)


def cut(
    found: Sequence[Thing], name_of: Callable[[Thing], int | str], *, goes_back: bool, is_first: bool
) -> Sheet[Thing]:
    """Make a page of PER_PAGE + 1 things: `goes_back`, they were looked for upwards; `is_first`, from the top."""
    is_more = len(found) > PER_PAGE
    things = found[-PER_PAGE:] if goes_back else found[:PER_PAGE]
    return Sheet(
        things,
        older=name_of(things[-1]) if things and (is_more or goes_back) else None,
        newer=name_of(things[0]) if things and (is_more if goes_back else not is_first) else None,
    )


def number(text: str) -> int | None:
    """Read a number of the query; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
