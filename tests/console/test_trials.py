"""Trials of subjects at the console: how they go is said where the letter is written, and somebody chooses."""

from sqlalchemy import insert, update

from dispatcher.db import clock
from dispatcher.db.tables import campaign, delivery
from dispatcher.db.terms import Language, Otherwise, Role, Topic
from dispatcher.domain.newsletters import trials
from dispatcher.domain.newsletters.campaigns import Draft
from dispatcher.domain.newsletters.trials import Terms, Trial
from dispatcher.sending import house as houses
from dispatcher.sending import release, sweep
from tests.console.office import Office, heading, on_sqlite, text_of
from tests.console.test_drafts import enter, typed
from tests.sending.test_trials import ENGLISH, GOLD


def found(office: Office, number: int) -> Trial | None:
    with office.engine.begin() as conn:
        return trials.find(conn, number)


def launch(office: Office, people: int = 8) -> int:
    """Send a trial of two subjects to a half of so many people; the first of them got A."""
    settings = office.settings
    who = [office.subscribe(f"reader{number}@example.com") for number in range(people)]
    with office.engine.begin() as conn:
        now = clock.now(conn)
        files = {Language.DE: ("news.de.md", GOLD), Language.EN: ("news.en.md", ENGLISH)}
        draft = Draft(Topic.FINANCE_NEWS, "Gold im Dezember", "Gold", Language.DE, files)
        number = release.draft(conn, draft, houses.house(settings), now, Terms(share=50))
        release.start(conn, number, now, houses.stationery(settings, signs=False), houses.house(settings))
    assert sweep.begin(office.engine, number, houses.house(settings))
    with office.engine.begin() as conn:
        at, relay = clock.now(conn), "relay.example.de"
        event = conn.execute(delivery.select().limit(1)).one().consent_event_id
        said = {"code": 250, "reply": "2.0.0", "relay": relay, "consent_event_id": event, "edition_no": 1}
        letter = {"campaign_id": number, "subscriber_id": who[0], "outcome": "sent", "at": at, **said}
        conn.execute(insert(delivery), letter)
    return number


@on_sqlite
def test_how_subjects_are_tried_is_written_with_the_letter_and_shown_with_it(office: Office) -> None:
    browser = office.browser_of(Role.EDITOR)
    number = enter(office)
    form = typed(browser.get(f"/campaigns/{number}/edit"))
    assert (form["share"], form["wait"], form["wait.unit"], form["otherwise"]) == (["20"], ["4"], ["h"], ["first"])
    tried = form | {"de.subjects": "Gold steigt\nGold: was nun, {{ name }}?", "share": "30", "wait": "90"}
    wrong = browser.post(f"/campaigns/{number}/edit", tried | {"share": "91", "wait": "99", "wait.unit": "d"})
    assert wrong.status_code == 422
    assert "eine Zahl von 1 bis 90" in text_of(wrong)
    assert "eine Dauer bis zu 14 Tagen" in text_of(wrong)
    said = tried | {"wait.unit": "min", "otherwise": "wait"}
    assert browser.post(f"/campaigns/{number}/edit", said).status_code == 303
    stands = found(office, number)
    assert stands is not None
    assert (stands.terms.share, stands.terms.wait.total_seconds(), stands.terms.otherwise) == (
        30, 5400, Otherwise.WAIT,
    )  # fmt: skip
    page = text_of(browser.get(f"/campaigns/{number}"))
    assert "30 % der Empfänger bekommen die Betreffzeilen zu gleichen Teilen." in page
    assert "Nach 90 Minuten bekommen die übrigen die Zeile" in page
    assert "Betreff Gold steigt Sprachen" in page
    to_release = text_of(browser.get(f"/campaigns/{number}/release"))
    assert "Zeile A Gold steigt Zeile B Gold: was nun, Maria Muster?" in to_release
    assert "30 % der Empfänger bekommen die Betreffzeilen" in to_release
    assert "zeigt sich nichts klar, warten sie, bis jemand wählt" in to_release
    again = typed(browser.get(f"/campaigns/{number}/edit"))
    assert (again["wait"], again["wait.unit"], again["otherwise"]) == (["90"], ["min"], ["wait"])
    assert browser.post(f"/campaigns/{number}/edit", again | {"de.subjects": ""}).status_code == 303
    assert found(office, number) is None


@on_sqlite
def test_somebody_sees_how_each_subject_fares_and_chooses_for_the_rest(office: Office) -> None:
    number = launch(office)
    sender, viewer = office.browser_of(Role.SENDER), office.browser_of(Role.VIEWER)
    page = text_of(viewer.get(f"/campaigns/{number}"))
    assert "4 Menschen warten: Sind die letzten Briefe des Vergleichs hinaus" in page
    assert "A Gold steigt Gold rises 2 1 0 0 0 0,0 %" in page
    assert "B Gold: was nun, Maria Muster?" in page
    assert "weniger als 100 Menschen" in page
    assert "Betreff wählen" not in page
    path = f"/campaigns/{number}/choose"
    asked = sender.get(path)
    assert heading(asked) == "Betreff für die übrigen Empfänger von „Gold im Dezember“ wählen"
    assert "An 4 Menschen senden" in text_of(asked)
    for nothing in ("", "C", "x"):
        refused = sender.post(path, {"subject": nothing})
        assert (refused.status_code, "Bitte eine der Zeilen wählen." in text_of(refused)) == (422, True)
    assert sender.post(path, {"subject": "B"}).status_code == 303
    assert "Die übrigen bekommen B" in text_of(viewer.get(f"/campaigns/{number}"))
    late = sender.post(path, {"subject": "A"})
    assert (late.status_code, "Es wurde nichts gewählt." in text_of(late)) == (422, True)
    assert office.deeds() == ["campaigns.choose"]
    stands = found(office, number)
    assert (stands.chosen if stands else None) == 2


@on_sqlite
def test_a_subject_with_fields_is_shown_as_a_reader_gets_it(office: Office) -> None:
    content = GOLD.replace('subjects:\n  - Gold steigt\n  - "Gold: was nun, {{ name }}?"\n', "")
    number = enter(office, content)
    with office.engine.begin() as conn:
        subject = "Gold für {{ name | default('Sie') }}"
        conn.execute(update(campaign).where(campaign.c.id == number).values(subject=subject))
    page = text_of(office.browser_of(Role.VIEWER).get(f"/campaigns/{number}"))
    assert "Gold für Maria Muster" in page
    assert "{{" not in page
