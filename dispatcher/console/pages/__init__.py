"""Which pages there are. The order of the areas is that of the navigation."""

from dispatcher.console.declare import Page
from dispatcher.console.pages import (
    audit,
    calendar,
    campaign,
    campaigns,
    checking,
    comparison,
    consent,
    declarations,
    health,
    invitation,
    keys,
    login,
    missing,
    overview,
    people,
    profile,
    proof,
    public_form,
    releasing,
    replacing,
    rights,
    series,
    serving,
    subscribers,
    webhooks,
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
    *campaign.PAGES,
    *checking.PAGES,
    *releasing.PAGES,
    *replacing.PAGES,
    *missing.PAGES,
    *subscribers.PAGES,
    *serving.PAGES,
    *consent.PAGES,
    *declarations.PAGES,
    *proof.PAGES,
    *public_form.PAGES,
    *rights.PAGES,
    *health.PAGES,
    *keys.PAGES,  # before those of one member, whose path names any word
    *webhooks.PAGES,
    *people.PAGES,
    *audit.PAGES,
    *profile.PAGES,
)
