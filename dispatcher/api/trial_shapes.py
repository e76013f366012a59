"""The shapes of a trial of subjects: how it is to go, and how it stands."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from dispatcher.api.shapes import Moment, Said, Told
from dispatcher.db.terms import ChosenBy, Language, Otherwise
from dispatcher.domain.newsletters.trials import LONGEST_WAIT, Terms
from dispatcher.sending.subjects import Report

_LONGEST_S = int(LONGEST_WAIT.total_seconds())


class TrialSaid(Said):
    """How several subjects are tried."""

    share: Annotated[int, Field(ge=1, le=90)] = Field(
        default=20, description="Per cent of the audience, all subjects together."
    )
    wait_s: Annotated[int, Field(ge=60, le=_LONGEST_S)] = Field(
        default=4 * 3600, description="How long it is watched, from its last letter on."
    )
    otherwise: Otherwise = Field(
        default=Otherwise.FIRST, description="What the rest gets when nothing is clear then: the first, or it waits."
    )

    def terms(self) -> Terms:
        """Give it as the rules know it."""
        return Terms(self.share, timedelta(seconds=self.wait_s), self.otherwise)


class SubjectTold(Told):
    """One subject of a trial."""

    letter: str = Field(description="A, B, C or D: what `choose` takes.")
    texts: dict[Language, str] = Field(description="As it was written, by language.")
    people: int | None = Field(description="Who got it or will; null: the trial has not begun.")
    sent: int | None
    failed: int | None
    unknown: int | None
    left: int | None = Field(description="Who withdrew from the topic after this letter, within the wait.")


class TrialTold(Told):
    """A trial of subjects as it stands."""

    share: int
    wait_s: int
    otherwise: Otherwise
    subjects: list[SubjectTold] = Field(description="Figures of the trial; from the choice on, as they stood then.")
    until: Moment | None = Field(description="When the wait is over; null: its letters are still to go.")
    waiting: int = Field(description="People who wait for a subject.")
    waits_for: str | None = Field(description="In words; null: nothing is waited for.")
    chosen: str | None
    chosen_at: Moment | None
    chosen_by: ChosenBy | None
    is_small: bool = Field(description="Too few people for each subject: its figures prove nothing.")

    @classmethod
    def of(cls, found: Report) -> "TrialTold":
        """Tell it."""
        terms = found.terms
        subjects = []
        for each in found.subjects:
            names = ("people", "sent", "failed", "unknown", "left")
            figures = {name: getattr(each.figures, name) if each.figures is not None else None for name in names}
            subjects.append(SubjectTold(letter=each.letter, texts=dict(each.texts), **figures))
        return cls(
            share=terms.share,
            wait_s=int(terms.wait.total_seconds()),
            otherwise=terms.otherwise,
            subjects=subjects,
            until=found.until,
            waiting=found.waiting,
            waits_for=found.waits_for,
            chosen=found.chosen,
            chosen_at=found.chosen_at,
            chosen_by=found.chosen_by,
            is_small=found.is_small,
        )
