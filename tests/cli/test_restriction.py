"""`dispatcher subscribers restrict` and `release`, and what every other command then says and does."""

from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.terms import ConsentKind, Topic
from dispatcher.domain.tokens import Keyring
from tests import builders
from tests.cli.conftest import Run

MARIA = "maria@example.de"


@pytest.fixture(autouse=True)
def _maria(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        now = clock.now(conn)
        who = builders.add_people(conn, keyring, [MARIA], now)[MARIA]
        builders.agree(conn, [who], Topic.FINANCE_NEWS, now, ConsentKind.CONFIRMED)


def test_a_restriction_and_its_release_are_said_logged_and_proven(dispatcher: Run) -> None:
    number = dispatcher("subscribers", "rights", "add", MARIA, "--kind", "restriction", "--received", "2026-01-31")
    assert number.out == "request 1, restriction: due on 2026-02-28\n"
    ran = dispatcher("subscribers", "restrict", MARIA, "--by", "anna")
    assert ran.out == (
        "restricted: nothing is mailed, changed or deleted\n"
        f"to end it, tell the person, then: dispatcher subscribers release {MARIA} --told DAY\n"
    )
    (asked,) = dispatcher("subscribers", "rights", "--json").json["requests"]
    assert (asked["kind"], asked["operator"], asked["outcome"]) == ("restriction", "anna", "restricted")
    assert "restricted: since" in dispatcher("subscribers", "show", MARIA).out
    released = dispatcher("subscribers", "release", MARIA, "--told", "2026-01-02", "--by", "anna")
    assert released.out.startswith("released: consents stand as they did")
    told = dispatcher("consent", "history", MARIA).out
    assert "processing was restricted (Art. 18 GDPR)" in told
    assert "operator anna; the person was told on 2026-01-02 (Art. 18(3) GDPR)" in told
    assert dispatcher("subscribers", "show", MARIA, "--json").json["restricted_at"] is None
    assert dispatcher("consent", "verify").code == 0


def test_a_release_wants_the_day_on_which_the_person_was_told(dispatcher: Run) -> None:
    dispatcher("subscribers", "restrict", MARIA)
    assert dispatcher("subscribers", "release", MARIA).code == 2
    tomorrow = date.today() + timedelta(days=2)  # noqa: DTZ011  (a day in any zone)
    what, cure = dispatcher("subscribers", "release", MARIA, "--told", str(tomorrow)).error
    assert what == f"{tomorrow} lies in the future"
    assert cure == "tell the person first, and name the day on which you did"


def test_while_it_lasts_nobody_is_erased_exported_or_written_to_at_another_address(dispatcher: Run) -> None:
    dispatcher("subscribers", "restrict", MARIA)
    what, cure = dispatcher("subscribers", "erase", MARIA, "--yes").error
    assert what == f"what is known of {MARIA} is restricted, so that it is kept (Art. 18 GDPR)"
    assert "subscribers release" in cure
    what, _ = dispatcher("subscribers", "rectify", MARIA, "--address", "m@example.com").error
    assert "is restricted (Art. 18 GDPR)" in what
    assert dispatcher("subscribers", "rectify", MARIA, "--name", "Maria Berg").code == 0
    exported = dispatcher("subscribers", "export", "-o", "people.csv")
    assert "0 people written" in exported.err
    assert "left out, for processing is restricted (Art. 18 GDPR): 1 person" in exported.err


@pytest.mark.parametrize(("language", "said"), [
    ("de", "Die Verarbeitung ist eingeschränkt, seit "), ("en", "Processing is restricted since "),
])  # fmt: skip
def test_dossier_and_export_say_it_in_both_languages(dispatcher: Run, outside, language: str, said: str) -> None:
    dispatcher("subscribers", "restrict", MARIA)
    assert dispatcher("consent", "dossier", MARIA, "-o", "m.html", "--language", language).code == 0
    assert said in (outside / "m.html").read_text(encoding="utf-8")
    held = dispatcher("subscribers", "access", MARIA, "--language", language).json
    assert held["person"]["restricted_at"]
    assert "18" in held["explanation"]["person"]["fields"]["restricted_at"]
