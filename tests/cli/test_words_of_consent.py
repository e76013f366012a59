"""Consent that is brought from elsewhere, and the words it is said to be in: entered by an operator, or from a file."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update

from dispatcher.db import clock
from dispatcher.db.tables import subscriber, suppression
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations
from dispatcher.domain.declarations import Draft
from tests.cli.conftest import Run
from tests.evidence import events

NEWS, GOLD, OFFERS = Topic
HEADER = "email,topics,consent_at,consent_source,declaration\n"
ADD = ("subscribers", "add", "maria@example.de", "--topic", "finance-news", "--source", "fair", "--evidence", "form 1")


def enter(
    engine: Engine, version: str, *renews: Topic, days: int = 0, covers: tuple[Topic, ...] = tuple(Topic)
) -> None:
    texts = {language: f"Words {version} in {language}" for language in Language}
    with engine.begin() as conn:
        now = clock.now(conn)
        draft = Draft(version, texts, covers, frozenset(renews), valid_from=now + timedelta(days=days))
        declarations.enter(conn, draft, now)


@pytest.fixture
def words(dispatcher: Run, engine: Engine) -> None:
    """Enter three versions: the first, one that leaves offers out, and one that is valid in a year."""
    enter(engine, "1")
    enter(engine, "2", covers=(NEWS, GOLD))
    enter(engine, "3", days=365)


def test_a_row_in_words_that_do_not_cover_its_topic_or_came_later_is_rejected_with_the_reason(
    dispatcher: Run, engine: Engine, outside: Path, words: None
) -> None:
    rows = (
        "a@example.de,special-offers,2026-01-31T14:05:00Z,form 3,newsletter-2\n",
        "b@example.de,finance-news,2026-01-31T14:05:00Z,form 3,newsletter-2\n",
        "c@example.de,finance-news,2026-01-31T14:05:00Z,form 3,newsletter-3\n",
        "d@example.de,special-offers,2019-01-31T14:05:00Z,form 3,newsletter-1\n",
        "e@example.de,special-offers,2019-01-31T14:05:00Z,form 3,not known here\n",
    )
    (outside / "p.csv").write_text(HEADER + "".join(rows), encoding="utf-8")
    for dry in ((), ("--dry-run",)):
        ran = dispatcher("subscribers", "import", "p.csv", "--origin", "CRM", "--json", *dry).json
        reasons = {rejected["line"]: rejected["reason"] for rejected in ran["rejects"]}
        assert reasons[2] == "newsletter-2 does not cover special-offers"
        assert "newsletter-2 was not valid before" in reasons[3]
        assert "newsletter-3 was not valid before" in reasons[4]
        assert len(reasons) == 3
    assert [event["topic"] for event in events(engine, "imported")] == ["special-offers"] * 2


def test_an_operator_cannot_enter_consent_in_words_that_came_later(
    dispatcher: Run, engine: Engine, words: None
) -> None:
    for version in ("2", "3"):
        what, cure = dispatcher(*ADD, "--consent-at", "2026-01-31T14:05:00Z", "--declaration", version).error
        assert f"newsletter-{version} was not valid before" in what
        assert "dispatcher declarations list" in cure
    assert events(engine, "imported") == []
    assert dispatcher(*ADD, "--consent-at", "2026-01-31T14:05:00Z", "--declaration", "1").code == 0


@pytest.fixture
def renewed(dispatcher: Run, engine: Engine) -> None:
    """Enter two versions, of which the second renews finance news."""
    enter(engine, "1")
    enter(engine, "2", GOLD)


def later(engine: Engine) -> str:
    """Give a moment at which the newest words were valid, as a file writes it."""
    with engine.begin() as conn:
        return f"{clock.now(conn):%Y-%m-%dT%H:%M:%SZ}"


def test_consent_under_older_words_is_told_as_what_it_is_and_newer_words_renew_it(
    dispatcher: Run, engine: Engine, outside: Path, renewed: None
) -> None:
    row = "maria@example.de,finance-news,{},form 3,newsletter-{}\n"
    before, now = "2026-01-31T14:05:00Z", later(engine)
    for given, version, fate, events_then in (
        (before, "1", "older", 1),
        (before, "1", "unchanged", 1),
        (now, "2", "confirmed", 2),
        (before, "1", "unchanged", 2),  # lesser words take nothing away
        (before, "unknown here", "unchanged", 2),
    ):
        (outside / "p.csv").write_text(HEADER + row.format(given, version), encoding="utf-8")
        ran = dispatcher("subscribers", "import", "p.csv", "--origin", "CRM", "--json").json
        assert (ran[fate], len(events(engine, "imported"))) == (1, events_then), (version, ran)
    assert dispatcher("subscribers", "show", "maria@example.de", "--json").json["topics"]["finance-news"]["is_current"]
    (outside / "q.csv").write_text(HEADER + row.replace("maria", "josef").format(before, "1"), encoding="utf-8")
    assert (
        "consent with evidence, but under older words: to be renewed"
        in dispatcher("subscribers", "import", "q.csv", "--origin", "CRM").out
    )


def test_an_operator_is_told_that_consent_is_under_older_words_and_can_renew_it_with_proof(
    dispatcher: Run, engine: Engine, renewed: None
) -> None:
    first = (*ADD, "--consent-at", "2026-01-31T14:05:00Z", "--declaration", "1")
    older = "finance-news: older: consent with evidence, but under older words: to be renewed\n"
    assert dispatcher(*first).out == older
    assert dispatcher(*first).out == older
    assert len(events(engine, "imported")) == 1
    second = (*ADD, "--consent-at", later(engine), "--declaration", "2")
    assert dispatcher(*second).out == "finance-news: confirmed: consent with evidence, current from now on\n"
    assert dispatcher(*second).out.startswith("finance-news: unchanged")
    assert dispatcher(*first).out.startswith("finance-news: unchanged")
    assert len(events(engine, "imported")) == 2


def test_nobody_is_known_by_address_for_whom_nothing_was_entered(dispatcher: Run, engine: Engine) -> None:
    (listed := Path("list.txt")).write_text("maria@example.de\n", encoding="utf-8")
    assert dispatcher("suppressions", "import", listed, "--reason", "complaint", "--origin", "x").code == 0
    with engine.begin() as conn:
        conn.execute(update(suppression).values(scope="finance-news"))
    ran = dispatcher(*ADD, "--consent-at", "2026-01-31T14:05:00Z")
    assert ran.out.startswith("finance-news: suppressed")
    with engine.begin() as conn:
        assert conn.execute(select(func.count()).select_from(subscriber)).scalar_one() == 0


def test_an_address_that_looks_like_a_formula_is_no_formula_in_the_list_of_people(
    dispatcher: Run, outside: Path
) -> None:
    row = '"=1+1@example.de",finance-news,2026-01-31T14:05:00Z,form 3,newsletter-2026-01\n'
    (outside / "p.csv").write_text(HEADER + row, encoding="utf-8")
    assert dispatcher("subscribers", "import", "p.csv", "--origin", "CRM", "--json").json["confirmed"] == 1
    told = dispatcher("declarations", "people", "2026-01", "--list").out
    assert "\n'=1+1@example.de,finance-news,confirmed\n" in told
