"""Asking people to renew their consent: once each, by a campaign like any other, and only the button renews it."""

import hashlib
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from dispatcher.bounces import intake
from dispatcher.db import clock
from dispatcher.db.tables import consent_event, delivery, opt_in_request, subscriber
from dispatcher.db.terms import CampaignState, Language, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent, declarations, suppression, tokens
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.declarations import Draft
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.people import subscribers
from dispatcher.domain.tokens import Purpose
from dispatcher.errors import InputRefused, TokenInvalid
from dispatcher.sending import opt_in
from tests import builders
from tests.databases import waiting
from tests.evidence import assert_filled, events, words_of
from tests.journeys.house import wait_for
from tests.relay import ScriptedRelay
from tests.sending.renewing import agree, ask, ask_and_launch, current, enter, mails, token_of
from tests.stage import Stage

NEWS, GOLD, OFFERS = Topic
BUTTON = Evidence(source="confirmation page", ip="192.0.2.8")


def test_everyone_concerned_gets_one_mail_in_their_language_with_a_link_of_their_own(
    stage: Stage, old: list[str]
) -> None:
    agree(stage, [old[5]], "2", GOLD)
    stage.withdraw(old[4])
    with stage.engine.begin() as conn:
        subscribers.set_language(conn, stage.ids[old[1]], Language.EN)
    campaign_id = ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=2))
    got = dict(mails(relay))
    assert Counter(a.recipient for a in relay.accepted) == Counter(old[:4])
    assert stage.status(campaign_id).state is CampaignState.SENT
    assert stage.status(campaign_id).sent == stage.status(campaign_id).audience == 4
    assert len({token_of(message) for message in got.values()}) == 4
    german, english = got[old[0]].as_string(), got[old[1]].as_string()
    assert got[old[0]]["Subject"] == "Bitte bestätigen Sie Ihre Einwilligung neu"
    assert got[old[1]]["Subject"] == "Please renew your consent"
    for message in got.values():
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "Finanznews und Angebote" in german
    assert "Finance news and Special offers" in english
    assert "Musterweg 1" in german


def test_the_button_makes_consent_current_in_the_new_words_for_all_topics_of_the_mail(
    stage: Stage, old: list[str]
) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    tokens = {recipient: token_of(message) for recipient, message in mails(relay)}
    assert current(stage, old[0]) == set()
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        opened = opt_in.find(conn, tokens[old[0]], now)
        assert (opened.topics, opened.is_renewal) == ((GOLD, OFFERS), True)
        words = declarations.by_id(conn, opened.declaration_id or 0)
        assert words is not None
        assert (words.version, words.language) == ("2", Language.DE)
        proof = Evidence(source="page", declaration_id=opened.declaration_id, request_id=opened.id)
        opt_in.confirm(conn, tokens[old[0]], proof, now)
    assert current(stage, old[0]) == {GOLD, OFFERS}
    assert current(stage, old[1]) == set()


def test_each_mail_is_proven_with_the_words_it_asks_for(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    raw = {accepted.recipient: accepted.raw for accepted in relay.accepted}
    with stage.engine.begin() as conn:
        proofs = conn.execute(select(consent_event).where(consent_event.c.kind == "confirmation-sent")).all()
        requests = {row.id: row for row in conn.execute(select(opt_in_request))}
        versions = {w.id: w.version for number in (1, 2) for w in declarations.texts(conn, number)}
        letters = conn.execute(select(delivery.c.consent_event_id)).scalars().all()
        kinds = {row.kind for row in conn.execute(select(consent_event.c.kind).where(consent_event.c.id.in_(letters)))}
    assert len(proofs) == 8  # six mails, two of them about two topics
    for event in proofs:
        address = next(address for address, who in stage.ids.items() if who == event.subscriber_id)
        assert bytes(event.mail_sha256) == hashlib.sha256(raw[address]).digest()
        assert event.relay_reply.startswith("250")
        assert event.message_id.encode() in raw[address]
        assert len(event.mail_template) == 64
        assert versions[event.declaration_id] == "2"
        assert requests[event.request_id].source == "renewal of consent, campaign 1"
    assert kinds == {"confirmed"}  # what allowed the mail is the older consent


def test_a_renewal_is_proven_field_by_field(stage: Stage, old: list[str]) -> None:
    stage.stationery = replace(stage.stationery, notices=dict.fromkeys(Language, b"n" * 32))
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    with stage.engine.begin() as conn:
        request = conn.execute(select(opt_in_request).where(opt_in_request.c.subscriber_id == stage.ids[old[5]])).one()
    (sent,) = [e for e in events(stage.engine, "confirmation-sent") if e["subscriber_id"] == stage.ids[old[5]]]
    assert_filled(
        sent, kind="confirmation-sent", topic="finance-news", language="de", declaration_id=request.declaration_id,
        privacy_sha256=b"n" * 32, request_id=request.id, source="renewal of consent, campaign 1",
        mail_template=lambda held: len(held) == 64, mail_sha256=lambda held: len(held) == 32,
        message_id=lambda held: held.endswith("@news.example.de"), relay_reply=lambda held: held.startswith("250 "),
    )  # fmt: skip
    assert words_of(stage.engine, sent)[0] == "2"


def test_whoever_renews_or_leaves_before_their_turn_is_not_asked(stage: Stage, old: list[str]) -> None:
    campaign_id = ask_and_launch(stage)
    agree(stage, [old[0]], "2", GOLD)
    stage.withdraw(old[1])
    with stage.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.id == stage.ids[old[2]]).values(address=None))
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert Counter(a.recipient for a in relay.accepted) == Counter(old[3:])
    with stage.engine.begin() as conn:
        withheld = select(delivery.c.subscriber_id, delivery.c.reply).where(delivery.c.outcome == "withheld")
        reasons = dict(conn.execute(withheld.where(delivery.c.campaign_id == campaign_id)).all())
    assert reasons == {
        stage.ids[old[0]]: "nothing to renew: the consent is current, or newer words are valid",
        stage.ids[old[1]]: "withdrew the consent",
        stage.ids[old[2]]: "erased",
    }


def test_a_withdrawal_while_the_mail_waits_at_the_gate_keeps_it_back(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    stopped = threading.Event()

    def at_data(asked: object) -> None:
        if getattr(asked, "verb", "") == "DATA" and not stopped.is_set():
            stopped.set()
            stage.withdraw(getattr(asked, "recipient", ""))

    with ScriptedRelay(script=at_data) as relay:
        stage.drain(relay.relay(lanes=1))
    assert len(relay.accepted) == 5
    assert stage.counted(1) == {"sent": 5, "withheld": 1}


def test_newer_words_end_a_campaign_that_asks_for_older_ones(stage: Stage, old: list[str]) -> None:
    campaign_id = ask_and_launch(stage)
    enter(stage, "3", GOLD)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert relay.accepted == []
    assert stage.counted(campaign_id) == {"withheld": 6}
    with pytest.raises(InputRefused, match="newsletter-2 is not the version that is shown now") as caught:
        ask(stage)
    assert caught.value.cure == "ask for 3"
    ask_and_launch(stage, version="3")
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)


def test_a_mail_speaks_of_no_topic_that_the_newest_words_do_not_cover(stage: Stage, old: list[str]) -> None:
    enter(stage, "3", GOLD, covers=(GOLD,))
    ask_and_launch(stage, version="3")
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    with stage.engine.begin() as conn:
        assert {tuple(topics) for topics in conn.execute(select(opt_in_request.c.topics)).scalars()} == {(GOLD,)}
    assert len(relay.accepted) == 6


def test_the_link_brings_back_nothing_that_was_ended_since(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    token = dict(mails(relay))[old[0]]
    stage.withdraw(old[0], OFFERS)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        assert opt_in.find(conn, token_of(token), now).topics == (GOLD,)
    stage.withdraw(old[0], GOLD)
    with stage.engine.begin() as conn, pytest.raises(TokenInvalid):
        opt_in.confirm(conn, token_of(token), BUTTON, now)
    assert current(stage, old[0]) == set()


def test_the_link_renews_nothing_that_is_on_the_never_mail_list(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    token = token_of(dict(mails(relay))[old[0]])
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        hashed = address_hash(stage.keyring, parse_address(old[0]))
        suppression.suppress(conn, [hashed], OFFERS, SuppressionReason.OPERATOR, "a call", now)
        assert opt_in.find(conn, token, now).topics == (GOLD,)
        builders.suppress(conn, stage.keyring, [old[0]], now)
        with pytest.raises(TokenInvalid):
            opt_in.find(conn, token, now)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_button_pressed_while_a_withdrawal_is_written_renews_nothing(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    token = token_of(dict(mails(relay))[old[3]])
    ended: list[str] = []

    def press() -> None:
        try:
            with stage.engine.begin() as conn:
                opt_in.confirm(conn, token, BUTTON, clock.now(conn))
        except TokenInvalid:
            ended.append("refused")

    with stage.engine.begin() as conn:
        consent.withdraw(conn, stage.ids[old[3]], [GOLD], Evidence(source="a test"), clock.now(conn))
        presser = threading.Thread(target=press)
        presser.start()
        with stage.engine.connect() as watcher:
            wait_for(lambda: waiting(watcher) == 1, "the button to wait for the withdrawal")
    presser.join(30)
    assert ended == ["refused"]
    with stage.engine.begin() as conn:
        assert consent.standing(conn, stage.ids[old[3]])[GOLD][0] is SubscriptionState.WITHDRAWN


def test_to_leave_by_the_mail_leaves_all_that_it_asked_about_and_nothing_else(stage: Stage, old: list[str]) -> None:
    agree(stage, old[:2], "2", NEWS)
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    mail = dict(mails(relay))[old[0]]
    url, mailto = (part.strip(" <>") for part in mail["List-Unsubscribe"].split(","))
    link = tokens.verify(stage.keyring, Purpose.UNSUBSCRIBE, url.rpartition("/u/")[2])
    with stage.engine.begin() as conn:
        who = stage.ids[old[0]]
        assert consent.topics_of_letter(conn, who, link.topic, link.campaign_id) == [GOLD, OFFERS]
        assert consent.topics_of_letter(conn, stage.ids[old[5]], link.topic, link.campaign_id) == [GOLD]
        assert consent.topics_of_letter(conn, who, GOLD, 4711) == [GOLD]
        note = f"To: {mailto.removeprefix('mailto:').partition('?')[0]}\n\n".encode()
        assert intake.take(conn, stage.keyring, note, [], clock.now(conn)) == 1
        states = {topic: state for topic, (state, _) in consent.standing(conn, who).items()}
    ended = SubscriptionState.WITHDRAWN
    assert states == {NEWS: SubscriptionState.CONFIRMED, GOLD: ended, OFFERS: ended}


def test_the_link_is_good_for_fourteen_days_and_the_mail_says_so(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert "Der Link gilt vierzehn Tage." in " ".join(dict(mails(relay))[old[0]].as_string().split())
    token = token_of(dict(mails(relay))[old[0]])
    with stage.engine.begin() as conn:
        asked_at = conn.execute(select(func.max(opt_in_request.c.requested_at))).scalar_one()
        assert opt_in.find(conn, token, asked_at + timedelta(days=13, hours=23)).topics
        with pytest.raises(TokenInvalid):
            opt_in.find(conn, token, asked_at + timedelta(days=14, seconds=1))


def test_it_is_refused_to_ask_for_words_that_are_not_valid_yet_or_do_not_cover_the_topic(stage: Stage) -> None:
    enter(stage, "1")
    texts = {language: f"Words in {language}" for language in Language}
    with stage.engine.begin() as conn:
        later = clock.now(conn) + timedelta(days=1)
        declarations.enter(conn, Draft("2", texts, (NEWS,), valid_from=later), clock.now(conn))
    for topic, what in ((NEWS, "is not valid before"), (GOLD, "does not cover finance-news")):
        with pytest.raises(InputRefused, match=what):
            ask(stage, topic)


def test_it_goes_as_fast_as_the_campaigns_rate_and_can_be_paused_and_resumed(stage: Stage, old: list[str]) -> None:
    campaign_id = ask_and_launch(stage)
    stage.move(campaign_id, CampaignState.PAUSED)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        assert relay.accepted == []
        stage.move(campaign_id, CampaignState.SENDING)
        with stage.engine.begin() as conn:
            campaigns.set_rate(conn, campaign_id, 60_000)
        stage.drain(relay.relay())
    assert len(relay.accepted) == 6


def test_whoever_signs_up_anew_under_newer_words_renews_by_that(stage: Stage, old: list[str]) -> None:
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        words = declarations.current(conn, Language.DE, now)
        assert words is not None
        form = Evidence(source="form 3", declaration_id=words.id)
        wanted = opt_in.Request(parse_address(old[0]), "", Language.DE, [GOLD, NEWS], form)
        mail = opt_in.request(conn, stage.keyring, wanted, now)
        assert mail is not None
        asked = opt_in.asked(conn, conn.execute(select(opt_in_request.c.id)).scalar_one(), stage.keyring, "")
        opt_in.confirm(conn, asked.confirm_url.rpartition("/")[2], form, now)
    assert current(stage, old[0]) == {GOLD, NEWS}
