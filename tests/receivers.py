"""Receivers of webhooks: real servers behind real TLS, and an endpoint for them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from standardwebhooks.webhooks import Webhook

from dispatcher.db import clock
from dispatcher.db.tables import metadata, webhook_message
from dispatcher.db.terms import WebhookKind
from dispatcher.domain.programs import webhooks
from dispatcher.domain.programs.webhooks import KINDS
from dispatcher.domain.tokens import Keyring
from dispatcher.outgoing import Passport
from dispatcher.sending import courier
from dispatcher.sending.courier import Satchel
from tests.certificates import Certificate, make_certificate
from tests.web_server import Says, WebServer, running_web


@dataclass
class Receiver:
    """A receiver, and its endpoint in a house."""

    web: WebServer
    engine: Engine
    keyring: Keyring
    id: int
    secret: str
    patience: float = 20.0

    def deliver(self) -> None:
        """Let one round of messages go out."""
        passport = Passport(frozenset({f"127.0.0.1:{self.web.port}"}))
        courier.deliver(Satchel(self.engine, self.keyring, passport, self.patience))

    def let_time_pass(self) -> None:
        """Everything that waits is due."""
        with self.engine.begin() as conn:
            past = clock.now(conn) - timedelta(seconds=1)
            conn.execute(update(webhook_message).where(webhook_message.c.due_at.is_not(None)).values(due_at=past))

    def told(self) -> list[Any]:
        """Give what came, each verified by a library that is not ours."""
        by = Webhook(self.secret)
        came = zip(self.web.asked, self.web.headers, strict=True)
        return [by.verify(body, headers) for (_, _, body), headers in came]

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers in self.web.headers]

    def messages(self) -> list[Any]:
        with self.engine.begin() as conn:
            m = webhook_message.c
            return list(conn.execute(select(webhook_message).where(m.endpoint_id == self.id).order_by(m.id)))

    def row(self) -> Any:
        table = metadata.tables["webhook_endpoint"]
        with self.engine.begin() as conn:
            return conn.execute(select(table).where(table.c.id == self.id)).one()


def add_endpoint(engine: Engine, keyring: Keyring, url: str, kinds: Sequence[WebhookKind] = KINDS) -> tuple[int, str]:
    """Enter an endpoint; give its id and its secret."""
    with engine.begin() as conn:
        made, secret = webhooks.add(conn, keyring, url, kinds, "a test", clock.now(conn))
    return made.id, secret


@contextmanager
def receiving(
    engine: Engine, keyring: Keyring, certificate: Certificate, says: Says | None = None,
    pages: Mapping[str, Says] | None = None,
) -> Iterator[Receiver]:  # fmt: skip
    """Run a receiver at /hooks."""
    with running_web({"/hooks": says or Says(204, b""), **(pages or {})}, certificate.server_context()) as web:
        yield Receiver(web, engine, keyring, *add_endpoint(engine, keyring, web.url("/hooks")))


def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """Make a certificate for this machine that OpenSSL trusts, as it would one of a real authority."""
    made = make_certificate(tmp_path / "tls", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", made.ca_file)
    return made


def payload(row: Any) -> Any:
    """Read what a message says."""
    return json.loads(row.payload)
