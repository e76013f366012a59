"""One connection to the scripted relay (tests/relay.py): reads commands and content, asks the script, answers.

What must stay true: replies come in the order of the commands, a group of commands gets its replies in one write
(RFC 2920), and while an Act is being waited for nothing behind it is looked at.
"""

import asyncio
import base64
import binascii
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, cast

from tests.relay_script import Accepted, Act, Ask, Script, Settings

_PATH = re.compile(r"[^:]*:\s*<([^>]*)>")
_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)
_END = b"\r\n.\r\n"


class Witness(Protocol):
    """What a connection needs of the relay."""

    abandoned: list[bytes]
    lines: list[str]
    script: Script | None

    def act(self, ask: Ask) -> Act | None: ...
    def take_over(self, letter: Accepted) -> None: ...
    def begin(self, session: "Session") -> int: ...
    def end(self, session: "Session") -> None: ...
    def tell(self) -> None: ...


class Session(asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(self, witness: Witness, settings: Settings) -> None:
        self._witness = witness
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._buffer = bytearray()
        self._scanned = 0
        self._replies: list[bytes] = []
        self._written = 0
        self._waiting = False  # for an Act's delay, or for TLS
        self._closing = False
        self._in_content = False
        self._content_begun = False
        self._prompt = ""  # what the next line answers, within AUTH
        self._auth_user = ""
        self._logged_in = False
        self._secure = False
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._letters = 0
        self._upgrading: asyncio.Task[None] | None = None

    def abort(self) -> None:
        assert self._transport is not None
        self._closing = True
        self._transport.abort()
        if self._upgrading is not None and not self._upgrading.done():
            self._upgrading.cancel()
            self.connection_lost(None)  # no loop reports the end of a handshake that was called off

    def pending(self) -> bytes:
        return bytes(self._buffer) if self._in_content else b""

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._number = self._witness.begin(self)
        self._answer("BANNER", "", "220 relay.example.com ESMTP ready")
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._work()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.ended.done():
            return
        if self._in_content:
            self._witness.abandoned.append(bytes(self._buffer))
        self._closing = True
        self.ended.set_result(None)
        self._witness.end(self)

    # The dialogue

    def _work(self) -> None:
        while not (self._waiting or self._closing):
            if self._in_content:
                if not self._read_content():
                    break
                continue
            end = self._buffer.find(b"\n")
            if end < 0:
                break
            line = self._buffer[:end].decode("utf-8", "replace").rstrip("\r")
            del self._buffer[: end + 1]
            self._command(line)
        self._flush()

    def _command(self, line: str) -> None:
        if self._settings.keep_lines:
            self._witness.lines.append(line)
            self._witness.tell()
        if self._prompt:
            self._log_in_line(line)
            return
        verb = line.split(" ", 1)[0].upper()
        obey = _COMMANDS.get(verb[:4])
        if obey is None:
            self._answer(verb[:4], line, "502 5.5.1 no such command here")
        else:
            obey(self, line)

    def _hello(self, line: str) -> None:
        self._forget_letter()
        self._answer("EHLO", line, self._greeting())

    def _starttls(self, line: str) -> None:
        if self._settings.starttls is None or self._secure:
            self._answer("STARTTLS", line, "502 5.5.1 no TLS here")
        elif self._answer("STARTTLS", line, "220 2.0.0 go ahead") == 220 and not self._closing:
            self._waiting = True
            self._flush()
            self._upgrading = self._loop.create_task(self._upgrade())

    def _reset(self, line: str) -> None:
        self._forget_letter()
        self._answer("RSET", line, "250 2.0.0 forgotten")

    def _noop(self, line: str) -> None:
        self._answer("NOOP", line, "250 2.0.0 nothing done")

    def _quit(self, line: str) -> None:
        self._answer("QUIT", line, "221 2.0.0 good-bye", close=True)

    def _greeting(self) -> str:
        words = list(self._settings.extensions)
        if self._settings.starttls is not None and not self._secure:
            words.append("STARTTLS")
        if self._settings.users:
            words.append(f"AUTH {self._settings.log_ins}")
        lines = ["relay.example.com", *words]
        return "\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)

    def _mail(self, line: str) -> None:
        found = _PATH.match(line)
        if self._sender is not None:
            self._answer("MAIL", line, "503 5.5.1 nested MAIL")
        elif self._settings.users and not self._logged_in:
            self._answer("MAIL", line, "530 5.7.0 authentication required")
        elif found is None:
            self._answer("MAIL", line, "501 5.5.4 no path")
        elif self._answer("MAIL", line, "250 2.1.0 sender ok") // 100 == 2:
            self._sender = found[1]

    def _rcpt(self, line: str) -> None:
        found = _PATH.match(line)
        recipient = found[1] if found else ""
        if self._sender is None:
            self._answer("RCPT", line, "503 5.5.1 MAIL first", recipient=recipient)
        elif not recipient:
            self._answer("RCPT", line, "501 5.5.4 no path")
        elif self._answer("RCPT", line, "250 2.1.5 recipient ok", recipient=recipient) // 100 == 2:
            self._recipients.append(recipient)

    def _data(self, line: str) -> None:
        usual = "354 end with a dot" if self._recipients else "554 5.5.1 no valid recipients"
        if self._answer("DATA", line, usual) == 354:
            self._in_content, self._content_begun, self._scanned = True, False, 0

    def _read_content(self) -> bool:
        if not self._buffer:
            return False
        if not self._content_begun:
            self._content_begun = True
            if self._witness.script is not None and self._interfere("BODY"):
                return False
        if self._buffer.startswith(b".\r\n"):
            end, behind = 0, 3
        else:
            end = self._buffer.find(_END, max(0, self._scanned - 4))
            if end < 0:
                self._scanned = len(self._buffer)
                self._witness.tell()
                return False
            end, behind = end + 2, end + 5
        content = bytes(self._buffer[:end])
        del self._buffer[:behind]
        self._in_content = False
        self._dot(content)
        return True

    def _interfere(self, verb: str) -> bool:
        act = self._witness.act(self._ask(verb, "", self._recipient()))
        if act is None:
            return False
        self._carry_out(act, "")
        return self._closing or self._waiting

    def _dot(self, content: bytes) -> None:
        self._letters += 1
        usual = f"250 2.0.0 queued as {self._number:X}-{self._letters:X}"
        if not self._recipients:
            usual = "554 5.5.1 no valid recipients"
        self._answer("DOT", "", usual, content=content)
        self._forget_letter()

    def _take_over(self, content: bytes) -> None:
        found = _MESSAGE_ID.search(content, 0, 16384)
        raw = content.replace(b"\r\n.", b"\r\n").removeprefix(b".") if self._settings.keep_raw else b""
        self._witness.take_over(
            Accepted(
                message_id=found[1].decode() if found else "",
                sender=self._sender or "",
                recipient=self._recipient(),
                raw=raw,
                size=len(content),
                accepted_at=time.monotonic(),
                wall=time.time(),
                connection=self._number,
            )
        )

    def _forget_letter(self) -> None:
        self._sender = None
        self._recipients.clear()

    def _recipient(self) -> str:
        return ",".join(self._recipients)

    # AUTH (RFC 4954)

    def _log_in(self, line: str) -> None:
        words = line.split(" ")
        if not self._settings.users or len(words) < 2:
            self._answer("AUTH", line, "503 5.5.1 no AUTH here")
        elif words[1].upper() == "PLAIN" and len(words) == 3:
            _, user, password = [*_unpack(words[2]).split("\0"), "", ""][:3]
            self._check(user, password)
        elif words[1].upper() == "LOGIN":
            self._prompt = "user"
            self._say("334 VXNlcm5hbWU6")
        else:
            self._answer("AUTH", line, "504 5.5.4 unknown mechanism")

    def _log_in_line(self, line: str) -> None:
        if self._prompt == "user":
            self._auth_user, self._prompt = _unpack(line), "password"
            self._say("334 UGFzc3dvcmQ6")
        else:
            self._prompt = ""
            self._check(self._auth_user, _unpack(line))

    def _check(self, user: str, password: str) -> None:
        self._logged_in = bool(user) and self._settings.users.get(user) == password
        usual = "235 2.7.0 welcome" if self._logged_in else "535 5.7.8 wrong user or password"
        self._answer("AUTH", "", usual)

    # Answers

    def _answer(
        self,
        verb: str,
        line: str,
        usual: str,
        *,
        recipient: str = "",
        content: bytes | None = None,
        close: bool = False,
    ) -> int:
        """Give the usual reply or the script's, and its code; 0 when there is none."""
        act = None
        if self._witness.script is not None:
            act = self._witness.act(self._ask(verb, line, recipient or self._recipient()))
        if act is None:
            act = Act(close=close) if close else _USUAL
        code = _code(act, usual)
        if content is not None and (act.accept if act.accept is not None else code // 100 == 2):
            self._take_over(content)
        self._carry_out(act, usual)
        return code

    def _ask(self, verb: str, line: str, recipient: str) -> Ask:
        return Ask(verb, line, self._sender or "", recipient, self._number, self._letters)

    def _carry_out(self, act: Act, usual: str) -> None:
        if act.delay:
            self._waiting = True
            self._flush()
            self._loop.call_later(act.delay, self._resume, act, usual)
            return
        if not act.silent and (act.reply is not None or usual):
            self._say(act.reply if act.reply is not None else usual)
        if act.hang:
            assert self._transport is not None
            self._flush()
            self._waiting = True
            if act.stop_reading:
                self._transport.pause_reading()
        if act.close:
            self._close()

    def _resume(self, act: Act, usual: str) -> None:
        self._waiting = False
        if self._closing:
            return
        self._carry_out(replace(act, delay=0.0), usual)
        self._work()

    def _say(self, reply: str | bytes) -> None:
        self._replies.append(reply if isinstance(reply, bytes) else f"{reply}\r\n".encode())

    def _flush(self) -> None:
        if not self._replies or self._closing:
            return
        assert self._transport is not None
        out = b"".join(self._replies)
        self._replies.clear()
        limit = self._settings.cut_after
        if limit is not None and self._written + len(out) > limit:
            self._transport.write(out[: limit - self._written])
            self._written = limit
            self._close()
            return
        self._written += len(out)
        self._transport.write(out)

    def _close(self) -> None:
        assert self._transport is not None
        self._flush()
        self._closing = True
        self._transport.close()

    async def _upgrade(self) -> None:
        assert self._transport is not None
        assert self._settings.starttls is not None
        self._secure = True
        self._buffer.clear()
        try:
            secured = await self._loop.start_tls(self._transport, self, self._settings.starttls, server_side=True)
        except OSError:
            self._transport.abort()
            self.connection_lost(None)  # no loop reports the end of a failed handshake
            return
        if secured is None:
            self.connection_lost(None)
            return
        self._transport = secured
        self._waiting = False
        self._work()


_USUAL = Act()

_COMMANDS: dict[str, Callable[[Session, str], None]] = {
    "EHLO": Session._hello,
    "STAR": Session._starttls,
    "AUTH": Session._log_in,
    "MAIL": Session._mail,
    "RCPT": Session._rcpt,
    "DATA": Session._data,
    "RSET": Session._reset,
    "NOOP": Session._noop,
    "QUIT": Session._quit,
}


def _code(act: Act, usual: str) -> int:
    if act.silent:
        return 0
    reply = act.reply if act.reply is not None else usual
    text = reply.decode("latin-1") if isinstance(reply, bytes) else reply
    return int(text[:3]) if text[:3].isdigit() else 0


def _unpack(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
