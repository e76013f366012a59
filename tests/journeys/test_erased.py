"""A whole life ends in an erasure: then no table, no file, no log and no broker in the house holds the address."""

import base64
import json
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis
from sqlalchemy import Engine, select, update

from dispatcher.db import clock
from dispatcher.db.tables import batch, deferral, delivery, metadata
from dispatcher.domain.addresses import spellings
from dispatcher.settings import broker_socket
from tests.journeys.house import RunningHouse, wait_for
from tests.journeys.talkative import TalkativeRelay, open_house_with
from tests.journeys.test_one_person import (
    ANNA,
    ANNA_ON_THE_WIRE,
    all_at_rest,
    confirm,
    create_and_start,
    ended,
    letters_to,
    links_in,
    sign_up,
)


@pytest.fixture
def relay() -> TalkativeRelay:
    return TalkativeRelay()


@pytest.fixture
def house(tmp_path: Path, database_url: str, relay: TalkativeRelay) -> Iterator[RunningHouse]:
    with ExitStack() as stack:
        yield open_house_with(relay, tmp_path, database_url, stack)


def traces() -> set[bytes]:
    """Give the address and the name in every spelling in which they could lie somewhere, in lower case."""
    found = set()
    for text in (*spellings(ANNA_ON_THE_WIRE), "anna.müller", "anna müller"):
        for form in ("NFC", "NFD"):
            plain = unicodedata.normalize(form, text)
            octets = plain.encode()
            found |= {octets, quote(plain).lower().encode(), json.dumps(plain)[1:-1].lower().encode()}
            found |= {plain.encode("latin-1", "replace"), octets.hex().encode(), plain.encode("utf-16-le")}
    return {trace for trace in found if b"?" not in trace}


def places(house: RunningHouse, engine: Engine) -> Iterator[tuple[str, bytes]]:
    """Give everything there is: each row, each file, each key of the broker."""
    with engine.begin() as conn:
        for table in metadata.sorted_tables:
            for row in conn.execute(select(table)):
                yield table.name, repr(tuple(row)).encode() + b"".join(v for v in row if isinstance(v, bytes))
    for file in house.var.rglob("*"):
        if file.is_file():
            yield str(file.relative_to(house.var)), file.read_bytes()
    with redis.Redis(unix_socket_path=str(broker_socket(house.settings))) as broker:
        for key in broker.scan_iter():
            yield f"broker {key!r}", key + (broker.dump(key) or b"")


def found(house: RunningHouse, engine: Engine) -> set[str]:
    wanted = traces()
    encoded = [base64.b64encode(b"x" * pad + ANNA.encode())[4:-4] for pad in (1, 2, 3)]
    return {
        place
        for place, octets in places(house, engine)
        if any(trace in octets.lower() for trace in wanted)
        or any(trace in octets for trace in encoded)
        or unicodedata.normalize("NFC", octets.decode("utf-8", "replace")).lower().find("müller") >= 0
    }


def a_whole_life(house: RunningHouse, pages: httpx.Client, engine: Engine, relay: TalkativeRelay) -> None:
    """Sign up, confirm, get a letter, be put off by a relay, be refused by it."""
    sign_up(house, pages, engine)
    wait_for(lambda: len(letters_to(house, ANNA_ON_THE_WIRE)) == 1, "the confirmation mail")
    wait_for(lambda: all_at_rest(engine), "the proof of the mail")
    confirm(pages, engine, letters_to(house, ANNA_ON_THE_WIRE)[0])
    campaigns = [create_and_start(house)]
    wait_for(lambda: ended(engine, campaigns[0]), "the letter")
    relay.refusal = "550 5.1.1 <{}>: Recipient address rejected: User unknown"
    campaigns.append(create_and_start(house))
    wait_for(lambda: ended(engine, campaigns[1]), "the refusal")
    relay.refusal = "450 4.2.0 <{}>: greylisted, come back"
    create_and_start(house)
    wait_for(lambda: bool(_rows(engine, deferral)), "the deferral")
    relay.refusal = None


def _rows(engine: Engine, table: Any) -> list[Any]:
    with engine.begin() as conn:
        return list(conn.execute(select(table)).all())


def let_the_wait_be_over(engine: Engine) -> None:
    """Move the clock: what a relay put off is due."""
    with engine.begin() as conn:
        over = clock.now(conn) - timedelta(seconds=1)
        conn.execute(update(deferral).values(retry_at=over))
        conn.execute(update(batch).where(batch.c.state == "deferred").values(not_before=over))


def links_answer_politely(pages: httpx.Client, letter: EmailMessage) -> None:
    """Open the links of an old letter, and press one-click: each gets an answer in words, and none a name."""
    own = {link[len(str(pages.base_url)) :][:3]: link for link in links_in(letter) if str(pages.base_url) in link}
    for path, status in (("/u/", 200), ("/p/", 404), ("/v/", 404)):
        answer = pages.get(own[path])
        assert answer.status_code == status
        assert "<h1" in answer.text
        assert "müller" not in answer.text.lower()
    assert pages.post(own["/u/"], data={"List-Unsubscribe": "One-Click"}).status_code == 200


def no_import_brings_them_back(house: RunningHouse) -> None:
    file = house.var / "old.csv"
    evidence = "2026-01-01T10:00:00+01:00,form 3"
    file.write_text(f"email,topics,consent_at,consent_source\n{ANNA},finance-news,{evidence}\n", encoding="utf-8")
    assert json.loads(house.run("subscribers", "import", "old.csv", "--origin", "a list", "--json"))["suppressed"] == 1
    file.unlink()


def a_dossier_is_still_made(house: RunningHouse) -> None:
    house.run("consent", "dossier", ANNA, "-o", "../anna.html")  # what the house does not know, the asker has to say
    (house.var / "known.pem").write_text(house.run("consent", "public-key"), encoding="ascii")
    assert "which is the key of" in house.run("consent", "check", "../anna.html", "--key", "known.pem")


def test_after_an_erasure_nothing_in_the_house_holds_the_address_and_only_the_person_can_come_back(
    house: RunningHouse, engine: Engine, relay: TalkativeRelay
) -> None:
    pages = house.start_web()
    house.start("worker", "--concurrency", "1")
    a_whole_life(house, pages, engine, relay)
    said = [row.reply for row in (*_rows(engine, delivery), *_rows(engine, deferral))]
    assert sum("<recipient>" in reply for reply in said) == 4  # what was heard of the address was never written down
    letter = letters_to(house, ANNA_ON_THE_WIRE)[1]
    before = found(house, engine)
    assert "subscriber" in before  # the search finds what is there
    assert before <= {"subscriber", "dispatcher.db", "dispatcher.db-wal"}

    house.run("subscribers", "erase", ANNA, "--yes")
    assert found(house, engine) == set()

    let_the_wait_be_over(engine)
    wait_for(lambda: all_at_rest(engine), "the letter that was put off, which is withheld now")
    assert {row.reply for row in _rows(engine, delivery) if row.outcome == "withheld"} == {"erased"}
    links_answer_politely(pages, letter)
    no_import_brings_them_back(house)
    later = create_and_start(house)
    wait_for(lambda: ended(engine, later), "a campaign after the erasure")
    assert len(letters_to(house, ANNA_ON_THE_WIRE)) == 2
    assert found(house, engine) == set()
    a_dossier_is_still_made(house)

    sign_up(house, pages, engine)
    wait_for(lambda: len(letters_to(house, ANNA_ON_THE_WIRE)) == 3, "another confirmation mail")
    wait_for(lambda: all_at_rest(engine), "the proof of the mail")
    confirm(pages, engine, letters_to(house, ANNA_ON_THE_WIRE)[2])
    shown = json.loads(house.run("subscribers", "show", ANNA, "--json"))
    assert shown["topics"]["finance-news"]["state"] == "confirmed"
    assert {entry["reason"] for entry in shown["suppressed"]} == {"erased"}
    assert "all" not in {entry["scope"] for entry in shown["suppressed"]}
