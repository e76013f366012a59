"""Asking people to renew their consent: once each, by a campaign like any other, and only the button renews it."""

import email
import email.policy
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from dispatcher.db import clock
from dispatcher.db.tables import consent_event, delivery, opt_in_request, subscriber
from dispatcher.db.terms import CampaignKind, CampaignState, ConsentKind, Language, Topic
from dispatcher.domain import batches, campaigns, consent, coverage, declarations, recipients, subscribers
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.declarations import Draft
from dispatcher.errors import InputRefused, MoveRefused, TokenInvalid
from dispatcher.sending import opt_in, renewal, sweep
from tests.journeys.house import let_leases_end
from tests.relay import ScriptedRelay, accept_then_drop
from tests.stage import Stage

NEWS, GOLD, OFFERS = Topic
BUTTON = Evidence(source="confirmation page", ip="192.0.2.8")


def enter(stage: Stage, version: str, *renews: Topic) -> None:
    texts = {language: f"Words {version} in {language}" for language in Language}
    with stage.engine.begin() as conn:
        declarations.enter(conn, Draft(version, texts, tuple(Topic), frozenset(renews)), clock.now(conn))


def agree(stage: Stage, addresses: list[str], version: str, *topics: Topic) -> None:
    with stage.engine.begin() as conn:
        words = declarations.texts(conn, declarations.named(conn, version).number)[0]
        proof = Evidence(source="a test", declaration_id=words.id)
        events = [
            Event(stage.ids[address], topic, ConsentKind.CONFIRMED, proof) for address in addresses for topic in topics
        ]
        consent.append(conn, events, clock.now(conn))


@pytest.fixture
def old(stage: Stage) -> list[str]:
    """Give six people who agreed to words for finance news, the first two also for offers, that are good no more."""
    enter(stage, "1")
    people = stage.add(6, agreed=False)
    agree(stage, people, "1", GOLD)
    agree(stage, people[:2], "1", OFFERS)
    enter(stage, "2", GOLD, OFFERS)
    return people


def ask(stage: Stage, topic: Topic = GOLD, version: str = "2") -> int:
    with stage.engine.begin() as conn:
        found = declarations.named(conn, version)
        return renewal.ask(conn, found, topic, stage.house, clock.now(conn))


def ask_and_launch(stage: Stage, topic: Topic = GOLD, version: str = "2") -> int:
    campaign_id = ask(stage, topic, version)
    assert sweep.begin(stage.engine, campaign_id, stage.house)
    return campaign_id


def mails(relay: ScriptedRelay) -> Iterator[tuple[str, EmailMessage]]:
    for accepted in relay.accepted:
        message = email.message_from_bytes(accepted.raw, policy=email.policy.SMTP)
        assert isinstance(message, EmailMessage)
        yield accepted.recipient, message


def token_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    (token,) = [line.rpartition("/c/")[2] for line in body.get_content().splitlines() if "/c/" in line]
    return token.strip()


def current(stage: Stage, address: str) -> set[Topic]:
    with stage.engine.begin() as conn:
        return coverage.current_topics(conn, stage.ids[address])


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
        events = conn.execute(select(consent_event).where(consent_event.c.kind == "confirmation-sent")).all()
        requests = {row.id: row for row in conn.execute(select(opt_in_request))}
        versions = {w.id: w.version for number in (1, 2) for w in declarations.texts(conn, number)}
        letters = conn.execute(select(delivery.c.consent_event_id)).scalars().all()
        kinds = {row.kind for row in conn.execute(select(consent_event.c.kind).where(consent_event.c.id.in_(letters)))}
    assert len(events) == 8  # six mails, two of them about two topics
    for event in events:
        address = next(address for address, who in stage.ids.items() if who == event.subscriber_id)
        assert bytes(event.mail_sha256) == hashlib.sha256(raw[address]).digest()
        assert event.relay_reply.startswith("250")
        assert event.message_id.encode() in raw[address]
        assert len(event.mail_template) == 64
        assert versions[event.declaration_id] == "2"
        assert requests[event.request_id].source == "renewal of consent, campaign 1"
    assert kinds == {"confirmed"}  # what allowed the mail is the older consent


def test_to_ask_again_mails_only_those_who_were_never_asked(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        late = stage.add(1, agreed=False, prefix="late")
        agree(stage, late, "1", GOLD)
        again = ask_and_launch(stage)
        stage.drain(relay.relay())
        other = ask_and_launch(stage, OFFERS)
        stage.drain(relay.relay())
    assert Counter(a.recipient for a in relay.accepted) == Counter([*old, *late])
    assert {m.reason for m in stage.missing(again).values()} == {"was asked before, under the same words"}
    assert (stage.status(again).sent, stage.status(again).withheld) == (1, 6)
    assert (stage.status(other).sent, stage.status(other).withheld) == (0, 2)
    with stage.engine.begin() as conn:
        counted = renewal.count(conn, declarations.named(conn, "2"), GOLD)
    assert counted == {"was asked before, under the same words": 7}


def test_while_a_campaign_asks_the_command_is_refused_and_names_it(stage: Stage, old: list[str]) -> None:
    first = ask(stage)
    with pytest.raises(MoveRefused, match=f"campaign {first} is asking for this already"):
        ask(stage)
    ask(stage, OFFERS)


def test_of_two_campaigns_that_ask_at_once_each_person_gets_one_mail(stage: Stage, old: list[str]) -> None:
    first, second = ask_and_launch(stage), ask_and_launch(stage, OFFERS)  # both want the first two people
    with ScriptedRelay() as relay:
        threads = [threading.Thread(target=stage.drain, args=(relay.relay(lanes=2),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        stage.drain(relay.relay())
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)
    assert stage.status(first).state is stage.status(second).state is CampaignState.SENT


def test_a_worker_that_dies_after_its_claim_leaves_one_request_each_and_the_next_sends_their_mails(
    stage: Stage, old: list[str]
) -> None:
    campaign_id = ask_and_launch(stage)
    with stage.engine.begin() as conn:  # what a worker does before its first mail, and then it is gone
        now = clock.now(conn)
        claim = batches.claim(conn, "dead", [CampaignKind.NEWSLETTER], now)
        assert claim is not None
        of = campaigns.get(conn, campaign_id)
        people = recipients.to_serve(conn, claim, of, now)
        assert len(renewal.requests_for(conn, stage.keyring, of, people, now)) == 6
    requests = select(opt_in_request).order_by(opt_in_request.c.id)
    with stage.engine.begin() as conn:
        before = conn.execute(requests).all()
    let_leases_end(stage.engine)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=1))
    with stage.engine.begin() as conn:
        assert conn.execute(requests).all() == before
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)
    made = {hashlib.sha256(token_of(message).encode()).digest() for _, message in mails(relay)}
    assert made == {bytes(row.token_sha256) for row in before}
    assert stage.status(campaign_id).sent == 6


def test_nobody_is_asked_twice_under_the_same_words_whoever_tries(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    with stage.engine.begin() as conn:
        row = dict(conn.execute(select(opt_in_request).limit(1)).one()._mapping)
    with pytest.raises(IntegrityError), stage.engine.begin() as conn:
        conn.execute(insert(opt_in_request), {**row, "id": 4711, "token_sha256": bytes(32), "campaign_id": 99})


def test_a_mail_whose_fate_is_unknown_is_not_sent_twice(stage: Stage, old: list[str]) -> None:
    campaign_id = ask_and_launch(stage)
    with ScriptedRelay(script={("DOT", old[3]): accept_then_drop()}) as relay:
        stage.drain(relay.relay(lanes=1))
    assert Counter(a.recipient for a in relay.accepted) == Counter(old)
    assert stage.counted(campaign_id) == {"sent": 5, "unknown": 1}


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


def test_the_link_is_good_for_fourteen_days(stage: Stage, old: list[str]) -> None:
    ask_and_launch(stage)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
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
        declarations.enter(conn, Draft("2", texts, (NEWS,), frozenset({NEWS}), valid_from=later), clock.now(conn))
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
