"""`dispatcher subscribers add` and `dispatcher consent history`: one person in on their word, and what proves it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from dispatcher.db import clock
from dispatcher.db.tables import campaign, opt_in_request, subscriber
from dispatcher.domain import consent
from dispatcher.domain.consent import Evidence
from dispatcher.sending import opt_in, sweep
from tests import builders
from tests.cli.conftest import Run
from tests.evidence import assert_filled, events, notice_of, words_of
from tests.relay import ScriptedRelay
from tests.stage import Stage

MARIA = "maria@example.de"
ADD = ("subscribers", "add", MARIA, "--topic", "finance-news", "--source", "paper form, fair 2026")
PROVEN = ("--consent-at", "2026-03-01T10:30:07+01:00", "--evidence", "form 117, folder 4")


def test_without_evidence_a_double_opt_in_begins_and_is_proven_to_its_end(
    dispatcher: Run, stage: Stage, engine: Engine
) -> None:
    ran = dispatcher(*ADD, "--name", "Maria Muster", "--language", "en")
    assert ran.out == "maria@example.de is asked by mail to confirm, at the next tick\n"
    assert sweep.begin(engine, 1, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=1))
    assert relay.accepted[0].recipient == MARIA
    assert b"website" not in relay.accepted[0].raw
    with engine.begin() as conn:
        request = conn.execute(select(opt_in_request)).one()
    (requested,), (sent,) = events(engine, "requested"), events(engine, "confirmation-sent")
    notice = requested["privacy_sha256"]
    shared = {"topic": "finance-news", "language": "en", "declaration_id": request.declaration_id,
              "privacy_sha256": notice, "request_id": request.id}  # fmt: skip
    assert_filled(requested, kind="requested", source="operator, command line: paper form, fair 2026", **shared)
    assert_filled(
        sent, kind="confirmation-sent", source="confirmation mail", mail_template=lambda held: len(held) == 64,
        mail_sha256=lambda held: len(held) == 32, message_id=lambda held: held.endswith("@news.example.de"),
        relay_reply=lambda held: held.startswith("250 "), **shared,
    )  # fmt: skip
    assert words_of(engine, requested)[:2] == ("2026-01", "en")
    assert "e-mail" in notice_of(engine, requested)


def test_with_evidence_the_consent_counts_at_once_from_the_day_it_was_given(dispatcher: Run, engine: Engine) -> None:
    assert "no version 'form 3'" in dispatcher(*ADD, *PROVEN, "--declaration", "form 3").error[0]
    ran = dispatcher(*ADD, *PROVEN, "--declaration", "2026-01")
    assert ran.out == "finance-news: confirmed: consent with evidence, current from now on\n"
    (imported,) = events(engine, "imported")
    assert_filled(
        imported, kind="imported", topic="finance-news", language="de", declaration_named="newsletter-2026-01",
        source="operator, command line: paper form, fair 2026; evidence: form 117, folder 4",
        given_at=datetime(2026, 3, 1, 9, 30, 7, tzinfo=UTC), declaration_id=lambda held: held is not None,
    )  # fmt: skip
    assert words_of(engine, imported)[:2] == ("2026-01", "de")
    assert dispatcher(*ADD, *PROVEN, "--json").json["topics"] == {"finance-news": "unchanged"}
    assert len(events(engine, "imported")) == 1


def test_whoever_left_or_complained_is_not_brought_in_by_an_operator(dispatcher: Run, stage: Stage) -> None:
    dispatcher(*ADD, *PROVEN)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        person = conn.execute(select(subscriber.c.id)).scalar_one()
        consent.withdraw(conn, person, [builders.Topic.FINANCE_NEWS], Evidence(source="a test"), now)
    topics = ("--topic", "product-news")
    assert dispatcher(*ADD, *topics, *PROVEN, "--json").json["topics"] == {
        "finance-news": "withdrawn",
        "product-news": "confirmed",
    }
    with stage.engine.begin() as conn:
        builders.suppress(conn, stage.keyring, [MARIA], now)
    assert dispatcher(*ADD, *PROVEN, "--json").json["topics"] == {"finance-news": "suppressed"}
    assert "no mail is due" in dispatcher(*ADD).out
    with stage.engine.begin() as conn:
        assert conn.execute(select(campaign.c.id)).all() == []


WRONG = {
    "a time without evidence": (("--consent-at", "2026-03-01T10:30:00+01:00"), "belong together"),
    "evidence without a time": (("--evidence", "form 117"), "belong together"),
    "a time without an offset": (("--consent-at", "2026-03-01T10:30:00", "--evidence", "x"), "names no offset"),
    "no time": (("--consent-at", "gestern", "--evidence", "x"), "is not a time"),
    "a time before all times": (("--consent-at", "0001-01-01T00:00:00+23:00", "--evidence", "x"), "is not a time"),
    "a time to come": (("--consent-at", "2099-01-01T00:00:00+00:00", "--evidence", "x"), "lies in the future"),
    "empty evidence": (("--consent-at", "2026-03-01T10:30:00+01:00", "--evidence", " "), "the evidence has to be one"),
    "evidence in two lines": (
        ("--consent-at", "2026-03-01T10:30:00+01:00", "--evidence", "a\nb"),
        "has to be one line",
    ),
    "words nobody is shown": (("--declaration", "2026-01"), "--declaration goes with --evidence"),
    "a topic that there is not": (("--topic", "gold"), "there is no topic 'gold'"),
    "a name with a line break": (("--name", "Maria\nBcc: x"), "control character"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_proves_nothing_is_refused_in_two_lines_and_nobody_is_entered(
    dispatcher: Run, engine: Engine, case: str
) -> None:
    options, what = WRONG[case]
    said, cure = dispatcher(*ADD, *options).error
    assert what in said
    assert cure
    with engine.begin() as conn:
        assert conn.execute(select(subscriber.c.id)).all() == []


def test_an_import_is_proven_by_what_its_row_says_and_by_its_origin(
    dispatcher: Run, engine: Engine, outside: Path
) -> None:
    (outside / "people.csv").write_text(
        "email,language,topics,consent_at,consent_ip,consent_source,declaration\n"
        f"{MARIA},en,finance-news,2026-01-31T14:05:09+01:00,192.0.2.7,form 3,newsletter-2026-01\n"
        "josef@example.de,en,finance-news,,,,\n",
        encoding="utf-8",
    )
    dispatcher("subscribers", "import", "people.csv", "--origin", "CRM, 2026-11-22", "--confirm")
    (imported,), (listed,), (requested,) = (events(engine, kind) for kind in ("imported", "listed", "requested"))
    assert_filled(
        imported, kind="imported", topic="finance-news", source="form 3 (import: CRM, 2026-11-22)", ip="192.0.2.7",
        language="en", given_at=datetime(2026, 1, 31, 13, 5, 9, tzinfo=UTC), declaration_named="newsletter-2026-01",
        declaration_id=lambda held: held is not None,
    )  # fmt: skip
    assert_filled(listed, kind="listed", topic="finance-news", source="import: CRM, 2026-11-22", language="en")
    # Whoever is asked to confirm is shown words, and these are the ones they agree to.
    assert_filled(
        requested, kind="requested", topic="finance-news", source="import: CRM, 2026-11-22", language="en",
        declaration_id=imported["declaration_id"], request_id=1, privacy_sha256=lambda held: len(held) == 32,
    )  # fmt: skip
    assert words_of(engine, requested)[:2] == words_of(engine, imported)[:2] == ("2026-01", "en")
    assert notice_of(engine, requested)


def test_a_history_tells_every_event_with_all_its_evidence(dispatcher: Run, stage: Stage, engine: Engine) -> None:
    dispatcher(*ADD)
    sweep.begin(engine, 1, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=1))
    with engine.begin() as conn:
        asked = opt_in.asked(conn, 1, stage.keyring, "")
        button = Evidence(source="confirmation page", ip="192.0.2.8", user_agent="[b]Browser[/b]", request_id=1)
        opt_in.confirm(conn, asked.confirm_url.rpartition("/")[2], button, clock.now(conn))
    told = dispatcher("consent", "history", MARIA, "--json").json["events"]
    assert [event["kind"] for event in told] == ["requested", "confirmation-sent", "confirmed"]
    (sent,) = events(engine, "confirmation-sent")
    assert told[1]["mail_sha256"] == bytes(sent["mail_sha256"]).hex()
    assert told[0]["declaration"] == "newsletter-2026-01"
    words = dispatcher("consent", "history", MARIA).out
    for part in (
        "somebody asked for letters with this address", "source: operator, command line: paper form, fair 2026",
        "under: newsletter-2026-01 (de)", "relay said: 250 ", "Message-ID: ", "with: [b]Browser[/b]",
        "from: 192.0.2.8", "the button on the confirmation page was pressed",
    ):  # fmt: skip
        assert part in words
    assert "nobody here has the address" in dispatcher("consent", "history", "x@example.de").error[0]
