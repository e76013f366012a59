"""One measured campaign: through the launch, the workers, the gate and the ledger, to a sink."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from dispatcher.bench import load
from dispatcher.bench.meter import Cost, Meter
from dispatcher.bench.signing import SigningCost, signing_costs
from dispatcher.bench.stage import SENDER, Stage, stage
from dispatcher.domain.newsletters.accounts import Status

LETTER_OCTETS = 15_000  # 10 KB HTML and 2 KB text, quoted-printable, with headers


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured. `delay`: seconds to the relay and back."""

    name: str
    database: str
    people: int
    lanes: int
    workers: int
    delay: float = 0.0
    beside_source: bool = False
    with_signing: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it. Rates in letters a second, costs in CPU microseconds a letter."""

    name: str
    database: str
    people: int
    sent: int
    withheld: int
    unknown: int
    lanes: int
    workers: int
    rate: float
    source_rate: float | None
    worker_us: float
    database_us: float | None
    sink_us: float
    sender_mb: float
    largest_mb: float  # of the processes of a worker
    launch_s: float
    first_out_s: float
    last_out_s: float
    held_s: float | None = None  # for which a relay far away held its replies in truth, in the mean
    signing: tuple[SigningCost, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Our rate in terms of the bare load generator's."""
        return self.rate / self.source_rate if self.source_rate else None

    @property
    def of_the_line(self) -> float | None:
        """How much of what its lanes could do at best, if nothing took time but the relay: from the first letter's
        dot to the last one's answer.
        """
        if self.held_s is None:
            return None
        best = self.workers * self.lanes / self.held_s
        return self.sent / (self.last_out_s - self.first_out_s + self.held_s) / best


def measure(case: Case, tell: Callable[[str, float | None], None]) -> Figures:
    """Measure one case. `tell` hears what is being done, and the share that is done while it sends."""
    with load.sink(case.delay) as sink:
        url = f"smtp://127.0.0.1:{sink.port}?tls=none&lanes={case.lanes}&letters=0"
        tell("making people", None)
        with stage(case.database, case.people, url, case.workers) as house:
            programs = {"worker": house.worker_pid, "sink": sink.pid, **house.senders()}
            if house.database_pid is not None:
                programs["database"] = house.database_pid
            before = _source(case, sink, tell)
            meter = Meter(programs)
            meter.start()
            campaign_id = house.campaign()
            for share in house.follow(campaign_id):
                tell("sending", share)
            costs = meter.stop()
            status = house.status(campaign_id)
            after = _source(case, sink, tell)
            source = 2 / (1 / before + 1 / after) if before and after else None
            signing = tuple(signing_costs(house.letter(campaign_id))) if case.with_signing else ()
            held = load.held_s(sink) if case.delay else None
            return replace(_figures(case, house, campaign_id, status, costs, source), signing=signing, held_s=held)


def _source(case: Case, sink: load.Sink, tell: Callable[[str, float | None], None]) -> float | None:
    """Have smtp-source send a part of as many messages, before the campaign and after: a machine's pace changes."""
    if not case.beside_source:
        return None
    tell("smtp-source, the same size to the same sink", None)
    return load.source_rate(sink, LETTER_OCTETS, min(max(case.people, 10_000), 60_000))


def _figures(
    case: Case, house: Stage, campaign_id: int, status: Status, costs: dict[str, Cost], source: float | None
) -> Figures:
    of, first, last = house.times(campaign_id)
    assert of.send_at is not None
    sent = status.sent

    def us(name: str) -> float | None:
        return costs[name].cpu_s / sent * 1e6 if name in costs else None

    return Figures(
        name=case.name, database=case.database, people=case.people, sent=sent, withheld=status.withheld,
        unknown=status.unknown, lanes=case.lanes, workers=case.workers,
        rate=sent / (last - of.send_at).total_seconds(), source_rate=source,
        worker_us=us("worker") or 0.0, database_us=us("database"), sink_us=us("sink") or 0.0,
        sender_mb=max(cost.peak_mb for name, cost in costs.items() if name.startswith(SENDER)),
        largest_mb=costs["worker"].peak_mb, launch_s=house.launch_s,
        first_out_s=(first - of.send_at).total_seconds(), last_out_s=(last - of.send_at).total_seconds(),
    )  # fmt: skip
