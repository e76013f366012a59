"""The Celery app and `nudge`. What must stay true: a message is a wake-up and nothing more. A lost one costs seconds, a
doubled one finds nothing to do; the database knows what there is to do.

Queues instead of priorities: `control` for launches, `waited` for mail that a person waits for, `bulk` for campaigns.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import structlog
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from dispatcher.settings import Settings

log = structlog.get_logger()

CONTROL, WAITED, BULK = "control", "waited", "bulk"
DRAIN_BULK, DRAIN_WAITED, LAUNCH = "dispatcher.drain_bulk", "dispatcher.drain_waited", "dispatcher.launch"
# How a broker that is away shows: kombu names it at connecting, redis-py in the middle of a command.
_AWAY = (OperationalError, RedisError, OSError)

_CONFIGURATION: dict[str, Any] = {
    "task_queues": [Queue(name) for name in (CONTROL, WAITED, BULK)],
    "task_default_queue": CONTROL,
    "task_create_missing_queues": False,
    "task_routes": {DRAIN_BULK: {"queue": BULK}, DRAIN_WAITED: {"queue": WAITED}, LAUNCH: {"queue": CONTROL}},
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_ignore_result": True,
    "result_backend": None,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "worker_soft_shutdown_timeout": 20,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_pool_limit": 4,
    "broker_transport_options": {
        "visibility_timeout": 3600,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 15,
        # Whoever nudges does not wait for a broker that is away: the tick calls again.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },
    "timezone": "UTC",
    "enable_utc": True,
}


@cache
def make_app(broker_url: str) -> Celery:
    """Make the Celery app for a broker; nothing is connected yet."""
    app = Celery("dispatcher", broker=broker_url, set_as_current=False)
    app.conf.update(_CONFIGURATION)
    return app


def nudge_launch(settings: Settings, campaign_id: int) -> bool:
    """Call a worker to launch a campaign that is due now."""
    return _send(settings, LAUNCH, (campaign_id,))


def nudge_launches(settings: Settings, launching: Sequence[int]) -> bool:
    """Call for the next portion of each of these launches: none while as many calls wait to be heard already, for
    whoever hears one, whatever it is for, asks for the others. False: the broker did not take a call.
    """
    calls = len(launching) - (_length(settings, CONTROL) if launching else 0)
    return all(nudge_launch(settings, one) for one in launching[: max(calls, 0)])


def nudge_drains(settings: Settings, confirmations: int, newsletters: int, most: int) -> bool:
    """Call workers for waiting batches: at most `most` calls, and none while as many wait to be heard already.

    False: the broker did not take a call.
    """
    for queue, task, batches in ((WAITED, DRAIN_WAITED, confirmations), (BULK, DRAIN_BULK, newsletters)):
        calls = min(batches, most) - (_length(settings, queue) if batches else 0)
        for _ in range(calls):
            if not _send(settings, task, ()):
                return False
    return True


def answers(settings: Settings) -> str | None:
    """Ask the broker whether it is there; None: it is, else what is wrong."""
    try:
        with make_app(settings.broker_url).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
    except _AWAY as error:
        return str(error)
    return None


def lengths(settings: Settings) -> dict[str, int] | None:
    """Give how many calls wait in each queue; None: the broker does not answer."""
    try:
        with make_app(settings.broker_url).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
            channel: Any = connection.default_channel
            return {queue: int(channel.client.llen(queue)) for queue in (CONTROL, WAITED, BULK)}
    except _AWAY:
        return None


def _send(settings: Settings, task: str, ids: tuple[int, ...]) -> bool:
    try:
        make_app(settings.broker_url).send_task(task, ids, retry=False, ignore_result=True)
    except _AWAY as error:
        # Not an error of the caller's: the tick finds the work in the database.
        log.warning("nudge.unheard", task=task, error=type(error).__name__)
        return False
    return True


def _length(settings: Settings, queue: str) -> int:
    try:
        with make_app(settings.broker_url).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
            channel: Any = connection.default_channel
            return int(channel.client.llen(queue))
    except _AWAY as error:  # a length that is unknown is 0: to call once too often is harmless
        log.debug("queue.unknown", queue=queue, error=type(error).__name__)
        return 0
