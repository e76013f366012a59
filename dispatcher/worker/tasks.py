"""The tasks. Each is safe to run twice, late, or never: a sender looks into the database for what there is to do."""

from celery import Celery, signals

from dispatcher import broker
from dispatcher.db.terms import CampaignKind
from dispatcher.settings import Settings
from dispatcher.worker.crew import Crew
from dispatcher.worker.orders import Order, Waiting
from dispatcher.worker.stop import Stop

BUDGET = 60.0  # seconds in which a task begins new letters; then it calls for another
CALLS = 16  # drains that may wait to be heard


def call_workers(settings: Settings, waiting: Waiting) -> bool:
    """Call for as many drains as there is work, then for the next portion of each launch. False: nobody can be called,
    the broker is away.
    """
    are_heard = broker.nudge_drains(settings, waiting.confirmations, waiting.newsletters, CALLS)
    return are_heard and broker.nudge_launches(settings, waiting.launching)


def make_worker_app(settings: Settings, crew: Crew, stop: Stop) -> Celery:
    """Make the Celery app with its tasks, for a worker to run. `stop` is set when the worker is told to end."""
    app = broker.make_app(settings.broker_url)

    @signals.worker_shutting_down.connect(weak=False)
    def _shut_down(**_: object) -> None:
        stop.tell()

    @app.task(name=broker.DRAIN_BULK)
    def drain_bulk() -> None:
        """Send newsletters."""
        call_workers(settings, crew.follow(Order((CampaignKind.NEWSLETTER,), BUDGET)))

    @app.task(name=broker.DRAIN_WAITED)
    def drain_waited() -> None:
        """Send mail that a person waits for."""
        crew.follow(Order((CampaignKind.CONFIRMATION,), BUDGET))

    @app.task(name=broker.LAUNCH)
    def launch(campaign_id: int) -> None:
        """Freeze a due campaign's audience, a portion at a time, and begin."""
        call_workers(settings, crew.follow(Order(launch=campaign_id)))

    return app
