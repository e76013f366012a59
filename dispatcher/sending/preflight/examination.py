"""What preflight looks at: a campaign as it would be released now, with each letter rendered for nobody.

Nothing here is stored, and the transaction that read it is over: what checks ask of the network holds nobody up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from dispatcher.compose.content import Content, parse_content
from dispatcher.compose.edition import Edition
from dispatcher.compose.fields import Fields
from dispatcher.compose.house import House
from dispatcher.compose.letter import Press
from dispatcher.db.terms import Language
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters import campaigns, trials
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.releases import Binding
from dispatcher.domain.newsletters.trials import Terms, Trial
from dispatcher.domain.tokens import DRY_RUN
from dispatcher.outgoing import Passport
from dispatcher.sending import release
from dispatcher.sending.binding import bind
from dispatcher.sending.preflight.page import Page, read_page
from dispatcher.sending.press import CampaignPress, Stationery

Progress = Callable[[str, int, int], None]  # which check, how far, of how much (0: not known)

NAME = "Maria Muster"


@dataclass(frozen=True, slots=True)
class Desk:
    """What the checks need beside the campaign: how the house names itself, whom it asks, and whether a release needs
    four eyes.
    """

    stationery: Stationery
    house: House
    passport: Passport = field(default_factory=Passport)
    resolver: str = "off"  # as DISPATCHER_MX_LOOKUP says it
    spam_check: str = ""
    caniemail: Path | None = None
    four_eyes: bool = False
    keys_elsewhere: bool = False  # letters are signed, by workers; this process cannot read the keys


@dataclass(frozen=True, slots=True)
class Further:
    """The same letter with another subject of a trial: for a reader with a name, for one without, and as it goes."""

    subject: str
    bare: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """One letter as nobody would get it. `raw` is signed, where we sign; `bare` the text of a reader without a name."""

    file: str
    source: str
    content: Content
    edition: Edition
    fields: Fields
    subject: str
    html: str
    text: str
    bare: str
    raw: bytes
    page: Page
    further: tuple["Further", ...] = ()

    def line_of(self, text: str) -> str:
        """Say where in the author's file a text stands: "news.de.md:12"; where it is not found, the file."""
        at = self.source.find(text) if text else -1
        return self.file if at < 0 else f"{self.file}:{self.source.count(chr(10), 0, at) + 1}"


@dataclass(frozen=True, slots=True)
class Examination:
    """A campaign laid open. `press` composes without signing, for the many; `further` with the other subjects of a
    trial.
    """

    of: Campaign
    binding: Binding
    looks: Mapping[Language, Look]
    press: CampaignPress
    desk: Desk
    now: datetime
    goes_at: datetime
    trial: Trial | None = None
    further: tuple[CampaignPress, ...] = ()

    @property
    def tried(self) -> tuple[int, int] | None:
        """Give how many subjects are tried, and on what part of the people (per cent); None: there is one subject."""
        terms = self.trial.terms if self.trial is not None else Terms()
        return (len(self.presses), terms.share) if self.further else None

    @property
    def presses(self) -> tuple[CampaignPress, ...]:
        """Give the press of each subject."""
        return self.press, *self.further


def lay_open(conn: Connection, campaign_id: int, desk: Desk, now: datetime, goes_at: datetime | None) -> Examination:
    """Read a campaign and compose it for nobody. Raises NotFound, InputRefused, ContentInvalid with file and line."""
    of = campaigns.get(conn, campaign_id)
    found = release.variants(conn, of, desk.house)
    signing = [release.press_of(of, frozen, desk.stationery) for frozen in found]
    plain, *others = (release.press_of(of, frozen, replace(desk.stationery, signer=None)) for frozen in found)
    written = campaigns.contents(conn, of.id)
    looks = {}
    for language, edition in found[0].items():
        further = tuple(
            _further(each[language], press, now) for each, press in list(zip(found, signing, strict=True))[1:]
        )
        looks[language] = replace(_look(*written[language], edition, signing[0], now), further=further)
    at = goes_at or of.send_at or now
    trial = trials.find(conn, of.id)
    bound = bind(conn, of, desk.house)
    return Examination(of, bound, looks, plain, desk, now, max(at, now), trial, tuple(others))


def nobody(language: Language, name: str = NAME) -> Recipient:
    """Make up the reader of a dry run, whose links try everything and change nothing."""
    to = release.trial_recipient(language, name)
    to.public_id = DRY_RUN
    return to


def _look(file: str, source: str, edition: Edition, press: CampaignPress, now: datetime) -> Look:
    fields = press.fields(nobody(edition.language), now)
    sheet = Press(edition)
    html = sheet.page(fields)
    unnamed = replace(fields, name="")
    return Look(
        file=file,
        source=source,
        content=parse_content(source, file=file),
        edition=edition,
        fields=fields,
        subject=sheet.subject(fields),
        html=html,
        text=sheet.plain(fields),
        bare=f"{sheet.subject(unnamed)}\n{sheet.plain(unnamed)}",
        raw=press.letter(nobody(edition.language), now).body,
        page=read_page(html),
    )


def _further(edition: Edition, press: CampaignPress, now: datetime) -> Further:
    fields = press.fields(nobody(edition.language), now)
    sheet = Press(edition)
    raw = press.letter(nobody(edition.language), now).body
    return Further(sheet.subject(fields), sheet.subject(replace(fields, name="")), raw)
