"""A trial of subjects, from the content to the last letter: over a relay, with workers that are killed, content that is
replaced, and a release that is bound to it.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, update

from dispatcher.db import clock
from dispatcher.db.tables import batch, delivery, trial
from dispatcher.db.terms import CampaignState, ChosenBy, Language, Topic
from dispatcher.domain.newsletters import campaigns, on_hold, trials
from dispatcher.domain.newsletters.campaigns import Campaign, Draft
from dispatcher.domain.newsletters.revisions import Revision
from dispatcher.domain.newsletters.trials import Terms
from dispatcher.domain.staff.audit import NOBODY
from dispatcher.errors import ContentInvalid, InputRefused
from dispatcher.sending import launch as sending
from dispatcher.sending import proof, release, subjects, sweep
from dispatcher.sending.binding import content_hash
from dispatcher.sending.release import Local
from tests import builders
from tests.relay import ScriptedRelay
from tests.stage import Stage

GOLD = builders.CONTENT.replace("title:", 'subjects:\n  - Gold steigt\n  - "Gold: was nun, {{ name }}?"\ntitle:')
ENGLISH = GOLD.replace("language: de", "language: en").replace("Gold steigt", "Gold rises")
FIRST, SECOND = b"Gold steigt", b"Gold: was nun, Maria Muster?"


def _draft(stage: Stage, content: str = GOLD, terms: Terms | None = None, **others: str) -> int:
    files = {Language.DE: ("news.de.md", content)} | {Language(k): (f"news.{k}.md", v) for k, v in others.items()}
    with stage.engine.begin() as conn:
        draft = Draft(Topic.FINANCE_NEWS, "x", "Gold", Language.DE, files)
        return release.draft(conn, draft, stage.house, clock.now(conn), terms)


def _launched(stage: Stage, terms: Terms | None = None) -> int:
    campaign_id = _draft(stage, terms=terms)
    with stage.engine.begin() as conn:
        release.start(conn, campaign_id, clock.now(conn), stage.stationery, stage.house)
    assert sweep.begin(stage.engine, campaign_id, stage.house)
    return campaign_id


def _subjects(relay: ScriptedRelay) -> dict[str, bytes]:
    """Give the subject of each letter that was taken, by its reader; nobody has two."""
    found = {}
    for letter in relay.accepted:
        (line,) = [line for line in letter.raw.split(b"\r\n") if line.startswith(b"Subject: ")]
        assert letter.recipient not in found
        found[letter.recipient] = line.removeprefix(b"Subject: ")
    return found


def _end_wait(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        conn.execute(update(trial).where(trial.c.until.is_not(None)).values(until=clock.now(conn)))


def _get(stage: Stage, campaign_id: int) -> Campaign:
    with stage.engine.begin() as conn:
        return campaigns.get(conn, campaign_id)


def _rows(stage: Stage) -> dict[int, int | None]:
    with stage.engine.begin() as conn:
        return {row.subscriber_id: row.edition_no for row in conn.execute(select(delivery))}


def test_a_share_tries_the_subjects_and_the_rest_gets_the_first_when_the_wait_shows_nothing(stage: Stage) -> None:
    people = stage.add(20)
    campaign_id = _launched(stage, Terms(share=50))
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=2))
        tried = _subjects(relay)
        assert sorted(tried.values()) == [FIRST] * 5 + [SECOND] * 5
        sweep.tick(stage.engine, stage.house)
        stage.drain(relay.relay(lanes=2))
        assert len(relay.accepted) == 10
        status = stage.status(campaign_id)
        assert (status.state, status.sent, status.remaining) == (CampaignState.SENDING, 10, 10)
        _end_wait(stage)
        sweep.tick(stage.engine, stage.house)
        stage.drain(relay.relay(lanes=2))
    all_ = _subjects(relay)
    assert sorted(all_) == sorted(people)
    assert {all_[who] for who in people if who not in tried} == {FIRST}
    assert _rows(stage) == {stage.ids[who]: 1 if all_[who] == FIRST else 2 for who in people}
    assert stage.status(campaign_id).state is CampaignState.SENT
    with stage.engine.begin() as conn:
        found = trials.find(conn, campaign_id)
    assert found is not None
    assert found.chosen_by is ChosenBy.OTHERWISE


def test_whoever_is_killed_at_the_choice_leaves_all_of_it_or_nothing(stage: Stage) -> None:
    """The launch and the choice are one transaction each: what was cut off is done again, with the same parts."""
    stage.add(20)
    campaign_id = _draft(stage, terms=Terms(share=50))
    with stage.engine.begin() as conn:
        release.start(conn, campaign_id, clock.now(conn), stage.stationery, stage.house)

    def parts(*, cut_off: Callable[[Connection], object] | None = None) -> list[tuple[str, int | None, list[int]]]:
        with stage.engine.connect() as conn:
            if cut_off is not None:
                cut_off(conn)
            rows = conn.execute(select(batch).order_by(batch.c.no)).all()
            conn.rollback()
        return [(row.state, row.variant, list(row.subscriber_ids)) for row in rows]

    def launch(conn: Connection) -> None:
        sending.prepare(conn, campaign_id, clock.now(conn))
        assert sending.launch(conn, campaign_id, stage.house, clock.now(conn))

    dealt = parts(cut_off=launch)
    assert parts() == []
    assert sweep.begin(stage.engine, campaign_id, stage.house)
    assert parts() == dealt
    chosen = parts(cut_off=lambda conn: trials.choose(conn, campaign_id, 2, NOBODY, clock.now(conn)))
    assert parts() == dealt
    _choose(stage, campaign_id, 2)
    assert parts() == chosen
    waited = [ids for state, _, ids in dealt if state == "waiting"]
    assert [ids for _, variant, ids in parts() if variant == 2 and ids in waited] == waited


@pytest.mark.parametrize("when", ["in the trial", "in the wait", "in the rest"])
def test_content_that_is_replaced_at_any_moment_keeps_each_readers_subject(stage: Stage, when: str) -> None:
    people = stage.add(24)
    campaign_id = _launched(stage, Terms(share=50))
    new = GOLD.replace("Gold", "Silber")
    with ScriptedRelay() as relay:
        _send_until(stage, relay, campaign_id, when)
        old = {letter.recipient for letter in relay.accepted}
        assert len(old) < len(people)
        _replace(stage, campaign_id, new)
        if when != "in the rest":
            _choose(stage, campaign_id, 2)
        stage.drain(relay.relay(lanes=1))
    assert sorted(_subjects(relay)) == sorted(people)
    rows = _rows(stage)
    for letter in relay.accepted:
        no = rows[stage.ids[letter.recipient]]
        assert no is not None
        assert (no > 2) == (letter.recipient not in old) == (b"Subject: Silber" in letter.raw)
        assert (no % 2 == 0) == (b"was nun, Maria" in letter.raw)
    with stage.engine.begin() as conn:
        dealt = {who: row.variant for row in conn.execute(select(batch)) for who in row.subscriber_ids}
    assert {who: 1 if no in {1, 3} else 2 for who, no in rows.items()} == dealt
    assert stage.status(campaign_id).state is CampaignState.SENT


def _send_until(stage: Stage, relay: ScriptedRelay, campaign_id: int, when: str) -> None:
    """Drain up to a moment, and pause the campaign there."""
    few = {"in the trial": 5, "in the wait": 99, "in the rest": 17}[when]
    stopped = []

    def look() -> bool:
        if len(relay.accepted) >= few and not stopped:
            stopped.append(stage.move(campaign_id, CampaignState.PAUSED))
        return False

    stage.drain(relay.relay(lanes=1), stop=look)
    if when == "in the rest":
        _choose(stage, campaign_id, 2)
        stage.drain(relay.relay(lanes=1), stop=look)
    if when == "in the wait":
        stage.move(campaign_id, CampaignState.PAUSED)


def _choose(stage: Stage, campaign_id: int, variant: int) -> None:
    with stage.engine.begin() as conn:
        trials.choose(conn, campaign_id, variant, NOBODY, clock.now(conn))


def _replace(stage: Stage, campaign_id: int, content: str) -> None:
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        release.replace(conn, campaign_id, {Language.DE: ("n.de.md", content)}, NOBODY, stage.house, now)
        release.renew(conn, campaign_id, now, stage.stationery, stage.house)
        release.resume(conn, campaign_id, now)


def test_content_with_another_number_of_subjects_is_refused_under_way(stage: Stage) -> None:
    stage.add(10)
    campaign_id = _launched(stage)
    stage.move(campaign_id, CampaignState.PAUSED)
    for content in (builders.CONTENT, GOLD.replace("  - Gold steigt\n", "  - Gold steigt\n  - Gold fällt\n")):
        with pytest.raises(InputRefused, match="is under way with 2 subjects in each language, and this brings"):
            _replace(stage, campaign_id, content)


def test_the_release_is_bound_to_every_subject_and_to_how_they_are_tried(stage: Stage) -> None:
    campaign_id = _draft(stage)

    def bound() -> bytes:
        with stage.engine.begin() as conn:
            return content_hash(conn, campaigns.get(conn, campaign_id))

    def edit(content: str, terms: Terms | None = None) -> None:
        with stage.engine.begin() as conn:
            read = campaigns.get(conn, campaign_id).version
            said = Revision(read, NOBODY, contents={Language.DE: ("news.de.md", content)})
            release.edit(conn, campaign_id, said, stage.house, clock.now(conn), terms)

    hashes = [bound()]
    for content, terms in (
        (GOLD.replace("was nun", "und nun"), None),
        (GOLD, Terms(share=30)),
        (GOLD, Terms(share=30, wait=timedelta(hours=5))),
        (builders.CONTENT, None),
        (GOLD, None),
    ):
        edit(content, terms)
        hashes.append(bound())
    assert len(set(hashes[:-1])) == 5
    assert hashes[-1] == hashes[0]  # with one subject the terms are forgotten
    with pytest.raises(InputRefused, match="has one subject: there is nothing to try"):
        edit(builders.CONTENT, Terms())


def test_each_language_brings_as_many_subjects_and_readers_clocks_are_for_another_day(stage: Stage) -> None:
    with pytest.raises(ContentInvalid, match=r"news.en.md.*has 0 `subjects`, and news.de.md 2"):
        _draft(stage, en=builders.CONTENT.replace("language: de", "language: en"))
    campaign_id = _draft(stage, en=ENGLISH)
    now = stage.now()
    local = Local(f"{now + timedelta(hours=3):%Y-%m-%dT%H:%M}", "UTC")
    with stage.engine.begin() as conn, pytest.raises(InputRefused, match="tries 2 subjects, and cannot go by each"):
        release.schedule_local(conn, campaign_id, local, now, stage.stationery, stage.house)


def test_a_report_says_what_is_waited_for_at_each_moment(stage: Stage) -> None:
    stage.add(20)
    campaign_id = _draft(stage, terms=Terms(share=50), en=ENGLISH)

    def told() -> subjects.Report:
        with stage.engine.begin() as conn:
            found = subjects.report(conn, campaigns.get(conn, campaign_id), clock.now(conn))
        assert found is not None
        return found

    before = told()
    assert before.waits_for == "the launch"
    assert [(each.letter, dict(each.texts), each.figures) for each in before.subjects] == [
        ("A", {"de": "Gold steigt", "en": "Gold rises"}, None),
        ("B", {"de": "Gold: was nun, {{ name }}?", "en": "Gold: was nun, {{ name }}?"}, None),
    ]
    with stage.engine.begin() as conn:
        release.start(conn, campaign_id, clock.now(conn), stage.stationery, stage.house)
    assert sweep.begin(stage.engine, campaign_id, stage.house)
    launched = told()
    assert launched.waits_for == "the last letters of the trial; then the wait begins"
    assert (launched.waiting, launched.is_small) == (10, True)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        sweep.tick(stage.engine, stage.house)
        assert str(told().waits_for).endswith("UTC, or for somebody to choose")
        stage.move(campaign_id, CampaignState.PAUSED)
        assert told().waits_for == "somebody to resume it, or to choose"
        stage.move(campaign_id, CampaignState.SENDING)
        _choose(stage, campaign_id, 2)
        stage.drain(relay.relay())
    after = told()
    assert (after.chosen, after.waits_for, after.waiting) == ("B", None, 0)
    assert [each.figures.sent for each in after.subjects if each.figures] == [5, 5]


def test_each_subject_can_be_previewed_also_of_a_draft_that_was_taken_back_and_edited(stage: Stage) -> None:
    campaign_id = _draft(stage)

    def line(variant: int) -> str:
        with stage.engine.begin() as conn:
            of = campaigns.get(conn, campaign_id)
            press = proof.press_for(conn, of, stage.stationery, stage.house, variant)
            letter = press.letter(release.trial_recipient(Language.DE), clock.now(conn)).body
        (found,) = [one for one in letter.decode().split("\r\n") if one.startswith("Subject: ")]
        return found

    drafted = [line(1), line(2)]
    assert drafted == ["Subject: Gold steigt", "Subject: Gold: was nun, Maria Muster?"]
    with stage.engine.begin() as conn:
        later = clock.now(conn) + timedelta(hours=1)
        release.schedule(conn, campaign_id, later, "UTC", stage.stationery, stage.house)
    assert [line(1), line(2)] == drafted
    with pytest.raises(InputRefused, match="has no subject C"):
        line(3)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        release.take_back(conn, campaign_id, "a slip", NOBODY, now)
        said = Revision(1, NOBODY, contents={Language.DE: ("news.de.md", GOLD.replace("Gold steigt", "Gold fällt"))})
        release.edit(conn, campaign_id, said, stage.house, now)
    assert "=?utf-8?" in line(1)
    with pytest.raises(InputRefused, match="has no subject D"):
        line(4)


def test_after_a_restore_who_was_in_doubt_is_named_with_their_subject_or_with_none(stage: Stage) -> None:
    """Of batches that were claimed since the backup; the choice is lost when it was made since."""
    stage.add(20)
    campaign_id = _launched(stage, Terms(share=50))
    with stage.engine.begin() as conn:
        rows = {row.no: row for row in conn.execute(select(batch))}
        on_hold.hold(conn, on_hold.Since({}, {campaign_id: frozenset(rows)}), clock.now(conn))
    expected = {who: row.variant for row in rows.values() for who in row.subscriber_ids}
    assert _rows(stage) == expected
    _choose(stage, campaign_id, 1)
    stage.move(campaign_id, CampaignState.SENDING)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert relay.accepted == []
    assert _get(stage, campaign_id).state is CampaignState.SENT
