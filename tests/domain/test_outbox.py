"""The outbox: what is to be told is written with what happened, once, and names nobody by address."""

import pytest
from sqlalchemy import Engine, event, select

from dispatcher.db import clock
from dispatcher.db.tables import webhook_endpoint, webhook_message
from dispatcher.db.terms import (
    CampaignState,
    ConsentKind,
    Language,
    MessageState,
    SuppressionReason,
    Topic,
    WebhookKind,
)
from dispatcher.domain import consent, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.people import erasure
from dispatcher.domain.programs import webhook_messages, webhooks
from dispatcher.domain.programs.webhook_messages import Answered
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused, MoveRefused, NotFound
from dispatcher.sending import opt_in
from tests import builders
from tests.domain.dispatch import NOW, TOPIC
from tests.domain.keeping import DAY, SECOND, Keeping
from tests.receivers import add_endpoint, payload
from tests.stage import Stage

URL = "https://hooks.example.de/newsletter"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BY_HAND = Evidence(source="a test")


def told(stage: Stage, kind: WebhookKind | None = None) -> list[dict[str, object]]:
    """Give the facts of what is to be told."""
    with stage.engine.begin() as conn:
        rows = conn.execute(select(webhook_message).order_by(webhook_message.c.id)).all()
    return [payload(row)["data"] for row in rows if kind is None or row.kind == kind]


def test_what_is_rolled_back_is_told_to_nobody(stage: Stage) -> None:
    add_endpoint(stage.engine, stage.keyring, URL)
    (address,) = stage.add(1, agreed=False)
    with stage.engine.connect() as conn, conn.begin() as under_way:
        builders.agree(conn, [stage.ids[address]], TOPIC, clock.now(conn))
        assert conn.execute(select(webhook_message)).all()
        under_way.rollback()
    assert told(stage) == []


def test_of_an_erasure_one_thing_is_told_by_public_id_alone(stage: Stage) -> None:
    add_endpoint(stage.engine, stage.keyring, URL, [WebhookKind.PERSON_ERASED, WebhookKind.SUPPRESSION_ADDED])
    (address,) = stage.add(1)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        builders.agree(conn, [stage.ids[address]], Topic.PRODUCT_NEWS, now)
        erasure.erase(conn, stage.ids[address], BY_HAND, now)
        hashed = address_hash(stage.keyring, parse_address(address))
        written = "".join(conn.execute(select(webhook_message.c.payload)).scalars())
    (erased,) = told(stage, WebhookKind.PERSON_ERASED)
    assert list(erased) == ["subscriber"]
    (entry,) = told(stage, WebhookKind.SUPPRESSION_ADDED)
    assert entry == {"subscriber": erased["subscriber"], "address_hash": None, "scope": "all", "reason": "erased"}
    assert address not in written
    assert hashed.hex() not in written


def test_an_entry_of_the_never_mail_list_is_told_when_it_is_new_or_graver(stage: Stage) -> None:
    add_endpoint(stage.engine, stage.keyring, URL, [WebhookKind.SUPPRESSION_ADDED])
    hashes = [address_hash(stage.keyring, parse_address(f"p{n}@example.de")) for n in range(2)]
    stage.add(1)
    reason = SuppressionReason
    for second, (hashed, why) in enumerate(
        (
            (hashes, reason.WITHDRAWN),
            (hashes, reason.WITHDRAWN),
            (hashes[:1], reason.COMPLAINT),
            (hashes[:1], reason.OPERATOR),
        )
    ):
        with stage.engine.begin() as conn:
            suppression.suppress(conn, hashed, TOPIC, why, "a test", NOW + second * SECOND)
    found = [(entry["address_hash"], entry["reason"]) for entry in told(stage)]
    assert sorted(found[:2]) == sorted((hashed.hex(), "withdrawn") for hashed in hashes)
    assert found[2:] == [(hashes[0].hex(), "complaint")]
    known = {entry["address_hash"]: entry["subscriber"] is not None for entry in told(stage)}
    assert known == {hashes[0].hex(): True, hashes[1].hex(): False}


def test_a_newsletters_moves_are_told_and_those_of_confirmations_are_not(stage: Stage) -> None:
    add_endpoint(stage.engine, stage.keyring, URL, [WebhookKind.CAMPAIGN_MOVED])
    stage.add(1)
    campaign_id = stage.campaign()
    stage.move(campaign_id, CampaignState.PAUSED)
    with stage.engine.begin() as conn:
        wanted = opt_in.Request(parse_address("maria@example.de"), "", Language.DE, (TOPIC,), BY_HAND)
        opt_in.request(conn, stage.keyring, wanted, clock.now(conn))
        (mail,) = [c for c in range(campaign_id, campaign_id + 5) if campaigns.find(conn, c)][1:]
        assert campaigns.move(conn, mail, CampaignState.PREPARING)
    assert told(stage) == [
        {"campaign": campaign_id, "topic": "finance-news", "state": state}
        for state in ("scheduled", "preparing", "sending", "paused")
    ]


@on_sqlite
def test_where_nobody_wants_it_it_costs_one_look_and_no_row(stage: Stage) -> None:
    add_endpoint(stage.engine, stage.keyring, URL, [WebhookKind.CAMPAIGN_MOVED])
    (address,) = stage.add(1, agreed=False)
    said: list[str] = []
    event.listen(stage.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        proof = Event(stage.ids[address], TOPIC, ConsentKind.CONFIRMATION_SENT, BY_HAND)
        consent.append(conn, [proof], now)
        assert not [text for text in said if "webhook" in text]  # the gate writes these
        builders.agree(conn, [stage.ids[address]], TOPIC, now)
    assert len([text for text in said if "webhook" in text]) == 1
    assert told(stage) == []


def test_the_secret_is_stored_sealed_and_an_endpoint_that_is_off_is_told_nothing(stage: Stage) -> None:
    endpoint_id, secret = add_endpoint(stage.engine, stage.keyring, URL)
    with stage.engine.begin() as conn:
        row = conn.execute(select(webhook_endpoint)).one()
        assert secret.startswith("whsec_")
        assert secret.removeprefix("whsec_") not in str(row)
        other = Keyring(stage.keyring.keys[1:])
        assert webhooks.secret_of(conn, stage.keyring, endpoint_id) is not None
        assert webhooks.secret_of(conn, other, endpoint_id) is None
        webhooks.switch_off(conn, endpoint_id, clock.now(conn))
    stage.add(1)
    assert told(stage) == []
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        with pytest.raises(MoveRefused):
            webhook_messages.replay(conn, endpoint_id, None, now)
        assert webhooks.require_taken(conn) == "no endpoint is told anything"
        webhooks.switch_on(conn, endpoint_id)
    stage.add(1, prefix="q")
    assert len(told(stage)) == 1


def test_what_one_has_claimed_no_other_claims_and_whoever_comes_late_records_nothing(stage: Stage) -> None:
    endpoint_id, _ = add_endpoint(stage.engine, stage.keyring, URL)
    stage.add(3)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        first = webhook_messages.claim(conn, endpoint_id, now, 2)
    with stage.engine.begin() as conn:
        second = webhook_messages.claim(conn, endpoint_id, now, 2)
    assert (len(first), len(second)) == (2, 1)
    later = now + webhook_messages.LEASE + SECOND
    with stage.engine.begin() as conn:
        again = webhook_messages.claim(conn, endpoint_id, later, 10)
        assert [m.message_id for m in again] == [m.message_id for m in first + second]
        webhook_messages.settle(conn, endpoint_id, [Answered(first[0], "500")], later)
        webhook_messages.settle(conn, endpoint_id, [Answered(m, "200") for m in again], later)
        webhook_messages.settle(conn, endpoint_id, [Answered(again[0], "500")], later)
        states = {m.state for m in webhook_messages.log_of(conn, endpoint_id, 10)}
        assert states == {MessageState.DELIVERED}
        assert webhook_messages.due_endpoints(conn, later + DAY) == []


@on_sqlite
@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://hooks.example.de/", "begins with https"),
        ("https://", "begins with https"),
        ("https://hooks.example.de:99999/", "is no web address"),
        ("https://anna:secret@hooks.example.de/", "log-in"),
        ("https://hooks.example.de/#part", "fragment"),
        ("https://hooks.example.de/a b", "begins with https"),
    ],
)
def test_what_is_no_endpoint_is_refused(stage: Stage, url: str, what: str) -> None:
    with stage.engine.begin() as conn, pytest.raises(InputRefused, match=what):
        webhooks.add(conn, stage.keyring, url, webhooks.KINDS, "a test", NOW)


@on_sqlite
def test_there_are_so_many_endpoints_and_no_more(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        for _ in range(20):
            webhooks.add(conn, stage.keyring, URL, webhooks.KINDS, "a test", NOW)
        with pytest.raises(InputRefused, match="there are 20 endpoints already"):
            webhooks.add(conn, stage.keyring, URL, webhooks.KINDS, "a test", NOW)
        with pytest.raises(NotFound):
            webhooks.switch_off(conn, 21, NOW)


@on_sqlite
def test_what_was_told_goes_after_thirty_days(engine: Engine, keyring: Keyring) -> None:
    add_endpoint(engine, keyring, URL)
    keeping = Keeping(engine, keyring)
    keeping.agree(TOPIC)
    assert "webhooks" not in keeping.run(NOW + 30 * DAY - SECOND)
    assert keeping.run(NOW + 30 * DAY)["webhooks"] == 1
