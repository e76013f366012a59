"""Which pages there are. The order of the areas is that of the navigation."""

from dispatcher.console.declare import Page
from dispatcher.console.pages import (
    audit,
    calendar,
    campaign,
    campaigns,
    checking,
    comparison,
    drafts,
    editing,
    invitation,
    login,
    missing,
    overview,
    people,
    preview,
    profile,
    releasing,
    replacing,
    rights,
    series,
    serving,
    subscribers,
)

AREAS = ("overview", "campaigns", "subscribers", "consent", "rights", "health", "people", "audit")

PAGES: tuple[Page, ...] = (
    *login.PAGES,
    *invitation.PAGES,
    *overview.PAGES,
    *campaigns.PAGES,
    *calendar.PAGES,
    *series.PAGES,
    *comparison.PAGES,  # before those of one, whose path names any word
    *drafts.PAGES,
    *campaign.PAGES,
    *checking.PAGES,
    *releasing.PAGES,
    *replacing.PAGES,
    *editing.PAGES,
    *preview.PAGES,
    *missing.PAGES,
    *subscribers.PAGES,
    *serving.PAGES,
    *rights.PAGES,
    *people.PAGES,
    *audit.PAGES,
    *profile.PAGES,
)
