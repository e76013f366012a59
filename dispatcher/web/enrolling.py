"""What becomes of sign-up forms that were filled in: those that come at one moment are served in one transaction.

What must stay true: a form counts only with a stamp of ours, filled in neither faster than a person can nor later than
its words are good for, and for the topics of the words that stood in it; whatever it asks for passes the limits first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.declarations import Declaration
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.typed import clean_name
from dispatcher.errors import InputRefused
from dispatcher.sending import declarations, opt_in
from dispatcher.sending.opt_in import IsKnown, Request
from dispatcher.web import stamp
from dispatcher.web.forms import Form
from dispatcher.web.limits import Admitted, Attempt, Refused, Silenced, admit_each, in_turn
from dispatcher.web.security import IpAddress
from dispatcher.web.stamp import Stamp


class Filled(NamedTuple):
    """A form that was filled in: by its stamp, from where, and what proves it."""

    form: Form
    stamp: Stamp
    ip: IpAddress | None
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as it was filled in, and what is wrong with it, by field. `words`: what stands in it when it is shown
    again; None: the words of today.
    """

    address: str = ""
    name: str = ""
    topics: tuple[str, ...] = ()
    errors: dict[str, str] = field(default_factory=dict)
    words: Declaration | None = None


@dataclass(frozen=True, slots=True)
class ByProgram:
    """No person fills in a form so fast."""


@dataclass(frozen=True, slots=True)
class Entered:
    """The request stands; `campaign_id` is its mail. None: no mail is due."""

    campaign_id: int | None


Outcome = Entered | IsKnown | Typed | ByProgram | Refused | Silenced


def enrol(conn: Connection, keyring: Keyring, filled: Sequence[Filled], now: datetime) -> list[Outcome]:
    """Enter what these forms ask for; give what became of each. Whose address is known is left to `opt_in.request`."""
    words = {of: declarations.words(conn, of) for of in {each.stamp.declaration_id for each in filled}}
    looked_at = [_look(each, words[each.stamp.declaration_id], now) for each in filled]
    outcomes: dict[int, Outcome] = {at: one for at, one in enumerate(looked_at) if not isinstance(one, Request)}
    wishes = {at: one for at, one in enumerate(looked_at) if isinstance(one, Request)}
    attempts = [Attempt(filled[at].ip, wish.address) for at, wish in wishes.items()]
    admitted = dict[int, Request]()
    in_turn(conn)  # nobody's row is waited for here
    for (at, wish), admission in zip(wishes.items(), admit_each(conn, keyring, attempts, now), strict=True):
        if isinstance(admission, Admitted):
            admitted[at] = wish
        else:
            outcomes[at] = admission
    requests = opt_in.request_each(conn, keyring, list(admitted.values()), now)
    for at, entered in zip(admitted, requests, strict=True):
        outcomes[at] = entered if isinstance(entered, IsKnown) else Entered(entered)
    return [outcomes[at] for at in range(len(filled))]


def _look(filled: Filled, words: Declaration | None, now: datetime) -> Request | Typed | ByProgram:
    age = filled.stamp.age(now)
    if age < stamp.SHORTEST:
        return ByProgram()
    wish = _read(filled, words)
    if isinstance(wish, Request) and age > stamp.LONGEST:
        return Typed(str(wish.address), wish.name, tuple(wish.topics), {"form": "signup.too_old"})
    return wish


def _read(filled: Filled, words: Declaration | None) -> Request | Typed:
    """Read the form; what cannot be taken comes back as it was typed, with a word for each field."""
    form, errors = filled.form, {}
    address, name = None, ""
    try:
        address = parse_address(form.first("address")[:400])
    except InputRefused:
        errors["address"] = "signup.address_wrong" if form.first("address").strip() else "signup.address_missing"
    try:
        name = clean_name(form.first("name"))
    except InputRefused:
        errors["name"] = "signup.name_wrong"
    covered = words.topics if words is not None else ()
    topics = tuple(topic for topic in covered if topic in form.all("topic"))
    if not topics:
        errors["topic"] = "signup.topic_missing"
    if errors or address is None:
        return Typed(form.first("address")[:400], form.first("name")[:400], topics, errors, words)
    return Request(address, name, filled.stamp.language, topics, filled.evidence)
