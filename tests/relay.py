"""A scripted SMTP server on a real socket: the witness of what was really handed over.

    with ScriptedRelay(script={("RCPT", "anna@example.de"): say("550 5.1.1 no such user")}) as relay:
        ... send to relay.port, or to relay.url() ...
        assert [letter.recipient for letter in relay.accepted] == [...]

In a process of its own (it survives the death of the sender, and takes no CPU from it):

    with RelayProcess(record=tmp_path / "accepted.jsonl") as relay: ...      letters = read_record(path)
    python -m tests.relay --port 2525 --record accepted.jsonl --lose-reply 0.01

What must stay true: a letter is in `accepted`, and its line is written out to the record, before the first octet of
its 250 is sent; so what the sender calls Sent is always here, and what is here may be Unknown to the sender.

A script is a table or a callable. The table's keys are VERB or (VERB, recipient); a value is one Act for every time,
or a list of Acts of which each serves once. The callable gets an Ask and gives an Act, or None for the usual reply; it
runs in the relay's thread. VERBS: BANNER EHLO STARTTLS AUTH MAIL RCPT DATA BODY (first octets of content) DOT RSET
QUIT, and the other commands by their first four letters.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop

from dispatcher.smtp.relays import Relay, Tls
from tests.certificates import Certificate
from tests.processes import FORKS, Forked
from tests.relay_script import Accepted, Act, Ask, Script, Settings, accept_then_drop, drop, say, stall, tarpit
from tests.relay_session import Session

__all__ = [
    "Accepted", "Act", "Ask", "RelayProcess", "Script", "ScriptedRelay", "accept_then_drop", "drop", "read_record",
    "say", "stall", "tarpit",
]  # fmt: skip

EXTENSIONS = ("PIPELINING", "SIZE 33554432", "DSN", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
PLAIN_EXTENSIONS = tuple(word for word in EXTENSIONS if word != "PIPELINING")


class ScriptedRelay:
    """The server in a thread of this process. `script` may be replaced at any time."""

    def __init__(
        self,
        *,
        script: Script | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        tls: Tls = Tls.NONE,
        certificate: Certificate | None = None,
        users: Mapping[str, str] | None = None,
        log_ins: str = "PLAIN LOGIN",
        record: Path | None = None,
        receive_buffer: int = 0,
        keep_raw: bool = True,
        keep_lines: bool = True,
        keep_accepted: bool = True,
        port: int = 0,
    ) -> None:
        assert certificate is not None or tls is Tls.NONE
        self.script = script
        self.port = port
        self.accepted: list[Accepted] = []
        self.abandoned: list[bytes] = []  # content whose dot never came
        self.lines: list[str] = []  # every command line
        self.connections = 0  # ever made
        self.open_connections = 0
        self._keep_accepted = keep_accepted
        self._tls = tls
        self._certificate = certificate
        self._receive_buffer = receive_buffer
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if record else None
        self._context = certificate.server_context() if certificate else None
        self._settings = Settings(
            extensions=tuple(extensions),
            starttls=self._context if tls is Tls.STARTTLS else None,
            users=dict(users or {}),
            log_ins=log_ins,
            keep_raw=keep_raw,
            keep_lines=keep_lines,
        )
        self._used: dict[str | tuple[str, str], int] = {}
        self._changed = threading.Condition()
        self._sessions: set[Session] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()

    # What tests call

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="scripted relay", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._stop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self._record is not None:
            os.close(self._record)

    def url(self, **options: str | int) -> str:
        """Give the URL for settings: loopback by address, or `localhost` when the relay speaks TLS."""
        if self._certificate is not None:
            options = {"tls": self._tls.value, "ca": self._certificate.ca_file, **options}
        else:
            options = {"tls": "none", **options}
        host = "localhost" if self._certificate is not None else "127.0.0.1"
        return f"smtp://{host}:{self.port}?" + "&".join(f"{name}={value}" for name, value in options.items())

    def relay(self, **fields: Any) -> Relay:
        """Give the Relay that a lane is opened to."""
        known: dict[str, Any] = {"name": "witness", "host": "127.0.0.1", "port": self.port, "tls": self._tls}
        if self._certificate is not None:
            known |= {"host": "localhost", "ca_file": self._certificate.ca_file}
        return Relay(**{**known, **fields})

    def wait_until(self, claim: Callable[["ScriptedRelay"], bool], seconds: float = 60.0) -> bool:
        """Wait for `claim(self)` to hold; it is looked at whenever anything happens here."""
        with self._changed:
            return self._changed.wait_for(lambda: claim(self), seconds)

    def cut_after(self, octets: int | None) -> None:
        """Break every later connection after so many octets of the relay's side; None: no more."""
        self._settings = replace(self._settings, cut_after=octets)

    def pending(self) -> bytes:
        """Give the content that lies here without its dot, of all open connections."""
        return b"".join(session.pending() for session in list(self._sessions))

    def close_connections(self) -> None:
        """Break every open connection now."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._abort_all)

    def break_off(self) -> None:
        """Break every open connection; when this returns, they are closed."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._break_off(), self._loop).result(10)

    # What sessions call

    def act(self, ask: Ask) -> Act | None:
        """Find what the script wants done at `ask`."""
        script = self.script
        if script is None:
            return None
        if callable(script):
            return script(ask)
        for key in ((ask.verb, ask.recipient), ask.verb):
            found = script.get(key)
            if isinstance(found, Act):
                return found
            if found is not None:
                number = self._used.get(key, 0)
                if number < len(found):
                    self._used[key] = number + 1
                    return found[number]
        return None

    def take_over(self, letter: Accepted) -> None:
        """Keep `letter` for good: called before its 250 is sent."""
        if self._keep_accepted:
            self.accepted.append(letter)
        if self._record is not None:
            os.write(self._record, (json.dumps(letter.as_row()) + "\n").encode())
        self.tell()

    def begin(self, session: Session) -> int:
        self._sessions.add(session)
        self.connections += 1
        self.open_connections += 1
        self.tell()
        return self.connections

    def end(self, session: Session) -> None:
        self._sessions.discard(session)
        self.open_connections -= 1
        self.tell()

    def tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # The thread

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        context = self._context if self._tls is Tls.TLS else None
        listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        if self._receive_buffer:  # accepted sockets inherit it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        self.port = listener.getsockname()[1]
        server = await self._loop.create_server(lambda: Session(self, self._settings), sock=listener, ssl=context)
        self._ready.set()
        await self._stop.wait()
        server.close()
        ends = [session.ended for session in self._sessions]
        self._abort_all()
        await asyncio.gather(*ends)
        await server.wait_closed()

    async def _break_off(self) -> None:
        ends = [session.ended for session in self._sessions]
        self._abort_all()
        await asyncio.gather(*ends)
        await asyncio.sleep(0)  # the loop closes a socket after it told the session of its end

    def _abort_all(self) -> None:
        for session in list(self._sessions):
            session.abort()


class RelayProcess:
    """The same server in a process of its own; reads the record when asked what was accepted."""

    def __init__(self, record: Path, *options: str) -> None:
        self.record = record
        self._options = options
        self._process: Forked | None = None
        self.port = 0

    def __enter__(self) -> Self:
        ours, theirs = FORKS.Pipe()
        self._process = Forked(main, ["--record", str(self.record), *self._options], theirs)
        theirs.close()
        assert ours.poll(20), "the relay did not start"
        self.port = int(ours.recv())
        ours.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, **options: str | int) -> str:
        """Give the URL for settings."""
        options = {"tls": "none", **options}
        return f"smtp://127.0.0.1:{self.port}?" + "&".join(f"{name}={value}" for name, value in options.items())

    def accepted(self) -> list[Accepted]:
        """Give what was accepted so far."""
        return read_record(self.record)

    def count(self) -> int:
        """Say how many letters were accepted so far."""
        return self.record.read_bytes().count(b"\n") if self.record.exists() else 0


def read_record(path: Path) -> list[Accepted]:
    """Read a record; a last line that is still being written is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [Accepted.from_row(json.loads(line)) for line in lines]


class Faults:
    """A script: the share `accepted` of letters is taken and the reply lost, the share `before` is not taken; the
    others are answered after `delay` seconds.
    """

    def __init__(self, accepted: float, before: float, delay: float, seed: int) -> None:
        self._accepted = accepted
        self._before = before
        self._slow = Act(delay=delay) if delay else None
        self._random = random.Random(seed)

    def __call__(self, ask: Ask) -> Act | None:
        if ask.verb != "DOT":
            return None
        drawn = self._random.random()
        if drawn < self._accepted:
            return accept_then_drop()
        return drop() if drawn < self._accepted + self._before else self._slow


def main(words: Sequence[str] | None = None, ready: Connection | None = None) -> None:
    """Serve until a signal comes. With `ready`, whoever waits there is told the port."""
    parser = argparse.ArgumentParser(description="An SMTP server that records what it accepts. Loopback only.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one; it is printed")
    parser.add_argument("--record", type=Path, help="JSON lines, one a letter, appended")
    parser.add_argument("--raw", action="store_true", help="put whole letters into the record")
    parser.add_argument("--lose-reply", type=float, default=0.0, help="share of letters accepted, then dropped")
    parser.add_argument("--lose-dot", type=float, default=0.0, help="share of letters dropped instead of accepted")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer to a dot")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-pipelining", action="store_true")
    given = parser.parse_args(words)
    scripted = given.lose_reply or given.lose_dot or given.delay
    relay = ScriptedRelay(
        port=given.port,
        record=given.record,
        keep_raw=given.raw,
        keep_lines=False,
        keep_accepted=given.record is None,
        extensions=PLAIN_EXTENSIONS if given.no_pipelining else EXTENSIONS,
        script=Faults(given.lose_reply, given.lose_dot, given.delay, given.seed) if scripted else None,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with relay, contextlib.suppress(KeyboardInterrupt):
        if ready is not None:
            ready.send(relay.port)
            ready.close()
        else:
            sys.stdout.write(f"listening on 127.0.0.1:{relay.port}\n")
            sys.stdout.flush()
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
