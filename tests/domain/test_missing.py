"""Who is missing, page by page, while people move on: nobody is left out, and the later word is the right one."""

from datetime import timedelta

from dispatcher.db.terms import Outcome
from dispatcher.domain.newsletters import missing
from dispatcher.domain.newsletters.missing import Missing, Place
from tests.domain.dispatch import Dispatch, deferred, final


def test_whoever_moves_on_between_two_pages_is_named_again_and_nobody_is_left_out(dispatch: Dispatch) -> None:
    people = dispatch.people(7)
    of = dispatch.campaign()
    later = dispatch.now + timedelta(minutes=5)
    dispatch.record(final(of, people[6], Outcome.FAILED, None, 550), deferred(of, people[5], later))
    moves = [
        deferred(of, people[0], later),
        final(of, people[1], Outcome.SENT, 1, 250),
        final(of, people[0], Outcome.FAILED, None, 550),
        final(of, people[5], Outcome.SENT, 1, 250),
    ]
    told: list[Missing] = []
    place: Place | None = missing.START
    while place is not None:
        with dispatch.engine.begin() as conn:
            page, place = missing.page(conn, of, place, 2)
        told += page
        if moves:
            dispatch.record(moves.pop(0))
    assert len(told) <= len(people) + 2
    assert {who.subscriber_id for who in told} | {people[1], people[5]} == set(people)
    words = {who.subscriber_id: who.outcome for who in told}  # the later one counts
    assert (words[people[0]], words[people[6]]) == ("failed", "failed")
    assert [words[who] for who in people[2:5]] == ["remaining"] * 3
