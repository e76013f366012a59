"""The life of a campaign: only the drawn moves, one winner of two, and moments read as a wall clock shows them."""

import itertools
import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, insert, select, update

from dispatcher.db.tables import campaign, opt_in_request
from dispatcher.db.terms import CampaignKind, CampaignState, Language, Topic, UnknownPolicy
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Draft
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import MoveRefused, NotFound
from tests import builders

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
DRAFT, SCHEDULED, PREPARING, SENDING, PAUSED, SENT, CANCELLED = CampaignState

ALLOWED = {
    (DRAFT, SCHEDULED), (SCHEDULED, DRAFT), (SCHEDULED, SCHEDULED), (SCHEDULED, PREPARING), (PREPARING, SENDING),
    (PREPARING, DRAFT), (SENDING, PAUSED), (PAUSED, SENDING), (SENDING, SENT),
    (DRAFT, CANCELLED), (SCHEDULED, CANCELLED), (PREPARING, CANCELLED), (SENDING, CANCELLED), (PAUSED, CANCELLED),
}  # fmt: skip


def test_every_drawn_move_is_made_and_every_other_is_refused(engine: Engine) -> None:
    with engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW)
        for source, target in itertools.product(CampaignState, repeat=2):
            conn.execute(update(campaign).values(state=source))
            is_allowed = (source, target) in ALLOWED
            assert campaigns.move(conn, campaign_id, target) is is_allowed, (source, target)
            stands = campaigns.get(conn, campaign_id).state
            assert stands is (target if is_allowed else source)


def test_a_move_may_be_narrowed_to_one_source(engine: Engine) -> None:
    with engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW)
        conn.execute(update(campaign).values(state=PREPARING))
        assert not campaigns.move(conn, campaign_id, SENDING, only_from=PAUSED)
        assert campaigns.move(conn, campaign_id, SENDING, only_from=PREPARING, launched_at=NOW)
        assert campaigns.get(conn, campaign_id).launched_at == NOW


def test_a_move_moves_nobody_else(engine: Engine) -> None:
    with engine.begin() as conn:
        first, second = builders.create_campaign(conn, NOW), builders.create_campaign(conn, NOW)
        campaigns.require_move(conn, second, CANCELLED)
        assert campaigns.get(conn, first).state is DRAFT


def test_a_refused_move_says_where_it_stands_and_what_is_possible(engine: Engine) -> None:
    with engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW)
        with pytest.raises(MoveRefused) as caught:
            campaigns.require_move(conn, campaign_id, PAUSED)
        assert caught.value.what == f"campaign {campaign_id} is draft; it cannot become paused"
        assert caught.value.cure == "from here it can become: cancelled, scheduled"
        campaigns.require_move(conn, campaign_id, CANCELLED)
        with pytest.raises(MoveRefused) as caught:
            campaigns.require_move(conn, campaign_id, SCHEDULED)
        assert caught.value.cure == "this is its end; create a new one"


def test_a_campaign_that_does_not_exist_is_not_moved_but_named(engine: Engine) -> None:
    with engine.begin() as conn:
        with pytest.raises(NotFound, match="no campaign 4711"):
            campaigns.require_move(conn, 4711, CANCELLED)
        assert not campaigns.move(conn, 4711, CANCELLED)


def test_of_two_who_move_at_once_one_wins(engine: Engine) -> None:
    with engine.begin() as conn:
        ids = [builders.create_campaign(conn, NOW) for _ in range(5)]
        conn.execute(update(campaign).values(state=SENDING))
    for campaign_id in ids:
        start, won = threading.Barrier(2), []

        def move(to: CampaignState, of: int = campaign_id, start=start, won=won) -> None:
            start.wait(10)
            with engine.begin() as conn:
                if campaigns.move(conn, of, to, only_from=SENDING):
                    won.append(to)

        threads = [threading.Thread(target=move, args=(to,)) for to in (PAUSED, SENT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        with engine.begin() as conn:
            assert won == [campaigns.get(conn, campaign_id).state]


def test_a_draft_keeps_what_was_handed_in(engine: Engine) -> None:
    contents = {Language.DE: ("n.de.md", "Ä"), Language.EN: ("n.en.md", "A")}
    draft = Draft(Topic.SPECIAL_OFFERS, "Angebote", "Betreff", Language.DE, contents)
    with engine.begin() as conn:
        of = campaigns.get(conn, campaigns.create(conn, draft, NOW))
        assert campaigns.contents(conn, of.id) == contents
        assert campaigns.editions(conn, of.id) == {}
    assert (of.kind, of.topic, of.state) == (CampaignKind.NEWSLETTER, Topic.SPECIAL_OFFERS, DRAFT)
    assert (of.unknown_policy, of.created_at, of.audience) == (UnknownPolicy.HOLD, NOW, None)


def test_finance_news_go_stale_before_the_others(engine: Engine) -> None:
    with engine.begin() as conn:
        hours = {t: campaigns.get(conn, builders.create_campaign(conn, NOW, t)).expires_after_s / 3600 for t in Topic}
    assert hours == {Topic.FINANCE_NEWS: 12, Topic.PRODUCT_NEWS: 48, Topic.SPECIAL_OFFERS: 48}


def test_a_confirmation_is_due_at_once_before_all_newsletters_and_not_among_them(
    engine: Engine, keyring: Keyring
) -> None:
    with engine.begin() as conn:
        who = builders.add_people(conn, keyring, ["maria@example.de"], NOW)["maria@example.de"]
        row = {
            "subscriber_id": who, "nonce": bytes(16), "token_sha256": bytes(32), "topics": ["finance-news"],
            "language": "de", "source": "a test", "requested_at": NOW, "expires_at": NOW,
        }  # fmt: skip
        asked = conn.execute(insert(opt_in_request).returning(opt_in_request.c.id), row).scalar_one()
        of = campaigns.get(conn, campaigns.create_confirmations(conn, {asked: Language.EN}, NOW)[0])
        assert campaigns.newest(conn) == []
    assert (of.kind, of.topic, of.request_id) == (CampaignKind.CONFIRMATION, None, asked)
    assert (of.state, of.send_at, of.unknown_policy) == (SCHEDULED, NOW, UnknownPolicy.RESEND)


def test_the_newest_campaigns_come_first_and_only_so_many(engine: Engine) -> None:
    with engine.begin() as conn:
        ids = [builders.create_campaign(conn, NOW) for _ in range(4)]
        assert [of.id for of in campaigns.newest(conn, limit=3)] == ids[:0:-1]


def test_a_new_release_replaces_the_frozen_letters_of_the_one_before(engine: Engine) -> None:
    with engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW)
        campaigns.freeze_editions(
            conn, campaign_id, {Language.DE: ("eins", bytes(32)), Language.EN: ("one", bytes(32))}
        )
        campaigns.freeze_editions(conn, campaign_id, {Language.DE: ("zwei", bytes(32))})
        assert campaigns.editions(conn, campaign_id) == {Language.DE: "zwei"}


def test_a_problem_is_noted_and_taken_back(engine: Engine) -> None:
    with engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW)
        campaigns.note_problem(conn, campaign_id, "the relay is away")
        assert campaigns.get(conn, campaign_id).problem == "the relay is away"
        campaigns.note_problem(conn, campaign_id, None)
        assert conn.execute(select(campaign.c.problem)).scalar_one() is None
