"""A lane that is well treated: what it sends, in which order, and that the dot waits."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dispatcher.errors import InputRefused
from dispatcher.smtp.lane import Lane
from dispatcher.smtp.reply import Reply
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Verdict
from tests.relay import EXTENSIONS, PLAIN_EXTENSIONS, ScriptedRelay, say
from tests.smtp.conftest import Run
from tests.smtp.letters import letter

Send = Callable[..., list[Verdict]]

ANNA, BERT, CARL = "anna@example.de", "bert@example.de", "carl@example.de"

both_ways = pytest.mark.parametrize("extensions", [EXTENSIONS, PLAIN_EXTENSIONS], ids=["pipelined", "one by one"])


def _commands(relay: ScriptedRelay) -> list[str]:
    return [line.split(" ")[0] for line in relay.lines]


@both_ways
def test_letters_arrive_as_they_were_composed(send: Send, extensions: tuple[str, ...]) -> None:
    with ScriptedRelay(extensions=extensions) as relay:
        verdicts = send(relay.relay(), ANNA, BERT, CARL)
        assert [type(verdict) for verdict in verdicts] == [Sent, Sent, Sent]
        assert [taken.raw for taken in relay.accepted] == [letter(name).octets() for name in (ANNA, BERT, CARL)]
        assert [taken.recipient for taken in relay.accepted] == [ANNA, BERT, CARL]
        assert relay.connections == 1


def test_with_pipelining_the_next_envelope_leaves_together_with_the_dot(run: Run) -> None:
    async def play(lane: Lane) -> bool:
        anna, bert = letter(ANNA), letter(BERT)
        await lane.open()
        assert await lane.offer(anna) is None
        await lane.release(bert)
        arrived = await asyncio.to_thread(relay.wait_until, lambda it: f"RCPT TO:<{BERT}>" in " ".join(it.lines))
        await lane.abandon()
        return arrived

    with ScriptedRelay() as relay:
        assert run(play(Lane(relay.relay())))


def test_without_pipelining_nothing_follows_the_dot_before_its_reply(send: Send) -> None:
    with ScriptedRelay(extensions=PLAIN_EXTENSIONS) as relay:
        send(relay.relay(), ANNA, BERT)
        assert _commands(relay) == ["EHLO", "MAIL", "RCPT", "DATA", "MAIL", "RCPT", "DATA", "QUIT"]


@pytest.mark.parametrize("size", [0, 12_000, 300_000])
def test_the_body_goes_out_but_the_dot_waits_for_the_release(run: Run, size: int) -> None:
    parcel = letter(ANNA, size)

    async def play(lane: Lane) -> None:
        await lane.open()
        assert await lane.offer(parcel) is None
        assert lane.is_open
        await lane.abandon()
        assert not lane.is_open

    with ScriptedRelay() as relay:
        run(play(Lane(relay.relay())))
        assert relay.wait_until(lambda it: it.open_connections == 0)
        assert relay.accepted == []
        assert all(parcel.octets().startswith(content) for content in relay.abandoned)


def test_a_long_body_lies_at_the_relay_before_the_gate_is_asked(run: Run) -> None:
    parcel = letter(ANNA, 100_000)

    async def play(lane: Lane) -> Verdict:
        await lane.open()
        assert await lane.offer(parcel) is None
        there = await asyncio.to_thread(relay.wait_until, lambda it: len(it.pending()) == parcel.size)
        assert there
        assert relay.accepted == []
        verdict = await lane.release()
        await lane.close()
        return verdict

    with ScriptedRelay() as relay:
        assert isinstance(run(play(Lane(relay.relay()))), Sent)
        assert relay.pending() == b""


def test_what_an_extension_asks_for_is_sent_where_it_is_offered(send: Send) -> None:
    with ScriptedRelay() as relay:
        send(relay.relay(), "an+na@example.de", envelope_id="7.anna=1")
        size = letter("an+na@example.de").size
        assert relay.lines[1:3] == [
            f"MAIL FROM:<b+1.mac@bounce.example.de> SIZE={size} RET=HDRS ENVID=7.anna+3D1",
            "RCPT TO:<an+na@example.de> NOTIFY=FAILURE,DELAY ORCPT=rfc822;an+2Bna@example.de",
        ]


def test_nothing_is_asked_for_that_is_not_offered(send: Send) -> None:
    with ScriptedRelay(extensions=()) as relay:
        send(relay.relay(), ANNA, envelope_id="7")
        assert relay.lines[1:3] == ["MAIL FROM:<b+1.mac@bounce.example.de>", f"RCPT TO:<{ANNA}>"]


def test_an_address_beyond_ascii_uses_smtputf8(send: Send) -> None:
    with ScriptedRelay() as relay:
        verdicts = send(relay.relay(), "jörg@example.de", needs_smtputf8=True)
        assert [type(verdict) for verdict in verdicts] == [Sent]
        assert relay.lines[1].endswith(" BODY=8BITMIME SMTPUTF8 RET=HDRS")
        assert relay.lines[2] == "RCPT TO:<jörg@example.de> NOTIFY=FAILURE,DELAY"


def test_without_smtputf8_such_an_address_is_refused_before_anything_is_sent(send: Send) -> None:
    with ScriptedRelay(extensions=("PIPELINING",)) as relay:
        first, second = send(relay.relay(), "jörg@example.de", ANNA, needs_smtputf8=True)
        assert isinstance(first, Refused)
        assert (first.reply.code, first.reply.enhanced) == (550, "5.6.7")
        assert "relay witness offers no SMTPUTF8 (RFC 6531)" in first.reply.text
        assert isinstance(second, Refused)
        assert _commands(relay) == ["EHLO", "QUIT"]


def test_a_letter_over_the_relays_size_is_refused_before_anything_is_sent(send: Send) -> None:
    with ScriptedRelay(extensions=("SIZE 70000", "PIPELINING")) as relay:
        (verdict,) = send(relay.relay(), ANNA, size=80_000)
        assert isinstance(verdict, Refused)
        assert (verdict.reply.code, verdict.reply.enhanced) == (552, "5.3.4")
        assert "takes 70000" in verdict.reply.text
        assert _commands(relay) == ["EHLO", "QUIT"]


def test_an_unfit_letter_does_not_ride_with_the_dot_and_harms_nobody(run: Run) -> None:
    async def play(lane: Lane) -> list[Any]:
        anna, big = letter(ANNA), letter(BERT, 80_000)
        await lane.open()
        found = [await lane.offer(anna), await lane.release(big), await lane.offer(big), await lane.offer(anna)]
        await lane.abandon()
        return [type(verdict) for verdict in found]

    with ScriptedRelay(extensions=("SIZE 70000", "PIPELINING")) as relay:
        assert run(play(Lane(relay.relay()))) == [type(None), Sent, Refused, type(None)]


@both_ways
@pytest.mark.parametrize(
    ("place", "reply", "kind"),
    [
        ("RCPT", "550 5.1.1 no such user", Refused),
        ("RCPT", "450 4.2.1 later", Deferred),
        ("RCPT", "552 5.5.3 too many recipients", Deferred),
        ("MAIL", "451 4.3.0 later", Deferred),
        ("MAIL", "550 5.7.1 sender blocked", NotSent),
        ("MAIL", "552 5.3.4 too big", Refused),
        ("DATA", "554 5.6.0 no", Refused),
        ("DATA", "451 4.3.0 later", Deferred),
        ("DOT", "554 5.7.1 looks like spam", Refused),
        ("DOT", "452 4.3.1 disk full", Deferred),
    ],
)
def test_one_letter_that_is_not_taken_leaves_the_lane_to_the_next(
    send: Send, extensions: tuple[str, ...], place: str, reply: str, kind: type
) -> None:
    script = {place: [say("250 ok"), say(reply)] if place in ("MAIL", "RCPT") else [say(_usual(place)), say(reply)]}
    with ScriptedRelay(extensions=extensions, script=script) as relay:
        verdicts = send(relay.relay(), ANNA, BERT, CARL)
        assert [type(verdict) for verdict in verdicts] == [Sent, kind, Sent]
        assert [taken.recipient for taken in relay.accepted] == [ANNA, CARL]
        assert relay.connections == 1


def _usual(place: str) -> str:
    return "354 go" if place == "DATA" else "250 ok"


def test_a_354_after_every_recipient_was_refused_gets_an_empty_message(send: Send) -> None:
    script = {("RCPT", ANNA): say("550 5.1.1 no such user"), "DATA": [say("354 go on")]}
    with ScriptedRelay(script=script) as relay:
        verdicts = send(relay.relay(), ANNA, BERT)
        assert [type(verdict) for verdict in verdicts] == [Refused, Sent]
        assert [taken.recipient for taken in relay.accepted] == [BERT]
        assert _commands(relay)[1:6] == ["MAIL", "RCPT", "DATA", "RSET", "MAIL"]


def test_a_354_after_mail_was_refused_and_rcpt_taken_is_answered_by_leaving(send: Send) -> None:
    script = {"MAIL": say("550 5.7.1 no"), "RCPT": say("250 ok"), "DATA": say("354 go on")}
    with ScriptedRelay(script=script) as relay:
        verdicts = send(relay.relay(), ANNA, BERT)
        assert [type(verdict) for verdict in verdicts] == [NotSent, NotSent]
        assert relay.accepted == []


def test_a_letter_can_be_offered_only_if_its_envelope_is_the_one_under_way(run: Run) -> None:
    async def play(lane: Lane) -> list[Any]:
        anna, bert, carl = letter(ANNA), letter(BERT), letter(CARL)
        await lane.open()
        assert await lane.offer(anna) is None
        sent = await lane.release(bert)
        other = await lane.offer(carl)
        assert not lane.is_open
        await lane.close()
        return [type(sent), type(other)]

    with ScriptedRelay() as relay:
        assert run(play(Lane(relay.relay()))) == [Sent, NotSent]
        assert [taken.recipient for taken in relay.accepted] == [ANNA]


def test_a_spent_lane_takes_no_follower_and_serves_again_once_reopened(run: Run) -> None:
    async def play(lane: Lane) -> list[bool]:
        anna, bert = letter(ANNA), letter(BERT)
        spent = []
        await lane.open()
        for parcel, following in ((anna, bert), (bert, anna)):
            assert await lane.offer(parcel) is None
            await lane.release(following)
            spent.append(lane.is_spent)
        await lane.close()
        await lane.open()
        spent.append(lane.is_spent)
        await lane.close()
        return spent

    with ScriptedRelay() as relay:
        assert run(play(Lane(relay.relay(letters_per_connection=2)))) == [False, True, False]
        assert _commands(relay) == ["EHLO", *["MAIL", "RCPT", "DATA"] * 2, "QUIT", "EHLO", "QUIT"]


def test_a_lane_that_was_never_opened_has_sent_nothing(run: Run) -> None:
    with ScriptedRelay() as relay:
        lane = Lane(relay.relay())
        verdict = run(lane.offer(letter()))
        assert verdict == NotSent("the lane to relay witness is not open", about_us=False)
        run(lane.close())


def test_quit_is_said_only_where_it_would_not_become_content(run: Run) -> None:
    async def play(lane: Lane) -> None:
        await lane.open()
        assert await lane.offer(letter(ANNA)) is None
        await lane.close()

    with ScriptedRelay() as relay:
        run(play(Lane(relay.relay())))
        assert relay.wait_until(lambda it: it.open_connections == 0)
        assert "QUIT" not in relay.lines
        assert all(b"QUIT" not in content for content in relay.abandoned)


@pytest.mark.parametrize(
    "bad", ["\r", "\n", "\0", " ", "<", ">", "\r\nRCPT TO:<eve@example.com>", "\t", "\x7f", "\x85"]
)
@pytest.mark.parametrize("place", ["sender", "recipient"])
def test_an_address_that_could_end_a_command_makes_no_parcel(bad: str, place: str) -> None:
    addresses = {"sender": "a@example.de", "recipient": "b@example.de", place: f"a{bad}@example.de"}
    with pytest.raises(InputRefused):
        letter(**addresses, needs_smtputf8=True)


@pytest.mark.parametrize("fields", [{"recipient": ""}, {"recipient": "jörg@example.de"}, {"recipient": "a" * 300}])
def test_an_empty_a_long_and_an_undeclared_address_make_no_parcel(fields: dict[str, str]) -> None:
    with pytest.raises(InputRefused):
        letter(**fields)


@pytest.mark.parametrize("body", [b"", b"Hallo", b"Hallo\n", b".\r\n", b"..\r\n"])
def test_a_body_that_a_dot_could_not_end_makes_no_parcel(body: bytes) -> None:
    with pytest.raises(InputRefused):
        letter(body=body)


def test_the_null_sender_is_written_as_an_empty_path(send: Send) -> None:
    with ScriptedRelay(extensions=()) as relay:
        send(relay.relay(), ANNA, sender="")
        assert relay.lines[1] == "MAIL FROM:<>"


def test_the_reply_to_the_dot_is_handed_out_with_its_enhanced_code(send: Send) -> None:
    with ScriptedRelay(script={"DOT": say("250 2.6.0 <1@x> Queued for delivery")}) as relay:
        assert send(relay.relay(), ANNA) == [Sent(Reply(250, "2.6.0", "<1@x> Queued for delivery"))]
