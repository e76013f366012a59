"""A request that changes something, done once: in one transaction with the answer that is kept for its twins.

What must stay true: what is called for after the commit (a nudge, no more) is not needed for what was done; an answer
that is kept holds no address.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.responses import Response

from dispatcher.api.desk import AtDesk, Desk
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.domain.programs import api_answers
from dispatcher.domain.programs.api_answers import Answer

_REPLAYED = {"Idempotent-Replayed": "true"}


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, as it is told; `after` is called when it is committed. `kept` is what twins get, where
    what is told must not be stored. `finish` does what is left after the commit, and gives what is told then.
    """

    told: BaseModel
    after: Callable[[], object] | None = None
    kept: BaseModel | None = None
    finish: Callable[[], BaseModel] | None = None


@dataclass(frozen=True, slots=True)
class Once:
    """One request that may come twice."""

    desk: Desk
    key_id: int
    idempotency_key: str | None
    place: str  # method and path

    def do(
        self,
        said: BaseModel | None,
        act: Callable[[Connection, datetime], Done],
        status: int = 200,
        again: BaseModel | None = None,
    ) -> Response:
        """Do it, or give the answer that was kept; `again` in its stead, where it must not be kept. `said` is the
        content by which a twin is known. Raises OtherRequest, and whatever `act` does: then nothing was done and
        nothing is kept.
        """
        with self.desk.engine.begin() as conn:
            now = clock.now(conn)
            kept = self._recall(conn, said, now)
            if kept is not None:
                answer = kept if again is None else Answer(status, again.model_dump_json())
                return _response(answer, headers=_REPLAYED)
            done = act(conn, now)
            answer = Answer(status, done.told.model_dump_json())
            if self.idempotency_key is not None:
                kept = answer if done.kept is None else Answer(status, done.kept.model_dump_json())
                api_answers.keep(conn, self.key_id, self.idempotency_key, kept)
        if done.finish is not None:
            answer = Answer(status, done.finish().model_dump_json())
        return _response(answer, after=done.after)

    def kept(self, said: BaseModel | None) -> Response | None:
        """Give the answer that was kept, before work that no transaction may wait for; `do` asks again. Raises
        OtherRequest.
        """
        if self.idempotency_key is None:
            return None
        with reading(self.desk.engine).connect() as conn:
            answer = api_answers.kept(conn, self.key_id, self.idempotency_key, self._hash(said), clock.now(conn))
        return _response(answer, headers=_REPLAYED) if answer is not None else None

    def _recall(self, conn: Connection, said: BaseModel | None, now: datetime) -> Answer | None:
        if self.idempotency_key is None:
            return None
        return api_answers.recall(conn, self.key_id, self.idempotency_key, self._hash(said), now)

    def _hash(self, said: BaseModel | None) -> bytes:
        text = f"{self.place}\n{said.model_dump_json() if said is not None else ''}"
        return hashlib.sha256(text.encode()).digest()


async def _once(
    request: Request,
    desk: AtDesk,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$",
            description="A key of your making, best a UUID: a request that is repeated with it within a day is done "
            "once, and gets the same answer.",
        ),
    ] = None,
) -> Once:  # fmt: skip
    return Once(desk, request.state.caller.key.id, idempotency_key, f"{request.method} {request.scope['path']}")


OnceOnly = Annotated[Once, Depends(_once)]


def _response(
    answer: Answer, *, headers: dict[str, str] | None = None, after: Callable[[], object] | None = None
) -> Response:
    background = BackgroundTask(after) if after is not None else None
    return Response(answer.body, answer.status, headers, "application/json", background)
