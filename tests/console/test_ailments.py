"""What is not well is told in the reader's language: the table against what the house really says."""

from datetime import timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from dispatcher import health
from dispatcher.console.ailments import ailment
from dispatcher.db import clock
from dispatcher.db.terms import Language, RightKind, Role
from dispatcher.domain.people import rights
from dispatcher.health import Finding, Part
from tests.console.office import Office, on_sqlite, text_of

SAID = (
    "does not answer: [Errno 111] Connection refused", "1 batch waits, and no worker gives a sign",
    "2,000 batches wait, and no worker gives a sign", "no sign of 1 process: watch a-1 gave none for 90 s",
    "off since 2026-11-30 09:00:00 UTC after 1 failure: refused; next try at 09:01:00 UTC",
    "kept to 2 lines since 2026-11-30 09:00:00 UTC after 3 failures: 421 too many; it is being tried",
    "lines are owed to /var/endings.txt", "campaign 3 stands still, held: its prices are too old",
    "campaign 3 stands still, held: its prices are too old; so do 4, 5", "series 2 is paused, held: after a restore",
    "feed 1 (www.example.de) brings nothing since 2026-11-30 09:00 UTC: it is empty",
    "2 requests are overdue, the oldest since 2026-11-02",
    "switched off after three days without an answer: endpoint 3 (hooks.example.de) since 2026-11-30 09:00 UTC: 500",
)  # fmt: skip


WELL = (
    "postgresql answers, schema is current", "answers", "/var/endings is kept, and the database has all of it",
    "2 known to the database; k2 signs", "off: the relay has to sign", "letters are signed by s1 (rsa, example.de)",
    "letters are signed by s1 (rsa, example.de); every user here can read /etc/key",
    "no key yet: the first checkpoint or dossier makes it", "proofs are signed by key ab12",
    "proofs are signed by key ab12; others than its owner can read /var/key", "takes us (starttls, 8 lanes)",
    "none runs, and nothing waits for one", "no relay is left alone by the workers", "none waits for anybody",
    "1 worker lives, 2 of 3 processes send; newest sign 4 s ago, the last round of its tick took 41 ms",
    "waiting: 2,000 newsletter batches, 1 confirmation, next campaign due in 1,200 s",
    "waiting: 1 newsletter batch, 0 confirmations, a campaign is due now", "no request of a person is overdue",
    "waiting: 0 newsletter batches, 0 confirmations", "3 endpoints are told what happens",
    "no endpoint is told anything", "relay eins answered AUTH PLAIN with: 535 no",
)  # fmt: skip


@pytest.mark.parametrize("said", [*SAID, *WELL])
def test_what_is_not_well_has_a_sentence_without_a_date_of_a_machine(said: str) -> None:
    german, english = (ailment(Finding(Part.WORK, False, said), language) for language in Language)
    assert german
    assert english
    assert "2026-1" not in german + english


def test_figures_and_days_are_written_as_the_language_writes_them() -> None:
    late = Finding(Part.RIGHTS, False, "2 requests are overdue, the oldest since 2026-11-02")
    assert ailment(late, Language.DE) == "2 Anfragen, die älteste war fällig am 02.11.2026."
    work = Finding(Part.WORKERS, False, "2,000 batches wait, and no worker gives a sign")
    assert ailment(work, Language.DE) == "2.000 Stapel warten, und kein Worker gibt ein Zeichen."
    assert ailment(Finding(Part.WORKERS, False, "the moon is full"), Language.DE) == ""


@on_sqlite
def test_what_is_really_found_is_told_on_the_pages(office: Office) -> None:
    with office.engine.begin() as conn:
        rights.enter(conn, RightKind.ACCESS, bytes(32), clock.now(conn) - timedelta(days=70))
    office.liven()
    parts = (Part.BROKER, Part.RIGHTS, Part.WORKERS, Part.BREAKER)
    found = [one for one in health.examine(office.settings, lambda: office.engine, parts) if not one.is_well]
    assert {one.part for one in found} == set(parts)
    assert [one.says for one in found if not ailment(one, Language.DE)] == []
    every = list(health.examine(office.settings, lambda: office.engine))
    assert [(one.says, one.cure) for one in every if not ailment(one, Language.DE)] == []
    sender = office.browser_of(Role.SENDER)
    for page in ("/", "/health"):
        says = text_of(sender.get(page))
        assert "Eine Anfrage, fällig am" in says, page
        assert "overdue" not in says, page


def test_a_look_at_the_database_leaves_no_connection_open(office: Office) -> None:
    opened: list[object] = []

    def opens(made: object, _record: object) -> None:
        opened.append(made)

    def closes(made: object, _record: object) -> None:
        opened.remove(made)

    event.listen(Pool, "connect", opens)
    event.listen(Pool, "close", closes)
    try:
        (found,) = health.examine(office.settings, lambda: office.engine, (Part.DATABASE,))
        assert found.is_well
        assert opened == []
    finally:
        event.remove(Pool, "connect", opens)
        event.remove(Pool, "close", closes)
