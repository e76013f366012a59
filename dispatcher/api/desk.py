"""What every route works with, made once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine

from dispatcher.domain.tokens import Keyring
from dispatcher.settings import Settings


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts. After commit `nudge` calls workers for a campaign that is due, `nudge_drains` for one that goes on."""

    settings: Settings
    engine: Engine
    keyring: Keyring
    nudge: Callable[[int], object]
    nudge_drains: Callable[[], object]


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]
