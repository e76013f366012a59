"""A small house with a file of endings, and ways to put its database back, for tests of what outlives a restore."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, select

from dispatcher.db.engine import make_engine
from dispatcher.db.tables import ending_file, metadata, subscription, suppression
from dispatcher.db.terms import Topic
from dispatcher.domain import endings as lines
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.endings import Line
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import endings
from dispatcher.sending.endings import EndingsFile
from tests.guards import unguarded


@dataclass
class Kept:
    """A database whose engine writes its endings to a file, and that can be put back to an earlier moment."""

    engine: Engine
    file: EndingsFile
    keyring: Keyring
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def back_up(self) -> None:
        """Remember every row there is."""
        with self.engine.begin() as conn:
            for table in metadata.sorted_tables:
                self.rows[table.name] = [dict(row) for row in conn.execute(select(table)).mappings()]

    def put_back(self) -> None:
        """Make every table what it was, past everything that guards it: as a restore does."""
        bare = make_engine(self.engine.url.render_as_string(hide_password=False))
        with bare.begin() as conn, unguarded(conn):
            for table in reversed(metadata.sorted_tables):
                conn.execute(table.delete())
            for table in metadata.sorted_tables:
                if self.rows[table.name]:
                    conn.execute(insert(table), self.rows[table.name])
        bare.dispose()

    def lines(self) -> list[Line]:
        return list(lines.read(self.file.path.read_bytes(), 0).lines)

    def hash(self, address: str) -> bytes:
        return address_hash(self.keyring, parse_address(address))

    def mark(self) -> int:
        with self.engine.begin() as conn:
            return int(conn.execute(select(ending_file.c.octets)).scalar_one())

    def reasons(self, address: str) -> dict[str, str]:
        """Give what the never-mail list says of an address, by scope."""
        n = suppression.c
        with self.engine.begin() as conn:
            rows = conn.execute(select(n.scope, n.reason).where(n.address_hash == self.hash(address)))
            return {row.scope: row.reason for row in rows}

    def state(self, subscriber_id: int, topic: Topic = Topic.FINANCE_NEWS) -> str | None:
        s = subscription.c
        with self.engine.begin() as conn:
            return conn.execute(
                select(s.state).where(s.subscriber_id == subscriber_id, s.topic == topic)
            ).scalar_one_or_none()


def open_kept(engine: Engine, keyring: Keyring, folder: Path) -> Kept:
    """Open a database of each kind with a file of endings in this folder."""
    file = EndingsFile(folder / "elsewhere" / "endings.jsonl", keyring.oldest.fingerprint())
    return Kept(endings.keep(engine, file), file, keyring)
