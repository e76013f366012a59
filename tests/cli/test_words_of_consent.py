"""Consent that is brought from elsewhere, and the words it is said to be in: entered by an operator, or from a file."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher.db import clock
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
