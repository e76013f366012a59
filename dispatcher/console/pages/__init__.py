"""Which pages there are. The order of the areas is that of the navigation."""

from dispatcher.console.declare import Page
from dispatcher.console.pages import audit, invitation, login, overview, people, profile

AREAS = ("overview", "campaigns", "subscribers", "consent", "health", "people", "audit")

PAGES: tuple[Page, ...] = (
    *login.PAGES,
    *invitation.PAGES,
    *overview.PAGES,
    *people.PAGES,
    *audit.PAGES,
    *profile.PAGES,
)
