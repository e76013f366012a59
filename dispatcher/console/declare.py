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
from dispatcher.web.forms import SMALL, Size

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
    What is larger than a usual form names its size; then nothing is read of somebody who may not.
    """

    path: str
    admits: Admits
    action: str
    do: Do
    mends: str
    alone: bool
    size: Size = SMALL
    area: str = ""
    takes_file: bool = False


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


def sized(page: Act, size: Size) -> Act:
    """Let an act take more than a usual form brings, or files."""
    return replace(page, size=size)


def hand_in(path: str, admits: Admits, action: str, do: Do, *, mends: str = "") -> Act:
    """Declare a deed with a file, which `do(visit)` finds on the shelf: `visit.form.file`. It lies there for good only
    if the deed comes to its end.
    """
    return Act(path, admits, action, do, mends or path, alone=False, takes_file=True)


def live(path: str, admits: Admits, template: str, poll: Poll, *, every: float = 2.0) -> Live:
    """Declare a part that renews itself; `poll(moment)` gives the values of its template, every so many seconds."""
    return Live(path, admits, template, poll, every)


def area(name: str, *pages: Page) -> tuple[Page, ...]:
    """Say to which area pages belong. Its name stands in the navigation, as `frame.area_NAME`, if AREAS has it."""
    return tuple(replace(page, area=name) for page in pages)


class Mend(Exception):
    """A form has to be mended: for each field the key of a sentence; "" is the form as a whole. `status` 200: nothing
    is wrong, it is shown again with more or fewer fields.
    """

    def __init__(self, errors: Mapping[str, str], status: int = 422) -> None:
        super().__init__("a form has to be mended")
        self.errors = errors
        self.status = status
