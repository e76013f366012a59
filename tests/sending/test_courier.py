"""Webhooks go out: signed as the standard has it, tried again, given up, and told once whoever is killed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from dispatcher.db import clock
from dispatcher.db.tables import webhook_endpoint
from dispatcher.db.terms import MessageState, WebhookKind
from dispatcher.domain.programs import webhook_messages, webhooks
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import MoveRefused
from dispatcher.outgoing import Passport
from dispatcher.sending import courier
from dispatcher.sending.courier import Courier, Satchel
from tests.certificates import Certificate
from tests.journeys.house import wait_for
from tests.processes import KILLED, Forked, program
from tests.receivers import Receiver, add_endpoint, payload, receiving, trusted
from tests.stage import Stage
from tests.web_server import Says, port_of_nobody

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WAITING, DELIVERED, GIVEN_UP = MessageState


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    return trusted(tmp_path, monkeypatch)


@pytest.fixture
def receiver(engine: Engine, keyring: Keyring, certificate: Certificate) -> Iterator[Receiver]:
    with receiving(engine, keyring, certificate) as made:
        yield made


def happen(stage: Stage, count: int = 1) -> None:
    """Let consent be given."""
    stage.add(count, prefix=f"q{len(stage.ids)}-")


def states(receiver: Receiver) -> list[tuple[str, int, str | None]]:
    return [(row.state, row.attempts, row.answer) for row in receiver.messages()]


def test_what_happens_arrives_signed_and_verifies_by_a_library_of_another_make(
    stage: Stage, receiver: Receiver
) -> None:
    (address,) = stage.add(1)
    stage.withdraw(address)
    receiver.deliver()
    ended, given, suppressed = sorted(receiver.told(), key=lambda one: one["type"])
    assert [one["type"] for one in (ended, given, suppressed)] == [
        "consent.ended",
        "consent.given",
        "suppression.added",
    ]
    who = given["data"]["subscriber"]
    assert given["data"] == {"subscriber": who, "topic": "finance-news", "how": "imported"}
    assert ended["data"] == {"subscriber": who, "topic": "finance-news", "how": "withdrawn"}
    assert len(who) == 16
    assert [name for name in receiver.web.headers[0] if name.startswith("webhook-")] == [
        "webhook-id", "webhook-timestamp", "webhook-signature"
    ]  # fmt: skip
    assert states(receiver) == [(DELIVERED, 1, "204")] * 3
    body, headers = receiver.web.asked[0][2], receiver.web.headers[0]
    for altered in (body.swapcase(), body + b" "):
        with pytest.raises(WebhookVerificationError):
            Webhook(receiver.secret).verify(altered, headers)
    receiver.let_time_pass()
    receiver.deliver()
    assert len(receiver.web.asked) == 3


@on_sqlite
@pytest.mark.parametrize(
    ("says", "answer"),
    [
        (Says(500), "500"),
        (Says(302, b"", {"Location": "/elsewhere"}), "302"),
        (Says(after_s=20), "time: no answer within 0 seconds"),
    ],
)
def test_a_receiver_that_is_slow_fails_or_redirects_is_tried_again_later(
    stage: Stage, engine: Engine, keyring: Keyring, certificate: Certificate, says: Says, answer: str
) -> None:
    with receiving(engine, keyring, certificate, says, {"/elsewhere": Says()}) as receiver:
        receiver.patience = 0.3 if says.after_s else 20.0
        happen(stage)
        receiver.deliver()
        (row,) = receiver.messages()
        assert (row.state, row.attempts, row.answer) == (WAITING, 1, answer)
        assert row.due_at > row.at
        receiver.deliver()  # not due yet
        assert [path for _, path, _ in receiver.web.asked] == ["/hooks"]
        receiver.web.pages["/hooks"] = Says(200)
        receiver.patience = 20.0
        receiver.let_time_pass()
        receiver.deliver()
        assert states(receiver) == [(DELIVERED, 2, "200")]
        assert len(set(receiver.ids())) == 1
        assert [one["type"] for one in receiver.told()] == ["consent.given"] * 2


def test_after_three_days_a_receiver_is_given_up_switched_off_and_named(
    stage: Stage, engine: Engine, keyring: Keyring, certificate: Certificate
) -> None:
    assert timedelta(days=3) < sum(webhook_messages.WAITS, timedelta()) < timedelta(days=4)
    with receiving(engine, keyring, certificate, Says(503)) as receiver:
        happen(stage)
        for attempt in range(1, len(webhook_messages.WAITS) + 2):
            assert receiver.row().off_at is None
            receiver.let_time_pass()
            receiver.deliver()
            assert states(receiver)[0][1] == attempt
        assert states(receiver) == [(GIVEN_UP, 10, "503")]
        assert (receiver.row().off_at is not None, receiver.row().off_why) == (True, "503")
        with engine.begin() as conn, pytest.raises(MoveRefused, match=r"endpoint 1 \(127.0.0.1:\d+\) since .*: 503"):
            webhooks.require_taken(conn)
        happen(stage)  # is told to nobody
        assert len(receiver.messages()) == 1
        receiver.web.pages["/hooks"] = Says(200)
        with engine.begin() as conn:
            webhooks.switch_on(conn, receiver.id)
            assert webhook_messages.replay(conn, receiver.id, None, clock.now(conn)) == 1
            assert webhooks.require_taken(conn) == "1 endpoints are told what happens"
        receiver.deliver()
        assert states(receiver) == [(DELIVERED, 1, "200")]
        assert len(set(receiver.ids())) == 1


@on_sqlite
def test_one_message_that_is_never_taken_switches_nobody_off_who_takes_the_others(
    stage: Stage, engine: Engine, keyring: Keyring, certificate: Certificate
) -> None:
    with receiving(engine, keyring, certificate, Says(400)) as receiver:
        happen(stage)
        for _ in webhook_messages.WAITS:
            receiver.let_time_pass()
            receiver.deliver()
        receiver.web.pages["/hooks"] = Says(200)
        happen(stage)
        receiver.deliver()  # the first one rests meanwhile
        assert [state for state, *_ in states(receiver)] == [WAITING, DELIVERED]
        receiver.web.pages["/hooks"] = Says(400)
        receiver.let_time_pass()
        receiver.deliver()
        assert [state for state, *_ in states(receiver)] == [GIVEN_UP, DELIVERED]
        assert receiver.row().off_at is None


@on_sqlite
def test_a_receiver_that_says_it_is_gone_is_switched_off_at_once(
    stage: Stage, engine: Engine, keyring: Keyring, certificate: Certificate
) -> None:
    with receiving(engine, keyring, certificate, Says(410)) as receiver:
        happen(stage)
        receiver.deliver()
        assert receiver.row().off_why == "it said 410: it wants nothing more"


_COMMITS = """
import os, signal, sys
from dispatcher.db import clock
from dispatcher.db.engine import make_engine
from dispatcher.db.terms import Topic
from dispatcher.domain import consent
from dispatcher.domain.consent import Evidence
engine = make_engine(sys.argv[1])
with engine.begin() as conn:
    consent.withdraw(conn, int(sys.argv[2]), [Topic.FINANCE_NEWS], Evidence(source="a test"), clock.now(conn))
os.kill(os.getpid(), signal.SIGKILL)
"""
_DELIVERS = """
import os, sys
from dispatcher.db.engine import make_engine
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.outgoing import Passport
from dispatcher.sending.courier import Satchel, deliver
ring = Keyring((Key("k2", b"2" * 32), Key("k1", b"1" * 32)))
os.environ["SSL_CERT_FILE"] = sys.argv[3]
deliver(Satchel(make_engine(sys.argv[1]), ring, Passport(frozenset({sys.argv[2]})), 60.0))
"""


def test_whoever_is_killed_between_commit_and_delivery_leaves_a_message_that_another_delivers(
    stage: Stage, receiver: Receiver, database_url: str
) -> None:
    (address,) = stage.add(1)
    receiver.deliver()
    assert Forked(program, _COMMITS, database_url, str(stage.ids[address])).wait() == KILLED
    receiver.deliver()
    assert {one["type"] for one in receiver.told()[1:]} == {"consent.ended", "suppression.added"}


def test_whoever_is_killed_while_the_receiver_has_it_has_it_told_again_under_the_same_id(
    stage: Stage, engine: Engine, keyring: Keyring, certificate: Certificate, database_url: str
) -> None:
    with receiving(engine, keyring, certificate, Says(200, after_s=60)) as receiver:
        happen(stage)
        first = Forked(program, _DELIVERS, database_url, f"127.0.0.1:{receiver.web.port}", certificate.ca_file)
        wait_for(lambda: len(receiver.web.asked) == 1, "the first attempt")
        first.kill()
        receiver.web.pages["/hooks"] = Says(200)
        receiver.deliver()
        assert len(receiver.web.asked) == 1  # the claim of who was killed holds for a minute
        receiver.let_time_pass()
        receiver.deliver()
        first_id, second_id = receiver.ids()
        assert first_id == second_id
        assert receiver.web.asked[0] == receiver.web.asked[1]
        assert states(receiver) == [(DELIVERED, 2, "200")]


@on_sqlite
def test_nothing_goes_to_an_address_inside_nor_by_tls_that_cannot_be_verified(
    stage: Stage, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, _ = add_endpoint(stage.engine, stage.keyring, "https://127.0.0.1/hooks")
    happen(stage)
    courier.deliver(Satchel(stage.engine, stage.keyring, Passport()))
    with stage.engine.begin() as conn:
        (message,) = webhook_messages.log_of(conn, inside, 10)
    assert message.answer == "not public: 127.0.0.1 is 127.0.0.1"
    assert receiver.web.asked == []
    monkeypatch.delenv("SSL_CERT_FILE")
    receiver.let_time_pass()
    receiver.deliver()
    assert receiver.messages()[0].answer.startswith("certificate: ")
    assert receiver.web.asked == []


@on_sqlite
def test_nothing_is_signed_for_a_url_that_was_altered_past_the_house(stage: Stage, receiver: Receiver) -> None:
    happen(stage)
    with stage.engine.begin() as conn:
        conn.execute(update(webhook_endpoint).values(url=receiver.web.url("/thief")))
    receiver.deliver()
    assert receiver.web.asked == []
    assert "not sent" in receiver.messages()[0].answer


@on_sqlite
def test_a_slow_receiver_holds_up_neither_the_tick_nor_another_receiver(
    stage: Stage, engine: Engine, keyring: Keyring, certificate: Certificate
) -> None:
    with (
        receiving(engine, keyring, certificate, Says(after_s=60)) as slow,
        receiving(engine, keyring, certificate) as quick,
    ):
        happen(stage, 20)
        hosts = frozenset(f"127.0.0.1:{each.web.port}" for each in (slow, quick))
        by = Courier(Satchel(engine, keyring, Passport(hosts), 30.0))
        by.step()
        by.step()  # one round at a time
        wait_for(lambda: all(row.state == DELIVERED for row in quick.messages()), "the quick one")
        assert len(slow.web.asked) <= courier.AT_ONCE
        assert {row.state for row in slow.messages()} == {WAITING}
        slow.web.pages["/hooks"] = Says(200)
        slow.web.ended.set()
        wait_for(lambda: all(row.state == DELIVERED for row in slow.messages()), "the slow one")


@on_sqlite
def test_a_receiver_that_is_not_there_is_said_so(stage: Stage) -> None:
    port = port_of_nobody()
    endpoint, _ = add_endpoint(stage.engine, stage.keyring, f"https://127.0.0.1:{port}/", [WebhookKind.CONSENT_GIVEN])
    happen(stage)
    courier.deliver(Satchel(stage.engine, stage.keyring, Passport(frozenset({f"127.0.0.1:{port}"}))))
    with stage.engine.begin() as conn:
        (message,) = webhook_messages.log_of(conn, endpoint, 10)
    assert message.answer is not None
    assert message.answer.startswith("connection: ")
    assert payload(message)["type"] == "consent.given"
