"""Every recipient's letter, composed on trial: all of them, nobody else, and whoever is odd by number."""

from dataclasses import replace

from sqlalchemy import update

from dispatcher.db import clock
from dispatcher.db.tables import subscriber
from dispatcher.db.terms import Language
from dispatcher.domain.audience import filters
from dispatcher.sending.preflight import people
from dispatcher.sending.preflight.examination import Desk, lay_open, nobody
from dispatcher.sending.preflight.findings import Severity
from dispatcher.sending.preflight.people import SHOWN, check_people, render_everyone
from dispatcher.sending.preflight.run import silent
from tests import builders
from tests.sending.preflight.conftest import Open
from tests.stage import Stage
from tests.web.visitor import on_sqlite


def _set(stage: Stage, who: str, **values: object) -> int:
    with stage.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.id == stage.ids[who]).values(**values))
    return stage.ids[who]


def test_everybody_who_would_get_it_is_composed_and_nobody_else(stage: Stage, lay: Open, monkeypatch) -> None:
    monkeypatch.setattr(people, "PAGE", 3)
    addresses = stage.add(8)
    stage.add(2, agreed=False, prefix="q")
    stage.withdraw(addresses[3])
    with stage.engine.begin() as conn:
        builders.suppress(conn, stage.keyring, [addresses[7]], builders.clock.now(conn))
    told: list[tuple[int, int]] = []
    tally = render_everyone(stage.engine, lay(), lambda _check, done, total: told.append((done, total)))
    assert tally.people == 6
    assert told == [(0, 6), (3, 6), (6, 6)]
    assert list(check_people(tally)) == []


def test_every_subject_of_a_trial_is_composed_and_too_few_people_for_it_are_told(stage: Stage, lay: Open) -> None:
    stage.add(40)
    exam = lay(builders.CONTENT.replace("title:", "subjects: [Silber, Gold]\ntitle:"))
    letters = [press.letter(nobody(Language.DE), exam.now).body for press in exam.presses]
    assert [letter.count(b"\r\nSubject: " + word) for letter in letters for word in (b"Silber", b"Gold")] == [
        1,
        0,
        0,
        1,
    ]
    (told,) = check_people(render_everyone(stage.engine, exam, silent))
    assert (told.name, told.severity, told.values["count"]) == ("few_for_trial", Severity.WARN, "4")


def test_whose_letter_fails_or_is_odd_is_named_by_number(stage: Stage, lay: Open) -> None:
    a = stage.add(40)
    failing = _set(stage, a[1], name="x\r\nBcc: x@example.de")
    odd = [
        _set(stage, a[2], name="{{VORNAME}}"),
        _set(stage, a[3], name="www.gold.example"),
        _set(stage, a[4], name="null"),
    ]
    abroad = _set(stage, a[5], language="en")
    wide = _set(stage, a[6], address="jörg@example.de")
    large = _set(stage, a[7], name="Gold " * 900)
    _set(stage, a[8], name="O'Brien-Müller, Dr.")
    _set(stage, a[9], name="李小龙")
    tally = render_everyone(stage.engine, lay(), silent)
    told = {f.name: (f.severity, f.values["people"]) for f in check_people(tally)}
    assert told == {
        "failing": (Severity.WARN, str(failing)),
        "odd_names": (Severity.WARN, ", ".join(map(str, odd))),
        "large": (Severity.WARN, str(large)),
        "not_ascii": (Severity.NOTE, str(wide)),
        "other_language": (Severity.NOTE, str(abroad)),
    }
    assert tally.people == 40


@on_sqlite
def test_when_more_than_five_in_a_hundred_fail_it_stops(stage: Stage, lay: Open) -> None:
    for address in stage.add(30)[:2]:
        _set(stage, address, name="x\ny")
    (finding,) = check_people(render_everyone(stage.engine, lay(), silent))
    assert (finding.name, finding.severity) == ("failing_many", Severity.STOP)
    assert "line break" in finding.say(Language.EN).what


@on_sqlite
def test_of_very_many_only_the_first_are_named_and_all_are_counted(stage: Stage, lay: Open) -> None:
    for address in stage.add(SHOWN + 5):
        _set(stage, address, name="[name]")
    tally = render_everyone(stage.engine, lay(), silent)
    (finding,) = check_people(tally)
    assert finding.values["count"] == str(SHOWN + 5)
    assert len(finding.values["people"].split(", ")) == SHOWN
    assert finding.values["people"].endswith(" …")


@on_sqlite
def test_a_campaign_for_nobody_is_told(stage: Stage, lay: Open) -> None:
    (finding,) = check_people(render_everyone(stage.engine, lay(), silent))
    assert (finding.name, finding.severity) == ("nobody", Severity.WARN)


@on_sqlite
def test_nothing_is_signed_on_trial_for_the_many(stage: Stage, lay: Open) -> None:
    exam = lay()
    assert exam.press._stationery == replace(stage.stationery, signer=None)


def test_a_filter_is_told_with_how_many_it_leaves_and_one_that_leaves_nobody_stops(stage: Stage, desk: Desk) -> None:
    a = stage.add(5)
    _set(stage, a[0], language=Language.EN)

    def told(*only: str) -> dict[str, tuple[Severity, str]]:
        with stage.engine.begin() as conn:
            now = clock.now(conn)
            number = builders.create_campaign(conn, now, filter=filters.parse(only))
            exam = lay_open(conn, number, desk, now, None)
        found = check_people(render_everyone(stage.engine, exam, silent))
        return {one.name: (one.severity, one.say(Language.EN).what) for one in found}

    english = told("language=en")
    assert english["filtered"] == (Severity.NOTE, "The filter leaves 1 of 5 people: reads English.")
    nobody = told("language=en", "name=known", "domain=example.com")
    assert set(nobody) == {"nobody_left"}
    assert nobody["nobody_left"][0] is Severity.STOP
    earlier = stage.campaign()
    assert told(f"received={earlier}")["earlier_under_way"][0] is Severity.WARN
