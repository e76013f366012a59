"""Samples as of today: a newsletter that is begun with one has nothing old in it."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.compose import manuscript
from dispatcher.compose.content import parse_content
from dispatcher.compose.samples import sample
from dispatcher.languages import Language
from dispatcher.zone import ZONE

TOPICS = ("finance-news", "product-news", "special-offers")
_MONTH = re.compile(r"Januar|Februar|März|April|Juni|Juli|August|September|Oktober|November|Dezember|Octo|Decem|March")


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("hour", [0, 5, 14, 22])
def test_prices_are_of_today_and_never_ahead_and_offers_go_on(topic: str, language: Language, hour: int) -> None:
    now = datetime(2027, 3, 27, hour, 40, tzinfo=UTC)
    content = parse_content(sample(topic, language, now), file="a.md")
    here = now.astimezone(ZONE)
    times = [product.as_of for product in content.products] + [content.as_of]
    for at in times:
        assert at is not None
        assert f"{at:%Y-%m-%d}" == f"{here:%Y-%m-%d}"
        assert not isinstance(at, datetime) or at.replace(tzinfo=ZONE) <= here
    assert all(offer.valid_until == here.date() + timedelta(days=14) for offer in content.offers)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("language", list(Language))
def test_the_text_names_no_day_and_has_a_line_for_each_paragraph(topic: str, language: Language) -> None:
    letter = manuscript.read(sample(topic, language, datetime.now(UTC)), file="a.md")
    for text in (text for name, text in letter.texts().items() if name.endswith((".text", "body"))):
        assert not _MONTH.search(text)
        for above, below in zip(text.split("\n"), text.split("\n")[1:], strict=False):
            assert not (re.match(r"\w", above) and re.match(r"\w", below) and not re.match(r"\d+\. ", below))
