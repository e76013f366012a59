"""The steps from an address and a password to a session.

    address, password --wrong--> the same words, whatever was wrong
         | right
         v
    a second factor? --yes--> stage second-factor --code--> stage full
         | no                                      wrong: counted like a wrong password
         v
    needed for this role? --yes--> stage enrol --set up--> stage full
         | no
         v
    stage full

What must stay true: each step makes a new session and ends the one before; no statement waits for a password's hash
(it is computed between two transactions); log-ins and refusals are in the audit log.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from dispatcher.db import clock
from dispatcher.db.tables import staff_member
from dispatcher.db.terms import Role, SessionStage
from dispatcher.domain.staff import audit, members, passwords, roles, second_factor, sessions, throttle
from dispatcher.domain.staff.audit import Deed
from dispatcher.domain.staff.sessions import Session
from dispatcher.domain.staff.throttle import Wait
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import AddressInvalid

_m = staff_member.c


@dataclass(frozen=True, slots=True)
class Caller:
    """From where somebody tries: network, browser, and the mark that the browser shows."""

    network: str
    device: str
    mark: str


@dataclass(frozen=True, slots=True)
class Begun:
    """It was right: the token of the new session, and how far it goes."""

    token: str
    stage: SessionStage
    email: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """It was not."""


def by_password(
    engine: Engine, keyring: Keyring, email: str, password: str, caller: Caller, asked_of: frozenset[Role]
) -> Begun | Wrong | Wait:
    """Try a password. `asked_of` are the roles that need a second factor."""
    account = _normal(email)
    with engine.begin() as conn:
        now = clock.now(conn)
        mark = throttle.read_mark(keyring, account, caller.mark, now)
        attempt = throttle.admit_stranger(conn, keyring, account, caller.network, mark, now)
        stored = conn.execute(select(_m.password_hash).where(_m.email == account)).scalar_one_or_none()
    if isinstance(attempt, Wait):
        return attempt
    is_right = passwords.is_right(stored, password)
    newer = passwords.make_hash(password) if is_right and passwords.is_dated(stored or "") else None
    with engine.begin() as conn:
        now = clock.now(conn)
        stood = _locked(conn, account)
        if stood is None or not is_right or stood.off_at or stood.password_hash != stored:
            throttle.keep(conn, attempt, now)  # for unknown accounts too, so that both take as long
            if stood is not None:
                audit.record(conn, audit.NOBODY, Deed("login.refused", "member", stood.id), now)
            return Wrong()
        throttle.forgive(conn, attempt)
        if newer is not None:
            members.set_password_hash(conn, stood.id, newer)
        stage = _stage(Role(stood.role), has_second_factor=stood.totp_secret is not None, asked_of=asked_of)
        return Begun(_begin(conn, stood.id, stage, caller.device, now), stage, account)


def by_code(engine: Engine, keyring: Keyring, session: Session, code: str, caller: Caller) -> Begun | Wrong | Wait:
    """Try a code of the second factor, after the password was right."""
    with engine.begin() as conn:
        now = clock.now(conn)
        mark = throttle.read_mark(keyring, session.email, caller.mark, now)
        attempt = throttle.admit(conn, keyring, f"code\0{session.email}", caller.network, mark, now)
        if isinstance(attempt, Wait):
            return attempt
        if not second_factor.take(conn, keyring, session.member_id, code, now):
            deed = Deed("login.code_refused", "member", session.member_id)
            audit.record(conn, audit.NOBODY, deed, now)
            return Wrong()
        throttle.forgive(conn, attempt)
        sessions.end(conn, session.token_sha256, session.member_id)
        token = _begin(conn, session.member_id, SessionStage.FULL, caller.device, now)
        return Begun(token, SessionStage.FULL, session.email)


def go_on(conn: Connection, session: Session, device: str, now: datetime) -> Begun:
    """Open the console to somebody who has just set up their second factor."""
    sessions.end(conn, session.token_sha256, session.member_id)
    token = _begin(conn, session.member_id, SessionStage.FULL, device, now)
    return Begun(token, SessionStage.FULL, session.email)


def by_invitation(
    conn: Connection, member_id: int, password_hash: str, device: str, now: datetime, asked_of: frozenset[Role]
) -> Begun:
    """Begin anew with the password that somebody set by a link: earlier sessions and the second factor go."""
    sessions.end_all(conn, member_id)
    second_factor.remove(conn, member_id)
    members.set_password_hash(conn, member_id, password_hash)
    member = members.get(conn, member_id)
    stage = _stage(member.role, has_second_factor=False, asked_of=asked_of)
    return Begun(_begin(conn, member_id, stage, device, now), stage, member.email)


def who_needs_second_factor(setting: str) -> frozenset[Role]:
    """Give the roles that need one: `off` none, `senders` those that permit what cannot be taken back, `everyone`."""
    match setting:
        case "off":
            return frozenset()
        case "everyone":
            return frozenset(Role)
        case _:
            return frozenset(role for role in Role if roles.is_grave(role))


def _stage(role: Role, *, has_second_factor: bool, asked_of: frozenset[Role]) -> SessionStage:
    if has_second_factor:
        return SessionStage.SECOND_FACTOR
    return SessionStage.ENROL if role in asked_of else SessionStage.FULL


def _begin(conn: Connection, member_id: int, stage: SessionStage, device: str, now: datetime) -> str:
    if stage is SessionStage.FULL:
        conn.execute(update(staff_member).where(_m.id == member_id).values(seen_at=now))
        audit.record(conn, audit.member(member_id), Deed("login.begun"), now)
    return sessions.begin(conn, member_id, stage, device, now)


def _locked(conn: Connection, account: str) -> Any:
    """Look again, and hold the row: whoever changes role or password now comes wholly before or wholly after us."""
    query = select(_m.id, _m.password_hash, _m.role, _m.totp_secret, _m.off_at).where(_m.email == account)
    return conn.execute(query.with_for_update()).one_or_none()


def _normal(email: str) -> str:
    """What is no address is counted as what it is: it must not be told apart."""
    try:
        return members.normal_email(email)
    except AddressInvalid:
        return email.strip().lower()[:320]
