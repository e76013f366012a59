"""Release and proofs: what cannot be composed does not go, and a look at a letter writes nothing down."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, func, select, update

from dispatcher.compose.house import House
from dispatcher.db.tables import campaign, content, delivery, edition
from dispatcher.db.terms import CampaignState, Language, Topic
from dispatcher.domain import consent
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Draft
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import ContentInvalid, InputRefused, MoveRefused, NotFound, RelayDown
from dispatcher.sending import opt_in, proof, release
from dispatcher.sending.press import Stationery
from dispatcher.smtp.verdict import Refused, Sent
from tests import builders
from tests.relay import ScriptedRelay, say

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ENGLISH = builders.CONTENT.replace("language: de", "language: en").replace("Gold hält sich", "Gold holds steady")


def _bilingual(conn: Connection) -> int:
    contents = {Language.DE: ("n.de.md", builders.CONTENT), Language.EN: ("n.en.md", ENGLISH)}
    return campaigns.create(conn, Draft(Topic.FINANCE_NEWS, "n", "Gold", Language.DE, contents), NOW)


def test_a_release_freezes_each_language_and_sets_the_time(
    engine: Engine, stationery: Stationery, house: House
) -> None:
    with engine.begin() as conn:
        campaign_id = _bilingual(conn)
        of = release.schedule(conn, campaign_id, LATER, "Europe/Berlin", stationery, house)
        rows = conn.execute(select(edition)).all()
    assert (of.state, of.send_at, of.zone) == (CampaignState.SCHEDULED, LATER, "Europe/Berlin")
    assert {row.language for row in rows} == {"de", "en"}
    assert all(row.sha256 == hashlib.sha256(row.frozen.encode()).digest() for row in rows)


def test_a_campaign_may_be_put_off_and_keeps_one_edition_a_language(
    engine: Engine, stationery: Stationery, house: House
) -> None:
    with engine.begin() as conn:
        campaign_id = _bilingual(conn)
        release.schedule(conn, campaign_id, NOW, "UTC", stationery, house)
        assert release.schedule(conn, campaign_id, LATER, "UTC", stationery, house).send_at == LATER
        assert conn.execute(select(func.count()).select_from(edition)).scalar_one() == 2


@pytest.mark.parametrize("state", [CampaignState.SENDING, CampaignState.SENT, CampaignState.CANCELLED])
def test_a_letter_under_way_is_not_frozen_anew(
    engine: Engine, stationery: Stationery, house: House, state: CampaignState
) -> None:
    with engine.begin() as conn:
        campaign_id = _bilingual(conn)
        conn.execute(update(campaign).values(state=state))
        with pytest.raises(MoveRefused):
            release.schedule(conn, campaign_id, LATER, "UTC", stationery, house)
        assert campaigns.editions(conn, campaign_id) == {}


def test_what_cannot_be_composed_is_not_released(engine: Engine, stationery: Stationery, house: House) -> None:
    broken = builders.CONTENT.replace("{{ greeting }}", "{{ greting }}")
    with engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW, content=broken)
        with pytest.raises(ContentInvalid) as caught:
            release.schedule(conn, campaign_id, LATER, "UTC", stationery, house)
        assert campaigns.get(conn, campaign_id).state is CampaignState.DRAFT
    assert (caught.value.file, caught.value.line) == ("news.de.md", 7)


def test_a_campaign_without_its_default_language_is_not_released(
    engine: Engine, stationery: Stationery, house: House
) -> None:
    with engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW)
        conn.execute(update(campaign).values(default_language="en"))
        with pytest.raises(InputRefused, match="no content in its default language en"):
            release.schedule(conn, campaign_id, LATER, "UTC", stationery, house)


def test_a_campaign_that_does_not_exist_is_not_released(engine: Engine, stationery: Stationery, house: House) -> None:
    with engine.begin() as conn, pytest.raises(NotFound):
        release.schedule(conn, 4711, LATER, "UTC", stationery, house)


def test_a_confirmation_mail_is_no_campaign_to_release_or_to_look_at(
    engine: Engine, keyring: Keyring, stationery: Stationery, house: House
) -> None:
    wanted = opt_in.Request(
        parse_address("maria@example.de"), "", Language.DE, [Topic.FINANCE_NEWS], Evidence(source="form")
    )
    with engine.begin() as conn:
        letter = opt_in.request(conn, keyring, wanted, NOW)
        assert letter is not None
        for act in (
            lambda: release.schedule(conn, letter, LATER, "UTC", stationery, house),
            lambda: proof.press_for(conn, campaigns.get(conn, letter), stationery, house),
        ):
            with pytest.raises(InputRefused, match="is a confirmation mail"):
                act()


def test_a_draft_can_be_looked_at_as_its_reader_will_see_it(
    engine: Engine, keyring: Keyring, stationery: Stationery, house: House
) -> None:
    with engine.begin() as conn:
        of = campaigns.get(conn, _bilingual(conn))
        ids = builders.add_people(conn, keyring, ["maria@example.de", "josef@example.de"], NOW, name="Erika Muster")
        builders.agree(conn, [ids["maria@example.de"]], Topic.FINANCE_NEWS, NOW)
        press = proof.press_for(conn, of, stationery, house)
        maria = proof.recipient_for(conn, of, " Maria@example.de ", stationery)
        josef = proof.recipient_for(conn, of, "josef@example.de", stationery)
        assert campaigns.editions(conn, of.id) == {}
    assert (maria.subscriber_id, maria.consented_on) == (ids["maria@example.de"], NOW.date())
    assert josef.consented_on is None
    assert "Erika Muster" in press.plain(maria, NOW)
    assert b"maria@example.de" in press.letter(maria, NOW).body


def test_a_released_letter_is_looked_at_as_it_was_frozen(engine: Engine, stationery: Stationery, house: House) -> None:
    with engine.begin() as conn:
        campaign_id = _bilingual(conn)
        of = release.schedule(conn, campaign_id, LATER, "UTC", stationery, house)
        conn.execute(update(content).values(source=content.c.source + "\nEin neuer Satz."))
        press = proof.press_for(conn, of, stationery, house)
    assert "kaum bewegt" in press.plain(release.trial_recipient(Language.DE), NOW)
    assert "Ein neuer Satz" not in press.plain(release.trial_recipient(Language.DE), NOW)


def test_a_frozen_letter_that_was_altered_is_refused(engine: Engine, stationery: Stationery, house: House) -> None:
    with engine.begin() as conn:
        campaign_id = _bilingual(conn)
        of = release.schedule(conn, campaign_id, LATER, "UTC", stationery, house)
        frozen = campaigns.editions(conn, campaign_id)
        altered = {k: (v.replace("kaum bewegt", "verdoppelt"), bytes(32)) for k, v in frozen.items()}
        campaigns.freeze_editions(conn, campaign_id, altered)
        with pytest.raises(InputRefused, match="was altered after it was frozen"):
            proof.press_for(conn, of, stationery, house)


def test_a_preview_for_somebody_unknown_is_refused(engine: Engine, stationery: Stationery) -> None:
    with engine.begin() as conn:
        of = campaigns.get(conn, _bilingual(conn))
        with pytest.raises(NotFound, match="nobody here has the address"):
            proof.recipient_for(conn, of, "nobody@example.de", stationery)


def _test_parcel(conn: Connection, stationery: Stationery, house: House, to: str = "colleague@example.de"):
    of = campaigns.get(conn, _bilingual(conn))
    return proof.test_parcel(conn, of, parse_address(to), stationery, house, NOW)


def test_a_test_copy_goes_to_a_colleague_and_is_not_recorded(
    engine: Engine, stationery: Stationery, house: House
) -> None:
    with engine.begin() as conn:
        parcel = _test_parcel(conn, stationery, house)
    with ScriptedRelay(keep_raw=True) as relay:
        over, verdict = asyncio.run(proof.send_test((relay.relay(),), parcel))
    assert isinstance(verdict, Sent)
    assert over.port == relay.port
    assert [a.recipient for a in relay.accepted] == ["colleague@example.de"]
    with engine.begin() as conn:
        assert conn.execute(select(delivery.c.outcome)).all() == []


def test_no_test_copy_goes_to_an_address_on_the_never_mail_list(
    engine: Engine, keyring: Keyring, stationery: Stationery, house: House
) -> None:
    with engine.begin() as conn:
        builders.suppress(conn, keyring, ["colleague@example.de"], NOW)
        with pytest.raises(InputRefused, match="never-mail list"):
            _test_parcel(conn, stationery, house)


def test_a_test_copy_tells_what_the_relay_said_and_takes_the_next_when_one_is_away(
    engine: Engine, stationery: Stationery, house: House
) -> None:
    with engine.begin() as conn:
        parcel = _test_parcel(conn, stationery, house)
    closed = say("554 5.7.1 no", close=True)
    with ScriptedRelay(script={"BANNER": closed}) as away, ScriptedRelay(script={"RCPT": say("550 5.1.1 no")}) as there:
        over, verdict = asyncio.run(proof.send_test((away.relay(), there.relay()), parcel))
        assert over.port == there.port
        assert isinstance(verdict, Refused)
        with pytest.raises(RelayDown):
            asyncio.run(proof.send_test((away.relay(),), parcel))
    with pytest.raises(RelayDown, match="no relay is set"):
        asyncio.run(proof.send_test((), parcel))


def test_whoever_changes_their_mind_is_shown_with_the_date_of_the_newest_consent(
    engine: Engine, keyring: Keyring, stationery: Stationery
) -> None:
    with engine.begin() as conn:
        of = campaigns.get(conn, _bilingual(conn))
        who = builders.add_people(conn, keyring, ["maria@example.de"], NOW)["maria@example.de"]
        for day in (NOW, LATER):
            consent.confirm(conn, who, [Topic.FINANCE_NEWS], Evidence(source="a test"), day)
        assert proof.recipient_for(conn, of, "maria@example.de", stationery).consented_on == LATER.date()
