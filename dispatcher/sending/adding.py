"""One person entered on their word, by an operator or a program: asked by mail to confirm, or, with evidence of their
consent, current at once.

What must stay true: suppression and withdrawal win; the words that the person is shown, or agreed to, are named in the
proof.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations as words
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.typed import clean_name
from dispatcher.domain.versions import why_not_under
from dispatcher.errors import InputRefused
from dispatcher.sending import declarations, entry, opt_in
from dispatcher.sending.entry import Fate
from dispatcher.sending.opt_in import Request
from dispatcher.settings import Settings

LONGEST = 500


@dataclass(frozen=True, slots=True)
class Given:
    """A consent that was given before: when, what proves it, and to which version of the words, if they are known."""

    at: datetime
    evidence: str
    declaration: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to read, and how that came to us. `by` is who enters it; `ip` and `user_agent` are those of
    the person's own machine, where they are known.
    """

    address: str
    topics: tuple[Topic, ...]
    by: str
    source: str
    name: str = ""
    language: Language = Language.DE
    ip: str | None = None
    user_agent: str | None = None
    given: Given | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """What became of a wish: with evidence, of each topic; without, `mail` is the campaign of the mail that asks.
    Neither: no mail is due, because consent is current, two went today, or the address is on the never-mail list.
    """

    fates: Mapping[Topic, Fate]
    mail: int | None


def add(conn: Connection, keyring: Keyring, settings: Settings, wish: Wish, now: datetime) -> Entered:
    """Enter a person. Raises InputRefused, AddressInvalid, NotFound."""
    source = f"{wish.by}: {checked('the source', wish.source)}"
    declarations.enter(conn, settings, now)
    if wish.given is not None:
        evidence = _proof(conn, wish, wish.given, source, now)
        return Entered(entry.enter(conn, keyring, _request(wish, evidence), wish.given.at, now), None)
    _require_covered(wish.topics, declarations.shown(conn, wish.language, now).topics)
    evidence = declarations.on_their_behalf(conn, settings, source, wish.language, now)
    evidence = evidence._replace(ip=wish.ip, user_agent=wish.user_agent)
    return Entered({}, opt_in.request(conn, keyring, _request(wish, evidence), now))


def checked(what: str, text: str) -> str:
    """Give words that are kept as proof, without blanks around them. Raises InputRefused for none, many, or lines."""
    if not text.strip() or len(text) > LONGEST or not text.isprintable():
        raise InputRefused(f"{what} has to be one line of 1 to {LONGEST} characters", "say it in a few words")
    return text.strip()


def _request(wish: Wish, evidence: Evidence) -> Request:
    return Request(parse_address(wish.address), clean_name(wish.name), wish.language, wish.topics, evidence)


def _proof(conn: Connection, wish: Wish, given: Given, source: str, now: datetime) -> Evidence:
    if given.at > now:
        raise InputRefused(f"the consent of {given.at:%Y-%m-%d %H:%M} UTC lies in the future", "when did they agree?")
    evidence = Evidence(
        source=f"{source}; evidence: {checked('the evidence', given.evidence)}",
        ip=wish.ip,
        user_agent=wish.user_agent,
        language=wish.language,
        given_at=given.at,
    )
    if given.declaration is None:
        return evidence
    found = words.named(conn, given.declaration)
    reason = why_not_under(found, wish.topics, given.at)
    if reason is not None:
        raise InputRefused(reason, "name the words that they agreed to; `dispatcher declarations list` shows them")
    ids = {text.language: text.id for text in words.texts(conn, found.number)}
    return evidence._replace(declaration_id=ids[wish.language], declaration_named=found.name)


def _require_covered(wanted: tuple[Topic, ...], covered: tuple[Topic, ...]) -> None:
    if strange := [topic for topic in wanted if topic not in covered]:
        raise InputRefused(f"the declaration does not cover {', '.join(strange)}", f"it covers {', '.join(covered)}")
