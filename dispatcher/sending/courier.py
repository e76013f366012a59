"""Messages go out to the endpoints of webhooks: by the tick, on a thread of its own, so that a slow receiver holds up
neither campaigns nor other receivers.

What must stay true: a message is claimed and committed before it goes, and settled after; whoever is killed in between
leaves a claim that another takes over, under the same id. Nothing goes to an address inside (dispatcher/outgoing.py),
and no redirect is followed.
"""

import asyncio
import threading
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.engine import reading
from dispatcher.domain.programs import webhook_messages, webhooks
from dispatcher.domain.programs.webhook_messages import Answered, Message
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import NotFound
from dispatcher.outgoing import Answer, Outgoing, Passport, fetch

log = structlog.get_logger()
PATIENCE = 10.0  # seconds that a receiver may take
BUDGET = 30.0  # seconds in which a round begins new attempts
AT_ONCE = 8  # attempts at one receiver


@dataclass(frozen=True, slots=True)
class Satchel:
    """What a round works with."""

    engine: Engine
    keyring: Keyring
    passport: Passport
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class _Bundle:
    """What was claimed for one endpoint. `secret` None: the key that sealed it is gone."""

    url: str
    secret: bytes | None
    stamp: int  # seconds since 1970, by the database's clock
    messages: list[Message]


class Courier:
    """The rounds of one process: one at a time."""

    def __init__(self, satchel: Satchel) -> None:
        self._satchel = satchel
        self._round: threading.Thread | None = None

    def step(self) -> None:
        """Begin a round if something is due and none is under way. It ends with the process."""
        if self._round is not None and self._round.is_alive():
            return
        with reading(self._satchel.engine).connect() as conn:
            if not webhook_messages.due_endpoints(conn, clock.now(conn)):
                return
        self._round = threading.Thread(target=self._go, name="webhooks", daemon=True)
        self._round.start()

    def _go(self) -> None:
        try:
            deliver(self._satchel)
        except DBAPIError as error:
            log.warning("webhooks.failed", error=type(error).__name__)


def deliver(satchel: Satchel, budget: float = BUDGET) -> None:
    """Deliver what is due, to every endpoint at once; begin nothing more when the budget (seconds) is used up."""
    with reading(satchel.engine).connect() as conn:
        due = webhook_messages.due_endpoints(conn, clock.now(conn))
    asyncio.run(_deliver(satchel, due, steady() + budget))


async def _deliver(satchel: Satchel, endpoints: list[int], until: float) -> None:
    await asyncio.gather(*(_serve(satchel, endpoint_id, until) for endpoint_id in endpoints))


async def _serve(satchel: Satchel, endpoint_id: int, until: float) -> None:
    while steady() < until:
        try:
            bundle = await asyncio.to_thread(_claim, satchel, endpoint_id)
        except NotFound:  # it was taken away
            return
        if not bundle.messages:
            return
        answers = await asyncio.gather(*(_attempt(satchel, bundle, message) for message in bundle.messages))
        await asyncio.to_thread(_settle, satchel, endpoint_id, answers)


def _claim(satchel: Satchel, endpoint_id: int) -> _Bundle:
    with satchel.engine.begin() as conn:
        now = clock.now(conn)
        messages = webhook_messages.claim(conn, endpoint_id, now, AT_ONCE)
        of = webhooks.get(conn, endpoint_id)
        secret = webhooks.secret_of(conn, satchel.keyring, endpoint_id)
    return _Bundle(of.url, secret, int(now.timestamp()), messages)


async def _attempt(satchel: Satchel, bundle: _Bundle, message: Message) -> Answered:
    if bundle.secret is None:
        return Answered(message, "not sent: the key that sealed its secret is not in DISPATCHER_SECRET_KEYS")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "dispatcher",
        "webhook-id": message.message_id,
        "webhook-timestamp": str(bundle.stamp),
        "webhook-signature": webhooks.sign(bundle.secret, message.message_id, bundle.stamp, message.payload),
    }
    wanted = Outgoing(bundle.url, "POST", headers, message.payload.encode(), patience=satchel.patience)
    said = await fetch(wanted, satchel.passport)
    return Answered(message, str(said.status) if isinstance(said, Answer) else f"{said.trouble}: {said.why}")


def _settle(satchel: Satchel, endpoint_id: int, answers: list[Answered]) -> None:
    with satchel.engine.begin() as conn:
        lost = webhook_messages.settle(conn, endpoint_id, answers, clock.now(conn))
    for each in lost:
        log.error("webhooks.given_up", endpoint=endpoint_id, message=each.message.message_id)
