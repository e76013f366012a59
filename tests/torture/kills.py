"""The kill loop: workers are killed and stopped at random moments of their lives until a campaign has come to its end.

The moments are drawn from a seed, and so are victims and acts; what they hit is up to the scheduler of the machine. A
second run with the same seed strikes at the same moments.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from signal import SIGCONT, SIGSTOP

from dispatcher.db.terms import UnknownPolicy
from tests.processes import Forked
from tests.relay_script import accept_then_drop
from tests.torture.ground import KEYRING, TOPIC, Databases, Ground, clear, lay_out
from tests.torture.leavers import Leaving, leave
from tests.torture.points import Tempo
from tests.torture.scenes import Result, result_of
from tests.torture.witness import Fault, Weather, rows_of

LANES = (1, 4, 64)
LEASE = 2.0
_PATIENCE = 30.0  # seconds without any end
_PEOPLE = {1: 400, 4: 1200}
_MANY = 2400
_PORTIONS = 4  # of an audience: some kills fall between two of them
_DROPS = (Fault("DOT", accept_then_drop(), share=0.01),)
# Seconds after its start at which a worker is struck: launch and claim, its first letters, the middle of its work.
_MOMENTS = ((0.25, 0.01, 0.12), (0.60, 0.08, 0.35), (0.15, 0.35, 0.90))


@dataclass(frozen=True, slots=True)
class Setup:
    """What a campaign of the kill loop is run with. `leavers`: processes in which people leave meanwhile."""

    lanes: int
    workers: int = 1
    policy: UnknownPolicy = UnknownPolicy.HOLD
    drops: bool = False
    leavers: int = 0

    @property
    def title(self) -> str:
        words = [f"{self.lanes} lane{'s' * (self.lanes > 1)}", self.policy.value]
        words += ["two workers"] * (self.workers > 1) + ["1 % dropped"] * self.drops
        return ", ".join(words + ["people leave"] * bool(self.leavers))


def setups(kind: str, lanes: Sequence[int] = LANES) -> list[Setup]:
    """Give every combination; two workers on PostgreSQL, for SQLite has one writer at a time."""
    return [
        Setup(lane_count, workers, policy, drops)
        for drops in (False, True)
        for lane_count in lanes
        for workers in ((1, 2) if kind == "postgresql" else (1,))
        for policy in UnknownPolicy
    ]


def races(kind: str) -> list[Setup]:
    """Give the set-ups in which people leave meanwhile: from two processes on PostgreSQL."""
    leavers = 2 if kind == "postgresql" else 1
    return [Setup(lanes, policy=policy, leavers=leavers) for lanes in (1, 4, 16, 64) for policy in UnknownPolicy]


def kill_loop(
    databases: Databases, folder: Path, plan: Sequence[Setup], kills: int, seed: int, tell: Callable[[int], None]
) -> Iterator[Result]:
    """Run campaigns until `kills` workers were killed, shared out among the plan; give each result."""
    number = 0
    for place, setup in enumerate(plan):
        quota = kills * (place + 1) // len(plan) - kills * place // len(plan)
        while quota > 0:  # a campaign may be through before its kills are
            number += 1
            result = hunt(databases, folder / f"{databases.kind}-{number}", setup, seed * 1000 + number, quota)
            quota -= max(result.kills, 1)
            tell(result.kills)
            yield result


def hunt(databases: Databases, folder: Path, setup: Setup, seed: int, kills: int) -> Result:
    """Run one campaign, with so many kills at most."""
    weather = Weather(_DROPS if setup.drops else (), delay=0.003, seed=seed)
    ground = lay_out(
        databases, folder, _people(setup), weather,
        lanes=setup.lanes, policy=setup.policy, tempo=Tempo(lease=LEASE, portion=_people(setup) // _PORTIONS),
    )  # fmt: skip
    try:
        ground.schedule()
        hunted = _Hunt(ground, setup, random.Random(seed))
        leaving = _begin_to_leave(ground, setup, seed)
        hunted.run(kills)
        _note_who_left(ground, leaving)
        return result_of(ground.evidence(f"{setup.title}, seed {seed}"), kills=hunted.kills, stops=hunted.stops)
    finally:
        clear(databases, ground)


def _people(setup: Setup) -> int:
    """So many that the kills fall into the middle, and that it does not last."""
    people = _PEOPLE.get(setup.lanes, _MANY)
    return min(people, 900) if setup.leavers else people


class _Hunt:
    """One campaign under fire."""

    def __init__(self, ground: Ground, setup: Setup, drawn: random.Random) -> None:
        self._ground, self._setup, self._drawn = ground, setup, drawn
        self.kills = self.stops = 0
        self._slept = False

    def run(self, quota: int) -> None:
        for _ in range(self._setup.workers):
            self._ground.start()
        while self.kills < quota and not self._is_over(self._moment()):
            self._strike()
        while not self._is_over(_PATIENCE):
            pass
        assert self._ground.state() == "sent", f"{self._setup.title}: through, but {self._ground.standing()[:500]}"

    def _moment(self) -> float:
        weights = [weight for weight, _, _ in _MOMENTS]
        _, earliest, latest = self._drawn.choices(_MOMENTS, weights)[0]
        return self._drawn.uniform(earliest, latest)

    def _is_over(self, seconds: float) -> bool:
        """Wait for a moment, or for the end: whoever ends by itself has found no campaign alive."""
        ground = self._ground
        if not ground.workers:
            return True
        ended = wait([worker.sentinel for worker in ground.workers], seconds)
        if not ended:
            assert seconds < _PATIENCE, f"{self._setup.title}: not at its end, but {ground.standing()}"
            return False
        for worker in [worker for worker in ground.workers if worker.sentinel in ended]:
            worker.wait(10)
            ground.bury(worker)
        if ground.workers:
            return False
        if not ground.crashes:
            return True
        ground.start()  # the crash is noted; the campaign is brought to its end all the same
        return False

    def _strike(self) -> None:
        victim = self._drawn.choice(self._ground.workers)
        lot = self._drawn.random()
        if lot < 0.10:
            self._stop(victim, self._drawn.uniform(0.02, 0.3))
        elif lot < 0.16 and not self._slept:
            self._put_to_sleep(victim)
        else:
            self._kill([victim] if lot < 0.8 else list(self._ground.workers))

    def _kill(self, victims: Sequence[Forked]) -> None:
        before = self._ground.deaths
        for victim in victims:
            self._ground.kill(victim)
        self.kills += self._ground.deaths - before
        if not self._ground.workers:
            self._ground.let_leases_end()
        while len(self._ground.workers) < self._setup.workers:
            self._ground.start()

    def _stop(self, victim: Forked, seconds: float) -> None:
        victim.tell(SIGSTOP)
        self.stops += 1
        wait([other.sentinel for other in self._ground.workers if other is not victim], seconds)
        victim.tell(SIGCONT)

    def _put_to_sleep(self, victim: Forked) -> None:
        """Stop a worker for longer than its lease while another serves; then it wakes up and believes to go on."""
        self._slept = True
        self._ground.deaths += 1
        self._ground.start()
        self._stop(victim, LEASE * 1.3)


def _begin_to_leave(ground: Ground, setup: Setup, seed: int) -> list[tuple[Forked, Path]]:
    """A third of the audience leaves; each process that they leave in has people of its own."""
    people = list(ground.people.permitted.items())
    keys = [(key.id, key.secret) for key in KEYRING.keys]
    begun = []
    for number in range(setup.leavers):
        record = ground.folder / f"left-{number}.jsonl"
        order = Leaving(
            ground.url, people[number :: setup.leavers], keys, TOPIC, seed + number, 1 / 3,
            ground.folder / "accepted.jsonl", record,
        )  # fmt: skip
        begun.append((Forked(leave, order), record))
    return begun


def _note_who_left(ground: Ground, leaving: list[tuple[Forked, Path]]) -> None:
    for process, record in leaving:
        code = process.wait(60)
        assert code == 0, f"a leaver ended with {code}"
        for row in rows_of(record):
            ground.left[row["address"]] = row["at"]
