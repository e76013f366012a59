"""From a campaign's frozen edition and one recipient to a parcel for a lane. Editions are compiled once a process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from sqlalchemy import Connection

from dispatcher.compose.dkim import Signer
from dispatcher.compose.edition import Edition
from dispatcher.compose.fields import Fields
from dispatcher.compose.letter import Letter, Press, are_usual
from dispatcher.db.terms import Language
from dispatcher.domain import tokens
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import opt_in
from dispatcher.smtp.lane import Parcel


@dataclass(frozen=True, slots=True)
class Stationery:
    """What all letters of a process share: keys, where links and return-paths lead, and who signs (None: the relay)."""

    keyring: Keyring
    public_url: str
    bounce_domain: str
    sender_domain: str
    signer: Signer | None = None
    notices: Mapping[Language, bytes] = field(default_factory=dict)  # hashes of the privacy notice that letters link


class CampaignPress:
    """The compiled editions of one campaign."""

    def __init__(self, of: Campaign, editions: dict[Language, str], stationery: Stationery) -> None:
        self._of = of
        self._stationery = stationery
        self._presses = [(language, Press(Edition.from_json(text))) for language, text in editions.items()]
        self._default = dict(self._presses)[of.default_language]
        self._signing = tokens.Signing(stationery.keyring, of.topic, of.id)
        self._envelope_id = f"{of.id}."
        # Where links lead and addresses end, as far as all letters share it.
        url = stationery.public_url
        self._leave, self._preferences, self._view = f"{url}/u/", f"{url}/p/", f"{url}/v/"
        self._at_sender, self._at_bounces = f"@{stationery.sender_domain}", f"@{stationery.bounce_domain}"
        self.asked: opt_in.Asked | None = None  # a confirmation: of which request
        self._stamped = datetime.min.replace(tzinfo=UTC)
        self._date = ""
        self._is_usual: bool | None = None  # not looked at yet

    def letter(self, to: Recipient, now: datetime) -> Letter:
        """Compose one letter in the recipient's language, or the default one where there is no edition; and sign it."""
        press = self._press(to)
        letter = press.letter(self.fields(to, now))
        if (signer := self._stationery.signer) is not None:
            signatures = signer.signatures(letter.octets(), now, is_relaxed=press.is_relaxed)
            letter.pieces.insert(0, signatures.decode("ascii"))
        return letter

    def page(self, to: Recipient, now: datetime) -> str:
        """Give the letter as a page, for "view in browser" and previews."""
        return self._press(to).page(self.fields(to, now))

    def plain(self, to: Recipient, now: datetime) -> str:
        """Give the letter's text part."""
        return self._press(to).plain(self.fields(to, now))

    def edition_sha256(self, to: Recipient) -> str:
        """Say which frozen edition this recipient's letter comes from."""
        return self._press(to).edition.sha256

    def message_id(self, to: Recipient) -> str:
        """Give the Message-ID of this recipient's letter, the same at every attempt."""
        return self._signing.tokens(to.public_id).name + self._at_sender

    def parcel(self, to: Recipient, now: datetime) -> Parcel:
        """Compose one letter for a lane."""
        letter = self.letter(to, now)
        return Parcel(
            letter.sender,
            letter.recipient,
            letter.pieces,
            needs_smtputf8=letter.needs_smtputf8,
            envelope_id=self._envelope_id + to.public_id.hex(),
        )

    def fields(self, to: Recipient, now: datetime) -> Fields:
        """Give the values of one recipient: links signed for this person, topic and campaign."""
        made, asked = self._signing.tokens(to.public_id), self.asked
        fields = Fields(
            address=to.address,
            name=to.name,
            message_id=made.name + self._at_sender,
            envelope_sender=made.bounce_local_part + self._at_bounces,
            date=self._stamp(now),
            unsubscribe_url=self._leave + made.unsubscribe,
            unsubscribe_mailto=made.unsubscribe_local_part + self._at_bounces,
            preferences_url=self._preferences + made.preferences,
            view_url=self._view + made.view,
            consented_on=to.consented_on,
            confirm_url=asked.confirm_url if asked else "",
            requested_at=asked.requested_at if asked else "",
            requested_topics=" ".join(asked.topics) if asked else "",
        )
        if self._is_usual is None:  # one look for all: others differ in letters, digits, - and _ (tokens.Signing)
            self._is_usual = are_usual(fields)
        fields.is_usual = self._is_usual
        return fields

    def _press(self, to: Recipient) -> Press:
        for language, press in self._presses:  # the hash of a word of an Enum is made in Python
            if language is to.language:
                return press
        return self._default

    def _stamp(self, now: datetime) -> str:
        if now is not self._stamped:  # letters composed between two turns of the gate share their Date
            self._stamped, self._date = now, format_datetime(now)
        return self._date


class RenewalPress(CampaignPress):
    """The letter that asks people to renew their consent: each brings a request of its own."""

    def fields(self, to: Recipient, now: datetime) -> Fields:
        fields = super().fields(to, now)
        if to.asking is None:  # a preview: nobody is asked, and the link leads nowhere
            fields.confirm_url = f"{self._stationery.public_url}/c/"
            fields.requested_topics = self._of.topic or ""
            return fields
        fields.confirm_url = opt_in.link(to.asking, self._stationery.keyring, self._stationery.public_url)
        fields.requested_topics = " ".join(to.asking.topics)
        return fields


def load(conn: Connection, of: Campaign, stationery: Stationery, no: int | None = None) -> CampaignPress:
    """Compile an edition of a released campaign, in all its languages: the one with this number, or the newest."""
    kind = CampaignPress if of.renews is None else RenewalPress
    press = kind(of, campaigns.editions(conn, of.id, no or of.edition_no), stationery)
    if of.request_id is not None:
        press.asked = opt_in.asked(conn, of.request_id, stationery.keyring, stationery.public_url)
    return press
