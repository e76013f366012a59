"""Made-up people who work in the demo's house, and the account with which one looks at its console."""

import secrets

from sqlalchemy import Connection, Engine

from dispatcher.db import clock
from dispatcher.db.terms import Language, Role
from dispatcher.domain.staff import audit, members, passwords
from dispatcher.domain.staff.audit import Deed
from dispatcher.domain.staff.members import Candidate

ADMIN = "admin@example.de"
_COLLEAGUES = (
    ("redaktion@example.de", "Klara Feldmann", Role.EDITOR),
    ("versand@example.de", "Jonas Winter", Role.SENDER),
    ("datenschutz@example.de", "Ida Sommer", Role.DATA_PROTECTION),
    ("leitung@example.de", "Emil Bergmann", Role.VIEWER),
)


def add(engine: Engine) -> str:
    """Make the account and its colleagues; give its password, made anew each time."""
    password = secrets.token_urlsafe(9)
    hashed = passwords.make_hash(password)
    with engine.begin() as conn:
        admin = _add(conn, Candidate(ADMIN, "Anna Beispiel", Role.ADMIN, Language.DE))
        members.set_password_hash(conn, admin, hashed)
        for email, name, role in _COLLEAGUES:
            invited = Deed("people.invited", "member", _add(conn, Candidate(email, name, role, Language.DE)))
            audit.record(conn, audit.member(admin), invited, clock.now(conn))
    return password


def _add(conn: Connection, who: Candidate) -> int:
    return members.create(conn, who, clock.now(conn))
