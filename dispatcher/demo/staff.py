"""Made-up people who work in the demo's house, and the account with which one looks at its console."""

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from dispatcher.db import clock
from dispatcher.db.terms import Language, Role
from dispatcher.domain.staff import audit, members, passwords
from dispatcher.domain.staff.audit import Actor, Deed
from dispatcher.domain.staff.members import Candidate

ADMIN = "admin@example.de"
_EDITOR, _SENDER = "redaktion@example.de", "versand@example.de"
_COLLEAGUES = (
    (_EDITOR, "Klara Feldmann", Role.EDITOR),
    (_SENDER, "Jonas Winter", Role.SENDER),
    ("datenschutz@example.de", "Ida Sommer", Role.DATA_PROTECTION),
    ("leitung@example.de", "Emil Bergmann", Role.VIEWER),
)


@dataclass(frozen=True, slots=True)
class Staff:
    """The administrator's password, made anew each time; who writes newsletters, and who releases them."""

    password: str
    editor: Actor
    sender: Actor


def add(engine: Engine) -> Staff:
    """Make the account and its colleagues."""
    password = secrets.token_urlsafe(9)
    hashed = passwords.make_hash(password)
    added = {}
    with engine.begin() as conn:
        admin = _add(conn, Candidate(ADMIN, "Anna Beispiel", Role.ADMIN, Language.DE))
        members.set_password_hash(conn, admin, hashed)
        for email, name, role in _COLLEAGUES:
            added[email] = _add(conn, Candidate(email, name, role, Language.DE))
            invited = Deed("people.invited", "member", added[email])
            audit.record(conn, audit.member(admin), invited, clock.now(conn))
    return Staff(password, audit.member(added[_EDITOR]), audit.member(added[_SENDER]))


def _add(conn: Connection, who: Candidate) -> int:
    return members.create(conn, who, clock.now(conn))
