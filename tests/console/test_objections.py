"""Whatever is refused at the console is told in the reader's language: the table against the source of who says it."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from dispatcher.assets import PACKAGE
from dispatcher.console.objections import objection, worded
from dispatcher.console.report import shown
from dispatcher.db.terms import Language
from dispatcher.domain import wording, zones
from dispatcher.domain.newsletters import recurrence
from dispatcher.domain.newsletters.releases import Binding
from dispatcher.errors import ContentInvalid, InputRefused, MoveRefused
from dispatcher.sending.preflight.findings import Check, Finding, Severity
from dispatcher.sending.preflight.report import Report

NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
ERRORS = {"InputRefused", "MoveRefused", "SavedMeanwhile", "ReleaseOutdated", "FourEyesLacking", "RelayDown"}
SAYING = (
    "domain/programs/api_keys.py", "domain/programs/webhooks.py", "domain/uploads.py", "domain/staff/members.py",
    "domain/staff/second_factor.py", "domain/staff/invitations.py", "domain/declarations.py", "domain/wording.py",
    "domain/zones.py", "domain/newsletters/revisions.py", "domain/newsletters/series.py",
    "domain/newsletters/campaigns.py", "domain/newsletters/authors.py", "domain/newsletters/recurrence.py",
    "domain/newsletters/freshness.py", "domain/newsletters/news_feeds.py", "domain/newsletters/trials.py",
    "domain/people/rights.py", "domain/typed.py", "sending/release.py", "sending/preflight/gate.py",
    "sending/binding.py", "sending/renewal.py", "sending/adding.py", "sending/proof.py", "rights/rectification.py",
    "rights/serving.py", "rights/sealed.py",
)  # fmt: skip
# What no form of the console can bring about, or what another sentence of the page answers.
ELSEWHERE = {
    "switched off after three days without an answer: endpoint 7",  # for `dispatcher doctor`
    "the outcome is empty", "the reason is empty",  # their fields are asked for beforehand
    "there is no topic '7'", "7",
    "7: 7", "7, line 7: not UTF-8 (Latin-1, perhaps)",  # of files given to the command line
    "the declaration does not cover 7",
}  # fmt: skip


def said_by(file: str) -> Iterator[str]:
    """Give every refusal that a file of ours can say, each value in it a 7."""
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
            match node.args[0]:
                case ast.Constant(value=str(text)):
                    yield text
                case ast.JoinedStr(values=parts):
                    yield "".join(_filled(part) for part in parts)


def _filled(part: ast.expr) -> str:
    match part:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(format_spec=ast.JoinedStr(values=[ast.Constant(value=str(form))])) if "%Y" in form:
            return NOW.strftime(form)
        case ast.FormattedValue(conversion=conversion):
            return "'7'" if conversion == ord("r") else "7"
        case _:
            raise AssertionError(ast.dump(part))


@pytest.mark.parametrize("file", SAYING)
def test_every_refusal_that_the_console_lets_through_has_a_sentence(file: str) -> None:
    said = list(dict.fromkeys(said_by(file)))
    assert said
    assert [what for what in said if what not in ELSEWHERE and not objection(InputRefused(what)).key] == []


def told(error: InputRefused | MoveRefused, language: Language = Language.DE) -> str:
    return worded(objection(error), language)


def test_what_is_really_refused_is_told_with_its_facts() -> None:
    with pytest.raises(InputRefused) as refused:
        zones.moment("2027-03-28T02:30", "Europe/Berlin", NOW)
    assert told(refused.value).startswith(
        "Die Uhr wird da vorgestellt: 2027-03-28T02:30 gibt es in Europe/Berlin nicht"
    )
    with pytest.raises(InputRefused) as refused:
        recurrence.recurrence("30", "09:00", "Europe/Berlin")
    assert told(refused.value) == "Einen 30. hat nicht jeder Monat. Möglich sind 1 bis 28 und der letzte Tag."
    with pytest.raises(InputRefused) as refused:
        wording.checked("Ja\n<b>gern</b>", "de")
    assert told(refused.value).startswith("In Zeile 2 steht HTML (<b>).")


def test_a_letter_that_cannot_be_read_is_told_as_to_whoever_writes_it() -> None:
    assert told(ContentInvalid("a.md", 3, "an image without `alt`", "")).startswith("Viele lesen ohne Bilder.")


def test_content_that_stops_a_release_is_told_as_to_whoever_writes_it() -> None:
    values = {"said": "a.md, line 3: an image without `alt`", "cure": "describe it"}
    invalid = Finding(Check.CONTENT, "invalid", Severity.STOP, "a.md:3", values)
    bound = Binding(b"", b"", b"", b"")
    (stop,) = shown(Report(1, NOW, NOW, bound, 0, (invalid,)), Language.DE, {}).stops
    assert stop.cures == ()
    assert stop.spots[0].what.startswith("Viele lesen ohne Bilder.")


def test_what_nobody_has_words_for_is_told_as_it_was_said() -> None:
    assert objection(MoveRefused("the moon is full", "Wait.")) == ("", {}, "the moon is full. Wait.")
    assert told(MoveRefused("the moon is full")) == ""


def test_where_a_campaign_stands_is_told_in_the_readers_words() -> None:
    refused = MoveRefused("campaign 3 is sent; it cannot become paused", "this is its end; create a new one")
    assert told(refused).startswith("Der Stand der Kampagne ist „gesendet“;")
    assert told(refused, Language.EN).startswith("The campaign is “sent”;")
