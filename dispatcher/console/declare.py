"""How a page is declared.

    PAGES = area(
        "things",
        look("/things", Permission.SEE_THINGS, "things", show),                   GET: values for things.html
        act("/things/{thing}/end", Permission.END_THINGS, "things.ended", end),   POST: something is done
        live("/things/live", Permission.SEE_THINGS, "things_live", poll),         GET: a part that renews itself
    )

The look with the shortest path of an area is where the navigation leads. `{thing}` in a path is a number
(`visit.number("thing")`). The third word of an act is what the audit log calls it; its sentence stands in
words/things.*.yaml as `did_ended`.

Who may: a Permission; a SessionStage of somebody who is still logging in; or ANYONE.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.db.terms import SessionStage
from dispatcher.domain.staff.roles import Permission

if TYPE_CHECKING:
    from dispatcher.console.desk import Desk
    from dispatcher.console.visit import Visit

ANYONE = None
Admits = Permission | SessionStage | None
Values = Mapping[str, object]
Show = Callable[["Visit"], Values | Response]
Do = Callable[["Visit"], Response]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a poll works with: the console's parts, a reader's connection, the time, and the numbers in the path."""

    desk: "Desk"
    conn: Connection
    now: datetime
    numbers: Mapping[str, int]


Poll = Callable[[Moment], Values]


@dataclass(frozen=True, slots=True)
class Look:
    """A page that is looked at. It changes nothing."""

    path: str
    admits: Admits
    template: str
    show: Show
    area: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is done, in one transaction with its entry in the audit log.

    `mends` is the path of the look that is shown again when something has to be mended. One that is `alone` has no
    transaction around it, because it talks to a network or computes for long; it opens one with `visit.change()`.
    `largest_file`: bytes of a file that may be handed in, which stays in memory; 0: none may.
    """

    path: str
    admits: Admits
    action: str
    do: Do
    mends: str
    alone: bool
    largest_file: int = 0
    area: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """A part of a page that renews itself: the same for everybody who may see it, asked for once however many look."""

    path: str
    admits: Admits
    template: str
    poll: Poll
    every: float
    area: str = ""


Page = Look | Act | Live


def look(path: str, admits: Admits, template: str, show: Show) -> Look:
    """Declare a page; `show(visit)` gives the values of templates/web/console/TEMPLATE.html, or a whole answer."""
    return Look(path, admits, template, show)


def file(path: str, admits: Admits, show: Callable[["Visit"], Response]) -> Look:
    """Declare a file that is handed out; `show(visit)` gives it. It changes nothing."""
    return Look(path, admits, "", show)


def act(path: str, admits: Admits, action: str, do: Do, *, mends: str = "", alone: bool = False) -> Act:
    """Declare a deed; `do(visit)` gives where to go on, best by `visit.go`. It raises Mend when the form has to be
    mended; our errors (MoveRefused, InputRefused) are shown above the look, too.
    """
    return Act(path, admits, action, do, mends or path, alone)


def taking_file(page: Act, largest: int) -> Act:
    """Let a file of so many bytes be handed in with a deed: `visit.form.file`."""
    return replace(page, largest_file=largest)


def live(path: str, admits: Admits, template: str, poll: Poll, *, every: float = 2.0) -> Live:
    """Declare a part that renews itself; `poll(moment)` gives the values of its template, every so many seconds."""
    return Live(path, admits, template, poll, every)


def area(name: str, *pages: Page) -> tuple[Page, ...]:
    """Say to which area pages belong. Its name stands in the navigation, as `frame.area_NAME`, if AREAS has it."""
    return tuple(replace(page, area=name) for page in pages)


class Mend(Exception):
    """A form has to be mended: for each field the key of a sentence; "" is the form as a whole."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("a form has to be mended")
        self.errors = errors
