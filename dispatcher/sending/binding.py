"""To what a release is bound: the hash of content, templates, the house's own words, and the rule of the audience.

What was looked at and released is what goes: whoever changes one of the four afterwards has to have it looked at again.
"""

import hashlib
import json
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection

from dispatcher.assets import templates
from dispatcher.compose.house import House
from dispatcher.db.terms import CampaignState
from dispatcher.domain.audience import narrowing
from dispatcher.domain.newsletters import campaigns, releases, trials
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.releases import Binding
from dispatcher.errors import ReleaseOutdated

CHANGED = {
    "content": "what was written",
    "template": "the templates",
    "house": "the house's own words (sender, Impressum, addresses)",
    "audience": "whom it goes to",
}


def bind(conn: Connection, of: Campaign, house: House) -> Binding:
    """Take the hashes of a campaign as everything stands now."""
    return Binding(
        content=content_hash(conn, of),
        template=_templates(of.topic or ""),
        house=_hash(asdict(house)),
        audience=audience_hash(conn, of),
    )


def audience_hash(conn: Connection, of: Campaign) -> bytes:
    """Take the hash of the rule of the audience, as it stands now. Of a filter also what it cannot tell any more: who
    received a campaign that has become counts meanwhile.
    """
    narrowed: dict[str, object] = {}
    if of.filter:
        narrowed = {"filter": of.filter.to_json(), "folded": narrowing.folded(conn, of.filter.earlier)}
    return _hash({"topic": of.topic, "renews": of.renews, **narrowed})


def content_hash(conn: Connection, of: Campaign) -> bytes:
    """Take the hash of what was written, as it stands now; of a trial also how it goes."""
    written = sorted((language, *file) for language, file in campaigns.contents(conn, of.id).items())
    trial = trials.find(conn, of.id)
    terms = [[trial.terms.share, trial.terms.wait.total_seconds(), trial.terms.otherwise]] if trial is not None else []
    return _hash([of.topic, of.subject, of.default_language, written, *terms])


def require_unchanged(conn: Connection, of: Campaign, house: House) -> None:
    """Raise ReleaseOutdated when a campaign is not what was released any more."""
    held = releases.holding(conn, of.id)
    changed = bind(conn, of, house).differs(held.binding) if held else []
    if changed:
        what = ", ".join(CHANGED[name] for name in changed)
        raise ReleaseOutdated(f"not sent: since the release has changed {what}", "look at it, then release it again")


def take_back(conn: Connection, campaign_id: int, why: str, now: datetime, only_from: CampaignState) -> bool:
    """Make a released campaign a draft again, with the reason. False: it stood in no such state."""
    if not campaigns.move(conn, campaign_id, CampaignState.DRAFT, only_from=only_from, problem=why):
        return False
    releases.end(conn, campaign_id, why, now)
    return True


def _templates(topic: str) -> bytes:
    """The files that lay a letter out, by name; samples are none of them."""
    base = templates() / "mail"
    digest = hashlib.sha256()
    for folder in ("_base", topic):
        for path in sorted((base / folder).iterdir()):
            if ".sample." not in path.name and not path.name.startswith("sample."):
                text = path.read_bytes()
                digest.update(f"{folder}/{path.name} {len(text)}\n".encode() + text)
    return digest.digest()


def _hash(value: object) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).digest()
