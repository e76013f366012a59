"""/webhooks: endpoints that are told what happens here, and what was sent to them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints
from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import Cursor, EndpointId, Limit, Moment, Said, Told, decode, encode
from dispatcher.db.engine import reading
from dispatcher.db.terms import MessageState, Scope, WebhookKind
from dispatcher.domain.programs import webhook_messages
from dispatcher.domain.programs import webhooks as domain
from dispatcher.domain.programs.webhooks import Endpoint

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

Writer = Annotated[Caller, needs(Scope.WEBHOOKS_WRITE)]


def _distinct(kinds: tuple[WebhookKind, ...]) -> tuple[WebhookKind, ...]:
    return tuple(dict.fromkeys(kinds))


Kinds = Annotated[tuple[WebhookKind, ...], Field(min_length=1, max_length=len(WebhookKind)), AfterValidator(_distinct)]


class EndpointSaid(Said):
    """Whom to tell what."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x20\x7f]*$")] = Field(
        description="Where to send it: https, without a log-in."
    )
    types: Kinds = Field(description="Of what it is told. `webhook.test` cannot be asked for: every endpoint takes it.")


class ReplaySaid(Said):
    """What to send once more."""

    since: AwareDatetime | None = Field(
        default=None, description="Everything that happened since then; null: what was given up."
    )


class EndpointTold(Told):
    """An endpoint."""

    id: int
    url: str
    types: list[WebhookKind]
    created_at: Moment
    delivered_at: Moment | None = Field(description="When it last took something.")
    off_at: Moment | None = Field(description="Since when it is told nothing; null: it is on.")
    off_why: str | None = Field(description="Why we switched it off; null: it is on, or somebody did.")


class EndpointMade(EndpointTold):
    """An endpoint that is new, with its secret."""

    secret: str | None = Field(
        description="With it a receiver checks our signatures. Told once: null for a repeated request."
    )


class EndpointsTold(Told):
    """All endpoints, the oldest first."""

    items: list[EndpointTold]


class MessageTold(Told):
    """A message, and what became of it."""

    id: str = Field(description="`webhook-id`, the same at each attempt.")
    type: WebhookKind
    at: Moment = Field(description="When it happened.")
    state: MessageState
    due_at: Moment | None = Field(description="When it is tried next.")
    attempts: int
    answer: str | None = Field(description="What came of the last attempt: a status, or why there was none.")
    payload: str = Field(description="What is signed and sent, JSON.")


class MessagePage(Told):
    """Messages, the newest first."""

    items: list[MessageTold]
    next: str | None


class TestTold(Told):
    """A test that is on its way."""

    id: str = Field(description="The message: a worker sends it within seconds, and the list of messages has it.")


class ReplayTold(Told):
    """What goes once more."""

    messages: int


@router.get("", operation_id="list_webhooks")
def list_(desk: AtDesk, _: Writer) -> EndpointsTold:
    """List the endpoints, those that are off too."""
    with reading(desk.engine).connect() as conn:
        return EndpointsTold(items=[_told(of) for of in domain.listed(conn)])


@router.post("", operation_id="add_webhook", status_code=201, response_model=EndpointMade)
def add(desk: AtDesk, caller: Writer, once: OnceOnly, said: EndpointSaid) -> Response:
    """Enter an endpoint. Its secret is in this answer and in no other."""
    wanted = domain.kinds_of(said.types)

    def act(conn: Connection, now: datetime) -> Done:
        made, secret = domain.add(conn, desk.keyring, said.url, wanted, caller.by, now)
        facts = _told(made).model_dump()
        told, kept = (EndpointMade.model_validate({**facts, "secret": one}) for one in (secret, None))
        return Done(told, kept=kept)

    return once.do(said, act, 201)


@router.get("/{endpoint_id}", operation_id="get_webhook")
def get(desk: AtDesk, _: Writer, endpoint_id: EndpointId) -> EndpointTold:
    """Give one endpoint."""
    with reading(desk.engine).connect() as conn:
        return _told(domain.get(conn, endpoint_id))


@router.get("/{endpoint_id}/messages", operation_id="list_webhook_messages")
def messages(
    desk: AtDesk, _: Writer, endpoint_id: EndpointId, cursor: Cursor = None, limit: Limit = 100
) -> MessagePage:
    """List what an endpoint was or is to be told, the newest first."""
    kind = f"messages {endpoint_id}"
    place = decode(kind, cursor, int)
    with reading(desk.engine).connect() as conn:
        domain.get(conn, endpoint_id)
        found = webhook_messages.log_of(conn, endpoint_id, limit + 1, place[0] if place else None)
    items = [
        MessageTold(
            id=m.message_id, type=m.kind, at=m.at, state=m.state, due_at=m.due_at, attempts=m.attempts, answer=m.answer,
            payload=m.payload,
        )
        for m in found[:limit]
    ]  # fmt: skip
    return MessagePage(items=items, next=encode(kind, found[limit - 1].id) if len(found) > limit else None)


@router.post("/{endpoint_id}/test", operation_id="test_webhook", status_code=202, response_model=TestTold)
def test(_: Writer, once: OnceOnly, endpoint_id: EndpointId) -> Response:
    """Send an endpoint a message of no meaning."""
    return once.do(None, lambda conn, now: Done(TestTold(id=domain.try_out(conn, endpoint_id, now))), 202)


@router.post("/{endpoint_id}/replay", operation_id="replay_webhook", status_code=202, response_model=ReplayTold)
def replay(_: Writer, once: OnceOnly, endpoint_id: EndpointId, said: ReplaySaid) -> Response:
    """Send once more what an endpoint did not take, or all it was told since a moment, under the same ids."""

    def act(conn: Connection, now: datetime) -> Done:
        return Done(ReplayTold(messages=webhook_messages.replay(conn, endpoint_id, said.since, now)))

    return once.do(said, act, 202)


@router.post("/{endpoint_id}/off", operation_id="switch_webhook_off", response_model=EndpointTold)
def off(_: Writer, once: OnceOnly, endpoint_id: EndpointId) -> Response:
    """Tell an endpoint nothing any more. What happens meanwhile it is never told."""
    return once.do(None, lambda conn, now: Done(_told(domain.switch_off(conn, endpoint_id, now))))


@router.post("/{endpoint_id}/on", operation_id="switch_webhook_on", response_model=EndpointTold)
def on(_: Writer, once: OnceOnly, endpoint_id: EndpointId) -> Response:
    """Tell an endpoint again what happens, and what waits for it."""
    return once.do(None, lambda conn, _now: Done(_told(domain.switch_on(conn, endpoint_id))))


def _told(of: Endpoint) -> EndpointTold:
    return EndpointTold(
        id=of.id, url=of.url, types=list(of.kinds), created_at=of.created_at, delivered_at=of.delivered_at,
        off_at=of.off_at, off_why=of.off_why,
    )  # fmt: skip
