"""Who comes in: the key, how often it may ask, and how long it may take to say what it wants.

What must stay true: nothing is read or done before the key is known; a key in the address line is none, for such lines
are logged; a revoked key is refused at the next request.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from dispatcher.api import problems
from dispatcher.api.desk import Desk
from dispatcher.api.problems import ScopeLacking
from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.engine import reading
from dispatcher.db.terms import Scope
from dispatcher.domain.programs import api_keys
from dispatcher.domain.programs.api_keys import ApiKey
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Actor

MOST_SECONDS = 60  # from the first octet of a request to its last
MOST_BYTES = 1024 * 1024
MOST_SECONDS_OF_FILE = 3600
_FILES = "/imports"  # where files of people are handed in
_OPEN = ("/openapi.json", "/problems/")  # tell nothing of anybody
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How often a key may ask, in one web process: so many at once, and so many a second in the long run."""

    burst: int = 120
    per_second: float = 20.0


@dataclass(frozen=True, slots=True)
class Caller:
    """The program that asks, by its key."""

    key: ApiKey

    @property
    def by(self) -> str:
        """Give how it stands in proofs and logs."""
        return f"API key {self.key.id} ({self.key.name})"

    @property
    def actor(self) -> Actor:
        """Give how the audit log names it."""
        return audit.program(self.key.name)

    def require(self, *scopes: Scope) -> None:
        """Raises ScopeLacking."""
        if lacking := [scope for scope in scopes if scope not in self.key.scopes]:
            raise ScopeLacking(
                f"the key {self.key.hint}... lacks: {', '.join(lacking)}",
                "make one that has it: dispatcher keys create NAME --scope " + lacking[0],
            )


_bearer = HTTPBearer(scheme_name="key", description="A key that `dispatcher keys create` made.", auto_error=False)


async def _caller(
    request: Request, needed: SecurityScopes, _sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    caller: Caller = request.state.caller
    caller.require(*(Scope(word) for word in needed.scopes))
    return caller


def needs(*scopes: Scope) -> Caller:
    """Make the parameter of a route that says which scopes a key must have for it, all of them."""
    caller: Caller = Security(_caller, scopes=[scope.value for scope in scopes])
    return caller


class Buckets:
    """How much each key has left of its allowance: a bucket that fills steadily."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._left: dict[int, tuple[float, float]] = {}

    def take(self, key_id: int) -> float:
        """Take one; 0, or how many seconds until there is one."""
        now, most = steady(), self._allowance
        left, at = self._left.get(key_id, (float(most.burst), now))
        left = min(most.burst, left + (now - at) * most.per_second)
        if left < 1:
            self._left[key_id] = (left, now)
            return (1 - left) / most.per_second
        self._left[key_id] = (left - 1, now)
        return 0.0


class Entrance:
    """Stands before every route."""

    def __init__(self, app: ASGIApp, *, desk: Desk, allowance: Allowance) -> None:
        self._app = app
        self._desk = desk
        self._allowance = allowance
        self._buckets = Buckets(allowance)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_open(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        found = await run_in_threadpool(self._find, _key_of(request))
        if isinstance(found, str):
            headers = {"WWW-Authenticate": "Bearer"}
            refused = problems.answer(request, "no-key", found, "dispatcher keys create makes one", headers=headers)
            await refused(scope, receive, send)
            return
        if wait := self._buckets.take(found.id):
            headers = {"Retry-After": str(int(wait) + 1)}
            what = f"the key asks more than {self._allowance.per_second} times a second"
            refused = problems.answer(request, "too-many", what, "wait, and ask less often", headers=headers)
            await refused(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = Caller(found)
        await self._app(scope, _within_bounds(receive, *self._bounds(scope)), send)

    def _bounds(self, scope: AsgiScope) -> tuple[float, int]:
        """Give in how many seconds a body has to be there, and of how many octets: of a file of people more."""
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == _FILES and scope["method"] == "POST":
            return MOST_SECONDS_OF_FILE, self._desk.settings.upload_limit
        return MOST_SECONDS, MOST_BYTES

    def _is_open(self, scope: AsgiScope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        return path.startswith(_OPEN)

    def _find(self, key: str | None) -> ApiKey | str:
        """Find a good key; else say what is wrong."""
        if key is None:
            return "no key was sent; send it as Authorization: Bearer KEY"
        with reading(self._desk.engine).connect() as conn:
            now = clock.now(conn)
            found = api_keys.find(conn, key)
        if found is None:
            return "this key is not known here"
        if not found.is_good(now):
            return "this key was revoked" if found.revoked_at else "the time of this key is over"
        self._note(found, now)
        return found

    def _note(self, key: ApiKey, now: datetime) -> None:
        if api_keys.is_use_due(key, now):
            with self._desk.engine.begin() as conn:
                api_keys.note_use(conn, key.id, now)


def _key_of(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None


def _within_bounds(receive: Receive, seconds: float, most: int) -> Receive:
    """Give the body as it comes: for so long, then it counts as cut off; so many octets, then it is too large.

    What a Content-Length says is not believed, and so need not be read.
    """
    end, is_whole, octets = steady() + seconds, False, 0

    async def receive_in_time() -> Message:
        nonlocal is_whole, octets
        if is_whole:  # what comes after it is the end of the line, for which nobody is hurried
            return await receive()
        async with asyncio.timeout(max(end - steady(), 0)):
            message = await receive()
        octets += len(message.get("body", b""))
        if octets > most:
            raise HTTPException(413)
        is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return receive_in_time
