"""`dispatcher campaigns`: from content files to the list of who is missing and why."""

import csv
import io
import re
from email import message_from_string, policy
from pathlib import Path

import pytest
from sqlalchemy import select, update

from dispatcher.db.tables import batch, campaign, content, subscriber
from dispatcher.db.terms import CampaignState, ConsentKind, Outcome, Topic
from dispatcher.domain import ledger
from dispatcher.domain.audience import audiences
from dispatcher.domain.ledger import Final
from tests import builders
from tests.cli.conftest import Run
from tests.relay import ScriptedRelay, say
from tests.stage import Stage

GERMAN = builders.CONTENT
DESPITE = ("--despite", "one-click", "--because", "the pages are not up in this test")
ENGLISH = GERMAN.replace("language: de", "language: en")


@pytest.fixture
def file(outside: Path) -> Path:
    path = outside / "news.de.md"
    path.write_text(GERMAN, encoding="utf-8")
    return path


def _create(dispatcher: Run, file: Path, *words: str) -> int:
    ran = dispatcher(
        "campaigns", "create", "--topic", "finance-news", "--subject", "Gold", "--content", file, "--json", *words
    )
    assert ran.code == 0, ran.err
    assert set(ran.json) == {"id"}
    return int(ran.json["id"])


def _refused(dispatcher: Run, file: Path, topic: str = "finance-news", subject: str = "Gold") -> tuple[str, str]:
    return dispatcher("campaigns", "create", "--topic", topic, "--subject", subject, "--content", file).error


def test_create_enters_a_draft_and_says_what_comes_next(dispatcher: Run, file: Path, stage: Stage) -> None:
    ran = dispatcher("campaigns", "create", "--topic", "finance-news", "--subject", "Gold", "--content", file)
    assert ran.code == 0
    first, second = ran.out.splitlines()
    assert first.endswith(", a draft in de")
    assert "campaigns preview" in second
    with stage.engine.begin() as conn:
        row = conn.execute(select(campaign)).one()
    assert (row.state, row.topic, row.subject, row.name) == ("draft", "finance-news", "Gold", "Gold")


def test_create_takes_the_english_letter_beside_the_german_one(dispatcher: Run, file: Path, stage: Stage) -> None:
    file.with_name("news.en.md").write_text(ENGLISH, encoding="utf-8")
    _create(dispatcher, file, "--name", "Woche 48")
    with stage.engine.begin() as conn:
        rows = conn.execute(select(content.c.language, content.c.file).order_by(content.c.language)).all()
        assert [tuple(row) for row in rows] == [("de", "news.de.md"), ("en", "news.en.md")]
        assert conn.execute(select(campaign.c.name)).scalar_one() == "Woche 48"


def test_create_refuses_an_unknown_topic_with_those_there_are(dispatcher: Run, file: Path) -> None:
    what, cure = _refused(dispatcher, file, topic="gold-news")
    assert what == "there is no topic 'gold-news'"
    assert cure == "use one of: product-news, finance-news, special-offers"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (GERMAN.replace("title: Gold hält sich\n", ""), "news.de.md, line 2: `title` is missing"),
        (GERMAN.replace("{{ greeting }}", "{{ greting }}"), "news.de.md, line 7: "),
        (GERMAN.replace("language: de", "language: fr"), "news.de.md, line 2: unknown language `fr`"),
        ("Nur Text.\n", "news.de.md, line 1: "),
    ],
)
def test_create_refuses_content_with_file_and_line(dispatcher: Run, file: Path, text: str, what: str) -> None:
    file.write_text(text, encoding="utf-8")
    said, cure = _refused(dispatcher, file)
    assert said.startswith(what)
    assert cure
    assert "no campaigns yet" in dispatcher("campaigns", "list").out


def test_create_refuses_a_file_that_cannot_be_read(dispatcher: Run, file: Path) -> None:
    assert _refused(dispatcher, file.with_name("gone.md"))[0].endswith("cannot be read: No such file or directory")
    assert _refused(dispatcher, file.parent)[0].endswith("cannot be read: Is a directory")
    file.write_bytes(GERMAN.encode("latin-1"))
    assert _refused(dispatcher, file) == ("news.de.md, line 3: has bytes that are not UTF-8", "save it as UTF-8")


def test_create_refuses_an_english_file_that_says_it_is_german(dispatcher: Run, file: Path) -> None:
    file.with_name("news.en.md").write_text(GERMAN, encoding="utf-8")
    assert _refused(dispatcher, file)[0] == "news.en.md, line 1: says language: de"


def test_a_line_break_in_the_subject_adds_no_header(dispatcher: Run, stage: Stage, file: Path) -> None:
    (address,) = stage.add(1)
    words = ["--topic", "finance-news", "--subject", "Gold\r\nBcc: josef@example.de", "--content", file]
    campaign_id = dispatcher("campaigns", "create", *words, "--json").json["id"]
    raw = dispatcher("campaigns", "preview", campaign_id, "--for", address).out
    letter = message_from_string(raw, policy=policy.default)
    assert letter["Bcc"] is None
    assert letter["Subject"] == "Gold Bcc: josef@example.de"


def test_a_command_without_what_it_needs_ends_with_2(dispatcher: Run) -> None:
    for words in (["create"], ["status"], ["status", "seven"], ["schedule", "7"], ["gibtsnicht"], ["list", "--x"]):
        ran = dispatcher("campaigns", *words)
        assert ran.code == 2
        assert "Error: " in ran.err


def test_a_campaign_that_does_not_exist_is_named(dispatcher: Run) -> None:
    for words in (["status", "4711"], ["missing", "4711"], ["pause", "4711"], ["start", "4711"], ["cancel", "4711"]):
        what, cure = dispatcher("campaigns", *words).error
        assert what == "there is no campaign 4711"
        assert "campaigns list" in cure


def test_schedule_says_the_moment_in_both_zones(dispatcher: Run, file: Path) -> None:
    campaign_id = _create(dispatcher, file)
    at = ("--at", "2099-12-01T09:00", "--zone", "Europe/Berlin")
    ran = dispatcher("campaigns", "schedule", campaign_id, *at, *DESPITE)
    assert ran.code == 0
    assert "2099-12-01T09:00 Europe/Berlin (2099-12-01 08:00 UTC)" in ran.out
    assert dispatcher("campaigns", "status", campaign_id, "--json").json["state"] == "scheduled"


@pytest.mark.parametrize(
    ("at", "zone", "what"),
    [
        ("2020-12-01T09:00", "Europe/Berlin", "2020-12-01T09:00 in Europe/Berlin is in the past"),
        ("2099-03-29T02:30", "Europe/Berlin", "2099-03-29T02:30 does not exist in Europe/Berlin: the clocks"),
        ("2099-12-01T09:00", "Europe/Entenhausen", "there is no time zone 'Europe/Entenhausen'"),
        ("morgen", "Europe/Berlin", "'morgen' is not a time"),
        ("2099-12-01T09:00+01:00", "Europe/Berlin", "'2099-12-01T09:00+01:00' names an offset"),
    ],
)
def test_schedule_refuses_a_time_that_cannot_be_meant(
    dispatcher: Run, file: Path, at: str, zone: str, what: str
) -> None:
    campaign_id = _create(dispatcher, file)
    assert dispatcher("campaigns", "schedule", campaign_id, "--at", at, "--zone", zone).error[0].startswith(what)
    assert dispatcher("campaigns", "status", campaign_id, "--json").json["state"] == "draft"


STATUS = {
    "state", "audience", "sent", "deferred", "failed", "unknown", "withheld", "remaining", "rate_per_s", "eta_s",
    "problem", "prices_as_of", "prices_until", "next_at", "is_launching", "trial", "filter",
}  # fmt: skip


def test_status_as_json_has_exactly_these_figures(dispatcher: Run, file: Path) -> None:
    campaign_id = _create(dispatcher, file)
    said = dispatcher("campaigns", "status", campaign_id, "--json").json
    assert [one["version"] for one in said.pop("written")] == [1]
    assert said.pop("releases") == []
    assert set(said) == STATUS
    none = dict.fromkeys(["eta_s", "problem", "prices_as_of", "prices_until", "next_at", "trial", "filter"])
    assert said == {**dict.fromkeys(STATUS, 0), **none, "state": "draft", "rate_per_s": 0.0}


def test_a_campaign_is_started_paused_resumed_and_cancelled(dispatcher: Run, file: Path, stage: Stage) -> None:
    stage.add(2)
    campaign_id = _create(dispatcher, file)
    ran = dispatcher("campaigns", "start", campaign_id, *DESPITE)
    assert ran.code == 0
    assert ran.out.splitlines()[-2].startswith(
        f"campaign {campaign_id} starts at the next tick (the broker does not answer)"
    )
    assert "nudge.unheard" in ran.err
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).values(state=CampaignState.SENDING))
    for word, state in (("pause", "paused"), ("resume", "sending"), ("cancel", "cancelled")):
        assert dispatcher("campaigns", word, campaign_id).code == 0
        assert dispatcher("campaigns", "status", campaign_id, "--json").json["state"] == state
    what, cure = dispatcher("campaigns", "resume", campaign_id).error
    assert what == f"campaign {campaign_id} is cancelled; it cannot become sending"
    assert cure == "this is its end; create a new one"


def test_resume_does_not_launch_what_is_being_prepared(dispatcher: Run, file: Path, stage: Stage) -> None:
    campaign_id = _create(dispatcher, file)
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).values(state=CampaignState.PREPARING))
    assert "is preparing" in dispatcher("campaigns", "resume", campaign_id).error[0]


def _mixed(stage: Stage) -> int:
    """Make a campaign in which everything has happened once."""
    people = stage.add(5)
    stage.withdraw(people[0])
    with stage.engine.begin() as conn:
        now = builders.clock.now(conn)
        strange = builders.add_people(conn, stage.keyring, ["=1+1@example.de", "+a@example.de"], now)
        builders.agree(conn, list(strange.values()), Topic.FINANCE_NEWS, now, ConsentKind.LISTED)
    campaign_id = stage.campaign()
    with stage.engine.begin() as conn:
        finals = [
            Final(campaign_id, stage.ids[people[1]], Outcome.SENT, 1, 250, "250 ok", "r"),
            Final(campaign_id, stage.ids[people[2]], Outcome.FAILED, None, 550, "550 5.1.1 no such [user]", "r"),
            Final(campaign_id, stage.ids[people[3]], Outcome.UNKNOWN, 1, None, "=cmd|' /C calc'!A0", "r"),
        ]
        ledger.record(conn, finals, builders.clock.now(conn))
    return campaign_id


@pytest.mark.both_databases
def test_missing_names_everyone_with_the_reason(dispatcher: Run, stage: Stage) -> None:
    ran = dispatcher("campaigns", "missing", _mixed(stage))
    assert ran.code == 0
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in ran.out.splitlines()[1:]}
    assert lines == {
        "p0@example.de": "withheld withdrew the consent",
        "p2@example.de": "failed 550 5.1.1 no such [user]",
        "p3@example.de": "unknown =cmd|' /C calc'!A0",
        "p4@example.de": "remaining not yet tried",
        "=1+1@example.de": "withheld never confirmed the subscription",
        "+a@example.de": "withheld never confirmed the subscription",
    }


def test_missing_as_csv_runs_no_formula_in_a_spreadsheet(dispatcher: Run, stage: Stage) -> None:
    ran = dispatcher("campaigns", "missing", _mixed(stage), "--csv")
    header, *rows = csv.reader(io.StringIO(ran.out, newline=""))
    assert header == ["email", "outcome", "reason"]
    assert len(rows) == 6
    assert not [cell for row in rows for cell in row if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}]
    assert ["p3@example.de", "unknown", "'=cmd|' /C calc'!A0"] in rows
    assert ["'=1+1@example.de", "withheld", "never confirmed the subscription"] in rows


def test_nobody_is_missing_when_nobody_is(dispatcher: Run, stage: Stage) -> None:
    assert dispatcher("campaigns", "missing", stage.campaign()).out == "nobody is missing\n"


def test_status_shows_a_bar_that_adds_up_and_the_problem(dispatcher: Run, stage: Stage) -> None:
    campaign_id = _mixed(stage)
    with stage.engine.begin() as conn:
        conn.execute(update(campaign).values(name="Gold [/bold] [Update]", problem="the relay [/x] is away"))
    ran = dispatcher("campaigns", "status", campaign_id)
    assert ran.code == 0
    counts = {"sent": 1, "deferred": 0, "failed": 1, "unknown": 1, "withheld": 3, "remaining": 1}
    for name, count in counts.items():
        assert re.search(rf"{name} +{count} +{100 * count / 7:.1f} %", ran.out), name
    assert "Gold [/bold] [Update]" in ran.out
    assert "problem: the relay [/x] is away" in ran.out
    assert "audience" in ran.out


def test_status_says_that_people_are_still_added_to_the_audience(
    dispatcher: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiences, "FIRST_PORTION", 2)
    stage.add(3)
    ran = dispatcher("campaigns", "status", stage.campaign())
    assert re.search(r"audience +2 +so far", ran.out)
    assert "it is still being launched" in ran.out
    ran = dispatcher("campaigns", "missing", 1, "--csv")
    assert "it is still being launched" in ran.err
    assert len(ran.out.splitlines()) == 3


def test_watch_follows_a_campaign_to_its_end(dispatcher: Run, stage: Stage) -> None:
    campaign_id = stage.campaign()
    stage.move(campaign_id, CampaignState.CANCELLED)
    assert "cancelled" in dispatcher("campaigns", "status", campaign_id, "--watch").out


def test_list_shows_the_newest_first_as_table_and_as_json(dispatcher: Run, file: Path, stage: Stage) -> None:
    first, second = _create(dispatcher, file), _create(dispatcher, file, "--name", "[/b] Woche 48")
    lines = dispatcher("campaigns", "list").out.splitlines()
    assert [int(line.split()[0]) for line in lines[1:]] == [second, first]
    assert lines[1].endswith("[/b] Woche 48")
    listed = dispatcher("campaigns", "list", "--json").json["campaigns"]
    assert [(of["id"], of["state"], of["topic"]) for of in listed] == [
        (second, "draft", "finance-news"),
        (first, "draft", "finance-news"),
    ]


def test_preview_prints_the_letter_of_one_reader_in_each_form(dispatcher: Run, file: Path, stage: Stage) -> None:
    (address,) = stage.add(1)
    campaign_id = _create(dispatcher, file)
    raw, text, html = (
        dispatcher("campaigns", "preview", campaign_id, "--for", address, *form)
        for form in ([], ["--text"], ["--html"])
    )
    assert {raw.code, text.code, html.code} == {0}
    assert f"To: {address}" in raw.out or f"<{address}>" in raw.out
    assert "List-Unsubscribe: <https://news.example.de/u/" in raw.out
    assert "Maria Muster" in text.out
    assert "kaum bewegt" in text.out
    assert "<html" in html.out
    assert dispatcher("campaigns", "preview", campaign_id, "--for", "nobody@example.de").error[0].startswith("nobody")


def test_a_test_copy_goes_out_and_the_relays_words_are_shown(
    dispatcher: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = _create(dispatcher, file)
    with ScriptedRelay(script={("RCPT", "refused@example.de"): say("550 5.1.1 no such [/b] user")}) as relay:
        monkeypatch.setenv("DISPATCHER_SMTP_URL", f"smtp://127.0.0.1:{relay.port}?tls=none")
        ran = dispatcher("campaigns", "test-send", campaign_id, "--to", "colleague@example.de")
        assert ran.code == 0
        assert f"127.0.0.1:{relay.port} took it: 250" in ran.out
        what, cure = dispatcher("campaigns", "test-send", campaign_id, "--to", "refused@example.de").error
        assert what == f"127.0.0.1:{relay.port} did not take it: 550 5.1.1 no such [/b] user"
        assert cure == "see `dispatcher doctor`"
        assert [a.recipient for a in relay.accepted] == ["colleague@example.de"]
    assert dispatcher("campaigns", "test-send", campaign_id, "--to", "nonsense").error[1].startswith("check the spell")


def test_a_confirmation_mail_is_no_campaign_to_start(dispatcher: Run, stage: Stage, file: Path) -> None:
    people = file.parent / "people.csv"
    people.write_text("email,topics\nmaria@example.de,finance-news\n", encoding="utf-8")
    assert dispatcher("subscribers", "import", people, "--origin", "x", "--confirm").code == 0
    with stage.engine.begin() as conn:
        campaign_id = conn.execute(select(campaign.c.id)).scalar_one()
        assert conn.execute(select(batch.c.no)).all() == []
    assert "is a confirmation mail" in dispatcher("campaigns", "start", campaign_id).error[0]


@pytest.mark.both_databases
def test_a_filter_is_counted_entered_told_and_taken_away(dispatcher: Run, file: Path, stage: Stage) -> None:
    a = stage.add(3)
    with stage.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.id == stage.ids[a[0]]).values(language="en"))
    ran = dispatcher("campaigns", "count", "--topic", "finance-news", "--without", "language=de")
    assert ran.out == "1 of 3 people would get it now: does not read German\n"
    ran = dispatcher("campaigns", "count", "--topic", "finance-news", "--only", "domain=example.de", "--json")
    assert (ran.json["people"], ran.json["everybody"]) == (3, 3)
    what, cure = dispatcher("campaigns", "count", "--topic", "finance-news", "--only", "age=30").error
    assert what == "there is no condition 'age'"
    assert "agreed-since" in cure
    number = _create(dispatcher, file, "--only", "language=de", "--without", "provider=google")
    assert "for: reads German; mailbox not at Google" in dispatcher("campaigns", "status", number).out
    stored = {"only": ["language=de"], "without": ["provider=google"]}
    assert dispatcher("campaigns", "status", number, "--json").json["filter"] == stored
    assert dispatcher("campaigns", "list", "--json").json["campaigns"][0]["filter"] == stored
    assert dispatcher("campaigns", "edit", number, "--only", "language=en", "--version", 1).code == 0
    assert dispatcher("campaigns", "contents", number, "--json").json["filter"] == {
        "only": ["language=en"],
        "without": [],
    }
    assert dispatcher("campaigns", "edit", number, "--everybody", "--only", "language=en", "--version", 2).code == 1
    assert dispatcher("campaigns", "edit", number, "--everybody", "--version", 2).code == 0
    assert dispatcher("campaigns", "status", number, "--json").json["filter"] is None
