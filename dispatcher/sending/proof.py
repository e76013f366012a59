"""Proofs: how a letter will look to someone, before it goes; and a test copy to oneself.

A test copy takes the same lane as every letter, with a gate that asks one thing only: may this address be mailed at
all. It is for the staff; its subject says that it is a test, it is not recorded as a delivery, and its links lead to
nobody.
"""

from datetime import datetime

from sqlalchemy import Connection

from dispatcher.compose.house import House
from dispatcher.db.terms import CampaignState, Language
from dispatcher.domain import consent, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters import campaigns, trials
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.errors import InputRefused, NotFound, RelayDown
from dispatcher.sending import press, release
from dispatcher.sending.press import CampaignPress, Stationery
from dispatcher.smtp.lane import Lane, Parcel
from dispatcher.smtp.relays import Relay
from dispatcher.smtp.verdict import Verdict

TEST_MARK = "[Test] "


def press_for(conn: Connection, of: Campaign, stationery: Stationery, house: House, variant: int = 1) -> CampaignPress:
    """Compile a campaign as it was released, or, while it is a draft, as it would be: also one that was taken back.
    With this subject of a trial. Raises InputRefused where there is none such.
    """
    if of.state is not CampaignState.DRAFT and campaigns.editions(conn, of.id):
        _require_subject(of, variant, campaigns.count_editions(conn, of))
        return press.load(conn, of, stationery, of.edition_of(variant))
    if variant == 1:
        return release.press_of(of, release.editions(conn, of, house), stationery)
    found = release.variants(conn, of, house)
    _require_subject(of, variant, len(found))
    return release.press_of(of, found[variant - 1], stationery)


def _require_subject(of: Campaign, variant: int, subjects: int) -> None:
    if variant > subjects:
        there_are = ", ".join(trials.LETTERS[:subjects])
        raise InputRefused(f"campaign {of.id} has no subject {trials.letter_of(variant)}", f"there are: {there_are}")


def recipient_for(conn: Connection, of: Campaign, address: str, stationery: Stationery) -> Recipient:
    """Give a real recipient for a preview. Raises NotFound."""
    person = subscribers.by_hash(conn, address_hash(stationery.keyring, parse_address(address)))
    if person is None:
        raise NotFound(f"nobody here has the address {address}", "name a subscriber's address")
    return as_recipient(conn, of, person)


def as_recipient(conn: Connection, of: Campaign, person: Subscriber) -> Recipient:
    """Give a person as a campaign's letter would see them. Raises NotFound for one who was erased."""
    if person.address is None:
        raise NotFound("this person was erased", "name another subscriber")
    stands = consent.standing(conn, person.id)
    since = stands[of.topic][1].date() if of.topic in stands else None
    return Recipient(person.id, person.public_id, person.address, person.name, person.language, since, 1)


def test_parcel(
    conn: Connection, of: Campaign, to: Address, stationery: Stationery, house: House, now: datetime
) -> Parcel:
    """Compose a test copy of what is written now, in the campaign's default language. Raises InputRefused for an
    address on the never-mail list.
    """
    if suppression.entries(conn, address_hash(stationery.keyring, to)):
        raise InputRefused("this address is on the never-mail list", "choose another one")
    made_up = release.trial_recipient(Language(of.default_language))
    reader = Recipient(0, bytes(8), to.mail, made_up.name, made_up.language, made_up.consented_on, 1)
    if not campaigns.contents(conn, of.id):  # the letter that asks to renew a consent: nobody wrote it
        return press_for(conn, of, stationery, house).parcel(reader, now)
    marked = release.editions(conn, of, house, mark=TEST_MARK)
    return release.press_of(of, marked, stationery).parcel(reader, now)


async def send_test(relays: tuple[Relay, ...], parcel: Parcel) -> tuple[Relay, Verdict]:
    """Send a test copy over the first relay that takes us. Raises RelayDown when none does."""
    for relay in relays:
        lane = Lane(relay)
        try:
            await lane.open()
        except RelayDown:
            if relay is relays[-1]:
                raise
            continue
        try:
            refused = await lane.offer(parcel)
            return relay, refused or await lane.release()
        finally:
            await lane.close()
    raise RelayDown("no relay is set", "set DISPATCHER_SMTP_URL")
