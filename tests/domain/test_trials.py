"""A trial of subjects by the rows: who gets which, who waits, and what the rest gets."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from dispatcher.db.tables import audit_entry, batch, campaign, subscriber
from dispatcher.db.terms import BatchState, CampaignState, ChosenBy, Otherwise, Outcome
from dispatcher.domain.audience.dealing_out import Trial
from dispatcher.domain.delivery import poison
from dispatcher.domain.delivery.passage import Pass
from dispatcher.domain.newsletters import campaigns, trials
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.trial_figures import Figures
from dispatcher.domain.newsletters.trials import Terms
from dispatcher.domain.staff.audit import NOBODY
from dispatcher.errors import InputRefused, MoveRefused
from tests.domain.dispatch import Dispatch, final

HOUR = timedelta(hours=1)
THREE = Trial(3, 30)


def _dealt(dispatch: Dispatch, of: Campaign) -> dict[int | None, set[int]]:
    found: dict[int | None, set[int]] = {}
    with dispatch.engine.begin() as conn:
        rows = conn.execute(select(batch).where(batch.c.campaign_id == of.id)).all()
    assert sum(len(row.subscriber_ids) for row in rows) == len({i for row in rows for i in row.subscriber_ids})
    for row in rows:
        found.setdefault(row.variant, set()).update(row.subscriber_ids)
        assert (row.state == BatchState.WAITING) == (row.variant is None) or row.token
    return found


def _find(dispatch: Dispatch, of: Campaign) -> trials.Trial:
    with dispatch.engine.begin() as conn:
        found = trials.find(conn, of.id)
    assert found is not None
    return found


def _choose(dispatch: Dispatch, of: Campaign, variant: int) -> None:
    with dispatch.engine.begin() as conn:
        trials.choose(conn, of.id, variant, NOBODY, dispatch.now)


def _tick(dispatch: Dispatch) -> list[int]:
    with dispatch.engine.begin() as conn:
        return trials.settle_due(conn, dispatch.now)


def _serve(dispatch: Dispatch, of: Campaign) -> None:
    """Let everything go that can be claimed."""
    while (claim := dispatch.claim()) is not None:
        people = [to.subscriber_id for to in dispatch.recipients(claim, of)]
        passed = [decision for decision in dispatch.ask(claim, of, people) if isinstance(decision, Pass)]
        dispatch.record(
            *(
                final(of, who, Outcome.SENT, each.consent_event_id, 250, claim.variant)
                for who, each in zip(people, passed, strict=True)
            )
        )
        dispatch.settle(claim)


def test_equal_parts_get_a_subject_each_whatever_their_provider_and_the_rest_waits(dispatch: Dispatch) -> None:
    people = dispatch.people(1_000)
    with dispatch.engine.begin() as conn:
        some = subscriber.c.id.between(people[0], people[399])
        conn.execute(update(subscriber).where(some).values(provider="google"))
    of = dispatch.campaign(trial=THREE)
    dealt = _dealt(dispatch, of)
    assert {variant: len(who) for variant, who in dealt.items()} == {1: 100, 2: 100, 3: 100, None: 700}
    assert set().union(*dealt.values()) == set(people)
    assert of.audience == 1_000
    for variant in (1, 2, 3):  # no part is a series of ids: of each hundred people some are in it
        hundreds = Counter((who - people[0]) // 100 for who in dealt[variant])
        assert len(hundreds) == 10
    again = _dealt(dispatch, dispatch.campaign(trial=THREE))
    assert len(again[1] & dealt[1]) < 40  # another campaign draws other lots


def test_who_gets_which_hangs_on_the_campaign_and_the_people_alone(dispatch: Dispatch) -> None:
    """On both databases the same people, so that a launch that was cut off gives the same when it is done again."""
    people = dispatch.people(20)
    of = dispatch.campaign(trial=Trial(2, 50))
    assert (of.id, people[0]) == (1, 1)
    dealt = _dealt(dispatch, of)
    assert [sorted(dealt[variant]) for variant in (1, 2)] == [[5, 6, 8, 10, 19], [13, 14, 15, 16, 20]]


def test_of_fewer_people_than_subjects_all_get_the_first_and_nobody_waits(dispatch: Dispatch) -> None:
    people = dispatch.people(6)
    of = dispatch.campaign(trial=THREE)
    assert _dealt(dispatch, of) == {1: set(people)}
    stands = _find(dispatch, of)
    assert (stands.chosen, stands.chosen_by) == (1, ChosenBy.FEW)
    _serve(dispatch, of)
    assert dispatch.is_complete(of)


def test_the_rest_goes_with_the_subject_that_somebody_chose_and_with_no_other(dispatch: Dispatch) -> None:
    people = dispatch.people(40)
    of = dispatch.campaign(trial=Trial(2, 50))
    dealt = _dealt(dispatch, of)
    _serve(dispatch, of)
    assert not dispatch.is_complete(of)
    assert dispatch.status(of).remaining == 20
    _choose(dispatch, of, 2)
    stands = _find(dispatch, of)
    assert (stands.chosen, stands.chosen_by) == (2, ChosenBy.HAND)
    assert stands.figures == (Figures(1, 10, 10, 0, 0, 0), Figures(2, 10, 10, 0, 0, 0))
    assert _dealt(dispatch, of) == {1: dealt[1], 2: dealt[2] | dealt[None]}
    _serve(dispatch, of)
    assert dispatch.counted(of) == {"sent": len(people)}
    assert dispatch.is_complete(of)
    with dispatch.engine.begin() as conn:
        assert trials.figures(conn, of, stands) == stands.figures  # those of the trial, not of the rest
        assert conn.execute(select(audit_entry.c.action)).scalars().all() == ["campaigns.choose"]


def test_the_wait_begins_when_the_letters_are_out_and_who_left_in_it_counts(dispatch: Dispatch) -> None:
    dispatch.people(600)
    terms = Terms(share=80, wait=4 * HOUR)
    of = dispatch.campaign(trial=Trial(2, 80), terms=terms)
    dealt = _dealt(dispatch, of)
    assert _tick(dispatch) == []
    assert _find(dispatch, of).until is None
    dispatch.now += 9 * HOUR  # a slow relay
    _serve(dispatch, of)
    assert _tick(dispatch) == []
    assert _find(dispatch, of).until == dispatch.now + 4 * HOUR
    dispatch.now += HOUR
    for who in sorted(dealt[1])[:8]:
        dispatch.withdraw(who)
    dispatch.withdraw(min(dealt[None]))  # who got none does not count
    dispatch.now += 3 * HOUR
    with dispatch.engine.begin() as conn:
        stands = trials.find(conn, of.id)
        assert stands is not None
        first, second = trials.figures(conn, of, stands)
    assert (first.left, second.left) == (8, 0)
    assert _tick(dispatch) == [of.id]
    stands = _find(dispatch, of)
    assert (stands.chosen, stands.chosen_by) == (2, ChosenBy.FIGURES)
    _serve(dispatch, of)
    assert dispatch.counted(of) == {"sent": 599, "withheld": 1}


def test_who_leaves_after_the_wait_does_not_count(dispatch: Dispatch) -> None:
    dispatch.people(400)
    of = dispatch.campaign(trial=Trial(2, 90))
    dealt = _dealt(dispatch, of)
    _serve(dispatch, of)
    _tick(dispatch)
    dispatch.now += 5 * HOUR  # no worker was there for an hour
    for who in sorted(dealt[1])[:20]:
        dispatch.withdraw(who)
    assert _tick(dispatch) == [of.id]
    assert _find(dispatch, of).chosen_by is ChosenBy.OTHERWISE
    assert _find(dispatch, of).chosen == 1


def test_where_nothing_is_clear_it_waits_for_somebody_if_it_was_said_so(dispatch: Dispatch) -> None:
    dispatch.people(40)
    of = dispatch.campaign(trial=Trial(2, 50), terms=Terms(50, HOUR, Otherwise.WAIT))
    _serve(dispatch, of)
    _tick(dispatch)
    for _ in range(3):
        dispatch.now += 24 * HOUR
        assert _tick(dispatch) == []
    status = dispatch.status(of)
    assert status.problem is not None
    assert status.problem.endswith(f"dispatcher campaigns choose {of.id} A|B")
    with dispatch.engine.begin() as conn:
        assert [one.id for one in campaigns.standing_still(conn)] == [of.id]
    _choose(dispatch, of, 1)
    assert dispatch.status(of).problem is None
    late = dispatch.must_claim()
    assert of.expires_at(late.due_at) > dispatch.now  # three days after the launch nobody's letter is given up for it
    dispatch.give_back(late)
    _serve(dispatch, of)
    assert dispatch.is_complete(of)


def test_what_is_paused_or_cancelled_is_not_decided_and_one_that_is_paused_can_be_chosen_for(
    dispatch: Dispatch,
) -> None:
    dispatch.people(40)
    of = dispatch.campaign(trial=Trial(2, 50))
    _serve(dispatch, of)
    _tick(dispatch)
    dispatch.move(of, CampaignState.PAUSED)
    dispatch.now += 24 * HOUR
    assert _tick(dispatch) == []
    _choose(dispatch, of, 2)
    assert dispatch.claim() is None
    dispatch.move(of, CampaignState.SENDING)
    assert dispatch.must_claim().variant == 2
    other = dispatch.campaign(trial=Trial(2, 50))
    dispatch.move(other, CampaignState.CANCELLED)
    with pytest.raises(MoveRefused, match=f"campaign {other.id} is cancelled: nobody waits for a subject"):
        _choose(dispatch, other, 1)
    assert dispatch.status(other).remaining == 40


def test_of_two_who_choose_at_once_one_wins_and_the_other_is_told(dispatch: Dispatch) -> None:
    dispatch.people(40)
    of = dispatch.campaign(trial=Trial(2, 50))

    def choose(variant: int) -> int | None:
        try:
            _choose(dispatch, of, variant)
        except MoveRefused:
            return None
        return variant

    with ThreadPoolExecutor(2) as threads:
        (won,) = filter(None, threads.map(choose, [1, 2]))
    assert _find(dispatch, of).chosen == won
    assert {variant: len(who) for variant, who in _dealt(dispatch, of).items()} == {won: 30, 3 - won: 10}
    with pytest.raises(
        MoveRefused, match=f"the rest of campaign {of.id} has a subject: {trials.letter_of(won)}, since"
    ):
        _choose(dispatch, of, 1)


def test_a_batch_that_is_halved_keeps_its_subject(dispatch: Dispatch) -> None:
    dispatch.people(40)
    of = dispatch.campaign(trial=Trial(2, 50))
    before = _dealt(dispatch, of)
    mine = dispatch.must_claim()
    left = [to.subscriber_id for to in dispatch.recipients(mine, of)]
    with dispatch.engine.begin() as conn:
        assert not poison.weigh(conn, replace(mine, attempts=poison.MOST_ATTEMPTS + 1), left, dispatch.now)
    assert len(dispatch.batch_states(of)) == 4
    assert _dealt(dispatch, of) == before


def test_what_cannot_be_chosen_is_refused_in_words(dispatch: Dispatch) -> None:
    dispatch.people(40)
    one = dispatch.campaign()
    with pytest.raises(InputRefused, match="has one subject: there is nothing to choose"):
        _choose(dispatch, one, 1)
    two = dispatch.campaign(trial=Trial(2, 50))
    with pytest.raises(InputRefused, match="has no subject C"):
        _choose(dispatch, two, 3)
    with pytest.raises(InputRefused, match="there is no subject 'E'"):
        trials.read_letter("E")
    for terms in ({"share": 0}, {"share": 91}, {"wait": timedelta()}, {"wait": timedelta(days=15)}):
        with pytest.raises(InputRefused):
            Terms(**terms)  # type: ignore[arg-type]
    for said in ("4", "h", "-4h", "4w"):
        with pytest.raises(InputRefused, match="is no span of time"):
            trials.read_wait(said)
    assert trials.read_wait("90min") == timedelta(minutes=90)
    with dispatch.engine.begin() as conn:
        conn.execute(update(campaign).where(campaign.c.id == two.id).values(state=CampaignState.DRAFT))
    with pytest.raises(MoveRefused, match="is draft"):
        _choose(dispatch, two, 1)
