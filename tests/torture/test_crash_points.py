"""A worker dies at each point of a letter's life, on each database, under one policy or the other: the exact state is
known.

One lane, six people p0 to p5 in one batch. What is told of each death: where the campaign and its batch stand then,
whose dot may be out by the batch's own word, who is recorded as sent, and whom the relay has accepted.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import pytest
from sqlalchemy import select

from dispatcher.db import clock
from dispatcher.db.tables import batch, campaign
from dispatcher.db.terms import UnknownPolicy
from dispatcher.domain import consent
from dispatcher.domain.consent import Evidence
from dispatcher.domain.delivery import flights
from tests.processes import KILLED
from tests.relay import Accepted, Act, Ask, ScriptedRelay
from tests.stories import is_at_length
from tests.torture.checker import check, copies
from tests.torture.conftest import Lay
from tests.torture.ground import TOPIC, Ground
from tests.torture.points import CONSTANTS, PLACES, Place, Point, Tempo, find

PEOPLE = 6


@dataclass(frozen=True)
class Death:
    """The state at a death; `flying`: the number of the person whose letter is in flight. `sent`: how many before.
    `portion`: how many of the audience are frozen at once.
    """

    point: Point
    nth: int
    campaign: str = "sending"
    batch: str | None = "leased"
    flying: int | None = None
    sent: int = 0
    accepted: int = 0
    portion: int | None = None


DEATHS = [
    Death(Point.LAUNCH_BETWEEN, 1, campaign="preparing", batch=None),
    Death(Point.LAUNCH_WITHIN, 1, campaign="preparing", batch=None),
    Death(Point.IN_PORTION, 2, batch="done", sent=2, accepted=2, portion=2),
    Death(Point.AFTER_PORTION, 1, batch="done", sent=2, accepted=2, portion=2),
    Death(Point.IN_CLAIM, 1, batch="ready"),
    Death(Point.AFTER_CLAIM, 1),
    Death(Point.BEFORE_GATE, 1),
    Death(Point.BEFORE_GATE, 3, flying=1, sent=1, accepted=2),
    Death(Point.AFTER_GATE, 1, flying=0),
    Death(Point.AFTER_GATE, 3, flying=2, sent=2, accepted=2),
    Death(Point.AFTER_REPLY, 1, flying=0, accepted=1),
    Death(Point.AFTER_REPLY, 6, flying=5, sent=5, accepted=6),
    Death(Point.BEFORE_OUTCOME, 1, flying=0, accepted=1),
    Death(Point.IN_SETTLE, 1, flying=5, sent=5, accepted=6),
    Death(Point.AFTER_SETTLE, 1, batch="done", sent=6, accepted=6),
]


def people(*numbers: int) -> list[str]:
    return [f"p{number}@example.de" for number in numbers]


def assert_stands(ground: Ground, death: Death) -> None:
    """Look into the database and the witness's record right after the death."""
    numbers = {who: int(address[1 : address.index("@")]) for address, who in ground.people.permitted.items()}
    with ground.engine.begin() as conn:
        assert conn.execute(select(campaign.c.state)).scalar_one() == death.campaign
        stands = conn.execute(select(batch.c.state, batch.c.in_flight)).one_or_none()
    if death.batch is None:
        assert stands is None
    else:
        flying = None if death.flying is None else [death.flying]
        assert (stands.state, [numbers[flight.subscriber_id] for flight in flights.read(stands.in_flight)] or None) == (
            death.batch,
            flying,
        )
    sent = {address for address, outcome in ground.outcomes().items() if outcome == "sent"}
    assert sent == set(people(*range(death.sent)))
    assert [a.recipient for a in ground.witness.accepted()] == people(*range(death.accepted))


def assert_comes_to_its_end(ground: Ground, flying: int | None, accepted: int) -> None:
    """Have another worker bring it to its end: hold leaves what was in flight, resend sends it again."""
    ground.run_to_the_end()
    evidence = ground.evidence("a death")
    assert check(evidence) == []
    in_doubt = [] if flying is None else people(flying)
    was_taken = flying is not None and flying < accepted
    taken = Counter(a.recipient for a in ground.witness.accepted())
    if ground.policy is UnknownPolicy.HOLD:
        assert sorted(evidence.with_outcome("unknown")) == in_doubt
        assert taken == Counter(people(*(n for n in range(PEOPLE) if n != flying or was_taken)))
    else:
        assert evidence.with_outcome("unknown") == set()
        assert copies(evidence) == was_taken
        assert taken == Counter(people(*range(PEOPLE)) + in_doubt * was_taken)


@pytest.fixture
def relay() -> Iterator["Relay"]:
    with Relay() as relay:
        yield relay


class Relay:
    """The witness, in this process: it sees the dot of p2 come and may kill the victim before it answers."""

    def __init__(self) -> None:
        self.is_deadly = False
        self.victim: SimpleQueue[int] = SimpleQueue()
        self.is_taken = True  # the letter at whose dot the victim dies
        self._relay = ScriptedRelay(script=self._act, keep_raw=False, keep_lines=False)

    def __enter__(self) -> "Relay":
        self._relay.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._relay.__exit__(*error)

    def _act(self, ask: Ask) -> Act | None:
        if ask.verb != "DOT" or ask.recipient != "p2@example.de" or not self.is_deadly:
            return None
        self.is_deadly = False
        os.kill(self.victim.get(timeout=30), signal.SIGKILL)  # it may come before its parent knows who it is
        return Act(silent=True, accept=self.is_taken, close=True)

    def url(self, **options: int | float) -> str:
        return self._relay.url(**options)

    def accepted(self) -> list[Accepted]:
        return list(self._relay.accepted)

    def unanswered_dots(self) -> int:
        return 0

    def end(self) -> None:
        return None


# Each death on both databases, once under each policy, the other way round for every second one; at length under both.
CASES = [
    pytest.param(kind, death, policy, id=f"{death.point.name}-{death.nth}-{policy.value}-{kind}")
    for number, death in enumerate(DEATHS)
    for turn, kind in enumerate(("sqlite", "postgresql"))
    for policy in (UnknownPolicy if is_at_length() else [list(UnknownPolicy)[(number + turn) % 2]])
]


@pytest.mark.parametrize(("database_url", "death", "policy"), CASES, indirect=["database_url"])
def test_whoever_dies_at_a_point_leaves_the_exact_state_and_another_goes_on(
    lay: Lay, relay: Relay, death: Death, policy: UnknownPolicy
) -> None:
    ground = lay(PEOPLE, witness=relay, lanes=1, policy=policy, tempo=Tempo(portion=death.portion))
    worker = ground.start(point=death.point, nth=death.nth)
    assert worker.wait(30) == KILLED
    ground.kill(worker)
    assert_stands(ground, death)
    assert_comes_to_its_end(ground, death.flying, death.accepted)


@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "not taken"])
@pytest.mark.parametrize(
    ("database_url", "policy"),
    [("sqlite", UnknownPolicy.HOLD), ("postgresql", UnknownPolicy.RESEND)],
    indirect=["database_url"],
)
def test_whoever_dies_with_the_dot_out_leaves_one_letter_in_doubt(
    lay: Lay, relay: Relay, policy: UnknownPolicy, is_taken: bool
) -> None:
    ground = lay(PEOPLE, witness=relay, lanes=1, policy=policy)
    relay.is_taken, relay.is_deadly = is_taken, True
    worker = ground.start()
    relay.victim.put(worker.pid)
    assert worker.wait(30) == KILLED
    ground.kill(worker)
    death = Death(Point.AFTER_GATE, 3, flying=2, sent=2, accepted=3 if is_taken else 2)
    assert_stands(ground, death)
    assert_comes_to_its_end(ground, 2, death.accepted)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_leaves_before_a_letter_in_doubt_is_sent_again_is_not_called_withheld(lay: Lay) -> None:
    ground = lay(PEOPLE, lanes=1, policy=UnknownPolicy.RESEND)
    worker = ground.start(point=Point.AFTER_REPLY, nth=1)
    assert worker.wait(30) == KILLED
    ground.kill(worker)
    with ground.engine.begin() as conn:
        who = ground.people.permitted["p0@example.de"]
        consent.withdraw(conn, who, [TOPIC], Evidence(source="a test"), clock.now(conn))
    ground.run_to_the_end()
    assert ground.outcomes()["p0@example.de"] == "unknown"  # it was accepted, and nobody heard so


@pytest.mark.parametrize("place", PLACES.values(), ids=[point.name for point in PLACES])
def test_every_place_of_death_exists(place: Place) -> None:
    owner, name = find(place)
    assert callable(getattr(owner, name))


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, name, _ in CONSTANTS])
def test_every_constant_that_is_hurried_exists(module: str, name: str) -> None:
    find(Place(module, name, entered=True))


def test_every_point_is_died_at() -> None:
    assert {death.point for death in DEATHS} == set(Point) == set(PLACES)
