"""One person's way through the house: signs up, confirms, is written to, leaves with one click, is passed by.

Everything the person uses is taken from where they would find it: fields from the form, links from the received mail.
"""

import email
import email.policy
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import html
from sqlalchemy import Engine, select

from dispatcher.db.tables import batch, campaign, consent_event, metadata
from dispatcher.db.terms import CampaignState, Language
from dispatcher.domain.newsletters import campaigns
from dispatcher.web import stamp
from dispatcher.web.stamp import Stamp
from tests import builders
from tests.journeys.house import RunningHouse, open_house, wait_for
from tests.verifier import verified

ANNA = "anna.müller@bücher.example.de"
ANNA_ON_THE_WIRE = "anna.müller@xn--bcher-kva.example.de"


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[RunningHouse]:
    yield from open_house(tmp_path, database_url, lanes=2, relay_options=("--raw",))


def letters_to(house: RunningHouse, address: str) -> list[EmailMessage]:
    """Give the mails that the relay took for an address, oldest first, as another program parses them."""
    found = []
    for accepted in house.relay.accepted():
        if accepted.recipient == address:
            message = email.message_from_bytes(accepted.raw, policy=email.policy.SMTPUTF8)
            assert isinstance(message, EmailMessage)
            found.append(message)
    return found


def links_in(message: EmailMessage) -> list[str]:
    """Give every link of a mail: of its HTML part, its text part and its headers."""
    found = set(html.fromstring(part(message, "html")).xpath("//a/@href"))
    found |= set(re.findall(r"https?://[^\s<>()]+", part(message, "plain")))
    found |= set(re.findall(r"<(https?://[^>]+)>", str(message["List-Unsubscribe"] or "")))
    return sorted(str(link) for link in found)


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


BY_THE_CLOCK = {"worker_report", "consent_checkpoint", "retention_run"}


def whole_database(engine: Engine) -> dict[str, list[Any]]:
    """Give every row there is, once the workers have written down what they did; but for those that they write by the
    clock, whatever anybody does.
    """
    wait_for(lambda: all_at_rest(engine), "the workers to come to rest")
    tables = [table for table in metadata.sorted_tables if table.name not in BY_THE_CLOCK]
    with engine.begin() as conn:
        return {table.name: sorted(map(repr, conn.execute(select(table)).all())) for table in tables}


def all_at_rest(engine: Engine) -> bool:
    with engine.begin() as conn:
        moving = conn.execute(select(campaign.c.id).where(campaign.c.state != "sent")).first()
        return moving is None and conn.execute(select(batch.c.no).where(batch.c.state == "leased")).first() is None


def sign_letters(house: RunningHouse) -> dict[str, str]:
    """Make two DKIM keys and set them, as an operator does; give the records to publish."""
    made = [
        json.loads(house.run("dkim", "new", f"s-{kind}", "--algorithm", kind, "-o", f"{kind}.pem", "--json"))
        for kind in ("rsa", "ed25519")
    ]
    house.extra["DISPATCHER_DKIM"] = " ".join(new["setting"] for new in made)
    return {new["record"]["name"]: new["record"]["value"] for new in made}


def sign_up(house: RunningHouse, pages: httpx.Client, engine: Engine) -> None:
    """Fill in the form as it stands, as someone who has taken a moment to read it."""
    form = html.fromstring(pages.get("/?lang=de").text).forms[-1]
    fields = dict(form.form_values())
    given = stamp.read(house.keyring, fields["stamp"])
    assert given is not None
    earlier = Stamp(datetime.now(UTC) - timedelta(minutes=1), Language.DE, given.declaration_id)
    fields |= {"stamp": stamp.seal(house.keyring, earlier), "address": ANNA, "name": "Anna Müller"}
    answer = pages.request("POST", "/", data={**fields, "topic": ["finance-news", "product-news"]})
    assert answer.status_code == 200


def proof_of_the_mail(engine: Engine) -> bytes:
    """Give the hash of the confirmation mail as the ledger of consent keeps it."""
    wait_for(lambda: all_at_rest(engine), "the workers to come to rest")
    with engine.begin() as conn:
        found = conn.execute(
            select(consent_event.c.mail_sha256, consent_event.c.mail_template, consent_event.c.relay_reply)
            .where(consent_event.c.kind == "confirmation-sent")
            .distinct()
        ).one()
    assert len(found.mail_template) == 64
    assert found.relay_reply.startswith("250")
    return bytes(found.mail_sha256)


def create_and_start(house: RunningHouse) -> int:
    """Create and start a campaign from the command line; give its id."""
    content = house.var / "news.de.md"
    content.write_text(builders.CONTENT, encoding="utf-8")
    printed = house.run(
        "campaigns", "create", "--topic", "finance-news", "--subject", "Gold für {{ name }}",
        "--content", str(content), "--json",
    )  # fmt: skip
    created = int(json.loads(printed)["id"])
    house.run("campaigns", "start", str(created), "--despite", "links", "--because", "they are made up")
    return created


def ended(engine: Engine, campaign_id: int) -> bool:
    with engine.begin() as conn:
        return campaigns.get(conn, campaign_id).state is CampaignState.SENT


def confirm(pages: httpx.Client, engine: Engine, asking: EmailMessage) -> None:
    """Open the link in the confirmation mail, which changes nothing, and press the button."""
    [link] = [link for link in links_in(asking) if "/c/" in link]
    before = whole_database(engine)
    assert pages.get(link).status_code == 200
    assert pages.head(link).status_code == 200
    assert whole_database(engine) == before
    assert pages.post(link).status_code == 200


def look_at_every_link(pages: httpx.Client, engine: Engine, letter: EmailMessage) -> None:
    """Open each link of a letter to our pages, as a scanner does: nothing changes."""
    before = whole_database(engine)
    own = [link for link in links_in(letter) if link.startswith(str(pages.base_url))]
    assert len(own) >= 4
    for link in own:
        assert pages.get(link).status_code == 200, link
        assert pages.head(link).status_code == 200, link
    assert whole_database(engine) == before


def leave_with_one_click(pages: httpx.Client, letter: EmailMessage) -> None:
    """Do what a mail program does with List-Unsubscribe, in both encodings of RFC 8058."""
    [link] = re.findall(r"<(https?://[^>]+)>", letter["List-Unsubscribe"])
    assert pages.post(link, data={"List-Unsubscribe": "One-Click"}, headers={"Accept": "*/*"}).status_code == 200
    assert pages.post(link, files={"List-Unsubscribe": (None, "One-Click")}).status_code == 200


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_person_signs_up_confirms_reads_leaves_with_one_click_and_is_passed_by(
    house: RunningHouse, engine: Engine
) -> None:
    records = sign_letters(house)
    pages = house.start_web()
    house.start("worker", "--concurrency", "1")

    sign_up(house, pages, engine)
    wait_for(lambda: len(letters_to(house, ANNA_ON_THE_WIRE)) == 1, "the confirmation mail")
    [asking] = letters_to(house, ANNA_ON_THE_WIRE)
    assert asking["Auto-Submitted"] == "auto-generated"
    assert asking["List-Unsubscribe"] is None
    assert "Anna" not in part(asking, "plain")
    assert proof_of_the_mail(engine) == hashlib.sha256(house.relay.accepted()[0].raw).digest()

    confirm(pages, engine, asking)

    first = create_and_start(house)
    wait_for(lambda: ended(engine, first), "the first campaign")
    [_, letter] = letters_to(house, ANNA_ON_THE_WIRE)
    assert letter["Subject"] == "Gold für Anna Müller"
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    assert [verified(taken.raw, records) for taken in house.relay.accepted()] == [[True, True]] * 2

    look_at_every_link(pages, engine, letter)
    leave_with_one_click(pages, letter)

    second = create_and_start(house)
    wait_for(lambda: ended(engine, second), "the second campaign")
    assert len(letters_to(house, ANNA_ON_THE_WIRE)) == 2
    assert f"{ANNA_ON_THE_WIRE},withheld,withdrew the consent" in house.run(
        "campaigns", "missing", str(second), "--csv"
    )
    told = json.loads(house.run("subscribers", "show", ANNA, "--json"))
    assert told["topics"]["finance-news"]["state"] == "withdrawn"
    assert told["topics"]["product-news"]["state"] == "confirmed"
    kinds = [h["what"] for h in told["story"] if h["topic"] == "finance-news"]
    assert kinds == ["requested", "confirmation-sent", "confirmed", "letter sent", "withdrawn", "letter withheld"]
