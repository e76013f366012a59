"""A campaign for some of those who agreed: who gets it, to what its release is bound, and how it is said in words."""

import pytest
from sqlalchemy import insert, update

from dispatcher.db import clock
from dispatcher.db.tables import campaign, delivery_count, subscriber
from dispatcher.db.tables import series as series_table
from dispatcher.db.terms import CampaignState, Language, Topic
from dispatcher.domain.audience import filters
from dispatcher.domain.audience.filters import EVERYBODY, Field, Filter
from dispatcher.domain.newsletters import campaigns, revisions, series
from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.domain.newsletters.revisions import Revision
from dispatcher.domain.newsletters.series import Plan
from dispatcher.domain.staff.audit import NOBODY
from dispatcher.errors import ReleaseOutdated
from dispatcher.sending import binding, filter_words, launch, release, sweep
from tests import builders
from tests.relay import ScriptedRelay
from tests.stage import Stage
from tests.web.visitor import on_sqlite

GERMAN = filters.parse(["language=de"])


def _draft(stage: Stage, of: Filter, content: str = builders.CONTENT) -> int:
    with stage.engine.begin() as conn:
        return builders.create_campaign(conn, clock.now(conn), content=content, filter=of)


def _schedule(stage: Stage, campaign_id: int) -> None:
    with stage.engine.begin() as conn:
        release.schedule(conn, campaign_id, clock.now(conn), "UTC", stage.stationery, stage.house)


def _read_english(stage: Stage, *addresses: str) -> None:
    with stage.engine.begin() as conn:
        ids = [stage.ids[address] for address in addresses]
        conn.execute(update(subscriber).where(subscriber.c.id.in_(ids)).values(language="en"))


def _letters(stage: Stage) -> list[str]:
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=1))
    return sorted(letter.recipient for letter in relay.accepted)


def _sent(stage: Stage, of: Filter, content: str = builders.CONTENT) -> tuple[int, list[str]]:
    campaign_id = _draft(stage, of, content)
    _schedule(stage, campaign_id)
    assert sweep.begin(stage.engine, campaign_id, stage.house)
    return campaign_id, _letters(stage)


def test_a_campaign_goes_to_whom_its_filter_leaves_and_the_next_to_whom_it_did_not_reach(stage: Stage) -> None:
    maria, josef, anna, otto = stage.add(4)
    stage.withdraw(otto)
    _read_english(stage, josef, otto)
    first, reached = _sent(stage, filters.parse(["language=en"]))
    assert reached == [josef]
    assert stage.counted(first) == {"sent": 1, "withheld": 1}
    _, reached = _sent(stage, filters.parse([], [f"received={first}"]))
    assert reached == sorted([maria, anna])
    _, reached = _sent(stage, filters.parse([f"received={first}"]))
    assert reached == [josef]


def test_of_a_filtered_audience_a_share_tries_the_subjects(stage: Stage) -> None:
    addresses = stage.add(12)
    _read_english(stage, *addresses[:2])
    content = builders.CONTENT.replace("title:", "subjects: [Silber, Gold]\ntitle:")
    _, reached = _sent(stage, filters.parse(["language=de"]), content)
    assert set(reached) < set(addresses[2:])
    assert len(reached) == 2


@on_sqlite
def test_an_issue_of_a_series_goes_to_whom_its_draft_says(stage: Stage) -> None:
    maria, josef = stage.add(2)
    _read_english(stage, josef)
    draft = _draft(stage, GERMAN)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        plan = Plan("Markt", Topic.FINANCE_NEWS, "Markt", recurrence("daily", "09:00", "Europe/Berlin"))
        number = series.create(conn, plan, now)
        release.put_in(conn, draft, number, stage.stationery, stage.house)
        conn.execute(update(series_table).where(series_table.c.id == number).values(next_at=now))
    sweep.tick(stage.engine, stage.house)
    assert _letters(stage) == [maria]


def test_a_release_is_bound_to_the_filter_and_to_what_it_can_still_tell(stage: Stage) -> None:
    stage.add(2)
    earlier, _ = _sent(stage, EVERYBODY)
    received = filters.parse([f"received={earlier}"])
    draft = _draft(stage, EVERYBODY)
    with stage.engine.begin() as conn:
        hashes = []
        for version, of in enumerate((EVERYBODY, GERMAN, received, EVERYBODY), 1):
            revisions.edit(conn, draft, Revision(version, NOBODY, filter=of), clock.now(conn))
            hashes.append(binding.audience_hash(conn, campaigns.get(conn, draft)))
        assert len(set(hashes)) == 3
        assert hashes[0] == hashes[3]
        revisions.edit(conn, draft, Revision(5, NOBODY, filter=received), clock.now(conn))
    _schedule(stage, draft)
    with stage.engine.begin() as conn:
        conn.execute(insert(delivery_count).values(campaign_id=earlier, outcome="sent", people=2))
        launch.prepare(conn, draft, clock.now(conn))
    with stage.engine.begin() as conn, pytest.raises(ReleaseOutdated, match="whom it goes to"):
        launch.launch(conn, draft, stage.house, clock.now(conn))


@on_sqlite
def test_a_filter_that_was_altered_past_the_house_lets_nothing_go(stage: Stage) -> None:
    stage.add(1)
    draft = _draft(stage, GERMAN)
    _schedule(stage, draft)
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).where(campaign.c.id == draft).values(filter=None))
    assert not sweep.begin(stage.engine, draft, stage.house)
    with stage.engine.begin() as conn:
        assert campaigns.get(conn, draft).state is CampaignState.DRAFT


# --- in words ---


@on_sqlite
def test_a_filter_is_said_in_both_languages(stage: Stage) -> None:
    earlier, _ = _sent(stage, EVERYBODY)
    of = filters.parse(
        ["language=de", "agreed-since=2026-01-31", "domain=bücher.example,example.de"],
        [f"received={earlier}", "provider=other,google", "name=known", "consent=imported"],
    )
    with stage.engine.begin() as conn:
        assert filter_words.say(conn, of, Language.EN) == (
            "reads German; address at example.de or bücher.example; agreed on 31 January 2026 or later; "
            "mailbox not at Google (Gmail, Workspace) or any other provider; not agreed elsewhere, with evidence; "
            f"did not receive “Edelmetalle der Woche” ({earlier}); name is not known"
        )
        assert filter_words.say(conn, of, Language.DE) == (
            "liest Deutsch; Adresse bei example.de oder bücher.example; eingewilligt am 31. Januar 2026 oder später; "
            "Postfach nicht bei Google (Gmail, Workspace) oder einem anderen Anbieter; "
            "Einwilligung nicht anderswo, mit Nachweis; "
            f"hat „Edelmetalle der Woche“ ({earlier}) nicht bekommen; Name nicht bekannt"
        )
        assert filter_words.say(conn, EVERYBODY, Language.EN) == "everybody who agreed"


def test_both_languages_have_words_for_every_field_and_value() -> None:
    german, english = (filter_words.words(language) for language in (Language.DE, Language.EN))
    assert _shape(german) == _shape(english)
    for field, choices in filters.CHOICES.items():
        if field is not Field.NAME:
            assert set(german["values"][field]) == set(choices)
    for field in Field:
        ways = {"only"} if field in filters.DAYS else {"only", "without"}
        assert set(german[field]) == ways


def _shape(table: object) -> object:
    return {key: _shape(inner) for key, inner in table.items()} if isinstance(table, dict) else ""
