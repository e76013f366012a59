"""Signed letters on their way: whatever leaves the house by SMTP verifies as it arrived."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from dispatcher.compose.house import House
from dispatcher.db import clock
from dispatcher.db.terms import CampaignState, Language, Topic
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import opt_in, proof, release, sweep
from dispatcher.sending.press import Stationery
from tests import builders
from tests.relay import ScriptedRelay
from tests.stage import Stage
from tests.verifier import listed, signatures, signer, verified

NAMES = ["", "Jörg Müller", 'O\'Brien, "Bob"  <b@example.com>', "Zoë 🌟 " + "ß" * 60, ".", "From  x"]
CONTENT = builders.CONTENT + "\n.ein Punkt  und {{ name }}  am Anfang\n\n.\n\n.{{ name }}\n"


@pytest.fixture
def stage(engine: Engine, keyring: Keyring, stationery: Stationery, house: House) -> Stage:
    return Stage(engine, keyring, replace(stationery, signer=signer()), house)


def _campaign(stage: Stage) -> int:
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        campaign_id = builders.create_campaign(conn, now, content=CONTENT)
        release.schedule(conn, campaign_id, now, "UTC", stage.stationery, stage.house)
    assert sweep.begin(stage.engine, campaign_id, stage.house)
    return campaign_id


def test_every_letter_that_a_relay_takes_verifies_as_it_arrived(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        for number, name in enumerate(NAMES):
            addresses = [f"p{number}@example.de", f"jörg{number}@example.de"]
            added = builders.add_people(conn, stage.keyring, addresses, now, name=name)
            builders.agree(conn, list(added.values()), Topic.FINANCE_NEWS, now)
    campaign = _campaign(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=3))
    assert stage.status(campaign).state is CampaignState.SENT
    assert len(relay.accepted) == 2 * len(NAMES)
    assert [verified(taken.raw) for taken in relay.accepted] == [[True, True]] * len(relay.accepted)
    for taken in relay.accepted:
        assert all({"list-unsubscribe", "list-unsubscribe-post"} < set(listed(tags)) for tags in signatures(taken.raw))


def test_the_mail_that_asks_for_a_confirmation_is_signed(stage: Stage) -> None:
    wanted = opt_in.Request(
        parse_address("maria@example.de"), "Maria", Language.DE, [Topic.FINANCE_NEWS], Evidence(source="form")
    )
    with stage.engine.begin() as conn:
        letter = opt_in.request(conn, stage.keyring, wanted, clock.now(conn))
    assert letter is not None
    assert sweep.begin(stage.engine, letter, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert [verified(taken.raw) for taken in relay.accepted] == [[True, True]]


def test_a_test_copy_is_signed_as_the_letters_are(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        of = campaigns.get(conn, builders.create_campaign(conn, now))
        parcel = proof.test_parcel(conn, of, parse_address("colleague@example.de"), stage.stationery, stage.house, now)
    with ScriptedRelay() as relay:
        asyncio.run(proof.send_test((relay.relay(),), parcel))
    assert [verified(taken.raw) for taken in relay.accepted] == [[True, True]]


def test_the_signature_says_when_the_letter_was_signed(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        now = clock.now(conn) - timedelta(days=3)
        press = proof.press_for(
            conn, campaigns.get(conn, builders.create_campaign(conn, now)), stage.stationery, stage.house
        )
    letter = press.letter(release.trial_recipient(Language.DE), now)
    assert {tags["t"] for tags in signatures(letter.body)} == {str(int(now.timestamp()))}


def test_without_keys_no_letter_bears_a_signature(stage: Stage) -> None:
    stage.stationery = replace(stage.stationery, signer=None)
    stage.add(1)
    _campaign(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert [signatures(taken.raw) for taken in relay.accepted] == [[]]
