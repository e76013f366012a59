"""Subjects as people look at them: as a reader gets them; and a trial of several, with its figures and what it waits
for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from dispatcher.compose.content import parse_content
from dispatcher.compose.house import House
from dispatcher.compose.letter import Press
from dispatcher.compose.snippets import put_back
from dispatcher.db.terms import CampaignState, ChosenBy, Language, Otherwise
from dispatcher.domain.newsletters import campaigns, trials
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.trial_figures import FEWEST, Figures
from dispatcher.domain.newsletters.trials import Terms, Trial
from dispatcher.sending import release
from dispatcher.sending.press import Stationery


class Waits(StrEnum):
    """What the rest of a trial waits for."""

    LAUNCH = "launch"
    RESUMED = "resumed"  # somebody resumes it, or chooses
    LETTERS = "letters"  # the last letters of the trial are still to go
    TIME = "time"  # the wait is over, or somebody chooses
    CHOICE = "choice"  # somebody chooses: the figures decided nothing
    TICK = "tick"


_IN_WORDS = {
    Waits.LAUNCH: "the launch",
    Waits.RESUMED: "somebody to resume it, or to choose",
    Waits.LETTERS: "the last letters of the trial; then the wait begins",
    Waits.TIME: "{until:%Y-%m-%d %H:%M} UTC, or for somebody to choose",
    Waits.CHOICE: "somebody to choose",
    Waits.TICK: "the next tick",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject. `figures` None: the trial has not begun."""

    letter: str
    texts: Mapping[Language, str]
    figures: Figures | None


@dataclass(frozen=True, slots=True)
class Report:
    """A trial in words and figures. `waits` None: nothing is waited for; `is_small`: it proves nothing."""

    terms: Terms
    subjects: tuple[Subject, ...]
    until: datetime | None
    waiting: int  # people without a subject
    waits: Waits | None
    chosen: str | None
    chosen_at: datetime | None
    chosen_by: ChosenBy | None
    is_small: bool

    @property
    def waits_for(self) -> str | None:
        """Say what is waited for."""
        return _IN_WORDS[self.waits].format(until=self.until) if self.waits is not None else None


def report(conn: Connection, of: Campaign, now: datetime) -> Report | None:
    """Tell how a campaign's trial stands; None: it has one subject."""
    stands = trials.find(conn, of.id)
    if stands is None:
        return None
    texts = _texts(conn, of)
    figures = {each.variant: each for each in trials.figures(conn, of, stands)}
    count = stands.variants or max(len(each) for each in texts.values())
    return Report(
        terms=stands.terms,
        subjects=tuple(_subject(no, texts, figures.get(no)) for no in range(1, count + 1)),
        until=stands.until,
        waiting=trials.waiting_people(conn, of.id) if stands.variants and not stands.chosen else 0,
        waits=_waits(of, stands, now),
        chosen=trials.letter_of(stands.chosen) if stands.chosen else None,
        chosen_at=stands.chosen_at,
        chosen_by=stands.chosen_by,
        is_small=bool(figures) and min(each.people for each in figures.values()) < FEWEST,
    )


def rendered(
    conn: Connection, of: Campaign, house: House, stationery: Stationery, now: datetime
) -> Mapping[Language, tuple[str, ...]]:
    """Give the subjects of each language as a made-up reader gets them. Raises ContentInvalid, InputRefused."""
    found: dict[Language, tuple[str, ...]] = {}
    for frozen in release.variants(conn, of, house):
        press = release.press_of(of, frozen, replace(stationery, signer=None))
        for language, edition in sorted(frozen.items()):
            fields = press.fields(release.trial_recipient(language), now)
            found[language] = (*found.get(language, ()), Press(edition).subject(fields))
    return found


def _subject(no: int, texts: Mapping[Language, tuple[str, ...]], figures: Figures | None) -> Subject:
    written = {language: each[no - 1] for language, each in texts.items() if no <= len(each)}
    return Subject(trials.letter_of(no), written, figures)


def _texts(conn: Connection, of: Campaign) -> Mapping[Language, tuple[str, ...]]:
    found = {}
    for language, (file, source) in campaigns.contents(conn, of.id).items():
        content = parse_content(source, file=file)
        found[language] = tuple(put_back(text, content.snippets) for text in content.subjects)
    return found


def _waits(of: Campaign, stands: Trial, now: datetime) -> Waits | None:
    if stands.chosen is not None or of.state in {CampaignState.SENT, CampaignState.CANCELLED}:
        return None
    if stands.variants is None:
        return Waits.LAUNCH
    if of.state is CampaignState.PAUSED:
        return Waits.RESUMED
    if stands.until is None:
        return Waits.LETTERS
    if now < stands.until:
        return Waits.TIME
    return Waits.CHOICE if stands.terms.otherwise is Otherwise.WAIT else Waits.TICK
