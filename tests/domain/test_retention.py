"""Retention: each period at its boundary, a second before and after; who is let go of, and what must stay."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, func, insert, select, update

from dispatcher.db.tables import (
    metadata,
    opt_in_request,
    retention_run,
    signup_attempt,
    subscriber,
    subscription,
)
from dispatcher.db.terms import ConsentKind, Language, Outcome, RightKind, Topic
from dispatcher.domain import consent, declarations, periods, retention
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.declarations import Draft
from dispatcher.domain.delivery.passage import Withheld
from dispatcher.domain.people import rights
from dispatcher.domain.retention import Step
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import opt_in
from tests import builders
from tests.domain.dispatch import NOW, TOPIC, Dispatch
from tests.domain.keeping import BERLIN, DAY, FORM, MARIA, SECOND, Keeping

OFFERS = Topic.SPECIAL_OFFERS


@pytest.fixture
def keeping(engine: Engine, keyring: Keyring) -> Keeping:
    return Keeping(engine, keyring)


def test_a_request_that_nobody_confirmed_is_erased_after_fourteen_days_and_its_person_with_it(keeping: Keeping) -> None:
    who = keeping.ask(TOPIC, OFFERS)
    hashed = keeping.person(who).address_hash
    due = NOW + 14 * DAY
    assert keeping.run(due - SECOND) == {}
    assert keeping.person(who).address == MARIA
    assert keeping.planned(due) == {Step.REQUESTS: (1, NOW), Step.UNCONFIRMED: (2, NOW)}
    assert keeping.run(due) == {Step.REQUESTS: 1, Step.UNCONFIRMED: 2}
    gone = keeping.person(who)
    assert (gone.address, gone.name) == (None, "")
    assert gone.address_hash != hashed
    assert keeping.states(who) == {}
    assert [(e.kind, e.ip, e.user_agent) for e in keeping.events(who)] == [
        ("requested", None, None), ("requested", None, None), ("expired", None, None), ("expired", None, None),
    ]  # fmt: skip
    (request,) = keeping.rows("opt_in_request")
    assert (request.nonce, request.erased_at) == (bytes(16), due)
    assert keeping.run(due + DAY) == {}


def test_who_was_let_go_of_and_comes_back_is_somebody_new(keeping: Keeping) -> None:
    first = keeping.ask(TOPIC)
    keeping.run(NOW + 14 * DAY)
    again = keeping.ask(TOPIC, at=NOW + 15 * DAY)
    assert again != first
    assert (keeping.person(again).address, keeping.states(again)) == (MARIA, {TOPIC: "pending"})


def test_a_second_request_for_the_same_topic_counts_from_its_own_day(keeping: Keeping) -> None:
    who = keeping.ask(TOPIC)
    keeping.ask(TOPIC, at=NOW + 10 * DAY)
    assert keeping.run(NOW + 14 * DAY) == {Step.REQUESTS: 1}
    assert keeping.states(who) == {TOPIC: "pending"}
    assert keeping.run(NOW + 24 * DAY) == {Step.REQUESTS: 1, Step.UNCONFIRMED: 1}
    assert keeping.person(who).address is None


def test_who_confirmed_one_topic_keeps_all_and_only_the_other_request_expires(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    keeping.ask(OFFERS)
    keeping.run(NOW + 14 * DAY)
    assert keeping.person(who).address == MARIA
    assert keeping.states(who) == {TOPIC: "confirmed", OFFERS: "withdrawn"}
    assert [(e.kind, e.ip) for e in keeping.events(who)] == [
        ("confirmed", "192.0.2.7"), ("requested", None), ("expired", None),
    ]  # fmt: skip


def test_who_had_agreed_once_before_keeps_the_proof_of_that(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    keeping.withdraw(who, TOPIC)
    keeping.ask(TOPIC, at=NOW + DAY)
    keeping.run(NOW + 15 * DAY)
    assert keeping.person(who).address is None
    assert keeping.states(who) == {TOPIC: "withdrawn"}
    assert [e.ip for e in keeping.events(who)] == ["192.0.2.7", "192.0.2.7", None, None]


def test_imported_people_who_never_confirmed_go_after_their_own_period_and_their_file_brings_nobody_back(
    keeping: Keeping,
) -> None:
    file = f"email,name,topics\n{MARIA},Maria,finance-news\n"
    assert keeping.take_file(file, NOW) == {"pending": 1}
    who = keeping.rows("subscriber")[0].id
    due = NOW + 30 * DAY
    assert keeping.run(due - SECOND) == {}
    assert keeping.run(due) == {Step.LISTED: 1}
    assert (keeping.person(who).address, keeping.person(who).name) == (None, "")
    assert keeping.take_file(file, due + DAY) == {"withdrawn": 1}
    assert keeping.person(who).address is None


def test_name_and_address_go_at_once_when_the_last_topic_is_left_and_not_before(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC, OFFERS)
    hashed = keeping.person(who).address_hash
    keeping.withdraw(who, OFFERS, at=NOW)
    assert keeping.run(NOW + SECOND) == {}
    left = NOW + DAY
    keeping.withdraw(who, TOPIC, at=left)
    assert keeping.run(left - SECOND) == {}
    assert keeping.run(left + SECOND) == {Step.PROFILES: 1}
    gone = keeping.person(who)
    assert (gone.address, gone.name, gone.address_hash) == (None, "", hashed)
    assert [e.ip for e in keeping.events(who)] == ["192.0.2.7"] * 4
    assert keeping.run(left + DAY) == {}


def test_who_left_everything_and_asks_anew_is_the_same_person_with_a_new_profile(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    keeping.withdraw(who, TOPIC)
    keeping.run(NOW + SECOND)
    assert keeping.ask(TOPIC, at=NOW + DAY) == who
    assert (keeping.person(who).address, keeping.person(who).name) == (MARIA, "Maria")
    assert keeping.states(who) == {TOPIC: "pending"}


def test_who_was_erased_on_their_word_gets_no_profile_back(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    with keeping.engine.begin() as conn:
        conn.execute(update(subscriber).values(address=None, name="", erased_at=NOW))
        builders.add_people(conn, keeping.keyring, [MARIA], NOW)
    assert keeping.person(who).address is None


def test_a_reimport_of_someone_gone_is_refused_as_withdrawn_and_the_never_mail_list_stays(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    keeping.withdraw(who, TOPIC)
    file = f"email,topics,consent_at,consent_source\n{MARIA},finance-news,2026-01-01T10:00:00Z,fair\n"
    before = keeping.rows("suppression")
    for at in (NOW + SECOND, datetime(2031, 1, 1, 10, tzinfo=UTC)):
        keeping.run(at)
        assert keeping.take_file(file, at) == {"withdrawn": 1}
        assert keeping.rows("suppression") == before
    assert keeping.person(who).address is None


def test_who_says_no_to_a_topic_that_expired_unconfirmed_stays_on_the_never_mail_list(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    keeping.ask(OFFERS)
    keeping.run(NOW + 14 * DAY)
    assert keeping.states(who) == {TOPIC: "confirmed", OFFERS: "withdrawn"}
    keeping.withdraw(who, OFFERS, at=NOW + 15 * DAY)
    assert [row.scope for row in keeping.rows("suppression")] == [OFFERS]


@pytest.mark.parametrize(
    ("left", "goes"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=BERLIN), datetime(2030, 1, 1, tzinfo=BERLIN)),
        (datetime(2027, 1, 1, tzinfo=BERLIN), datetime(2031, 1, 1, tzinfo=BERLIN)),
        (datetime(2028, 2, 29, 12, tzinfo=BERLIN), datetime(2032, 1, 1, tzinfo=BERLIN)),
    ],
)
def test_the_proof_of_a_consent_goes_when_the_third_year_after_its_end_is_over(
    keeping: Keeping, left: datetime, goes: datetime
) -> None:
    who = keeping.agree(TOPIC)
    hashed = keeping.person(who).address_hash
    keeping.withdraw(who, TOPIC, at=left)
    keeping.append(who, ConsentKind.PAUSED, None)
    keeping.run(goes - SECOND)
    assert keeping.person(who).address_hash == hashed
    assert [e.ip for e in keeping.events(who)] == ["192.0.2.7"] * 3
    assert keeping.planned(goes) == {Step.PROOFS: (1, left)}
    assert keeping.run(goes) == {Step.PROOFS: 1}
    assert keeping.person(who).address_hash != hashed
    assert [(e.kind, e.ip, e.user_agent) for e in keeping.events(who)] == [
        ("confirmed", None, None), ("withdrawn", None, None), ("paused", None, None),
    ]  # fmt: skip
    assert keeping.states(who) == {}
    assert [s.address_hash for s in keeping.rows("suppression")] == [hashed]


def test_who_left_one_topic_years_ago_keeps_the_proof_of_the_one_they_have(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC, OFFERS)
    keeping.withdraw(who, OFFERS)
    keeping.run(datetime(2030, 6, 1, tzinfo=UTC))
    assert keeping.person(who).address == MARIA
    assert keeping.states(who) == {TOPIC: "confirmed"}
    assert [(e.topic, e.ip) for e in keeping.events(who)] == [
        (TOPIC, "192.0.2.7"), (OFFERS, None), (OFFERS, None),
    ]  # fmt: skip


def test_attempts_at_the_form_are_forgotten_after_a_day(keeping: Keeping) -> None:
    with keeping.engine.begin() as conn:
        for ago in (DAY - SECOND, DAY, DAY + SECOND, 100 * DAY):
            conn.execute(insert(signup_attempt), {"at": NOW - ago, "bucket": "ip", "bucket_hash": bytes(16)})
    assert keeping.planned(NOW) == {Step.ATTEMPTS: (3, NOW - 100 * DAY)}
    assert keeping.run(NOW) == {Step.ATTEMPTS: 3}
    assert [row.at for row in keeping.rows("signup_attempt")] == [NOW - DAY + SECOND]


def test_notes_of_runs_are_kept_three_full_years(keeping: Keeping) -> None:
    ends = [datetime(2026, 12, 31, 23, 59, 59, tzinfo=BERLIN), datetime(2027, 1, 1, tzinfo=BERLIN)]
    with keeping.engine.begin() as conn:
        for at in ends:
            row = {"origin": "daily", "started_at": at, "finished_at": at, "counts": {}}
            conn.execute(insert(retention_run), row)
    assert keeping.run(datetime(2030, 1, 1, tzinfo=BERLIN)) == {Step.RUNS: 1}
    assert [row.finished_at for row in keeping.rows("retention_run")] == ends[1:]


def test_who_left_and_was_blanked_while_their_letter_waited_is_withheld_at_the_gate(dispatch: Dispatch) -> None:
    keeping = Keeping(dispatch.engine, dispatch.keyring)
    gone, stays = dispatch.people(2)
    of = dispatch.campaign()
    claim = dispatch.must_claim()
    dispatch.withdraw(gone)
    assert keeping.run(dispatch.now + SECOND) == {Step.PROFILES: 1}
    withheld, _ = dispatch.ask(claim, of, [gone, stays])
    assert withheld == Withheld("withdrew the consent")
    assert dispatch.outcomes(of) == {gone: Outcome.WITHHELD}


def test_who_was_let_go_of_altogether_is_withheld_from_a_batch_that_names_them(dispatch: Dispatch) -> None:
    keeping = Keeping(dispatch.engine, dispatch.keyring)
    gone, stays = dispatch.people(2)
    of = dispatch.campaign()
    claim = dispatch.must_claim()
    dispatch.withdraw(gone)
    keeping.run(datetime(2031, 1, 1, tzinfo=UTC))
    assert [r.subscriber_id for r in dispatch.recipients(claim, of)] == [stays]
    assert dispatch.outcomes(of) == {gone: Outcome.WITHHELD}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # on SQLite nobody can hold a single row
def test_whoever_is_held_by_somebody_else_is_passed_by_and_taken_the_next_time(
    engine: Engine, keeping: Keeping
) -> None:
    who = keeping.agree(TOPIC)
    keeping.withdraw(who, TOPIC)
    with engine.begin() as other:  # as if they were signing up anew at this moment
        builders.add_people(other, keeping.keyring, [MARIA], NOW)
        assert keeping.run(NOW + SECOND) == {}
        consent.append(other, [Event(who, TOPIC, ConsentKind.REQUESTED, FORM)], NOW + DAY)
    assert keeping.run(NOW + 2 * DAY) == {}
    assert (keeping.person(who).address, keeping.states(who)) == (MARIA, {TOPIC: "pending"})


def test_many_are_taken_in_chunks_and_all_of_them(engine: Engine, keeping: Keeping) -> None:
    count = retention.CHUNK + 3
    with engine.begin() as conn:
        people = builders.add_people(conn, keeping.keyring, [f"p{n}@example.de" for n in range(count)], NOW)
        builders.agree(conn, list(people.values()), TOPIC, NOW, ConsentKind.WITHDRAWN)
    with engine.begin() as conn:
        first = retention.take(conn, Step.PROFILES, periods.DEFAULT, NOW + SECOND, None)
    assert first.rows == retention.CHUNK
    assert first.after is not None
    assert keeping.run(NOW + SECOND) == {Step.PROFILES: 3}
    assert keeping.run(datetime(2030, 1, 1, tzinfo=BERLIN)) == {Step.PROOFS: count}
    with engine.begin() as conn:
        assert conn.execute(select(func.count()).select_from(subscription)).scalar_one() == 0


def test_to_plan_changes_nothing(keeping: Keeping) -> None:
    keeping.ask(TOPIC)
    before = {name: keeping.rows(name) for name in metadata.tables}
    keeping.planned(NOW + 1000 * DAY)
    assert {name: keeping.rows(name) for name in metadata.tables} == before


def test_a_confirmation_mail_whose_request_was_erased_under_it_leads_nowhere_and_is_withheld(
    keeping: Keeping, dispatch: Dispatch
) -> None:
    who = keeping.ask(TOPIC)
    (request,) = keeping.rows("opt_in_request")
    keeping.run(NOW + 14 * DAY)
    with keeping.engine.begin() as conn:
        asked = opt_in.asked(conn, request.id, keeping.keyring, "https://news.example.de")
        assert asked.confirm_url == "https://news.example.de"
        assert conn.execute(consent.permits_confirmation(request.id)).all() == []
    assert keeping.person(who).address is None


def test_an_answered_request_by_right_goes_after_its_third_calendar_year_and_an_open_one_never(
    keeping: Keeping,
) -> None:
    with keeping.engine.begin() as conn:
        for done in (datetime(2026, 12, 31, 22, 59, tzinfo=UTC), datetime(2026, 12, 31, 23, 1, tzinfo=UTC), None):
            number = rights.enter(conn, RightKind.ACCESS, b"h" * 32, NOW)
            if done:
                rights.close(conn, number, "anna", "answered", done)
    assert keeping.run(datetime(2029, 12, 31, 22, 0, tzinfo=UTC)).get(Step.RIGHTS) is None
    assert keeping.run(datetime(2030, 1, 1, 0, 0, tzinfo=UTC))[Step.RIGHTS] == 1
    assert sorted(str(row.done_at is None) for row in keeping.rows("rights_request")) == ["False", "True"]


def test_consent_under_older_words_that_is_not_renewed_ends_a_year_after_the_newer_ones_held(
    keeping: Keeping, engine: Engine
) -> None:
    who = keeping.agree(TOPIC, OFFERS)
    texts = {language: f"Words in {language}" for language in Language}
    with engine.begin() as conn:
        declarations.enter(conn, Draft("1", texts, tuple(Topic)), NOW)
        declarations.enter(conn, Draft("2", texts, tuple(Topic), frozenset({TOPIC})), NOW)
    due = NOW.replace(year=NOW.year + 1)
    assert keeping.run(due - SECOND) == {}
    assert keeping.planned(due)[Step.OLDER][0] == 1
    assert keeping.run(due) == {Step.OLDER: 1}
    assert keeping.states(who) == {TOPIC: "withdrawn", OFFERS: "confirmed"}
    assert [(e.kind, e.topic, e.source) for e in keeping.events(who)][-1] == (
        "expired", TOPIC, "retention: not renewed",
    )  # fmt: skip
    assert keeping.rows("suppression") == []  # nobody left: a new sign-up needs nothing lifted
    assert keeping.run(due + DAY) == {}


def test_whoever_was_asked_to_renew_has_a_year_from_then_on(keeping: Keeping, engine: Engine) -> None:
    who = keeping.agree(TOPIC)
    texts = {language: f"Words in {language}" for language in Language}
    asked = NOW + 90 * DAY
    with engine.begin() as conn:
        declarations.enter(conn, Draft("1", texts, tuple(Topic)), NOW)
        declarations.enter(conn, Draft("2", texts, tuple(Topic), frozenset({TOPIC})), NOW)
        row = {
            "subscriber_id": who, "nonce": bytes(16), "token_sha256": bytes(32), "topics": [TOPIC], "language": "de",
            "source": "x", "requested_at": asked, "expires_at": asked + DAY, "renews": 2, "campaign_id": 1,
            "released_at": asked,
        }  # fmt: skip
        conn.execute(insert(opt_in_request), row)
    due = asked.replace(year=asked.year + 1)
    assert Step.OLDER not in keeping.run(due - SECOND)
    assert keeping.run(due) == {Step.OLDER: 1, Step.PROFILES: 1}
    assert keeping.person(who).address is None


def test_the_end_of_a_consent_that_was_not_renewed_waits_for_who_presses_the_button(
    keeping: Keeping, engine: Engine
) -> None:
    who = keeping.agree(TOPIC)
    texts = {language: f"Words in {language}" for language in Language}
    with engine.begin() as conn:
        declarations.enter(conn, Draft("1", texts, tuple(Topic)), NOW)
        declarations.enter(conn, Draft("2", texts, tuple(Topic), frozenset({TOPIC})), NOW)
        words = declarations.texts(conn, 2)[0]
        proof = Evidence(source="page", declaration_id=words.id)
        consent.append(conn, [Event(who, TOPIC, ConsentKind.CONFIRMED, proof)], NOW)
    assert keeping.run(NOW + 900 * DAY) == {}
