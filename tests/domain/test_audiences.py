"""The frozen audience: everyone who ever asked is in it exactly once, in a batch or withheld with the reason."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update

from dispatcher.db.tables import batch, delivery, subscriber, subscription
from dispatcher.db.terms import ConsentKind, SuppressionReason, Topic
from dispatcher.domain import consent, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.audience import dealing_out
from dispatcher.domain.audience.audiences import why_not
from dispatcher.domain.consent import Evidence
from tests import builders
from tests.domain.dispatch import NOW, TOPIC, Dispatch


def _paged(dispatch: Dispatch) -> list[int]:
    with dispatch.engine.begin() as conn:
        pages = conn.execute(select(batch.c.subscriber_ids).order_by(batch.c.no)).scalars().all()
    return [who for page in pages for who in page]


def _reasons(dispatch: Dispatch) -> dict[int, str]:
    with dispatch.engine.begin() as conn:
        rows = conn.execute(select(delivery.c.subscriber_id, delivery.c.outcome, delivery.c.reply)).all()
    assert {row.outcome for row in rows} <= {"withheld"}
    return {row.subscriber_id: row.reply for row in rows}


def test_each_reason_why_somebody_is_withheld_is_written_down(dispatch: Dispatch) -> None:
    fine, erased, left, bounced, left_and_complained, topical = dispatch.people(6)
    mails = {who: mail for mail, who in dispatch.ids.items()}
    with dispatch.engine.begin() as conn:
        waiting = builders.add_people(conn, dispatch.keyring, ["waiting@example.de"], NOW)["waiting@example.de"]
        builders.agree(conn, [waiting], TOPIC, NOW, ConsentKind.REQUESTED)
        conn.execute(update(subscriber).where(subscriber.c.id == erased).values(address=None))
        for who, scope, reason in (
            (bounced, None, SuppressionReason.BOUNCED),
            (left_and_complained, None, SuppressionReason.COMPLAINT),
            (topical, TOPIC, SuppressionReason.OPERATOR),
            (fine, Topic.SPECIAL_OFFERS, SuppressionReason.OPERATOR),
        ):
            hashed = address_hash(dispatch.keyring, parse_address(mails[who]))
            suppression.suppress(conn, [hashed], scope, reason, "a test", NOW)
    for who in (left, left_and_complained):
        dispatch.withdraw(who)
    of = dispatch.campaign()
    assert _paged(dispatch) == [fine]
    assert _reasons(dispatch) == {
        erased: "erased",
        left: "withdrew the consent",
        left_and_complained: "withdrew the consent",
        bounced: "suppressed: bounced",
        topical: "suppressed: operator",
        waiting: "never confirmed the subscription",
    }
    assert of.audience == 7


def test_whoever_never_asked_for_the_topic_is_not_in_the_audience(dispatch: Dispatch) -> None:
    dispatch.people(2)
    with dispatch.engine.begin() as conn:
        others = builders.add_people(conn, dispatch.keyring, ["other@example.de", "nobody@example.de"], NOW)
        builders.agree(conn, [others["other@example.de"]], Topic.PRODUCT_NEWS, NOW)
    assert dispatch.campaign().audience == 2


def test_permitted_and_withheld_make_up_everyone_who_asked_in_pages_of_500(dispatch: Dispatch) -> None:
    people = dispatch.people(1_203)
    for who in people[::400]:
        dispatch.withdraw(who)
    of = dispatch.campaign()
    paged, withheld = _paged(dispatch), _reasons(dispatch)
    assert sorted([*paged, *withheld]) == sorted(people)
    assert len(withheld) == 4
    assert of.audience == 1_203
    with dispatch.engine.begin() as conn:
        sizes = [len(page) for page in conn.execute(select(batch.c.subscriber_ids).order_by(batch.c.no)).scalars()]
    assert sizes == [dealing_out.PAGE, dealing_out.PAGE, 199]
    assert dispatch.batch_states(of) == ["ready"] * 3


def test_an_audience_of_nobody_is_complete_at_once(dispatch: Dispatch) -> None:
    of = dispatch.campaign()
    assert of.audience == 0
    assert dispatch.claim() is None
    assert dispatch.is_complete(of)


def test_an_audience_all_of_whom_are_withheld_is_complete_at_once(dispatch: Dispatch) -> None:
    for who in dispatch.people(3):
        dispatch.withdraw(who)
    of = dispatch.campaign()
    assert of.audience == 3
    assert dispatch.is_complete(of)


def test_two_campaigns_freeze_an_audience_each(dispatch: Dispatch) -> None:
    people = dispatch.people(3)
    first = dispatch.campaign()
    dispatch.withdraw(people[0])
    second = dispatch.campaign()
    assert (first.audience, second.audience) == (3, 3)
    assert Counter(_paged(dispatch)) == {people[0]: 1, people[1]: 2, people[2]: 2}


# SQLite lets nobody write while an audience is frozen.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_consent_that_changes_while_the_audience_is_frozen_loses_nobody_and_counts_nobody_twice(
    dispatch: Dispatch, engine: Engine
) -> None:
    leaving, staying = dispatch.people(2)
    with engine.begin() as conn:
        joining = builders.add_people(conn, dispatch.keyring, ["joining@example.de"], NOW)["joining@example.de"]
        builders.agree(conn, [joining], TOPIC, NOW, ConsentKind.REQUESTED)

    changed = []

    @event.listens_for(engine, "after_cursor_execute")
    def _between(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO batch" in statement and not changed:
            changed.append(statement)
            with engine.begin() as other:
                consent.withdraw(other, leaving, [TOPIC], Evidence(source="a test"), NOW)
                consent.confirm(other, joining, [TOPIC], Evidence(source="a test"), NOW)

    of = dispatch.campaign()
    assert _paged(dispatch) == [leaving, staying]
    assert _reasons(dispatch) == {joining: "never confirmed the subscription"}
    assert of.audience == 3
    claim = dispatch.must_claim()
    assert [to.subscriber_id for to in dispatch.recipients(claim, of)] == [staying]
    assert _reasons(dispatch)[leaving] == "withdrew the consent"


def test_a_confirmation_has_an_audience_of_one(dispatch: Dispatch) -> None:
    _, maria = dispatch.people(2)
    with dispatch.engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW)
        dealing_out.freeze_one(conn, campaign_id, maria)
    assert _paged(dispatch) == [maria]


def test_a_reason_is_given_even_if_consent_comes_back_while_it_is_looked_for(dispatch: Dispatch) -> None:
    dispatch.people(1)
    with dispatch.engine.begin() as conn:
        found = select(why_not(TOPIC)).join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
        assert conn.execute(found).scalar_one() == "no current consent at that moment"
