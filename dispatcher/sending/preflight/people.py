"""Every recipient's letter, composed and thrown away: who would fail, whose letter is odd.

In constant memory: people are read page by page, each page in a transaction of its own, and of what is found a count
and the first few are kept. Nothing is signed: that takes three times as long and differs for nobody.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import TemplateError
from sqlalchemy import Connection, Engine

from dispatcher.db.engine import reading
from dispatcher.db.terms import Language
from dispatcher.domain.audience import audiences, narrowing
from dispatcher.domain.delivery import recipients
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.trial_figures import FEWEST
from dispatcher.errors import DispatcherError
from dispatcher.sending import filter_words
from dispatcher.sending.preflight.examination import Examination, Progress
from dispatcher.sending.preflight.findings import RECIPIENTS, Check, Finding, Severity

PAGE = 2000
SHOWN = 20  # people who are named
TOO_MANY_FAIL = 0.05  # at which a campaign would be paused (sending/pressroom.py)
_MORE = 2_000  # octets by which a letter may be larger than nobody's

# What a person's name is not: a placeholder, an address of any kind, nothing but digits and signs.
_ODD = re.compile(
    r"[{}<>\[\]|@%$]|https?:|www\.|(?i:^(?:null|none|undefined|n/?a|test|name|vorname|nachname|first ?name|kunde)$)"
    r"|^[\W\d_]+$|[\x00-\x1f\x7f]"
)


@dataclass(slots=True)
class Seen:
    """How many people something is true of, and the first of them."""

    count: int = 0
    first: list[int] = field(default_factory=list)
    example: str = ""

    def add(self, who: Recipient, example: str = "") -> None:
        """Count one more."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(who.subscriber_id)
            self.example = self.example or example


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a filter makes of the people who would get it: how many they are without it, the filter in words by
    language; campaigns that it asks about and that are still being sent, or that name nobody any more.
    """

    everybody: int
    words: Mapping[Language, str]
    under_way: Sequence[int]
    folded: Sequence[int]


@dataclass(slots=True)
class Tally:
    """What became of all of them."""

    people: int = 0
    narrowed: Narrowed | None = None
    trial: tuple[int, int] | None = None  # how many subjects are tried, and on what part of the people (per cent)
    failing: Seen = field(default_factory=Seen)
    odd_names: Seen = field(default_factory=Seen)
    large: Seen = field(default_factory=Seen)
    not_ascii: Seen = field(default_factory=Seen)
    other_language: Seen = field(default_factory=Seen)


def render_everyone(engine: Engine, exam: Examination, progress: Progress) -> Tally:
    """Compose the letter of everybody who would get one now."""
    with reading(engine).connect() as conn:
        total = recipients.count_expected(conn, exam.of)
        tally, after = Tally(narrowed=_narrowed(conn, exam.of), trial=exam.tried), 0
    limit = max(len(look.raw) for look in exam.looks.values()) + _MORE
    progress(Check.PEOPLE, 0, total)
    while True:
        with reading(engine).connect() as conn:
            page = recipients.expected(conn, exam.of, after, PAGE)
        if not page:
            return tally
        _render(exam, page, tally, limit)
        after = page[-1].subscriber_id
        progress(Check.PEOPLE, tally.people, max(total, tally.people))


def check_people(tally: Tally) -> Iterator[Finding]:
    """Say what was found about them."""
    yield from _filtered(tally)
    if not tally.people:
        if tally.narrowed is None:
            yield Finding(Check.PEOPLE, "nobody", Severity.WARN, RECIPIENTS)
        return
    yield from _few_for_trial(tally)
    if tally.failing.count:
        many = tally.failing.count > TOO_MANY_FAIL * tally.people
        yield _about("failing_many" if many else "failing", Severity.STOP if many else Severity.WARN, tally.failing)
    for name, severity, seen in (
        ("odd_names", Severity.WARN, tally.odd_names),
        ("large", Severity.WARN, tally.large),
        ("not_ascii", Severity.NOTE, tally.not_ascii),
        ("other_language", Severity.NOTE, tally.other_language),
    ):
        if seen.count:
            yield _about(name, severity, seen)


def _narrowed(conn: Connection, of: Campaign) -> Narrowed | None:
    if not of.filter or of.topic is None:
        return None
    everybody = int(conn.execute(audiences.reached(of.topic)).scalar_one())
    words = {language: filter_words.say(conn, of.filter, language) for language in Language}
    earlier = of.filter.earlier
    return Narrowed(everybody, words, narrowing.under_way(conn, earlier), narrowing.folded(conn, earlier))


def _filtered(tally: Tally) -> Iterator[Finding]:
    of = tally.narrowed
    if of is None:
        return
    values = {f"filter_{language}": said for language, said in of.words.items()}
    values |= {"count": f"{tally.people:,}", "everybody": f"{of.everybody:,}"}
    name, severity = ("filtered", Severity.NOTE) if tally.people else ("nobody_left", Severity.STOP)
    yield Finding(Check.PEOPLE, name, severity, RECIPIENTS, values)
    for name, severity, numbers in (
        ("earlier_under_way", Severity.WARN, of.under_way),
        ("earlier_folded", Severity.STOP, of.folded),
    ):
        if numbers:
            yield Finding(Check.PEOPLE, name, severity, RECIPIENTS, {"campaigns": ", ".join(map(str, numbers))})


def _few_for_trial(tally: Tally) -> Iterator[Finding]:
    if tally.trial is None:
        return
    subjects, share = tally.trial
    each = tally.people * share // (100 * subjects)
    if each < FEWEST:
        values = {"count": f"{each:,}", "subjects": str(subjects), "share": str(share), "fewest": str(FEWEST)}
        yield Finding(Check.PEOPLE, "few_for_trial", Severity.WARN, RECIPIENTS, values)


def _render(exam: Examination, page: list[Recipient], tally: Tally, limit: int) -> None:
    now, languages = exam.now, exam.looks.keys()
    for who in page:
        try:
            letter, *_ = [press.letter(who, now) for press in exam.presses]
        except (DispatcherError, TemplateError) as error:
            tally.failing.add(who, str(error))
            continue
        if len(letter.body) > limit:
            tally.large.add(who, f"{len(letter.body) / 1000:,.0f}")
        if letter.needs_smtputf8:
            tally.not_ascii.add(who)
        if who.name and _ODD.search(who.name):
            tally.odd_names.add(who)
        if who.language not in languages:
            tally.other_language.add(who, Language(who.language).value)
    tally.people += len(page)


def _about(name: str, severity: Severity, seen: Seen) -> Finding:
    people = ", ".join(map(str, seen.first)) + (" …" if seen.count > len(seen.first) else "")
    values = {"count": f"{seen.count:,}", "people": people, "example": seen.example}
    return Finding(Check.PEOPLE, name, severity, RECIPIENTS, values)
