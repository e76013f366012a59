"""A local catch-all: an SMTP server that takes every mail and delivers none, and pages to read them in a browser.

For `dispatcher demo`, and for a set-up without a relay of its own. Mails lie as files in a folder, and only a line of
each is kept in memory.
"""

import asyncio
import email
import email.policy
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from dispatcher.assets import templates

_PAGE = 100
_HEADERS = BytesHeaderParser(policy=email.policy.default)
_ENVELOPE = ("X-Envelope-From", "X-Envelope-To")


@dataclass(frozen=True, slots=True)
class Caught:
    """A line of the mailbox."""

    no: int
    sender: str
    recipient: str
    subject: str


class Mailbox:
    """The mails that were taken, newest last, as files `1.eml`, `2.eml`, ..."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.eml"):
            old.unlink()
        self.lines: list[Caught] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  (aiosmtpd's name)
        """Keep a mail; the file is written before it is said to be taken."""
        content = envelope.content
        assert isinstance(content, bytes)
        message = _HEADERS.parsebytes(content.partition(b"\r\n\r\n")[0])
        no = len(self.lines) + 1
        head = "".join(
            f"{name}: {value}\r\n"
            for name, value in zip(_ENVELOPE, (envelope.mail_from, ", ".join(envelope.rcpt_tos)), strict=True)
        )
        (self.folder / f"{no}.eml").write_bytes(head.encode() + content)
        sender, subject = str(message["From"] or ""), str(message["Subject"] or "")
        self.lines.append(Caught(no, sender, ", ".join(envelope.rcpt_tos), subject))
        return f"250 2.0.0 taken as {no}"

    def read(self, no: int) -> EmailMessage:
        """Read a mail back. Raises HTTPException 404."""
        message = email.message_from_bytes(self.raw(no), policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        return message

    def raw(self, no: int) -> bytes:
        """Give a mail's bytes, the envelope in two header lines before it. Raises HTTPException 404."""
        if not 1 <= no <= len(self.lines):
            raise HTTPException(404, "there is no such mail")
        return (self.folder / f"{no}.eml").read_bytes()


def make_pages(mailbox: Mailbox) -> Starlette:
    """Make the pages: the list, a mail, and its parts."""
    pages = Jinja2Templates(templates() / "web" / "catcher")

    async def index(request: Request) -> Response:
        wanted = request.query_params.get("q", "").strip().lower()
        found = [c for c in reversed(mailbox.lines) if wanted in f"{c.recipient} {c.subject}".lower()]
        context = {"mails": found[:_PAGE], "found": len(found), "total": len(mailbox.lines), "q": wanted}
        return pages.TemplateResponse(request, "list.html", context)

    async def mail(request: Request) -> Response:
        no = request.path_params["no"]
        message = mailbox.read(no)
        headers = [(name, str(value)) for name, value in message.items()]
        context = {"mail": mailbox.lines[no - 1], "headers": headers, "text": _part(message, "plain"), "view": "mail"}
        return pages.TemplateResponse(request, "mail.html", context)

    async def html(request: Request) -> Response:
        return HTMLResponse(
            _part(mailbox.read(request.path_params["no"]), "html"),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"},
        )

    async def raw(request: Request) -> Response:
        return PlainTextResponse(mailbox.raw(request.path_params["no"]))

    return Starlette(
        routes=[
            Route("/", index),
            Route("/{no:int}", mail),
            Route("/{no:int}/html", html),
            Route("/{no:int}/raw", raw),
        ]
    )


async def run_catcher(folder: Path, smtp_port: int, port: int) -> None:
    """Serve SMTP and pages on this machine only, until told to end."""
    mailbox = Mailbox(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mailbox, enable_SMTPUTF8=True, hostname="catcher.localhost", ident="mail catcher"),
        "127.0.0.1",
        smtp_port,
    )
    config = uvicorn.Config(
        make_pages(mailbox), host="127.0.0.1", port=port, log_level="warning", access_log=False, server_header=False
    )
    async with server:
        await uvicorn.Server(config).serve()


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else str(part.get_content())
