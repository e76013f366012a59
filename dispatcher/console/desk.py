"""What every page of the console works with, made once."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from dispatcher.console.beside import Beside, read_beside
from dispatcher.console.guard import Cookies
from dispatcher.console.health import doctor, health_watch
from dispatcher.console.live import Hub
from dispatcher.console.notes import note
from dispatcher.console.paper import Paper
from dispatcher.console.pulse import Pulse
from dispatcher.console.verifier import Verifier
from dispatcher.console.workload import Workload, workloads
from dispatcher.db.terms import Role
from dispatcher.domain import resting
from dispatcher.domain.newsletters.tallies import Memory
from dispatcher.domain.proof.movements import Following, Movements
from dispatcher.domain.rates import providers
from dispatcher.domain.resting import Resting
from dispatcher.domain.staff import login
from dispatcher.domain.tokens import Keyring
from dispatcher.health import Finding
from dispatcher.sending.handed_in.place import shelf_of
from dispatcher.settings import Settings
from dispatcher.shelf import Shelf
from dispatcher.web.site import Site


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts."""

    site: Site
    paper: Paper
    cookies: Cookies
    hub: Hub
    health: Beside[Sequence[Finding]]
    doctor: Beside[Sequence[Finding]]
    workload: Beside[Workload]
    mailboxes: Beside[dict[str, int]]  # how many people have theirs at which provider
    resting: Beside[list[Resting]]  # on which words everybody's consent rests
    movements: Beside[Movements]  # who agreed and who left, by day
    verifier: Verifier
    pulse: Pulse
    memory: Memory

    @property
    def engine(self) -> Engine:
        """Give the engine."""
        return self.site.engine

    @property
    def settings(self) -> Settings:
        """Give the settings."""
        return self.site.settings

    @property
    def keyring(self) -> Keyring:
        """Give the keys."""
        return self.site.keyring

    @property
    def shelf(self) -> Shelf:
        """Give the folder of files that were handed in."""
        return shelf_of(self.settings)

    @property
    def roles_with_second_factor(self) -> frozenset[Role]:
        """Give whose role needs a second factor."""
        return login.who_needs_second_factor(self.settings.console_totp)


def make_desk(site: Site) -> Desk:
    """Put the parts together."""
    paper = Paper(f"{site.pages.root}/console", site.settings.sender_name, note)
    return Desk(
        site,
        paper,
        Cookies(https=site.settings.public_url.startswith("https:")),
        Hub(),
        health_watch(site.settings, site.engine),
        doctor(site.settings, site.engine),
        workloads(site.settings, site.engine),
        read_beside("mailboxes", site.engine, providers.people, good_for=60.0),
        read_beside("resting", site.engine, resting.counted),
        read_beside("movements", site.engine, Following().look),
        Verifier(site.engine, site.settings),
        Pulse(),
        Memory(),
    )
