"""Every link and picture of the letters, asked for as a reader's program would; and the one-click button, pressed.

Redirects are followed hop by hop, each looked at like the first (dispatcher/outgoing.py). What must stay true: no link
that bears a reader's token is asked for, but nobody's unsubscribe link, by POST.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dispatcher.outgoing import MOVED, Answer, Followed, Outgoing, Passport, Trouble, Unanswered, fetch, follow
from dispatcher.sending.preflight.examination import Examination, Progress
from dispatcher.sending.preflight.findings import Check, Finding, Severity

HEAVY, TOO_HEAVY = 1_000_000, 5_000_000  # octets of pictures in one letter
_AT_ONCE = 16
_UNSURE = {401, 403, 405, 406, 429}  # a person at a browser may well be let in
_S = Severity


@dataclass(frozen=True, slots=True)
class Place:
    """A link and where it stands first."""

    url: str
    where: str
    is_picture: bool


def ask_links(exam: Examination, progress: Progress) -> dict[Place, Followed]:
    """Ask for every link and picture once."""
    places = list(_places(exam))
    passport = exam.desk.passport.also(exam.desk.stationery.public_url)
    progress(Check.LINKS, 0, len(places))
    return asyncio.run(_ask_all(exam, places, passport, progress))


def check_links(asked: Mapping[Place, Followed], public_url: str) -> Iterator[Finding]:
    """Say which links lead nowhere, and which to where no reader can follow."""
    nameless = [place for place, outcome in asked.items() if _trouble(outcome) is Trouble.NO_NAME]
    if nameless and all(place in nameless for place in asked if not place.url.startswith(public_url)):
        # None of all the names is known here: that says more about this machine than about the letter.
        values = {"count": str(len(nameless))}
        yield Finding(Check.LINKS, "no_names_here", _S.WARN, nameless[0].where, values)
        asked = {place: outcome for place, outcome in asked.items() if place not in nameless}
    for place, outcome in asked.items():
        is_ours = place.url.startswith(public_url)  # http on this machine alone, where the settings admit it
        if place.url.startswith("http://") and not is_ours and not isinstance(outcome.answer, Unanswered):
            yield Finding(Check.LINKS, "plain_http", _S.WARN, place.where, {"link": place.url})
        found = _judge(outcome)
        if found is not None:
            name, severity, said = found
            yield Finding(
                Check.LINKS, name, severity, place.where, {"link": place.url, "said": said, "at": outcome.url}
            )


def check_pictures(exam: Examination, asked: Mapping[Place, Followed]) -> Iterator[Finding]:
    """What is shown as a picture and is none; letters whose pictures weigh too much for a phone."""
    for place, outcome in asked.items():
        answer = outcome.answer
        if place.is_picture and isinstance(answer, Answer) and answer.status == 200:
            kind = answer.headers.get("content-type", "")
            if not kind.startswith("image/"):
                yield Finding(Check.PICTURES, "none", _S.STOP, place.where, {"picture": place.url, "kind": kind or "–"})
    weights = {place.url: _weight(outcome) for place, outcome in asked.items() if place.is_picture}
    for look in exam.looks.values():
        weight = sum(weights.get(address, 0) for address in {address for address, _ in look.page.pictures})
        if weight > HEAVY:
            name, severity = ("too_heavy", _S.STOP) if weight > TOO_HEAVY else ("heavy", _S.WARN)
            yield Finding(Check.PICTURES, name, severity, look.file, {"size": f"{weight / 1_000_000:.1f}"})


def press_button(exam: Examination) -> Iterator[Finding]:
    """POST as mail programs do (RFC 8058), with nobody's token: 200 at once, without a redirect."""
    look = next(iter(exam.looks.values()))
    passport = exam.desk.passport.also(exam.desk.stationery.public_url)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    url = look.fields.unsubscribe_url
    answer = asyncio.run(fetch(Outgoing(url, "POST", kind, b"List-Unsubscribe=One-Click", 2000), passport))
    where = exam.desk.stationery.public_url
    if isinstance(answer, Unanswered):
        yield Finding(Check.ONE_CLICK, "unanswered", _S.STOP, where, {"said": answer.why})
    elif answer.status in MOVED:
        yield Finding(Check.ONE_CLICK, "moved", _S.STOP, where, {"to": answer.headers.get("location", "–")[:100]})
    elif answer.status != 200:
        yield Finding(Check.ONE_CLICK, "refused", _S.STOP, where, {"status": str(answer.status)})


def _places(exam: Examination) -> Iterator[Place]:
    """Each address once, without those that bear a token, and without mailto: and tel:."""
    seen: set[str] = set()
    for look in exam.looks.values():
        tokens = {look.fields.unsubscribe_url, look.fields.preferences_url, look.fields.view_url}
        pictures = [address for address, _ in look.page.pictures]
        for address, is_picture in [*((a, False) for a in look.page.links), *((a, True) for a in pictures)]:
            if address not in seen | tokens and address.startswith(("http://", "https://")):
                seen.add(address)
                yield Place(address, look.line_of(address), is_picture)


async def _ask_all(
    exam: Examination, places: Sequence[Place], passport: Passport, progress: Progress
) -> dict[Place, Followed]:
    turns = asyncio.Semaphore(_AT_ONCE)
    headers = {"User-Agent": f"dispatcher (looks links up before a letter; {exam.desk.stationery.public_url})"}
    done = 0

    async def ask(place: Place) -> Followed:
        nonlocal done
        async with turns:
            keep = TOO_HEAVY + 1 if place.is_picture else 0
            outcome = await follow(Outgoing(place.url, headers=headers, keep=keep), passport)
        done += 1
        progress(Check.LINKS, done, len(places))
        return outcome

    outcomes = await asyncio.gather(*(ask(place) for place in places))
    return dict(zip(places, outcomes, strict=True))


def _judge(outcome: Followed) -> tuple[str, Severity, str] | None:
    """Give what is wrong with a link as (finding, severity, in whose words)."""
    if outcome.is_circle:
        return "circle", _S.STOP, ""
    match outcome.answer:
        case Unanswered(Trouble.NO_NAME, why):
            return "no_name", _S.STOP, why
        case Unanswered(Trouble.NOT_PUBLIC, why):
            return "inside", _S.STOP, why
        case Unanswered(Trouble.CERTIFICATE, why):
            return "certificate", _S.STOP, why
        case Unanswered(_, why):
            return "unanswered", _S.WARN, why
        case Answer(status=status) if status in _UNSURE or status >= 500:
            return "unsure", _S.WARN, str(status)
        case Answer(status=status) if status >= 400:
            return "dead", _S.STOP, str(status)
    return None


def _trouble(outcome: Followed) -> Trouble | None:
    return outcome.answer.trouble if isinstance(outcome.answer, Unanswered) else None


def _weight(outcome: Followed) -> int:
    return outcome.answer.size if isinstance(outcome.answer, Answer) and outcome.answer.status == 200 else 0
