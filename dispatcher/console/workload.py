"""What waits to be done: letters, calls in the broker's queues, messages to the endpoints of webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from dispatcher import broker
from dispatcher.console.beside import Beside, Known
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import MessageState
from dispatcher.domain.programs import webhook_messages
from dispatcher.sending import sweep
from dispatcher.sending.sweep import Work
from dispatcher.settings import Settings


@dataclass(frozen=True, slots=True)
class Workload:
    """`queues`: calls that wait, by queue; None: the broker is away. `untold`: messages of webhooks that wait, and
    `given_up` those that nobody took.
    """

    work: Work
    queues: Mapping[str, int] | None
    untold: int
    given_up: int


def workloads(settings: Settings, engine: Engine) -> Beside[Workload]:
    """Give the newest, at most five seconds old."""

    def find() -> Known[Workload]:
        work, queues = sweep.waiting(engine), broker.lengths(settings)
        with reading(engine).connect() as conn:
            counted = webhook_messages.counts(conn).values()
            untold, given_up = (
                sum(each.get(state, 0) for each in counted) for state in (MessageState.WAITING, MessageState.GIVEN_UP)
            )
            return Known(Workload(work, queues, untold, given_up), clock.now(conn))

    return Beside("workload", find, good_for=5.0)
