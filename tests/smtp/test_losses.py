"""Every moment at which a connection can be lost or turned away, and the class that moment has.

Both ways of talking are tried throughout: pipelined, and one command at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from dispatcher.errors import RelayDown
from dispatcher.smtp.lane import Lane
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Unknown, Verdict
from tests.relay import (
    EXTENSIONS,
    PLAIN_EXTENSIONS,
    Act,
    ScriptedRelay,
    accept_then_drop,
    drop,
    say,
    stall,
    tarpit,
)
from tests.smtp.conftest import Run
from tests.smtp.letters import letter
from tests.smtp.nonsense import COMMAND, DOT, LIMIT, PATIENT

Send = Callable[..., list[Verdict]]

ANNA, BERT, CARL = "anna@example.de", "bert@example.de", "carl@example.de"

pytestmark = pytest.mark.parametrize("extensions", [EXTENSIONS, PLAIN_EXTENSIONS], ids=["pipelined", "one by one"])


def _only(
    send: Send, extensions: tuple[str, ...], script: Mapping[str, Act | list[Act]], **options: Any
) -> tuple[Verdict, list[str], list[Verdict]]:
    """Send to Anna and Bert; give Anna's verdict, who was accepted, and Bert's verdict in a list."""
    limits = DOT if "DOT" in script else COMMAND
    with ScriptedRelay(extensions=extensions, script=script, **options) as relay:
        first, *rest = send(relay.relay(timeouts=limits if _is_silent(script) else PATIENT), ANNA, BERT)
        assert relay.wait_until(lambda it: it.open_connections == 0)
        return first, [taken.recipient for taken in relay.accepted], rest


def _is_silent(script: Mapping[str, Act | list[Act]]) -> bool:
    """Say whether our limit ends it: then only the limit of that step is short."""
    return any(isinstance(act, Act) and (act.silent or act.delay) for act in script.values())


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("act", [drop(), stall(), say(b"25", close=True), say(b"354-", close=True), say("garbage")])
def test_whatever_happens_before_the_dot_the_letter_was_not_sent(
    send: Send, extensions: tuple[str, ...], verb: str, act: Act
) -> None:
    first, accepted, rest = _only(send, extensions, {verb: act})
    assert isinstance(first, NotSent)
    assert not first.about_us
    assert accepted == []
    assert [type(verdict) for verdict in rest] == [NotSent]


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_421_before_the_dot_is_about_us_and_ends_the_lane(send: Send, extensions: tuple[str, ...], verb: str) -> None:
    first, accepted, rest = _only(send, extensions, {verb: say("421 4.3.2 closing", close=True)})
    assert isinstance(first, NotSent)
    assert first.about_us
    assert "421 4.3.2 closing" in first.why
    assert accepted == []
    assert [type(verdict) for verdict in rest] == [NotSent]


@pytest.mark.parametrize("code", [530, 535])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "DOT"])
def test_a_relay_that_wants_a_log_in_says_nothing_about_the_address(
    send: Send, extensions: tuple[str, ...], verb: str, code: int
) -> None:
    first, accepted, _ = _only(send, extensions, {verb: say(f"{code} 5.7.0 authentication required")})
    assert isinstance(first, NotSent)
    assert first.about_us
    assert accepted == []


@pytest.mark.parametrize("act", [drop(), stall(), say(b"25"), say(b"250 Ok"), say(b"250-Ok\r\n"), say("nonsense")])
def test_a_dot_without_a_whole_reply_leaves_the_letter_in_doubt(
    send: Send, extensions: tuple[str, ...], act: Act
) -> None:
    act = act if act.silent else Act(reply=act.reply, close=True, accept=False)
    first, accepted, rest = _only(send, extensions, {"DOT": act})
    assert isinstance(first, Unknown)
    assert accepted == []
    assert [type(verdict) for verdict in rest] == [NotSent]


def test_a_letter_that_was_taken_and_whose_reply_is_lost_is_left_in_doubt_not_repeated(
    send: Send, extensions: tuple[str, ...]
) -> None:
    first, accepted, rest = _only(send, extensions, {"DOT": accept_then_drop()})
    assert isinstance(first, Unknown)
    assert accepted == [ANNA]
    assert [type(verdict) for verdict in rest] == [NotSent]


def test_a_reply_that_comes_after_our_limit_leaves_the_letter_in_doubt(send: Send, extensions: tuple[str, ...]) -> None:
    first, accepted, _ = _only(send, extensions, {"DOT": Act(delay=1.0)})
    assert first == Unknown("the final dot: waited 0.2 s for a reply")
    assert accepted == [ANNA]


def test_421_instead_of_the_reply_to_the_dot_defers_the_letter(send: Send, extensions: tuple[str, ...]) -> None:
    first, accepted, rest = _only(send, extensions, {"DOT": say("421 4.3.2 shutting down", close=True)})
    assert isinstance(first, Deferred)
    assert first.reply.code == 421
    assert accepted == []
    assert [type(verdict) for verdict in rest] == [NotSent]


@pytest.mark.parametrize("reply", ["354 again", "199 what"])
def test_a_reply_that_cannot_answer_a_dot_leaves_the_letter_in_doubt(
    send: Send, extensions: tuple[str, ...], reply: str
) -> None:
    first, _, _ = _only(send, extensions, {"DOT": say(reply)})
    assert isinstance(first, Unknown)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_a_reply_out_of_its_order_is_a_loss_at_that_point(send: Send, extensions: tuple[str, ...], verb: str) -> None:
    wrong = "250 ok" if verb == "DATA" else "354 go"
    first, accepted, _ = _only(send, extensions, {verb: say(wrong, close=True)})
    assert isinstance(first, NotSent)
    assert accepted == []


def test_one_reply_too_many_ends_the_lane_but_not_what_is_known(send: Send, extensions: tuple[str, ...]) -> None:
    first, accepted, rest = _only(send, extensions, {"DOT": [say(b"250 ok\r\n250 and more\r\n")]})
    assert isinstance(first, Sent)
    assert accepted == [ANNA]
    assert [type(verdict) for verdict in rest] == [NotSent]


def test_a_refusal_that_was_read_stands_although_the_line_broke_behind_it(
    send: Send, extensions: tuple[str, ...]
) -> None:
    first, _, rest = _only(send, extensions, {"RCPT": say("550 5.1.1 no such user", close=True)})
    assert isinstance(first, Refused)
    assert [type(verdict) for verdict in rest] == [NotSent]


@pytest.mark.parametrize("event", [say("421 4.4.2 idle", close=True), drop(), say("250 taken already"), say("??")])
def test_what_ends_the_lane_while_the_gate_thinks_keeps_the_dot_unwritten(
    run: Run, extensions: tuple[str, ...], event: Act
) -> None:
    async def play(lane: Lane) -> tuple[Verdict | None, Verdict, Verdict | None]:
        await lane.open()
        offered = await lane.offer(letter(ANNA))  # in one piece: who closes with some of it unread resets the line
        assert lane._wire is not None
        while lane.is_open:
            await lane._wire.news(5)
        return offered, await lane.release(letter(BERT)), await lane.offer(letter(BERT))

    with ScriptedRelay(extensions=extensions, script={"BODY": event}) as relay:
        offered, released, follower = run(play(Lane(relay.relay(), careful=True)))
        assert offered is None
        assert isinstance(released, NotSent)
        assert released.about_us is (event.reply is not None and str(event.reply).startswith("421"))
        assert follower == released
        assert relay.accepted == []


def test_a_relay_that_does_not_read_costs_one_limit(run: Run, extensions: tuple[str, ...]) -> None:
    async def play(lane: Lane) -> Verdict | None:
        await lane.open()
        verdict = await lane.offer(letter(ANNA, 24_000_000))
        assert not lane.is_open
        await lane.close()
        return verdict

    with ScriptedRelay(extensions=extensions, script={"BODY": tarpit()}, receive_buffer=4096) as relay:
        verdict = run(play(Lane(relay.relay(timeouts=replace(PATIENT, data_block=LIMIT)))))
        assert verdict == NotSent("the body: waited 0.2 s for the relay to read the letter", about_us=False)


def test_a_line_that_breaks_within_a_long_body_is_not_sent(run: Run, extensions: tuple[str, ...]) -> None:
    async def play(lane: Lane) -> Verdict | None:
        await lane.open()
        return await lane.offer(letter(ANNA, 24_000_000))

    with ScriptedRelay(extensions=extensions, script={"BODY": drop()}) as relay:
        assert isinstance(run(play(Lane(relay.relay()))), NotSent)
        assert relay.accepted == []


def _dialogue(extensions: tuple[str, ...]) -> tuple[int, int, int]:
    """Measure the server's side: octets until it is greeted, until the body is invited, and in all."""
    greeting = "220 relay.example.com ESMTP ready\r\n"
    hello = "".join(f"250-{word}\r\n" for word in ("relay.example.com", *extensions))
    letter = "250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n354 end with a dot\r\n"
    return (
        len(greeting + hello),
        len(greeting + hello + letter),
        len(greeting + hello + letter + "250 2.0.0 taken\r\n"),
    )


def test_a_server_cut_off_at_any_octet_gives_the_class_of_that_octet(run: Run, extensions: tuple[str, ...]) -> None:
    greeted, invited, whole = _dialogue(extensions)

    async def play(relay: ScriptedRelay) -> str:
        lane = Lane(relay.relay())
        try:
            await lane.open()
        except RelayDown:
            return "RelayDown"
        verdict = await lane.offer(letter())
        verdict = verdict if verdict is not None else await lane.release()
        await lane.abandon()
        return type(verdict).__name__

    def expected(cut: int) -> str:
        if cut < greeted:
            return "RelayDown"
        if cut < invited:
            return "NotSent"
        return "Unknown" if cut < whole else "Sent"

    with ScriptedRelay(extensions=extensions, script={"DOT": say("250 2.0.0 taken")}) as relay:
        found = {}
        for cut in range(whole + 1):
            relay.cut_after(cut)
            found[cut] = run(play(relay))
    assert found == {cut: expected(cut) for cut in range(whole + 1)}
    assert set(found.values()) == {"RelayDown", "NotSent", "Unknown", "Sent"}
