"""A campaign's letters: what they have in common is looked at once, and says what looking at each would say."""

from datetime import UTC, date, datetime

import pytest

from dispatcher.compose.letter import Press
from dispatcher.db.terms import Language, Topic
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import InputRefused
from dispatcher.sending.press import CampaignPress, Stationery
from tests.compose.samples import HEAD, edition
from tests.stage import Stage

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
EDITION = edition(HEAD + "{{ greeting }}, [ansehen]({{ view_url }}) oder [los]({{ preferences_url }}).\n")
PEOPLE = [
    Recipient(n, n.to_bytes(8, "big"), f"person{n}@example.de", name, Language.DE, date(2026, 3, 2), 1)
    for n, name in enumerate(("Maria Muster", "", "Jörg Weiß", "<b>"))
]


def of_house(*, public_url: str = "https://news.example.de", bounce_domain: str = "bounce.example.de") -> CampaignPress:
    stationery = Stationery(Keyring((Key("a", b"k" * 32),)), public_url, bounce_domain, "news.example.de")
    of = Stage.made_up_campaign(Topic.PRODUCT_NEWS, Language.DE)
    return CampaignPress(of, {Language.DE: EDITION.to_json()}, stationery)


@pytest.mark.parametrize(
    ("public_url", "is_usual"), [("https://news.example.de", True), ("https://news.example.de/a&b='c'", False)]
)
def test_one_look_for_a_whole_campaign_says_what_a_look_at_each_letter_would(public_url: str, is_usual: bool) -> None:
    press, each = of_house(public_url=public_url), Press(EDITION)
    for to in PEOPLE:
        fields = press.fields(to, NOW)
        assert fields.is_usual is is_usual
        letter = press.letter(to, NOW)
        fields.is_usual = False
        assert letter == each.letter(fields)


@pytest.mark.parametrize("house", [{"public_url": "https://news.example.de/ä"}, {"bounce_domain": "b\r\nc.example.de"}])
def test_what_cannot_be_written_is_refused_for_everybody(house: dict[str, str]) -> None:
    press = of_house(**house)
    for to in PEOPLE:
        with pytest.raises(InputRefused):
            press.letter(to, NOW)
