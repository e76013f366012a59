"""A relay that speaks nonsense in front of a campaign: nobody is lost or doubled, the problem is named, and the
campaign completes once the relay behaves again.
"""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from dispatcher.db.tables import batch, deferral
from dispatcher.db.terms import CampaignState
from dispatcher.smtp.relays import Timeouts, Tls
from tests import builders
from tests.certificates import make_certificate
from tests.databases import in_turn
from tests.relay import PLAIN_EXTENSIONS, Act, Ask, ScriptedRelay, drop, say, stall
from tests.stage import Stage

LANES = 4
PATIENT = Timeouts(connect=10, banner=10, command=10, data_block=10, dot=10)

NONSENSE = {
    "a close": drop(),
    "silence": stall(),
    "half a reply": Act(reply=b"25", hang=True),
    "half a reply and a close": Act(reply=b"250 o", close=True),
    "octets beyond ASCII": Act(reply=bytes(range(128, 256)) + b"\r\n"),
    "ten megabytes": Act(reply=b"250 " + b"x" * 10_000_000),
    "a thousand lines": Act(reply=b"250-x\r\n" * 1000 + b"250 x\r\n"),
    "another protocol": Act(reply=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "two codes": Act(reply=b"250-one\r\n550 two\r\n"),
    "out of place": Act(reply=b"334 go on\r\n"),
}

STEPS = {"MAIL": "MAIL FROM: ", "RCPT": "RCPT TO: ", "DATA": "DATA: "}

kinds = in_turn("kind", NONSENSE)  # what a relay says has nothing to do with the database


SILENT = {"silence", "half a reply"}  # only these are ended by our limit
SHORT = 1.5


def limits_for(verb: str, kind: str) -> Timeouts:
    """Give limits of which only that of the step that stays silent is short: a busy machine may be late elsewhere."""
    match verb:
        case _ if kind not in SILENT:
            return PATIENT
        case "BANNER" | "EHLO":
            return replace(PATIENT, banner=SHORT)  # it holds for the whole opening
        case "DOT":
            return replace(PATIENT, dot=SHORT)
        case _:
            return replace(PATIENT, command=SHORT)


def pass_the_breaks(stage: Stage) -> None:
    """Make due what waits for a relay or for its next attempt."""
    with stage.engine.begin() as conn:
        long_ago = builders.long_ago(conn)
        conn.execute(deferral.update().values(retry_at=long_ago))
        conn.execute(batch.update().values(not_before=long_ago))


def the_relay_behaves_again(stage: Stage, relay: ScriptedRelay, campaign: int, people: list[str]) -> Counter[str]:
    """Drain to the end; everyone is sent or in doubt, and nobody got it twice. Give the outcomes."""
    relay.script = None
    pass_the_breaks(stage)
    stage.drain(relay.relay(lanes=LANES, timeouts=PATIENT))
    status = stage.status(campaign)
    assert status.state is CampaignState.SENT
    assert status.audience == len(people) == status.sent + status.unknown
    taken = Counter(letter.recipient for letter in relay.accepted)
    assert set(taken.values()) <= {1}
    in_doubt = {address for address, outcome in stage.outcomes(campaign).items() if outcome == "unknown"}
    assert set(people) - in_doubt <= set(taken)
    return stage.counted(campaign)


@kinds
@pytest.mark.parametrize(("verb", "step"), [("BANNER", "the banner"), ("EHLO", "EHLO")])
def test_nonsense_at_the_door_keeps_everyone_waiting_and_is_named(
    stage: Stage, verb: str, step: str, kind: str
) -> None:
    people = stage.add(12)
    campaign = stage.campaign()
    with ScriptedRelay(script={verb: NONSENSE[kind]}) as relay:
        stage.drain(relay.relay(lanes=LANES, timeouts=limits_for(verb, kind)))
        status = stage.status(campaign)
        assert (status.remaining, status.state) == (12, CampaignState.SENDING)
        assert f"relay witness, {step}: " in (status.problem or "") or kind == "out of place"
        assert "witness" in (status.problem or "")
        assert the_relay_behaves_again(stage, relay, campaign, people) == {"sent": 12}


@kinds
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_nonsense_before_the_dot_leaves_nobody_in_doubt(stage: Stage, verb: str, kind: str) -> None:
    people = stage.add(12)
    campaign = stage.campaign()
    with ScriptedRelay(script={verb: NONSENSE[kind]}) as relay:
        stage.drain(relay.relay(lanes=LANES, timeouts=limits_for(verb, kind)))
        assert relay.accepted == []
        status = stage.status(campaign)
        assert (status.remaining + status.deferred, status.state) == (12, CampaignState.SENDING)
        assert "relay witness, " in (status.problem or "")
        assert STEPS[verb] in (status.problem or "")
        assert the_relay_behaves_again(stage, relay, campaign, people) == {"sent": 12}


@kinds
@pytest.mark.parametrize("accept", [True, False], ids=["taken", "not taken"])
def test_nonsense_instead_of_the_answer_to_a_dot_leaves_a_handful_in_doubt(
    stage: Stage, kind: str, accept: bool
) -> None:
    people = stage.add(40)
    campaign = stage.campaign()
    act = NONSENSE[kind]
    act = Act(act.reply, act.silent, act.delay, accept, act.close, act.hang)
    with ScriptedRelay(script={"DOT": act}) as relay:
        stage.drain(relay.relay(lanes=LANES, timeouts=limits_for("DOT", kind)))
        status = stage.status(campaign)
        # Five losses open the breaker; the other lanes may have a letter under way by then.
        assert 0 < status.unknown <= 5 + LANES
        assert (status.sent, status.failed) == (0, 0)
        assert status.unknown + status.remaining + status.deferred == 40
        assert "relay witness, the final dot: " in (status.problem or "")
        doubts = [m.reason for m in stage.missing(campaign).values() if m.outcome == "unknown"]
        assert all("the final dot: " in doubt for doubt in doubts)
        assert len(relay.accepted) == (status.unknown if accept else 0)
        counted = the_relay_behaves_again(stage, relay, campaign, people)
        assert counted == {"sent": 40 - status.unknown, "unknown": status.unknown}


@in_turn("verb", ["BANNER", "MAIL", "DOT"])
def test_another_relay_takes_over_from_one_that_speaks_nonsense(stage: Stage, verb: str) -> None:
    people = stage.add(40)
    campaign = stage.campaign()
    with ScriptedRelay(script={verb: NONSENSE["another protocol"]}) as mad, ScriptedRelay() as sane:
        stage.drain(mad.relay(lanes=LANES), sane.relay(lanes=LANES, name="the other"))
        pass_the_breaks(stage)
        stage.drain(sane.relay(lanes=LANES, name="the other"))
        taken = Counter(letter.recipient for letter in (*mad.accepted, *sane.accepted))
    status = stage.status(campaign)
    assert status.state is CampaignState.SENT
    assert status.sent + status.unknown == len(people)
    assert status.unknown <= (5 + LANES if verb == "DOT" else 0)
    assert set(taken.values()) == {1}


@pytest.mark.parametrize("extensions", [None, PLAIN_EXTENSIONS], ids=["pipelined", "one by one"])
@in_turn("seed", range(3))
def test_a_relay_that_speaks_nonsense_now_and_then_loses_and_doubles_nobody(
    stage: Stage, seed: int, extensions: tuple[str, ...] | None
) -> None:
    people = stage.add(150)
    campaign = stage.campaign()
    drawn = random.Random(seed)
    acts = [act for act in NONSENSE.values() if not act.hang and len(act.reply or b"") < 1_000_000]

    def now_and_then(ask: Ask) -> Act | None:
        return drawn.choice(acts) if drawn.random() < 0.03 and ask.verb != "QUIT" else None

    options = {"extensions": extensions} if extensions else {}
    with ScriptedRelay(script=now_and_then, **options) as relay:
        for _ in range(4):
            stage.drain(relay.relay(lanes=LANES, timeouts=PATIENT))
            pass_the_breaks(stage)
        counted = the_relay_behaves_again(stage, relay, campaign, people)
    assert counted["sent"] > 100
    assert counted["failed"] == 0


def test_starttls_that_turns_into_plain_text_sends_nothing_and_is_named(stage: Stage, tmp_path: Path) -> None:
    people = stage.add(6)
    campaign = stage.campaign()
    certificate = make_certificate(tmp_path, "localhost")
    script = {"STARTTLS": say(b"220 go ahead\r\n250 and more\r\n")}
    with ScriptedRelay(tls=Tls.STARTTLS, certificate=certificate, script=script) as relay:
        stage.drain(relay.relay(lanes=LANES))
        assert not any(line.startswith("MAIL") for line in relay.lines)
        assert "relay witness, STARTTLS: more came" in (stage.status(campaign).problem or "")
        assert the_relay_behaves_again(stage, relay, campaign, people) == {"sent": 6}


def test_an_old_certificate_keeps_everyone_waiting_and_is_named(stage: Stage, tmp_path: Path) -> None:
    stage.add(6)
    campaign = stage.campaign()
    old = make_certificate(tmp_path, "localhost", days=(-10, -1))
    with ScriptedRelay(tls=Tls.STARTTLS, certificate=old) as relay:
        stage.drain(relay.relay(lanes=LANES))
        status = stage.status(campaign)
        assert (status.remaining, relay.accepted) == (6, [])
        assert "the TLS handshake: its certificate is not trusted" in (status.problem or "")
        assert "expired" in (status.problem or "")
