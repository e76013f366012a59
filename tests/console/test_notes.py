"""What the house wrote down in English is told in the reader's language: the table against those who say it."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from dispatcher.assets import PACKAGE
from dispatcher.compose import headers
from dispatcher.console import notes
from dispatcher.console.notes import note
from dispatcher.console.paper import words
from dispatcher.db import clock
from dispatcher.db.tables import campaign, metadata
from dispatcher.db.terms import IssueOutcome, Language, Role
from dispatcher.domain.delivery import passage, poison
from dispatcher.domain.newsletters import on_hold, releases, series, trials
from dispatcher.domain.newsletters.releases import Binding
from dispatcher.errors import ContentInvalid, InputRefused
from dispatcher.outgoing import Trouble
from dispatcher.sending import binding, feed, gate
from dispatcher.sending.preflight import running
from dispatcher.smtp.verdict import Step
from tests import builders
from tests.console.office import Office, on_sqlite, text_of

DE, EN = Language.DE, Language.EN
AT = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
MOVED = "campaign 3 is sent; it cannot become sending; this is its end; create a new one"
# As they stand in the database, each under the file that says it, or as a function of ours fills it in.
SAID = (
    on_hold._WHY_LOST, on_hold._LAUNCHED_SINCE, feed.SPOILT, poison.SET_ASIDE, running._UNFORESEEN,
    gate.DATABASE_AWAY, gate.DATABASE_REFUSED, gate.LEASE_OVER,
    passage.TAKEN_OVER, passage.WENT_BACK, passage.CHANGED, passage.STALE, "the campaign is paused",
    trials.NOBODY_CHOSE.format(id=3, letters="A|B"), series._UNSURE.format(at=AT), "its series has ended",
    "released anew",
    "the stored letter cannot be read", "held: its time came while the database was gone; if it was sent then, it"
    " would be sent again",
    "held: its prices are of 2026-11-29 17:35 CET and were good until 2026-11-30 09:00 CET; `campaigns replace 3"
    " --content FILE` brings new ones, `campaigns resume 3 --with-old-prices` sends these all the same",
    "held: the database was put back to an earlier state while this was under way; whose letter may be out is"
    " `unknown` and gets no second one: 2,000 people",
    "brought by feed 1, and waits for somebody to look at it: dispatcher series fill 2 --campaign 3",
    "feed 1 could not release it: preflight stops it (links, prices); look at it, then: dispatcher series fill 2",
    f"feed 1 could not release it ({MOVED}); look at it, then: dispatcher series fill 2 --campaign 3",
    *(f"not sent: since the release has changed {words}; look at it, then" for words in binding.CHANGED.values()),
    "taken back by Anna Beispiel: falscher Preis", MOVED,
    *(f"relay eins, {step}: waited 600 s for its answer" for step in Step),
    *(f"relay eins, {step}: the relay closed the connection" for step in (*Step, "the body", "between letters")),
    "relay eins, EHLO: no reply within 30 s", "relay eins, MAIL FROM: 421 4.7.0 too many", "RCPT TO: 503 no order",
    "the connection: [Errno 111] Connection refused", "relay eins, the connection: no answer within 5 s",
    "the TLS handshake: its certificate is not trusted for mx.example.de: certificate has expired",
    "relay eins, the body: the connection broke: [Errno 104] reset", "relay eins, AUTH LOGIN, the password: 535 no",
    "relay eins answered AUTH PLAIN with: 535 5.7.8 no",
    *(f"{trouble}: {why}" for trouble, why in (
        (Trouble.TIME, "no answer within 20 seconds"), (Trouble.NO_NAME, "hooks.example.de: Name or service not known"),
        (Trouble.NOT_PUBLIC, "hooks.example.de is 10.0.0.7"),
        (Trouble.NOT_PUBLIC, "127.0.0.1 is 127.0.0.1"), (Trouble.ADDRESS, "it is no web address"),
        (Trouble.CERTIFICATE, "certificate has expired"), (Trouble.CONNECTION, "[Errno 104] reset by peer"),
    )),
    "mend the receiver, then: dispatcher webhooks on 3, webhooks replay 3; or webhooks off 3",
    "see: dispatcher campaigns status 3", "start one: dispatcher worker, or dispatcher up",
)  # fmt: skip
# Files whose every sentence of this kind has one here.
SAYING = {
    "rights/sealed.py": "Checked", "domain/proof/walk.py": "_at|Break", "domain/proof/verification.py": "Break",
    "sending/courier.py": "Answered", "smtp/opening.py": "RelayDown", "smtp/connect.py": "RelayDown",
    "compose/headers.py": "InputRefused", "compose/letter.py": "InputRefused",
}  # fmt: skip
# Of what the house sets and looks at before a letter is composed.
ELSEWHERE = ("cannot stand in a header", "is not ASCII", "is too long", "longer than")


def told(said: str) -> str:
    """Say it in German; the English has to have it, too."""
    german = note(DE, said)
    assert bool(german) is bool(note(EN, said))
    return german


@pytest.mark.parametrize("said", SAID)
def test_what_is_written_down_has_a_sentence_in_both_languages(said: str) -> None:
    german = told(said)
    assert german
    assert german != note(EN, said)
    assert not re.search(r"\b(the|its|were|relay closed|no answer|2026-\d\d)\b", german)


def said_by(file: str, callers: str) -> Iterator[str]:
    """Give every text that a file hands to those callers, each value in it a 7 or a moment."""
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and re.fullmatch(callers, node.func.id):
            for argument in node.args:
                if isinstance(argument, ast.JoinedStr) or (
                    isinstance(argument, ast.Constant) and " " in str(argument.value)
                ):
                    yield from _filled(argument)
                    break


def _filled(said: ast.expr) -> Iterator[str]:
    match said:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            names = [ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else "" for part in parts]
            fills = {
                "gone": "event 7 is missing",
                "newest.at": "2026-11-30T08:00:00Z",
                "said.trouble": "time",
                "point.at": "2026-11-30T08:00:00Z",
            }
            texts = (str(getattr(part, "value", "")) if not name else fills.get(name, "7")
                     for part, name in zip(parts, names, strict=True))  # fmt: skip
            yield "".join(texts)


@pytest.mark.parametrize("file", SAYING)
def test_every_sentence_of_those_who_look_has_one_here(file: str) -> None:
    said = [what for what in said_by(file, SAYING[file]) if not re.fullmatch(r"time: 7|7, or its hash.*", what)]
    assert said
    assert [what for what in said if not told(what) and not any(words in what for words in ELSEWHERE)] == []


def test_what_a_verification_counts_is_told_with_its_figures() -> None:
    assert told("it says 2,000 events up to number 9, there are 1,999 up to 8, or its hash is not the last one's")
    point = "the checkpoint of 2026-11-30T08:00:00Z speaks of"
    assert told(f"{point} 2,000 events, 1,999 are there; so do 2 more") == (
        "Der Prüfpunkt von 30. Nov. 2026, 09:00 nennt als Zahl der Einträge 2.000; vorhanden: 1.999."
    )
    assert told(f"{point} another ledger")
    assert told("the newest are missing: 9 was appended, the last that is there is 7").startswith("Die neuesten fehlen")
    assert told("there are events, but the row that says where the chain ends is gone, or says nothing")
    assert told(f"{point} other first 7 events than these")
    assert told("events 3 to 5 are missing before it, taken away").startswith("Davor fehlen die Einträge 3 bis 5")


def test_facts_are_written_as_the_language_writes_them() -> None:
    stale, put_back = (next(said for said in SAID if begin in said) for begin in ("held: its prices", "2,000 people"))
    assert told(stale) == "Die Preise sind von 29. Nov. 2026, 17:35 und galten bis 30. Nov. 2026, 09:00."
    assert "Bei 2.000 Menschen" in told(put_back)
    assert "Bei einem Menschen" in told(put_back.replace("2,000 people", "1 person"))
    assert told(f"not sent: since the release has changed {', '.join(binding.CHANGED.values())}").count(",") == 5
    assert told("feed 1 could not release it: preflight stops it (links); look").startswith("Die Durchsicht hält")
    assert told(MOVED).startswith("Der Stand der Kampagne ist „gesendet“;")
    assert told(f"feed 1 could not release it ({MOVED}); look at it, then: x").count("„gesendet“") == 1


def test_a_relay_is_named_with_its_port() -> None:
    said = note(DE, "relay 127.0.0.1:8025, the connection: [Errno 111] Connection refused")
    assert said == "Relay 127.0.0.1:8025: Es kommt keine Verbindung zustande ([Errno 111] Connection refused)"


def test_content_that_cannot_be_read_is_told_with_its_line() -> None:
    said = ContentInvalid("news.de.md", 3, "an image without `alt`", "describe it").what
    assert told(f"{said}; describe it").startswith("Zeile 3: Viele lesen ohne Bilder.")


def test_what_cannot_stand_in_a_header_is_told_as_it_is_really_refused() -> None:
    with pytest.raises(InputRefused) as refused:
        headers.guard("Subject", "a\nb")
    assert told(refused.value.what) == "Subject enthält einen Zeilenumbruch oder ein Nullzeichen."


def test_what_nobody_has_words_for_is_left_as_it_was_said() -> None:
    assert [note(language, said) for language in Language for said in ("410", "the moon is full", "", None)] == [""] * 8


@pytest.mark.parametrize("language", list(Language))
def test_no_sentence_is_there_for_nothing(language: Language) -> None:
    keys = {row.key for row in notes._TABLE}
    assert {key.removesuffix("_one") for key in words(language)["notes"] if not key.startswith("step_")} == keys


@on_sqlite
def test_a_german_reads_german_where_the_database_has_english(office: Office) -> None:
    things = office.things
    number, endpoint, at = int(things["campaign"]), metadata.tables["webhook_endpoint"], clock.now
    looked = metadata.tables["preflight_run"]
    with office.engine.begin() as conn:
        now = at(conn)
        held = builders.create_campaign(conn, now, content=builders.PLAIN)
        c = campaign.c
        conn.execute(update(campaign).where(c.id == held).values(state="paused", problem=feed.SPOILT))
        releases.enter(conn, held, 1, Binding(bytes(32), bytes(32), bytes(32), bytes(32)), now)
        releases.end(conn, held, "taken back by Anna Beispiel: falscher Preis", now)
        of = series.get(conn, int(things["series"]))
        series.note(conn, of, IssueOutcome.REFUSED, why="not sent: since the release has changed the templates; look")
        conn.execute(update(metadata.tables["series"]).values(problem=series._UNSURE.format(at=AT)))
        conn.execute(update(endpoint).values(off_at=now, off_why="no name: hooks.example.de: Name not known"))
        conn.execute(update(looked).values(ended_at=now, problem=running._UNFORESEEN))
    browser = office.browser_of(Role.ADMIN)
    for path, says in (
        (f"/campaigns/{held}", ("Mehr als 5 % der Briefe", "Zurückgenommen von Anna Beispiel: falscher Preis")),
        (f"/campaigns/{number}/check", ("Das Programm hatte einen Fehler",)),
        (f"/campaigns/series/{things['series']}", ("Ob die Ausgabe von 30. Nov. 2026", "die Vorlagen")),
        (f"/people/webhooks/{things['endpoint']}", ("Den Namen hooks.example.de gibt es nicht",)),
    ):
        page = browser.get(path)
        assert [part for part in says if part not in text_of(page)] == [], path
        assert 'lang="en"' not in page.text, path
