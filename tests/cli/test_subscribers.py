"""`dispatcher subscribers` and `dispatcher consent`: people in, their story out, and what ends at their word."""

import csv
import os
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dispatcher.db.tables import campaign, consent_event, subscriber, suppression
from dispatcher.db.terms import Topic
from dispatcher.domain.imports.writing import CHUNK
from tests import builders
from tests.cli.conftest import Run
from tests.stage import Stage

HEADER = "email,name,language,topics,consent_at,consent_ip,consent_source,declaration\n"
PROOF = "2026-01-31T14:05:00+01:00,192.0.2.7,form 3,newsletter-2026-01"
ORIGIN = ("--origin", "CRM export")


@pytest.fixture
def people(outside: Path) -> Path:
    """Give a file with one row of each kind: confirmed, pending, double, suppressed, and two that cannot be read."""
    path = outside / "people.csv"
    rows = [
        f"maria@example.de,Maria Muster,de,finance-news,{PROOF}",
        "josef@example.de,Josef Muster,de,finance-news special-offers,,,,",
        f"MARIA@example.de,,,special-offers,{PROOF}",
        f"never@example.de,,,finance-news,{PROOF}",
        "nonsense,,,finance-news,,,,",
        "anna@example.de,,,gold,,,,",
    ]
    path.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def _counts(stage: Stage) -> tuple[int, int]:
    with stage.engine.begin() as conn:
        return tuple(
            conn.execute(select(func.count()).select_from(t)).scalar_one() for t in (subscriber, consent_event)
        )


def _suppress(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        builders.suppress(conn, stage.keyring, ["never@example.de"], builders.clock.now(conn))


EXPECTED = {
    "rows": 6, "confirmed": 1, "older": 0, "pending": 1, "unchanged": 0, "duplicate": 1, "withdrawn": 0,
    "restricted": 0, "suppressed": 1, "rejected": 2, "left": 0, "barred": 0,
}  # fmt: skip


@pytest.mark.both_databases
def test_a_dry_run_says_what_the_real_one_does_and_writes_nothing(dispatcher: Run, stage: Stage, people: Path) -> None:
    _suppress(stage)
    dry = dispatcher("subscribers", "import", people, *ORIGIN, "--dry-run", "--json").json
    assert _counts(stage) == (0, 0)
    real = dispatcher("subscribers", "import", people, *ORIGIN, "--json").json
    assert _counts(stage) == (2, 3)
    assert dry == {**real, "dry_run": True}
    rejects = real.pop("rejects")
    assert real.pop("pending_because") == {"no_evidence": 1}
    assert real.pop("asked_to_confirm") == 0
    assert (real.pop("format"), real.pop("ignored_columns"), real.pop("resumed_after")) == ("plain", [], 0)
    assert real == {"dry_run": False, **EXPECTED}
    assert [reject["line"] for reject in rejects] == [6, 7]
    assert rejects[1]["reason"] == "there is no topic 'gold'"


def test_an_import_tells_what_became_of_the_rows_in_words(dispatcher: Run, people: Path) -> None:
    ran = dispatcher("subscribers", "import", people, *ORIGIN, "--dry-run")
    assert ran.code == 0
    assert "could not be read" in ran.out
    assert "line 7: there is no topic 'gold'" in ran.out
    assert ran.out.endswith("dry run: nothing was written\n")
    assert "dry run" not in dispatcher("subscribers", "import", people, *ORIGIN).out


def test_rejected_rows_come_back_as_a_file_all_of_them(dispatcher: Run, outside: Path) -> None:
    path, rejects = outside / "people.csv", outside / "rejects.csv"
    path.write_text(HEADER + "broken [/b] row\n" * 1_200, encoding="utf-8")
    ran = dispatcher("subscribers", "import", path, *ORIGIN, "--rejects", rejects)
    assert "... and 1,180 more\nmend the rows" in ran.out
    with rejects.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["\ufeffrejected_line", "rejected_reason", *HEADER.strip().split(",")]
    assert [int(row[0]) for row in rows] == list(range(2, 1_202))
    assert {tuple(row[1:]) for row in rows} == {("1 cells where the header has 8", "broken [/b] row")}


def test_a_rejects_file_that_cannot_be_written_stops_the_import_before_it_begins(
    dispatcher: Run, stage: Stage, people: Path
) -> None:
    ran = dispatcher("subscribers", "import", people, *ORIGIN, "--rejects", people.parent / "gone" / "r.csv")
    assert ran.error[0].endswith("cannot be written: No such file or directory")
    assert _counts(stage) == (0, 0)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "the file is empty"),
        (b"address,topics\n", "the header lacks the column email"),
        ((HEADER + "j\xf6rg").encode("latin-1"), "bytes that are not UTF-8: as latin-1 they read 'jörg'"),
        (HEADER.encode("utf-16"), "the file is in UTF-16"),
    ],
)
def test_a_file_that_is_none_is_refused_in_two_lines(dispatcher: Run, outside: Path, data: bytes, what: str) -> None:
    (outside / "people.csv").write_bytes(data)
    assert what in dispatcher("subscribers", "import", "people.csv", *ORIGIN).error[0]


def test_a_file_that_turns_out_to_be_none_says_how_much_of_it_was_taken_in(
    dispatcher: Run, stage: Stage, outside: Path
) -> None:
    rows = "".join(f"p{number}@example.de,,,finance-news,{PROOF}\n" for number in range(CHUNK + 100))
    (outside / "people.csv").write_bytes((HEADER + rows).encode() + b"j\xf6rg@example.de,,,finance-news,,,,\n")
    ran = dispatcher("subscribers", "import", "people.csv", *ORIGIN)
    what, cure = ran.error
    assert what.endswith(f"; taken in so far: {CHUNK:,} rows")
    assert cure.endswith("to import the whole file again is harmless")
    assert _counts(stage) == (CHUNK, CHUNK)
    dry = dispatcher("subscribers", "import", "people.csv", *ORIGIN, "--dry-run")
    assert "taken in" not in dry.error[0]


def test_people_may_come_through_a_pipe(dispatcher: Run, stage: Stage, outside: Path) -> None:
    os.mkfifo(outside / "pipe")
    text = HEADER + f"maria@example.de,,,finance-news,{PROOF}\n"
    writer = threading.Thread(target=(outside / "pipe").write_text, args=(text,))
    writer.start()
    ran = dispatcher("subscribers", "import", "pipe", *ORIGIN)
    writer.join(10)
    assert ran.code == 0, ran.err
    assert _counts(stage) == (1, 1)


def test_whoever_is_to_confirm_gets_a_mail_only_where_that_was_asked_for(
    dispatcher: Run, stage: Stage, people: Path
) -> None:
    def letters() -> int:
        with stage.engine.begin() as conn:
            return int(conn.execute(select(func.count()).select_from(campaign)).scalar_one())

    dispatcher("subscribers", "import", people, *ORIGIN, "--confirm", "--dry-run")
    assert letters() == 0
    told = dispatcher("subscribers", "import", people, *ORIGIN, "--confirm").out
    assert letters() == 1
    assert "1 person will get a mail that asks to confirm" in told


def test_an_import_needs_a_file_and_an_origin(dispatcher: Run, people: Path) -> None:
    assert dispatcher("subscribers", "import", people).code == 2
    assert dispatcher("subscribers", "import", "gone.csv", *ORIGIN).code == 2
    assert dispatcher("subscribers", "import", people.parent, *ORIGIN).code == 2


def test_a_persons_story_is_shown_as_table_and_as_json(dispatcher: Run, stage: Stage, people: Path) -> None:
    people.write_text(HEADER + f"maria@example.de,Maria [/b] Muster,de,finance-news,{PROOF}\n", encoding="utf-8")
    dispatcher("subscribers", "import", people, "--origin", "CRM [/i] export")
    shown = dispatcher("subscribers", "show", " Maria@Example.de ")
    assert shown.code == 0
    assert "maria@example.de  Maria [/b] Muster  (de)" in shown.out
    assert "form 3 (import: CRM [/i] export)" in shown.out
    said = dispatcher("subscribers", "show", "maria@example.de", "--json").json
    assert set(said) == {"address", "name", "language", "restricted_at", "topics", "suppressed", "story"}
    assert said["topics"] == {
        "finance-news": {"state": "confirmed", "since": "2026-01-31 13:05:00+00:00", "is_current": True}
    }
    assert [(h["what"], h["topic"]) for h in said["story"]] == [("imported", "finance-news")]


def test_nobody_is_shown_for_an_address_that_is_unknown_or_none(dispatcher: Run) -> None:
    for command in (["subscribers", "show"], ["consent", "withdraw"]):
        assert dispatcher(*command, "nobody@example.de").error == (
            "nobody here has the address nobody@example.de",
            "check the spelling",
        )
        assert dispatcher(*command, "nonsense").error[1].startswith("check the spelling; it should look like")


def test_a_withdrawal_of_one_topic_leaves_the_others(dispatcher: Run, stage: Stage) -> None:
    (maria,) = stage.add(1)
    with stage.engine.begin() as conn:
        builders.agree(conn, [stage.ids[maria]], Topic.SPECIAL_OFFERS, builders.clock.now(conn))
    ran = dispatcher("consent", "withdraw", maria, "--topic", "finance-news")
    assert ran.out.startswith("withdrawn: finance-news. Nothing more on this goes to this person")
    topics = dispatcher("subscribers", "show", maria, "--json").json["topics"]
    assert {topic: said["state"] for topic, said in topics.items()} == {
        "finance-news": "withdrawn",
        "special-offers": "confirmed",
    }
    assert dispatcher("consent", "withdraw", maria, "--topic", "finance-news").out.startswith("nothing to do")
    assert dispatcher("consent", "withdraw", maria, "--topic", "gold").code == 2


def test_a_withdrawal_of_everything_holds_for_topics_the_person_never_asked_for(
    dispatcher: Run, stage: Stage, people: Path
) -> None:
    (maria,) = stage.add(1)
    assert dispatcher("consent", "withdraw", maria).code == 0
    with stage.engine.begin() as conn:
        assert set(conn.execute(select(suppression.c.scope)).scalars()) == set(Topic)
    people.write_text(HEADER + f"{maria},,,product-news special-offers,{PROOF}\n", encoding="utf-8")
    assert dispatcher("subscribers", "import", people, *ORIGIN, "--json").json["withdrawn"] == 1
    shown = dispatcher("subscribers", "show", maria)
    assert "never mail: finance-news, withdrawn" in shown.out


def test_whose_export_a_file_is_can_be_said_in_the_words_of_the_help(dispatcher: Run, outside: Path) -> None:
    (outside / "l.csv").write_text("uuid,email,name,attributes,status\n1,maria@example.de,Maria,{},enabled\n")
    said = ("--origin", "listmonk", "--topics", "finance-news", "--dry-run", "--json")
    for whose in ("listmonk", "auto"):
        ran = dispatcher("subscribers", "import", "l.csv", "--from", whose, *said).json
        assert (ran["format"], ran["pending"]) == ("listmonk", 1)
    assert "[auto|plain|own|listmonk|mailchimp]" in dispatcher("subscribers", "import", "--help").out
