"""The owner of an address denies having agreed. The dossier of a real flow holds what the courts asked for.

AG Duesseldorf, 23 C 3876/13: the concrete record of this one person, with date and clock time, and kept so that it can
be shown. OLG Muenchen, 29 U 1682/12: the first request must be proven too, not the confirmation alone.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import html
from sqlalchemy import Engine

from dispatcher.db.terms import Language
from dispatcher.sending import declarations
from tests.journeys.house import RunningHouse, wait_for
from tests.journeys.talkative import TalkativeRelay, open_house_with
from tests.journeys.test_one_person import (
    ANNA,
    ANNA_ON_THE_WIRE,
    all_at_rest,
    confirm,
    create_and_start,
    ended,
    leave_with_one_click,
    letters_to,
    sign_up,
)


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[RunningHouse]:
    with ExitStack() as stack:
        yield open_house_with(TalkativeRelay(), tmp_path, database_url, stack)


@dataclass(frozen=True)
class Shown:
    """What lies before the court: the text of the file, its data, and what the outside world knows."""

    text: str
    facts: dict[str, Any]
    began: datetime
    mail: bytes
    house: RunningHouse

    def act(self, kind: str) -> dict[str, Any]:
        return next(event for event in self.facts["events"] if event["kind"] == kind)


def demands_ag_duesseldorf_the_record_of_this_person_and_not_of_the_procedure(d: Shown) -> None:
    assert ANNA_ON_THE_WIRE in d.text
    assert {event["subscriber_id"] for event in d.facts["events"]} == {d.facts["person"]["id"]}
    assert len({event["kind"] for event in d.facts["events"]} & {"requested", "confirmation-sent", "confirmed"}) == 3


def demands_ag_duesseldorf_date_and_clock_time_of_every_step(d: Shown) -> None:
    for kind in ("requested", "confirmation-sent", "confirmed"):
        at = datetime.fromisoformat(d.act(kind)["at"])
        assert d.began <= at <= datetime.now(UTC)
        assert f"{at:%Y-%m-%d %H:%M:%S} UTC" in d.text
    assert re.search(r"Am \d+\. \w+ \d{4}, \d\d:\d\d:\d\d Uhr ME(S)?Z wurde auf der Seite", d.text)


def demands_ag_duesseldorf_the_record_is_kept_after_the_person_has_left(d: Shown) -> None:
    assert d.act("withdrawn")["source"] == "one-click (RFC 8058)"
    assert "Beendet, seit" in d.text
    assert d.act("requested")["ip"] == "127.0.0.1"


def demands_olg_muenchen_the_first_request_is_proven_too(d: Shown) -> None:
    first, second = d.act("requested"), d.act("confirmed")
    assert first["at"] < second["at"]
    assert first["source"].startswith(d.house.settings.public_url)
    assert first["source"].endswith(f"form {'2026-01'}")
    assert first["ip"] == second["ip"] == "127.0.0.1"
    assert first["user_agent"].startswith("python-httpx")
    assert "Verlangte Anmeldung" in d.text
    assert re.search(
        r"Uhr ME(S)?Z wurde mit dieser Adresse eine Anmeldung verlangt, für: Produktnachrichten und Fin", d.text
    )


def demands_olg_muenchen_request_and_confirmation_belong_together_by_the_mail(d: Shown) -> None:
    request, sent, pressed = (d.act(kind)["request_id"] for kind in ("requested", "confirmation-sent", "confirmed"))
    assert request == sent == pressed is not None
    assert d.act("confirmation-sent")["mail_sha256"] == hashlib.sha256(d.mail).hexdigest()
    assert d.act("confirmation-sent")["message_id"].encode() in d.mail
    assert d.act("confirmation-sent")["relay_reply"] == "250 2.0.0 Ok: letter to <recipient> queued as 4XK21"
    assert d.act("confirmation-sent")["mail_template"] in d.text


def demands_bgh_the_words_agreed_to_in_full(d: Shown) -> None:
    (words,) = d.facts["declarations"]
    assert "willige ich ein, dass Beispiel Edelmetalle mich per E-Mail" in words["text"]
    assert re.sub(r"\s+", " ", words["text"]) in d.text
    assert words["sha256"] == hashlib.sha256(words["text"].encode()).hexdigest()
    assert "newsletter-2026-01" in d.text
    notice = declarations.privacy_sha256(d.house.settings, Language.DE).hex()
    assert d.act("requested")["privacy_sha256"] == notice
    assert notice in d.text


def demands_gdpr_7_1_each_letter_names_the_consent_it_went_under(d: Shown) -> None:
    (letter,) = [each for each in d.facts["letters"] if each["kind"] == "newsletter" and each["outcome"] == "sent"]
    (event,) = [each for each in d.facts["events"] if each["id"] == letter["consent_event_id"]]
    assert (event["kind"], event["topic"]) == ("confirmed", letter["topic"])
    assert letter["reply"].startswith("250 2.0.0 Ok")
    assert letter["relay"] in d.text


DEMANDS = [found for name, found in list(globals().items()) if name.startswith("demands_")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_dossier_of_a_real_flow_holds_everything_that_the_courts_asked_for(
    house: RunningHouse, engine: Engine
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    pages = house.start_web()
    house.start("worker", "--concurrency", "1")
    sign_up(house, pages, engine)
    wait_for(lambda: len(letters_to(house, ANNA_ON_THE_WIRE)) == 1, "the confirmation mail")
    wait_for(lambda: all_at_rest(engine), "the proof of the mail")
    confirm(pages, engine, letters_to(house, ANNA_ON_THE_WIRE)[0])
    first = create_and_start(house)
    wait_for(lambda: ended(engine, first), "the campaign")
    leave_with_one_click(pages, letters_to(house, ANNA_ON_THE_WIRE)[1])

    # Another spelling of the same address, as the other party may write it.
    house.run("consent", "dossier", ANNA.upper(), "-o", "anna.html", "--json", "anna.json")
    file = (house.var / "anna.html").read_bytes()
    page = html.document_fromstring(file.decode())
    facts = json.loads(page.xpath("//script[@id='data']/text()")[0])
    assert facts == json.loads((house.var / "anna.json").read_bytes())["dossier"]
    for block in page.xpath("//style | //script"):
        block.drop_tree()
    text = re.sub(r"\s+", " ", page.text_content())
    shown = Shown(text, facts, began, house.relay.accepted()[0].raw, house)
    for demand in DEMANDS:
        demand(shown)
    assert len(DEMANDS) == 7
    assert b"@" not in b"".join(re.findall(rb"(?:src|href|url\()[^>]*", file))  # nothing is fetched
    (house.var / "known.pem").write_text(house.run("consent", "public-key"), encoding="ascii")
    assert "which is the key of known.pem" in house.run("consent", "check", "anna.html", "--key", "known.pem")
