"""Taking people in: suppression and withdrawal win, evidence decides, and a dry run says what the real one does."""

from collections import Counter
from datetime import UTC, datetime
from io import BytesIO

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select

from dispatcher.db.tables import consent_event, subscriber
from dispatcher.db.terms import ConsentKind, Language, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent, imports, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.imports import Claim, Fate, Rejected, Row, Says, Tally, writing
from dispatcher.domain.imports.writing import Intake
from dispatcher.domain.people import profiles, subscribers
from dispatcher.domain.tokens import Keyring
from tests import builders
from tests.stories import stories

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
GIVEN = datetime(2026, 1, 31, 13, 5, tzinfo=UTC)
GOLD, OFFERS = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS
HEADER = "email,name,language,topics,consent_at,consent_ip,consent_source,declaration\n"
PROOF = "2026-01-31T14:05:00+01:00,192.0.2.7,form 3,newsletter-2026-01"
NONE = ",,,"


def _line(mail: str, topics: str = "finance-news", proof: str = PROOF) -> str:
    return f"{mail},Maria Muster,de,{topics},{proof}\n"


def _take(conn: Connection, keyring: Keyring, lines: str, *, dry_run: bool = False) -> tuple[Tally, list[Row]]:
    """Import as the command line does, chunk by chunk; give the tally and the rows that became pending."""
    intake, pending = Intake("CRM export"), list[Row]()
    for chunk in writing.chunks(imports.read_rows(BytesIO((HEADER + lines).encode()), keyring, NOW), size=4):
        pending += writing.take(conn, chunk, intake, NOW, dry_run=dry_run)
    return intake.tally, pending


def _fates(tally: Tally) -> dict[Fate, int]:
    return {fate: count for fate, count in tally.counts.items() if count}


def _states(conn: Connection, keyring: Keyring, mail: str) -> dict[Topic, SubscriptionState]:
    person = subscribers.by_hash(conn, address_hash(keyring, parse_address(mail)))
    return {t: state for t, (state, _) in consent.standing(conn, person.id).items()} if person else {}


def _events(conn: Connection) -> int:
    return conn.execute(select(func.count()).select_from(consent_event)).scalar_one()


def test_a_row_with_evidence_enters_as_confirmed_with_its_proof(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        declared = builders.declare(conn, NOW)
        tally, pending = _take(conn, keyring, _line("maria@example.de"))
        person = subscribers.by_hash(conn, address_hash(keyring, parse_address("maria@example.de")))
        assert person is not None
        assert consent.standing(conn, person.id) == {GOLD: (SubscriptionState.CONFIRMED, GIVEN)}
        event = conn.execute(select(consent_event)).one()
    assert _fates(tally) == {Fate.CONFIRMED: 1}
    assert pending == []
    assert (event.kind, event.source, event.ip) == ("imported", "form 3 (import: CRM export)", "192.0.2.7")
    assert (event.declaration_id, event.declaration_named) == (declared, "newsletter-2026-01")
    assert (event.at, event.given_at) == (NOW, GIVEN)


def test_whoever_left_one_topic_and_lost_the_profile_gets_it_back_with_proof_of_another(
    engine: Engine, keyring: Keyring
) -> None:
    with engine.begin() as conn:
        _take(conn, keyring, _line("maria@example.de"))
        person = subscribers.by_hash(conn, address_hash(keyring, parse_address("maria@example.de")))
        assert person is not None
        consent.withdraw(conn, person.id, [GOLD], Evidence(source="a test"), NOW)
        profiles.blank(conn, [person.id], NOW)
        tally, _ = _take(conn, keyring, _line("maria@example.de", "finance-news special-offers"))
        states = _states(conn, keyring, "maria@example.de")
        again = subscribers.by_id(conn, person.id)
    assert _fates(tally) == {Fate.CONFIRMED: 1}
    assert states == {GOLD: SubscriptionState.WITHDRAWN, OFFERS: SubscriptionState.CONFIRMED}
    assert again is not None
    assert (again.address, again.name) == ("maria@example.de", "Maria Muster")


def test_a_row_without_evidence_enters_as_pending_and_is_handed_back(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        tally, pending = _take(conn, keyring, _line("maria@example.de", "finance-news special-offers", NONE))
        assert _states(conn, keyring, "maria@example.de") == dict.fromkeys([GOLD, OFFERS], SubscriptionState.PENDING)
        assert conn.execute(select(consent_event.c.kind).distinct()).scalars().all() == [ConsentKind.LISTED]
    assert _fates(tally) == {Fate.PENDING: 1}
    assert [row.address.mail for row in pending] == ["maria@example.de"]


def test_evidence_that_comes_later_confirms_who_was_pending_but_nothing_unconfirms(
    engine: Engine, keyring: Keyring
) -> None:
    with engine.begin() as conn:
        _take(conn, keyring, _line("maria@example.de", proof=NONE))
        assert _fates(_take(conn, keyring, _line("maria@example.de"))[0]) == {Fate.CONFIRMED: 1}
        assert _fates(_take(conn, keyring, _line("maria@example.de", proof=NONE))[0]) == {Fate.UNCHANGED: 1}
        assert _states(conn, keyring, "maria@example.de") == {GOLD: SubscriptionState.CONFIRMED}


def test_the_same_file_again_changes_nothing(engine: Engine, keyring: Keyring) -> None:
    lines = _line("maria@example.de") + _line("josef@example.de", proof=NONE) + "broken\n"
    with engine.begin() as conn:
        _take(conn, keyring, lines)
        before = _events(conn)
        assert _fates(_take(conn, keyring, lines)[0]) == {Fate.UNCHANGED: 2, Fate.REJECTED: 1}
        assert _events(conn) == before


def test_whoever_left_stays_away_whatever_the_file_says(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        ids = builders.add_people(conn, keyring, ["maria@example.de"], NOW)
        consent.withdraw(conn, ids["maria@example.de"], [GOLD], Evidence(source="a test"), NOW)
        before = _events(conn)
        for proof in (PROOF, NONE):
            assert _fates(_take(conn, keyring, _line("Maria@EXAMPLE.de", proof=proof))[0]) == {Fate.WITHDRAWN: 1}
        assert _events(conn) == before
        tally, _ = _take(conn, keyring, _line("maria@example.de", "finance-news special-offers"))
        assert _fates(tally) == {Fate.CONFIRMED: 1}
        assert _states(conn, keyring, "maria@example.de") == {
            GOLD: SubscriptionState.WITHDRAWN,
            OFFERS: SubscriptionState.CONFIRMED,
        }


def test_whoever_left_and_was_deleted_is_known_by_the_hash_alone(engine: Engine, keyring: Keyring) -> None:
    hashed = address_hash(keyring, parse_address("maria@example.de"))
    with engine.begin() as conn:
        suppression.suppress(conn, [hashed], GOLD, SuppressionReason.WITHDRAWN, "a test", NOW)
        assert _fates(_take(conn, keyring, _line("maria@example.de"))[0]) == {Fate.WITHDRAWN: 1}
        assert conn.execute(select(subscriber.c.id)).all() == []


def test_nobody_on_the_never_mail_list_comes_in(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        for number, reason in enumerate(SuppressionReason):
            hashed = address_hash(keyring, parse_address(f"p{number}@example.de"))
            suppression.suppress(conn, [hashed], None, reason, "a test", NOW)
        lines = "".join(_line(f"p{number}@example.de") for number in range(len(SuppressionReason)))
        assert _fates(_take(conn, keyring, lines)[0]) == {Fate.SUPPRESSED: len(SuppressionReason)}
        assert conn.execute(select(subscriber.c.id)).all() == []


def test_the_first_of_two_rows_for_one_address_counts(engine: Engine, keyring: Keyring) -> None:
    filler = "".join(_line(f"p{number}@example.de") for number in range(5))  # the next chunk knows it too
    lines = _line("Maria@example.de") + _line("maria@EXAMPLE.de", proof=NONE) + filler + _line("maria@example.de")
    with engine.begin() as conn:
        tally, _ = _take(conn, keyring, lines)
        assert _states(conn, keyring, "maria@example.de") == {GOLD: SubscriptionState.CONFIRMED}
    assert _fates(tally) == {Fate.CONFIRMED: 6, Fate.DUPLICATE: 2}


def test_rejected_rows_are_counted_all_and_named_up_to_a_thousand() -> None:
    tally = Tally()
    for number in range(1_500):
        tally.reject(Rejected(number, "x"))
    assert (tally.counts[Fate.REJECTED], tally.rows, len(tally.rejects)) == (1_500, 1_500, 1_000)


def test_a_dry_run_writes_nothing(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        tally, pending = _take(conn, keyring, _line("m@example.de") + _line("j@example.de", proof=NONE), dry_run=True)
        assert _fates(tally) == {Fate.CONFIRMED: 1, Fate.PENDING: 1}
        assert len(pending) == 1
        assert conn.execute(select(subscriber.c.id)).all() == []
        assert _events(conn) == 0


# Each of these is how an address may stand before the file comes.
def _leave(conn: Connection, who: int, hashed: bytes) -> None:
    consent.withdraw(conn, who, [GOLD], Evidence(source="a test"), NOW)


def _complain(conn: Connection, who: int, hashed: bytes) -> None:
    suppression.suppress(conn, [hashed], None, SuppressionReason.COMPLAINT, "a test", NOW)


def _complain_about_gold(conn: Connection, who: int, hashed: bytes) -> None:
    suppression.suppress(conn, [hashed], GOLD, SuppressionReason.COMPLAINT, "a test", NOW)


def _agree(conn: Connection, who: int, hashed: bytes) -> None:
    builders.agree(conn, [who], GOLD, NOW)


def _ask(conn: Connection, who: int, hashed: bytes) -> None:
    builders.agree(conn, [who], OFFERS, NOW, ConsentKind.LISTED)


PASTS = [None, _leave, _complain, _complain_about_gold, _agree, _ask]
ROWS = st.tuples(
    st.sampled_from([f"p{number}@example.de" for number in range(len(PASTS))] + ["P1@Example.de", "broken"]),
    st.sampled_from(["finance-news", "special-offers", "finance-news special-offers", "gold", ""]),
    st.sampled_from([PROOF, NONE, "2027-01-01T00:00,,form,", "2026-01-31,,,"]),
)


@settings(max_examples=stories(25))
@given(st.lists(ROWS, max_size=14), st.permutations(PASTS))
def test_a_dry_run_gives_exactly_the_verdicts_of_the_real_one_and_a_second_run_finds_nothing_new(
    engine: Engine, keyring: Keyring, rows: list[tuple[str, str, str]], pasts: list
) -> None:
    lines = "".join(_line(*row) for row in rows)
    with engine.connect() as conn, conn.begin() as transaction:
        for number, past in enumerate(pasts):
            if past is not None:
                mail = f"p{number}@example.de"
                who = builders.add_people(conn, keyring, [mail], NOW)[mail]
                past(conn, who, address_hash(keyring, parse_address(mail)))
        gone = f"p{pasts.index(_leave)}@example.de"
        dry, dry_pending = _take(conn, keyring, lines, dry_run=True)
        real, pending = _take(conn, keyring, lines)
        events = _events(conn)
        again, _ = _take(conn, keyring, lines)
        assert (dry.counts, dry.rejects, dry_pending) == (real.counts, real.rejects, pending)
        assert real.rows == again.rows == len(rows)
        assert not again.counts[Fate.CONFIRMED]
        assert not again.counts[Fate.PENDING]
        assert _events(conn) == events
        assert _states(conn, keyring, gone)[GOLD] is SubscriptionState.WITHDRAWN
        transaction.rollback()


def test_thousands_of_rows_are_taken_in_chunk_by_chunk(engine: Engine, keyring: Keyring) -> None:
    claim = Claim(Says.AGREED, (GOLD,), GIVEN, source="form")
    rows = [
        Row(n, address, address_hash(keyring, address), "", Language.DE, (claim,))
        for n in range(writing.CHUNK * 2)
        if (address := parse_address(f"p{n}@example.de"))
    ]
    intake = Intake("x")
    with engine.begin() as conn:
        for start in range(0, len(rows), writing.CHUNK):
            chunk = rows[start : start + writing.CHUNK]
            assert writing.take(conn, chunk, intake, NOW, dry_run=False) == []
        counted = Counter(conn.execute(select(consent_event.c.kind)).scalars())
    assert _fates(intake.tally) == {Fate.CONFIRMED: writing.CHUNK * 2}
    assert counted == {"imported": writing.CHUNK * 2}
