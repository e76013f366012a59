"""Who wrote a newsletter, who asked for its release and who gave it: what its page says of people."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from dispatcher.db.terms import CampaignState
from dispatcher.domain.newsletters import authors, campaigns, releases
from dispatcher.domain.newsletters.authors import Signature, Version
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Entry, Wanted
from dispatcher.sending.binding import content_hash

ASKED = "releasing.asked"
CAN_BE_RELEASED = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.PAUSED)
_SHOWN = 5
_LATELY = 20  # requests that are gone through for the overview


@dataclass(frozen=True, slots=True)
class Names:
    """The newest version, the last releases (the newest first), who asked for the next one. `is_other`: the content is
    not what was released.
    """

    wrote: Version | None
    signed: Sequence[Signature]
    asked: Entry | None
    is_other: bool


def names(conn: Connection, of: Campaign) -> Names:
    """Give them."""
    written = authors.versions(conn, of.id, limit=1)
    signed = authors.signatures(conn, of.id, limit=_SHOWN)
    held = releases.holding(conn, of.id)
    is_other = held is not None and held.binding.content != content_hash(conn, of)
    return Names(written[-1] if written else None, signed[::-1], asked_for(conn, of), is_other)


def requests(conn: Connection) -> list[tuple[Campaign, Entry]]:
    """Give the newsletters whose release somebody asked for lately and nobody gave, the newest request first."""
    found: dict[int, tuple[Campaign, Entry]] = {}
    for entry in audit.newest(conn, Wanted(action=ASKED, about="campaign"), _LATELY):
        of = campaigns.find(conn, entry.about_id or 0)
        if of is not None and of.id not in found and (asked := asked_for(conn, of)):
            found[of.id] = of, asked
    return list(found.values())


def asked_for(conn: Connection, of: Campaign) -> Entry | None:
    """Give who asked for the release of this version, if nobody has released it since."""
    if of.state not in CAN_BE_RELEASED:
        return None
    found = audit.newest(conn, Wanted(action=ASKED, about="campaign", about_id=of.id), 1)
    if not found or found[0].facts.get("version") != of.version:
        return None
    signed = authors.signatures(conn, of.id, limit=1)
    return None if signed and signed[-1].at > found[0].at else found[0]
