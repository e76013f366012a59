"""A trial of subjects as people look at it: the subjects as they were written, their figures, and what it waits for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from dispatcher.compose.content import parse_content
from dispatcher.compose.snippets import put_back
from dispatcher.db.terms import CampaignState, ChosenBy, Language, Otherwise
from dispatcher.domain.newsletters import campaigns, trials
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.trial_figures import FEWEST, Figures
from dispatcher.domain.newsletters.trials import Terms, Trial


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject. `figures` None: the trial has not begun."""

    letter: str
    texts: Mapping[Language, str]
    figures: Figures | None


@dataclass(frozen=True, slots=True)
class Report:
    """A trial in words and figures. `waits_for` None: nothing is waited for; `is_small`: it proves nothing."""

    terms: Terms
    subjects: tuple[Subject, ...]
    until: datetime | None
    waiting: int  # people without a subject
    waits_for: str | None
    chosen: str | None
    chosen_at: datetime | None
    chosen_by: ChosenBy | None
    is_small: bool


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
        waits_for=_waits_for(of, stands, now),
        chosen=trials.letter_of(stands.chosen) if stands.chosen else None,
        chosen_at=stands.chosen_at,
        chosen_by=stands.chosen_by,
        is_small=bool(figures) and min(each.people for each in figures.values()) < FEWEST,
    )


def _subject(no: int, texts: Mapping[Language, tuple[str, ...]], figures: Figures | None) -> Subject:
    written = {language: each[no - 1] for language, each in texts.items() if no <= len(each)}
    return Subject(trials.letter_of(no), written, figures)


def _texts(conn: Connection, of: Campaign) -> Mapping[Language, tuple[str, ...]]:
    found = {}
    for language, (file, source) in campaigns.contents(conn, of.id).items():
        content = parse_content(source, file=file)
        found[language] = tuple(put_back(text, content.snippets) for text in content.subjects)
    return found


def _waits_for(of: Campaign, stands: Trial, now: datetime) -> str | None:
    if stands.chosen is not None or of.state in {CampaignState.SENT, CampaignState.CANCELLED}:
        return None
    if stands.variants is None:
        return "the launch"
    if of.state is CampaignState.PAUSED:
        return "somebody to resume it, or to choose"
    if stands.until is None:
        return "the last letters of the trial; then the wait begins"
    if now < stands.until:
        return f"{stands.until:%Y-%m-%d %H:%M} UTC, or for somebody to choose"
    return "somebody to choose" if stands.terms.otherwise is Otherwise.WAIT else "the next tick"
