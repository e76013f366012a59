"""A right is served: the log and what was done agree, and nobody waits for an export."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from dispatcher.db.tables import delivery, opt_in_request, rights_request
from dispatcher.db.terms import ConsentKind, Language, Outcome, RightKind, Topic
from dispatcher.domain import ledger
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.ledger import Final
from dispatcher.domain.people import rights, subscribers
from dispatcher.domain.tokens import Keyring
from dispatcher.rights import exhibits, serving
from dispatcher.rights.dossier import House
from dispatcher.rights.serving import Order
from dispatcher.sending import address_change, opt_in
from tests import builders

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MARIA, NEW = "maria@example.de", "m.muster@example.com"
HOUSE = House("Beispiel Edelmetalle", "news@news.example.de", "Beispiel GmbH", "anna")
ORDER = Order(parse_address(MARIA), None, "anna")


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        who = builders.add_people(conn, keyring, [MARIA], NOW)[MARIA]
        builders.agree(conn, [who], Topic.FINANCE_NEWS, NOW, ConsentKind.CONFIRMED)
    return who


@pytest.mark.usefixtures("maria")
def test_others_write_while_an_export_is_handed_out(engine: Engine, keyring: Keyring) -> None:
    def hand_out(_facts: dict[str, Any], _language: Language) -> None:
        with engine.begin() as conn:  # with the database's write lock held, this would wait for itself
            rights.enter(conn, RightKind.PORTABILITY, b"h" * 32, NOW)

    serving.export(engine, keyring, HOUSE, ORDER, None, hand_out)
    with engine.begin() as conn:
        kinds = conn.execute(select(rights_request.c.kind).order_by(rights_request.c.id)).scalars().all()
    assert kinds == ["portability", "access"]


@pytest.mark.usefixtures("maria")
def test_what_could_not_be_handed_out_is_not_entered_as_done(engine: Engine, keyring: Keyring) -> None:
    def hand_out(_facts: dict[str, Any], _language: Language) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        serving.export(engine, keyring, HOUSE, ORDER, None, hand_out)
    with engine.begin() as conn:
        assert conn.execute(select(func.count()).select_from(rights_request)).scalar_one() == 0


def test_of_somebody_who_has_just_moved_the_former_address_is_cleared_too(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    page = Evidence(source="preferences page")
    with engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW)
        reply = f"550 <{MARIA}>: no such user"
        ledger.record(conn, [Final(campaign_id, maria, Outcome.FAILED, None, 550, reply, "relay")], NOW)
        person = subscribers.by_id(conn, maria)
        assert person is not None
        address_change.ask(conn, keyring, person, parse_address(NEW), page, NOW)
        for _ in range(2):
            newest = conn.execute(select(func.max(opt_in_request.c.id))).scalar_one()
            link = opt_in.asked(conn, newest, keyring, "https://news.example.de").confirm_url
            address_change.press(conn, keyring, link.rpartition("/")[2], page, NOW)
    serving.erase(engine, keyring, Order(parse_address(NEW), None, "anna"))
    with engine.begin() as conn:
        assert conn.execute(select(delivery.c.reply)).scalar_one() == "550 <recipient>: no such user"


@pytest.mark.parametrize("language", list(Language))
def test_a_dossier_that_could_not_take_everything_in_says_so(language: Language) -> None:
    nothing: dict[str, Any] = {
        "person": {"restricted_at": None}, "events": [], "letters": [], "standing": [], "cut": ["events"],
    }  # fmt: skip
    told = exhibits.summary(nothing, language)
    assert told[-1].startswith(("Achtung: Es gibt mehr", "Attention: there is more"))
