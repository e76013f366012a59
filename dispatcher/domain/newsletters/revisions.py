"""A draft is saved anew: of two who edit it at once, one wins, and the other is told who saved meanwhile.

What must stay true: a saving names the version that was read, and the one UPDATE asks for it and for a draft. So
nothing is overwritten unread, and nothing that is released changes.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, update

from dispatcher.db.tables import campaign
from dispatcher.db.terms import CampaignState
from dispatcher.domain.audience import narrowing
from dispatcher.domain.audience.filters import Filter
from dispatcher.domain.newsletters import authors, campaigns
from dispatcher.domain.newsletters.campaigns import Campaign, Contents
from dispatcher.domain.staff.audit import Actor
from dispatcher.errors import InputRefused, MoveRefused, SavedMeanwhile

SHORTEST_EXPIRY, LONGEST_EXPIRY = 3600, 14 * 24 * 3600  # seconds


@dataclass(frozen=True, slots=True)
class Revision:
    """What an editor hands in, and which version they had read. None: it stays as it is."""

    read: int
    by: Actor
    subject: str | None = None
    name: str | None = None
    contents: Contents | None = None  # the first language's is the default
    expires_after_s: int | None = None  # after its time a letter that was put off is given up
    filter: Filter | None = None  # EVERYBODY: whoever agreed


def edit(conn: Connection, campaign_id: int, said: Revision, now: datetime) -> int:
    """Save a draft anew; give its version. Raises NotFound, MoveRefused when it is no draft, SavedMeanwhile when
    somebody has saved since it was read (then nothing is overwritten), InputRefused for no time to expire after, and
    FilterRefused.
    """
    if said.expires_after_s is not None and not SHORTEST_EXPIRY <= said.expires_after_s <= LONGEST_EXPIRY:
        raise InputRefused(f"campaign {campaign_id} cannot expire after {said.expires_after_s} s", "1 h to 14 days")
    c = campaign.c
    options = {"subject": said.subject, "name": said.name, "expires_after_s": said.expires_after_s}
    values: dict[str, object] = {option: value for option, value in options.items() if value is not None}
    if said.contents:
        values["default_language"] = next(iter(said.contents))
    if said.filter is not None:
        narrowing.require_sound(conn, said.filter, now, campaign_id)
        values["filter"] = said.filter.to_json() if said.filter else None
    saved = conn.execute(
        update(campaign)
        .where(c.id == campaign_id, c.state == CampaignState.DRAFT, c.series_id.is_(None), c.version == said.read)
        .values(version=c.version + 1, **values)
        .returning(c.version)
    ).scalar_one_or_none()
    if saved is None:
        raise _not_saved(conn, campaigns.get(conn, campaign_id), said.read)
    if said.contents:
        campaigns.write_contents(conn, campaign_id, said.contents)
    authors.note(conn, campaign_id, saved, said.by, now)
    return int(saved)


def require_read(conn: Connection, campaign_id: int, read: int) -> None:
    """Hold a campaign, and make sure that nobody has saved since this version. Raises NotFound, SavedMeanwhile."""
    campaigns.hold(conn, campaign_id)
    of = campaigns.get(conn, campaign_id)
    if of.version != read:
        raise _other_version(conn, of, read)


def _not_saved(conn: Connection, of: Campaign, read: int) -> MoveRefused:
    if of.state is not CampaignState.DRAFT:
        can = of.state is CampaignState.SCHEDULED and of.topic is not None and of.renews is None
        cure = (
            f"take it back first: dispatcher campaigns take-back {of.id} --because REASON" if can else "enter a new one"
        )
        return MoveRefused(f"campaign {of.id} is {of.state}: only a draft can be edited", cure)
    if of.series_id is not None:
        return MoveRefused(
            f"campaign {of.id} was released for its turn in series {of.series_id}",
            f"`dispatcher campaigns replace {of.id} --content FILE` releases other content in its place",
        )
    return _other_version(conn, of, read)


def _other_version(conn: Connection, of: Campaign, read: int) -> MoveRefused:
    if read > of.version:
        return MoveRefused(f"campaign {of.id} has no version {read} yet: it is at {of.version}", f"name {of.version}")
    since = [one for one in authors.versions(conn, of.id) if one.version > read]
    who = ", ".join(
        f"{one.by.name or 'somebody'} saved version {one.version} ({one.at:%Y-%m-%d %H:%M} UTC)" for one in since
    )
    return SavedMeanwhile(
        f"campaign {of.id} is not saved: since version {read}, which you read, {who}",
        f"look at its contents as they stand now, then save yours on top of version {of.version}",
    )
