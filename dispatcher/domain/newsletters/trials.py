"""A trial of subjects: a share of the audience gets two to four of them, and the rest waits for the one that is chosen.

    launched                  equal parts get a subject each; the batches of the rest are `waiting`
    its letters are out       the wait begins
    somebody chooses          at any time from the launch on: the rest gets that subject
    the wait is over          the figures decide (trial_figures.py); where they do not, what the trial says: the first
                              of those that are not clearly worse, or it goes on waiting for somebody
    chosen                    the waiting batches are `ready`, with the subject, in the same transaction

What must stay true: one UPDATE chooses, and asks that nothing is chosen yet; so of two who choose at once one wins.
Whoever chooses holds the campaign's row first.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from dispatcher.db.columns import length
from dispatcher.db.tables import batch, campaign, delivery, subscription, trial
from dispatcher.db.terms import BatchState, CampaignState, ChosenBy, Otherwise, Outcome, SubscriptionState
from dispatcher.domain.audience import dealing_out
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.trial_figures import Figures, in_the_running
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Actor, Deed
from dispatcher.errors import InputRefused, MoveRefused

LETTERS = "ABCD"  # what subjects are called, in their order
MOST = len(LETTERS)
_SPAN = re.compile(r"(\d{1,5})(min|h|d)")
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
LONGEST_WAIT = timedelta(days=14)
_UNDER_WAY = (CampaignState.SENDING, CampaignState.PAUSED)
NOBODY_CHOSE = (
    "the rest waits for its subject: the figures of the trial decide nothing clearly; choose one: "
    "dispatcher campaigns choose {id} {letters}"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a trial goes: what part of the audience (per cent) gets its subjects, how long is waited, and what then."""

    share: int = 20
    wait: timedelta = timedelta(hours=4)
    otherwise: Otherwise = Otherwise.FIRST

    def __post_init__(self) -> None:
        if not 1 <= self.share <= 90:
            raise InputRefused(f"a share of {self.share} per cent leaves no trial or no rest", "name 1 to 90")
        if not timedelta() < self.wait <= LONGEST_WAIT:
            raise InputRefused("a trial waits for a while, and 14 days at most", "name 90min, 4h or 2d")


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial as it stands. `variants` None: it has not begun; `until` None: its letters are still to go."""

    campaign_id: int
    terms: Terms
    variants: int | None
    until: datetime | None
    chosen: int | None
    chosen_at: datetime | None
    chosen_by: ChosenBy | None
    figures: tuple[Figures, ...] | None  # as they stood when it was chosen


def letter_of(variant: int) -> str:
    """Give what a subject is called."""
    return LETTERS[variant - 1]


def read_letter(said: str) -> int:
    """Read what a subject is called. Raises InputRefused."""
    if len(said) != 1 or said.upper() not in LETTERS:
        raise InputRefused(f"there is no subject {said[:20]!r}", f"name one of {', '.join(LETTERS)}")
    return LETTERS.index(said.upper()) + 1


def read_wait(said: str) -> timedelta:
    """Read a span of time: 90min, 4h, 2d. Raises InputRefused."""
    read = _SPAN.fullmatch(said)
    if read is None:
        raise InputRefused(f"{said[:20]!r} is no span of time", "name 90min, 4h or 2d")
    return int(read[1]) * _UNITS[read[2]]


def find(conn: Connection, campaign_id: int) -> Trial | None:
    """Give the trial of a campaign; None: it has one subject."""
    row = conn.execute(select(trial).where(trial.c.campaign_id == campaign_id)).one_or_none()
    if row is None:
        return None
    figures = tuple(Figures(**each) for each in row.figures) if row.figures is not None else None
    terms = Terms(row.share, timedelta(seconds=row.wait_s), Otherwise(row.otherwise))
    by = ChosenBy(row.chosen_by) if row.chosen_by else None
    return Trial(campaign_id, terms, row.variants, row.until, row.chosen, row.chosen_at, by, figures)


def require_same(conn: Connection, campaign_id: int, subjects: int) -> None:
    """Refuse other content than a trial under way was dealt out for. Raises InputRefused."""
    found = find(conn, campaign_id)
    dealt = (found.variants if found is not None else None) or 1
    if dealt != subjects:
        raise InputRefused(
            f"campaign {campaign_id} is under way with {dealt} subjects in each language, and this brings {subjects}",
            "write as many, in the same order: each of its readers belongs to one",
        )


def keep(conn: Connection, campaign_id: int, subjects: int, terms: Terms | None = None) -> None:
    """Enter what a draft's content makes of it: with several subjects a trial, else none. `terms` None: as they are.

    Raises InputRefused for terms where there is one subject.
    """
    if subjects == 1:
        if terms is not None:
            raise InputRefused(
                f"campaign {campaign_id} has one subject: there is nothing to try",
                f"write `subjects:` with 2 to {MOST} of them into the head of its content",
            )
        conn.execute(delete(trial).where(trial.c.campaign_id == campaign_id))
        return
    stands = find(conn, campaign_id)
    if stands is not None and terms is None:
        return
    said = terms or Terms()
    values = {"share": said.share, "wait_s": int(said.wait.total_seconds()), "otherwise": said.otherwise}
    if stands is None:
        conn.execute(insert(trial).values(campaign_id=campaign_id, **values))
    else:
        conn.execute(update(trial).where(trial.c.campaign_id == campaign_id).values(**values))


def dealt(conn: Connection, campaign_id: int, variants: int) -> dealing_out.Trial | None:
    """Say how an audience is to be dealt out at its launch; None: there is one subject."""
    found = find(conn, campaign_id)
    return dealing_out.Trial(variants, found.terms.share) if found is not None and variants > 1 else None


def begin(conn: Connection, campaign_id: int, variants: int, now: datetime) -> None:
    """Write down that an audience was dealt out to so many subjects. Of fewer people than subjects nobody waits."""
    values: dict[str, object] = {"variants": variants, "until": None, "figures": None}
    # A campaign may be launched anew after a restore: what was chosen then was chosen by other figures.
    values |= {"chosen": None, "chosen_at": None, "chosen_by": None}
    if not waiting_people(conn, campaign_id):
        values |= {"chosen": 1, "chosen_at": now, "chosen_by": ChosenBy.FEW}
    conn.execute(update(trial).where(trial.c.campaign_id == campaign_id).values(**values))


def choose(conn: Connection, campaign_id: int, variant: int, by: Actor, now: datetime) -> None:
    """Give the rest this subject. Raises NotFound; InputRefused where there is none such; and MoveRefused before the
    launch, after the end, or when one is chosen already.
    """
    campaigns.hold(conn, campaign_id)
    of, stands = campaigns.get(conn, campaign_id), find(conn, campaign_id)
    if stands is None:
        raise InputRefused(
            f"campaign {campaign_id} has one subject: there is nothing to choose", "nothing is to be done"
        )
    if of.state not in _UNDER_WAY or stands.variants is None:
        raise MoveRefused(
            f"campaign {campaign_id} is {of.state}: nobody waits for a subject",
            "one is chosen while it is sent or paused",
        )
    if variant > stands.variants:
        raise InputRefused(
            f"campaign {campaign_id} has no subject {letter_of(variant)}",
            f"there are {', '.join(LETTERS[: stands.variants])}",
        )
    if not _choose(conn, of, stands, variant, ChosenBy.HAND, now):
        assert stands.chosen is not None
        raise MoveRefused(
            f"the rest of campaign {campaign_id} has a subject: {letter_of(stands.chosen)}, since"
            f" {stands.chosen_at:%Y-%m-%d %H:%M} UTC",
            f"see `dispatcher campaigns status {campaign_id}`",
        )
    audit.record(conn, by, Deed("campaigns.choose", "campaign", campaign_id, {"subject": letter_of(variant)}), now)


def settle_due(conn: Connection, now: datetime) -> list[int]:
    """Begin the wait of each trial whose letters are out, and decide those whose wait is over; give the campaigns whose
    rest goes out now.
    """
    decided = []
    for campaign_id in _open_trials(conn):
        campaigns.hold(conn, campaign_id)
        of, stands = campaigns.get(conn, campaign_id), find(conn, campaign_id)
        if of.state is not CampaignState.SENDING or stands is None or stands.chosen is not None:
            continue  # paused, ended, or chosen before it was held
        if stands.until is None:
            _begin_wait(conn, stands, now)
        elif stands.until <= now and _decide(conn, of, stands, now):
            decided.append(campaign_id)
    return decided


def figures(conn: Connection, of: Campaign, stands: Trial) -> tuple[Figures, ...]:
    """Give the figures of each subject: as they stood when one was chosen, or as they stand."""
    if stands.figures is not None or stands.variants is None:
        return stands.figures or ()
    people, found = _people(conn, of.id), _outcomes(conn, of, stands, stands.variants)
    return tuple(
        Figures(
            variant=variant,
            people=people.get(variant, 0),
            sent=found[variant, Outcome.SENT],
            failed=found[variant, Outcome.FAILED],
            unknown=found[variant, Outcome.UNKNOWN],
            left=found[variant, _LEFT],
        )
        for variant in range(1, stands.variants + 1)
    )


def waiting_people(conn: Connection, campaign_id: int) -> int:
    """Count who waits for a subject."""
    return _people(conn, campaign_id).get(None, 0)


_LEFT = "left"


def _open_trials(conn: Connection) -> Sequence[int]:
    query = (
        select(trial.c.campaign_id)
        .join(campaign, campaign.c.id == trial.c.campaign_id)
        .where(campaign.c.state == CampaignState.SENDING, trial.c.variants.is_not(None), trial.c.chosen.is_(None))
        .order_by(trial.c.campaign_id)
    )
    return conn.execute(query).scalars().all()


def _begin_wait(conn: Connection, stands: Trial, now: datetime) -> None:
    """Letters that a relay put off are not waited for: they may take days."""
    to_go = batch.c.state.in_([BatchState.READY, BatchState.LEASED])
    left = select(batch.c.no).where(batch.c.campaign_id == stands.campaign_id, to_go)
    if not conn.execute(select(left.exists())).scalar_one():
        until = now + stands.terms.wait
        conn.execute(update(trial).where(trial.c.campaign_id == stands.campaign_id).values(until=until))


def _decide(conn: Connection, of: Campaign, stands: Trial, now: datetime) -> bool:
    assert stands.variants is not None
    said = NOBODY_CHOSE.format(id=of.id, letters="|".join(LETTERS[: stands.variants]))
    if of.problem == said:
        return False  # the wait is over: to count it all again at each tick would show nothing new
    best, *others = in_the_running(figures(conn, of, stands))
    if not others:
        return _choose(conn, of, stands, best, ChosenBy.FIGURES, now)
    if stands.terms.otherwise is Otherwise.FIRST:
        return _choose(conn, of, stands, best, ChosenBy.OTHERWISE, now)
    campaigns.note_problem(conn, of.id, said)
    return False


def _choose(conn: Connection, of: Campaign, stands: Trial, variant: int, by: ChosenBy, now: datetime) -> bool:
    """Choose, and let the rest go with it. False: one was chosen already."""
    seen = [asdict(each) for each in figures(conn, of, stands)]
    chosen = conn.execute(
        update(trial)
        .where(trial.c.campaign_id == of.id, trial.c.variants >= variant, trial.c.chosen.is_(None))
        .values(chosen=variant, chosen_at=now, chosen_by=by, figures=seen)
        .returning(trial.c.campaign_id)
    )
    if chosen.one_or_none() is None:
        return False
    conn.execute(
        update(batch)
        .where(batch.c.campaign_id == of.id, batch.c.state == BatchState.WAITING)
        .values(state=BatchState.READY, variant=variant, due_at=now)  # letters are given up so long after this
    )
    if of.problem == NOBODY_CHOSE.format(id=of.id, letters="|".join(LETTERS[: stands.variants])):
        campaigns.note_problem(conn, of.id, None)
    return True


def _people(conn: Connection, campaign_id: int) -> dict[int | None, int]:
    """Count people by subject; None: who waits for one."""
    b = batch.c
    sizes = select(b.variant, func.sum(length(conn, b.subscriber_ids))).where(b.campaign_id == campaign_id)
    return {variant: int(people) for variant, people in conn.execute(sizes.group_by(b.variant))}


def _outcomes(conn: Connection, of: Campaign, stands: Trial, variants: int) -> Counter[tuple[int, str]]:
    """Count letters by subject and outcome, and who left. Before one is chosen, every letter is one of the trial."""
    d, s = delivery.c, subscription.c
    withdrew = and_(
        s.topic == of.topic,
        s.subscriber_id == d.subscriber_id,
        s.state == SubscriptionState.WITHDRAWN,
        s.since >= d.at,
    )
    if stands.until is not None:
        withdrew = and_(withdrew, s.since <= stands.until)
    query = (
        select(d.edition_no, d.outcome, func.count(), func.count(s.subscriber_id))
        .select_from(delivery)
        .outerjoin(subscription, withdrew)
        .where(d.campaign_id == of.id, d.edition_no.is_not(None))
        .group_by(d.edition_no, d.outcome)
    )
    found: Counter[tuple[int, str]] = Counter()
    for edition_no, outcome, letters, left in conn.execute(query):
        variant = (edition_no - 1) % variants + 1  # content that was replaced made as many editions again
        found[variant, outcome] += letters
        found[variant, _LEFT] += left
    return found
