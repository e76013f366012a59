"""The pages about newsletters: what is listed, what is counted, who is missing, and what can be done."""

import csv
import io
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from dispatcher.console.declare import Moment
from dispatcher.console.desk import Desk, make_desk
from dispatcher.console.pages import campaign as page_of_one
from dispatcher.db import clock
from dispatcher.db.tables import campaign, subscriber
from dispatcher.db.terms import CampaignState, Language, Outcome, Role, Topic
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.newsletters import campaigns, releases
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.releases import Binding
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import opt_in
from dispatcher.sending.opt_in import Request
from dispatcher.web.pages import Pages
from dispatcher.web.site import Site
from tests import builders
from tests.console.office import Office, heading, on_sqlite, text_of
from tests.domain.dispatch import Dispatch, deferred, events_of, final

FORMULA = "=cmd@example.de"


@dataclass
class Sent:
    """A newsletter under way: of six people one got it, one is tried again, and so on."""

    dispatch: Dispatch
    id: int
    addresses: dict[int, str]

    def now_is(self) -> Campaign:
        with self.dispatch.engine.begin() as conn:
            return campaigns.get(conn, self.id)


@pytest.fixture
def under_way(engine: Engine, keyring: Keyring) -> Sent:
    with engine.begin() as conn:
        now = clock.now(conn)
    dispatch = Dispatch(engine, keyring, now)
    sent, busy, refused, doubtful, left, _later = dispatch.people(6)
    dispatch.withdraw(left)
    of = dispatch.campaign()
    (event,) = events_of(dispatch.ask(dispatch.must_claim(), of, [sent]))
    dispatch.record(
        final(of, sent, Outcome.SENT, event, 250),
        deferred(of, busy, dispatch.now, attempt=2),
        final(of, refused, Outcome.FAILED, None, 550),
        final(of, doubtful, Outcome.UNKNOWN, event),
    )
    return Sent(dispatch, of.id, {number: address for address, number in dispatch.ids.items()})


def add(office: Office, name: str, state: str = "draft", **more: object) -> int:
    with office.engine.begin() as conn:
        made = builders.create_campaign(conn, clock.now(conn))
        conn.execute(update(campaign).where(campaign.c.id == made).values(name=name, state=state, **more))
    return made


@on_sqlite
def test_campaigns_are_listed_the_newest_first_and_found_by_state_and_by_name(office: Office) -> None:
    for name, state in (("Über Gold", "sent"), ("Silber", "draft"), ("Gold <b>", "draft"), ("100 % Gold", "draft")):
        add(office, name, state)
    browser = office.browser_of(Role.VIEWER)
    everything = text_of(browser.get("/campaigns"))
    places = [everything.index(name) for name in ("100 % Gold", "Gold <b>", "Silber", "Über Gold")]
    assert places == sorted(places)
    assert "Silber" not in text_of(browser.get("/campaigns?name=gold"))
    assert "Über Gold" in text_of(browser.get("/campaigns?name=über"))
    assert "Über Gold" not in text_of(browser.get("/campaigns?name=gold&state=draft"))
    assert "Keine Kampagne passt dazu." in text_of(browser.get("/campaigns?name=100%25_"))


@on_sqlite
def test_the_list_goes_on_page_by_page_and_back(office: Office) -> None:
    for number in range(120):
        add(office, f"Ausgabe {number:03}")
    browser = office.browser_of(Role.VIEWER)
    first = browser.get("/campaigns")
    assert ("Ausgabe 119" in first.text, "Ausgabe 069" in first.text) == (True, False)
    (older,) = [part.partition('"')[0] for part in first.text.split('rel="next" href="')[1:]]
    second = browser.get(f"/campaigns{older.replace('&amp;', '&')}")
    assert ("Ausgabe 069" in second.text, "Ausgabe 020" in second.text, "Ausgabe 019" in second.text) == (
        True, True, False,
    )  # fmt: skip
    (newer,) = [part.partition('"')[0] for part in second.text.split('rel="prev" href="')[1:]]
    assert browser.get(f"/campaigns{newer.replace('&amp;', '&')}").text.count("Ausgabe") == first.text.count("Ausgabe")


@pytest.mark.both_databases
def test_one_campaign_shows_the_figures_of_the_ledger_by_provider_and_by_relay(office: Office, under_way: Sent) -> None:
    browser = office.browser_of(Role.VIEWER, "en")
    page = text_of(browser.get(f"/campaigns/{under_way.id}"))
    assert "4 of 6 recipients are done" in page
    assert "sent 1 retrying 1 failed 1 unknown 1 withheld 1 remaining 1" in page
    assert "everybody else 6 1 1 1 1 1 1" in page
    assert "relay.example.de:587" in page
    status = under_way.dispatch.status(under_way.now_is())
    assert (status.sent, status.audience) == (1, 6)
    assert "more recipients are being added" not in page
    with office.engine.begin() as conn:
        campaigns.note_audience(conn, under_way.id, 6, unfrozen_from=7)
    assert "more recipients are being added" in text_of(browser.get(f"/campaigns/{under_way.id}"))
    assert "1 6" in text_of(browser.get("/campaigns"))


@pytest.mark.both_databases
def test_what_renews_itself_follows_the_ledger_and_tells_the_state(office: Office, under_way: Sent) -> None:
    def polled() -> tuple[int, str]:
        with office.engine.connect() as conn:
            values = page_of_one.poll(Moment(desk, conn, clock.now(conn), {"campaign": under_way.id}))
        shown = values["shown"]
        return shown.tally.failed, shown.campaign.state  # type: ignore[attr-defined]

    desk = desk_of(office)
    assert polled() == (1, CampaignState.SENDING)
    of = under_way.now_is()
    later = next(number for number, address in under_way.addresses.items() if address == "p5@example.de")
    under_way.dispatch.record(final(of, later, Outcome.FAILED, None, 550))
    under_way.dispatch.move(of, CampaignState.PAUSED)
    assert polled() == (2, CampaignState.PAUSED)


def desk_of(office: Office) -> Desk:
    return make_desk(Site(office.settings, office.engine, office.keyring, Pages(office.settings), lambda _: None))


@on_sqlite
def test_a_sender_holds_a_campaign_lets_it_go_on_and_ends_it_and_all_of_it_is_on_record(
    office: Office, under_way: Sent
) -> None:
    browser = office.browser_of(Role.SENDER)
    path = f"/campaigns/{under_way.id}"
    states = []
    for deed in ("pause", "resume", "cancel"):
        assert browser.post(f"{path}/{deed}").headers["location"] == f"/console{path}"
        states.append(under_way.now_is().state)
    assert states == [CampaignState.PAUSED, CampaignState.SENDING, CampaignState.CANCELLED]
    assert under_way.now_is().finished_at is not None
    assert office.deeds() == ["campaign.paused", "campaign.resumed", "campaign.cancelled"]
    told = browser.post(f"{path}/pause")
    assert told.status_code == 422
    assert "Inzwischen steht die Kampagne anders da" in text_of(told)
    assert office.deeds()[3:] == []


@on_sqlite
def test_ending_is_asked_about_with_the_number_of_people_it_touches(office: Office, under_way: Sent) -> None:
    page = office.browser_of(Role.SENDER, "en").get(f"/campaigns/{under_way.id}/cancel")
    assert "2 recipients will not get this campaign any more. Recipients who have it already: 1." in text_of(page)
    assert under_way.now_is().state is CampaignState.SENDING


@on_sqlite
@pytest.mark.parametrize(("said", "rate"), [("600", 600), ("1.200", 1200), ("", None)])
def test_a_rate_is_set_while_it_sends(office: Office, under_way: Sent, said: str, rate: int | None) -> None:
    browser = office.browser_of(Role.SENDER)
    assert browser.post(f"/campaigns/{under_way.id}/rate", {"rate": said}).status_code == 303
    assert under_way.now_is().rate_per_min == rate


@on_sqlite
@pytest.mark.parametrize("said", ["0", "schnell", "-5", "99999999999"])
def test_what_is_no_rate_is_given_back_with_what_was_typed(office: Office, under_way: Sent, said: str) -> None:
    page = office.browser_of(Role.SENDER).post(f"/campaigns/{under_way.id}/rate", {"rate": said})
    assert page.status_code == 422
    assert f'value="{said}"' in page.text
    assert "Bitte eine ganze Zahl" in page.text
    assert under_way.now_is().rate_per_min is None


@on_sqlite
def test_a_confirmation_mail_is_no_campaign_to_look_at(office: Office) -> None:
    with office.engine.begin() as conn:
        evidence = Evidence(source="a test")
        wish = Request(parse_address("maria@example.de"), "", Language.DE, (Topic.FINANCE_NEWS,), evidence)
        made = opt_in.request(conn, office.keyring, wish, clock.now(conn))
    browser = office.browser_of(Role.ADMIN)
    assert browser.get(f"/campaigns/{made}").status_code == 404
    assert browser.post(f"/campaigns/{made}/cancel").status_code == 404


@pytest.mark.parametrize(
    ("outcome", "address", "why"),
    [
        ("failed", "p2@example.de", "The server refused."),
        ("unknown", "p3@example.de", "No answer after the letter left."),
        ("deferred", "p1@example.de", "Attempt 2 on"),
        ("withheld", "p4@example.de", "Withdrew the consent."),
        ("remaining", "p5@example.de", "Not yet their turn."),
    ],
)
def test_who_is_missing_is_named_with_the_reason_in_words(
    office: Office, under_way: Sent, outcome: str, address: str, why: str
) -> None:
    page = text_of(office.browser_of(Role.EDITOR, "en").get(f"/campaigns/{under_way.id}/missing?outcome={outcome}"))
    assert "5 of 6 recipients did not get this campaign" in page
    assert (address in page, why in page) == (True, True)
    assert [other for other in under_way.addresses.values() if other != address and other in page] == []


@on_sqlite
def test_who_may_not_see_people_sees_how_many_and_no_address(office: Office, under_way: Sent) -> None:
    browser = office.browser_of(Role.VIEWER)
    page = browser.get(f"/campaigns/{under_way.id}/missing?outcome=failed")
    assert "5 von 6 Empfängern" in text_of(page)
    assert "@example.de" not in page.text.partition("<main")[2]
    assert browser.post(f"/campaigns/{under_way.id}/missing").status_code == 403


def test_the_list_of_the_missing_is_a_file_without_formulas_and_taking_it_is_on_record(
    office: Office, under_way: Sent
) -> None:
    with office.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.address == "p2@example.de").values(address=FORMULA))
    answer = office.browser_of(Role.EDITOR, "en").post(f"/campaigns/{under_way.id}/missing")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["Address", "Outcome", "Why", "The relay's words"]
    assert sorted(rows[1:]) == [
        ["'" + FORMULA, "failed", "The server refused.", "550 said so"],
        ["p1@example.de", "retrying", "The server takes nothing right now.", "451 busy"],
        ["p3@example.de", "unknown", "No answer after the letter left.", "None said so"],
        ["p4@example.de", "withheld", "Withdrew the consent.", ""],
        ["p5@example.de", "remaining", "Not yet their turn.", ""],
    ]
    assert office.deeds() == ["campaign.missing_exported"]


@on_sqlite
def test_the_missing_are_paged_through(office: Office, engine: Engine, keyring: Keyring) -> None:
    dispatch = Dispatch(engine, keyring)
    people = dispatch.people(120)
    of = dispatch.campaign()
    dispatch.must_claim()
    dispatch.record(*(final(of, who, Outcome.FAILED, None, 550) for who in people))
    browser = office.browser_of(Role.EDITOR)
    seen: list[str] = []
    query = "?outcome=failed"
    while query:
        page = browser.get(f"/campaigns/{of.id}/missing{query}").text
        seen += [address for address in dispatch.ids if f"<td>{address}</td>" in page]
        query = "".join(part.partition('"')[0] for part in page.split('rel="next" href="')[1:]).replace("&amp;", "&")
    assert sorted(seen) == sorted(dispatch.ids)


@on_sqlite
def test_campaigns_are_compared_as_a_table_and_as_a_picture_with_nothing_the_policy_refuses(
    office: Office, under_way: Sent
) -> None:
    add(office, "Entwurf")
    page = office.browser_of(Role.VIEWER, "en").get(f"/campaigns/compare?id={under_way.id}&id=2&id=999&id=x")
    words = text_of(page)
    assert heading(page) == "Campaigns compared"
    assert "16.7 % 1" in words
    assert "Entwurf" not in words
    picture = page.text.partition("<svg")[2].partition("</svg>")[0]
    assert 'role="img"' in picture
    assert [word for word in ("<script", "<style", "style=", "href", "Pygal") if word in picture] == []


@on_sqlite
def test_prices_that_are_too_old_go_on_only_when_somebody_says_so(office: Office, under_way: Sent) -> None:
    long_past = under_way.dispatch.now - timedelta(days=1)
    with office.engine.begin() as conn:
        conn.execute(update(campaign).values(state="paused", prices_as_of=long_past, prices_until=long_past))
    browser = office.browser_of(Role.SENDER)
    path = f"/campaigns/{under_way.id}"
    told = browser.post(f"{path}/resume")
    assert (told.status_code, under_way.now_is().state) == (422, CampaignState.PAUSED)
    assert "Bitte ankreuzen" in text_of(told)
    assert browser.post(f"{path}/resume", {"old_prices": "yes"}).status_code == 303
    assert under_way.now_is().state is CampaignState.SENDING


@on_sqlite
def test_content_that_is_not_released_does_not_go_on_from_the_console_either(office: Office, under_way: Sent) -> None:
    under_way.dispatch.move(under_way.now_is(), CampaignState.PAUSED)
    other = b"\x00" * 32
    with office.engine.begin() as conn:
        releases.enter(conn, under_way.id, 1, Binding(other, other, other, other), under_way.dispatch.now)
    told = office.browser_of(Role.SENDER).post(f"/campaigns/{under_way.id}/resume")
    assert (told.status_code, under_way.now_is().state) == (422, CampaignState.PAUSED)
    assert "noch nicht freigegeben" in text_of(told)
