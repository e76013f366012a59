"""Restriction of processing (Art. 18 GDPR): kept as it is, and nothing else is done with it, until it is released."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from dispatcher.db.tables import campaign, delivery
from dispatcher.db.terms import CampaignState, Language, Outcome, RightKind, Topic
from dispatcher.domain import declarations
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.audience import audiences
from dispatcher.domain.consent import Evidence
from dispatcher.domain.declarations import Draft
from dispatcher.domain.delivery.passage import Withheld
from dispatcher.domain.imports.columns import own_columns
from dispatcher.domain.people import erasure, restriction, rights, subscribers
from dispatcher.domain.retention import Step
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import endings, entry, opt_in
from dispatcher.sending.endings import EndingsFile
from tests.domain.dispatch import NOW, TOPIC, Dispatch, events_of
from tests.domain.keeping import DAY, FORM, MARIA, Keeping
from tests.sending.leaving import Kept, open_kept

SAID = Evidence(source="operator")
OFFERS = Topic.SPECIAL_OFFERS
YEARS_LATER = datetime(2035, 1, 1, tzinfo=UTC)


@pytest.fixture
def keeping(engine: Engine, keyring: Keyring) -> Keeping:
    return Keeping(engine, keyring)


def _restrict(of: Dispatch | Keeping, who: int, at: datetime = NOW) -> bool:
    with of.engine.begin() as conn:
        return restriction.restrict(conn, who, SAID, at)


def _release(of: Dispatch | Keeping, who: int, at: datetime = NOW) -> bool:
    with of.engine.begin() as conn:
        return restriction.release(conn, who, SAID, at)


def test_whoever_is_restricted_while_the_letter_waits_at_the_gate_does_not_get_it(dispatch: Dispatch) -> None:
    restricted, other = dispatch.people(2)
    of = dispatch.campaign()
    claim = dispatch.must_claim()
    _restrict(dispatch, restricted)
    withheld, passed = dispatch.ask(claim, of, [restricted, other])
    assert withheld == Withheld(audiences.RESTRICTED)
    assert events_of([passed])
    assert dispatch.outcomes(of) == {restricted: Outcome.WITHHELD}


def test_a_restriction_after_the_freeze_is_found_at_the_claim(dispatch: Dispatch) -> None:
    restricted, other = dispatch.people(2)
    of = dispatch.campaign()
    claim = dispatch.must_claim()
    _restrict(dispatch, restricted)
    assert [r.subscriber_id for r in dispatch.recipients(claim, of)] == [other]
    assert dispatch.outcomes(of) == {restricted: Outcome.WITHHELD}


def test_an_audience_that_is_frozen_meanwhile_counts_the_person_as_withheld_and_the_next_one_reaches_them_again(
    dispatch: Dispatch,
) -> None:
    restricted, _ = dispatch.people(2)
    assert _restrict(dispatch, restricted)
    assert not _restrict(dispatch, restricted)
    of = dispatch.campaign()
    with dispatch.engine.begin() as conn:
        assert conn.execute(select(delivery.c.reply)).scalars().all() == [audiences.RESTRICTED]
    assert dispatch.status(of).withheld == 1
    assert _release(dispatch, restricted)
    assert not _release(dispatch, restricted)
    assert dispatch.status(dispatch.campaign()).remaining == 2


def test_whoever_signs_up_meanwhile_is_asked_nothing_and_nothing_is_stored(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    _restrict(keeping, who)
    before = {name: keeping.rows(name) for name in ("subscriber", "consent_event", "opt_in_request", "campaign")}
    wanted = opt_in.Request(parse_address(MARIA), "Stranger", Language.EN, [OFFERS], FORM)
    with keeping.engine.begin() as conn:
        assert opt_in.request(conn, keeping.keyring, wanted, NOW) is None
        fates = entry.enter(conn, keeping.keyring, wanted, NOW, NOW)
    assert fates == {OFFERS: entry.Fate.RESTRICTED}
    assert {name: keeping.rows(name) for name in before} == before


def test_a_file_changes_nothing_but_an_end_that_it_reports_holds(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    _restrict(keeping, who)
    agreed = f"email,name,topics,consent_at,consent_source\n{MARIA},Other,special-offers,2026-01-01T10:00:00Z,fair\n"
    assert keeping.take_file(agreed, NOW) == {"restricted": 1}
    assert keeping.states(who) == {TOPIC: "confirmed"}
    assert keeping.person(who).name == "Maria Muster"
    columns = own_columns((TOPIC,))
    ended = [MARIA, *[""] * (len(columns) - 2), "complaint"]
    assert keeping.take_file(f"{','.join(columns)}\n{','.join(ended)}\n", NOW + DAY) == {"barred": 1}
    assert [row.reason for row in keeping.rows("suppression")] == ["complaint"]


def test_nothing_that_is_due_goes_until_the_release_and_then_all_of_it(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    keeping.ask(OFFERS)
    keeping.withdraw(who, TOPIC)
    hashed = bytes(keeping.person(who).address_hash)
    with keeping.engine.begin() as conn:
        rights.complete(conn, rights.Done(RightKind.ACCESS, hashed, None, "anna", "answered"), NOW)
    _restrict(keeping, who)
    assert keeping.planned(YEARS_LATER) == {}
    assert keeping.run(YEARS_LATER) == {}
    assert keeping.person(who).address == MARIA
    assert keeping.rows("opt_in_request")[0].erased_at is None
    _release(keeping, who)
    assert keeping.run(YEARS_LATER) == {
        Step.REQUESTS: 1, Step.UNCONFIRMED: 1, Step.PROFILES: 1, Step.PROOFS: 1, Step.RIGHTS: 1,
    }  # fmt: skip
    assert keeping.person(who).address is None


def test_consent_under_older_words_does_not_end_meanwhile(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    texts = {language: f"Words in {language}" for language in Language}
    with keeping.engine.begin() as conn:
        declarations.enter(conn, Draft("1", texts, tuple(Topic)), NOW)
        declarations.enter(conn, Draft("2", texts, tuple(Topic), frozenset({TOPIC})), NOW)
    _restrict(keeping, who)
    assert keeping.run(NOW + 500 * DAY) == {}
    assert keeping.states(who) == {TOPIC: "confirmed"}


def test_rows_of_old_letters_are_kept_as_long_as_it_lasts(dispatch: Dispatch) -> None:
    keeping = Keeping(dispatch.engine, dispatch.keyring)
    restricted, other = dispatch.people(2)
    _restrict(dispatch, restricted)
    dispatch.withdraw(other)
    of = dispatch.campaign()
    with dispatch.engine.begin() as conn:
        conn.execute(update(campaign).values(state=CampaignState.SENT, finished_at=NOW))
    assert keeping.run(NOW + 900 * DAY)[Step.DELIVERIES] == 1
    assert list(dispatch.outcomes(of)) == [restricted]


def test_both_ends_stand_in_the_ledger_and_the_consent_stays_what_it_was(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    before = keeping.states(who)
    _restrict(keeping, who)
    _release(keeping, who, NOW + DAY)
    assert keeping.states(who) == before
    assert [(e.kind, e.topic, e.source) for e in keeping.events(who)][1:] == [
        ("restricted", None, "operator"), ("released", None, "operator"),
    ]  # fmt: skip


def test_leaving_works_all_the_same_and_the_profile_waits(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    _restrict(keeping, who)
    keeping.withdraw(who, TOPIC)
    assert keeping.states(who) == {TOPIC: "withdrawn"}
    assert keeping.run(NOW + timedelta(days=300)) == {}
    assert keeping.person(who).address == MARIA


def test_an_erasure_ends_a_restriction(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    _restrict(keeping, who)
    with keeping.engine.begin() as conn:
        assert erasure.erase(conn, who, SAID, NOW) is not None
        found = subscribers.by_id(conn, who)
    assert found is not None
    assert found.restricted_at is None


def test_renewals_are_not_asked_for(keeping: Keeping) -> None:
    who = keeping.agree(TOPIC)
    texts = {language: f"Words in {language}" for language in Language}
    with keeping.engine.begin() as conn:
        declarations.enter(conn, Draft("1", texts, tuple(Topic)), NOW)
        declarations.enter(conn, Draft("2", texts, tuple(Topic), frozenset({TOPIC})), NOW)
    _restrict(keeping, who)
    with keeping.engine.begin() as conn:
        reasons = [row.reason for row in conn.execute(audiences.to_renew(TOPIC, 2))]
    assert reasons == [audiences.RESTRICTED]


def test_a_restriction_since_the_backup_holds_again_after_a_restore_and_one_that_was_released_does_not(
    engine: Engine, keyring: Keyring, tmp_path: Path
) -> None:
    kept = open_kept(engine, keyring, tmp_path)
    keeping = Keeping(kept.engine, keyring)
    who = keeping.agree(TOPIC)
    kept.back_up()
    _restrict(keeping, who)
    kept.put_back()
    settled = endings.settle(kept.engine, kept.file)
    assert settled is not None
    assert settled.applied.restricted == 1
    assert keeping.person(who).restricted_at is not None

    _release(keeping, who, datetime.now(UTC) + DAY)
    settled = endings.make_good(kept.engine, kept.file, [copy_of(kept)], without=True)
    assert settled.applied.restricted == 0
    assert keeping.person(who).restricted_at is None


def copy_of(kept: Kept) -> Path:
    """Give the same lines under another id: every one of them is read again."""
    other = EndingsFile(kept.file.path.with_name("other.jsonl"), kept.keyring.oldest.fingerprint())
    other.first()
    other.path.write_bytes(other.path.read_bytes() + kept.file.path.read_bytes().split(b"\n", 1)[1])
    return other.path
