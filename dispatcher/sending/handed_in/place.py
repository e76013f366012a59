"""With what, and by whom, files are worked off."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from dispatcher.domain.tokens import Keyring
from dispatcher.settings import Settings
from dispatcher.shelf import Shelf


class Stopping(Exception):
    """We are to end: the file is left to the next worker."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are worked off. `owner` is who holds them; `stopping` is asked between chunks whether to end."""

    engine: Engine
    settings: Settings
    keyring: Keyring
    shelf: Shelf
    owner: str
    stopping: Callable[[], bool]

    def go_on(self) -> None:
        """Raises Stopping."""
        if self.stopping():
            raise Stopping


def shelf_of(settings: Settings) -> Shelf:
    """Give the folder of files that were handed in."""
    return Shelf(settings.uploads, settings.upload_limit)
