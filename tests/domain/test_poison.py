"""Batches that nobody survives: who is in them is found out, and the others get their letters."""

from datetime import timedelta

from sqlalchemy import select

from dispatcher.db.tables import batch, deferral
from dispatcher.db.terms import BatchState, Outcome
from dispatcher.domain.delivery import poison, recipients
from dispatcher.domain.delivery.batches import LEASE, Claim
from dispatcher.domain.ledger import Deferral, Final
from dispatcher.domain.newsletters.campaigns import Campaign
from tests.domain.dispatch import Dispatch


def claim(dispatch: Dispatch, of: Campaign) -> tuple[Claim, list[int]] | None:
    """Claim as the feed does: weigh before serving. None: there is no batch that may be served."""
    while (mine := dispatch.claim()) is not None:
        with dispatch.engine.begin() as conn:
            left = [to.subscriber_id for to in recipients.to_serve(conn, mine, of, dispatch.now)]
            if poison.weigh(conn, mine, left, dispatch.now):
                return mine, left
    return None


def die(dispatch: Dispatch) -> None:
    """Let the lease of whoever holds a batch end."""
    dispatch.now += LEASE + timedelta(seconds=1)


def send(dispatch: Dispatch, of: Campaign, people: list[int]) -> None:
    dispatch.record(*(Final(of.id, who, Outcome.SENT, 1, 250, "250 ok", "relay") for who in people))


def pages(dispatch: Dispatch) -> list[tuple[str, list[int]]]:
    with dispatch.engine.begin() as conn:
        rows = conn.execute(select(batch.c.state, batch.c.subscriber_ids).order_by(batch.c.no))
        return [(row.state, list(row.subscriber_ids)) for row in rows]


def test_a_batch_that_five_claims_did_not_survive_is_halved(dispatch: Dispatch) -> None:
    people = dispatch.people(5)
    of = dispatch.campaign()
    for _ in range(5):
        assert claim(dispatch, of) is not None
        die(dispatch)
    got = claim(dispatch, of)
    assert got is not None
    assert sorted(len(ids) for _, ids in pages(dispatch)) == [2, 3]
    assert sorted(who for _, ids in pages(dispatch) for who in ids) == sorted(people)


def test_the_one_letter_that_kills_is_found_and_set_aside_and_everyone_else_is_served(dispatch: Dispatch) -> None:
    people = dispatch.people(9)
    of = dispatch.campaign()
    killer = people[6]
    for _ in range(100):
        got = claim(dispatch, of)
        if got is None:
            break
        mine, left = got
        if killer in left:
            die(dispatch)
            continue
        send(dispatch, of, left)
        dispatch.settle(mine)
    assert dispatch.status(of).sent == 8
    assert dispatch.status(of).failed == 1
    assert dispatch.outcomes(of)[killer] == Outcome.FAILED
    assert BatchState.QUARANTINED in {state for state, _ in pages(dispatch)}
    assert dispatch.is_complete(of)


def test_a_batch_that_goes_on_is_never_halved_however_often_its_holders_die(dispatch: Dispatch) -> None:
    dispatch.people(12)
    of = dispatch.campaign()
    for _ in range(12):
        got = claim(dispatch, of)
        assert got is not None
        send(dispatch, of, got[1][:1])
        die(dispatch)
    assert len(pages(dispatch)) == 1
    assert dispatch.status(of).sent == 12


def test_whoever_waits_for_another_attempt_waits_in_the_half_that_names_them(dispatch: Dispatch) -> None:
    people = dispatch.people(4)
    of = dispatch.campaign()
    got = claim(dispatch, of)
    assert got is not None
    later = dispatch.now + timedelta(seconds=1)
    dispatch.record(Deferral(of.id, people[3], got[0].no, 1, later, 450, "450 later", "relay"))
    for _ in range(6):
        die(dispatch)
        claim(dispatch, of)
    with dispatch.engine.begin() as conn:
        where = conn.execute(select(deferral.c.batch_no)).scalar_one()
        named = conn.execute(select(batch.c.subscriber_ids).where(batch.c.no == where)).scalar_one()
    assert people[3] in named
