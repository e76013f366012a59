"""How old a letter's prices are: the oldest decides, by the house's clock, in every language."""

from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.compose.freshness import Prices, prices
from dispatcher.errors import ContentInvalid
from tests.compose.samples import content


def _letter(head: str, language: str = "de") -> str:
    return f"---\nlanguage: {language}\ntitle: Gold\n{head}---\nText.\n"


def _product(as_of: str, price: str = "price: 3541.20, ") -> str:
    return f"  - {{name: Gold, {price}as_of: {as_of}}}\n"


@pytest.mark.parametrize(
    ("head", "as_of", "until"),
    [
        ("as_of: 2026-11-20 09:30\nprices_good_for: 4h\n", "2026-11-20T08:30", "2026-11-20T12:30"),
        ("as_of: 2026-07-20 09:30\nprices_good_for: 90min\n", "2026-07-20T07:30", "2026-07-20T09:00"),
        ("as_of: 2026-11-20\nprices_good_for: 2d\n", "2026-11-19T23:00", "2026-11-21T23:00"),  # from its beginning on
        ("as_of: 2026-10-25 02:30\nprices_good_for: 1h\n", "2026-10-25T00:30", "2026-10-25T01:30"),  # the earlier one
        ("as_of: 2026-11-20T09:30+00:00\nprices_good_for: 1h\n", "2026-11-20T09:30", "2026-11-20T10:30"),
        (
            "as_of: 2026-11-20 12:00\nprices_good_for: 4h\nproducts:\n"
            + _product("2026-11-20 11:00")
            + _product("2026-11-20 10:00")
            + _product("2026-11-01", price=""),  # no price, so no price that could be too old
            "2026-11-20T09:00",
            "2026-11-20T13:00",
        ),
    ],
)
def test_the_oldest_price_counts(head: str, as_of: str, until: str) -> None:
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (as_of, until)]
    assert prices([content(_letter(head))]) == Prices(*moments)


def test_of_two_languages_the_one_that_ends_first_decides() -> None:
    german = content(_letter("as_of: 2026-11-20 09:00\nprices_good_for: 4h\n"))
    english = content(_letter("as_of: 2026-11-20 10:00\nprices_good_for: 1h\n", "en"))
    silent = content(_letter("as_of: 2026-11-20 10:00\n", "en"))
    found = prices([german, english])
    assert found is not None
    assert found.as_of == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert found.until - found.as_of == timedelta(hours=2)
    assert prices([german, silent]) == prices([german])
    assert prices([silent]) is None


@pytest.mark.parametrize("span", ["4", "four hours", "0h", "-1h", "61d", "1w", "99999d"])
def test_a_span_that_is_none_is_refused_with_its_line(span: str) -> None:
    with pytest.raises(ContentInvalid, match="is no span of time") as caught:
        content(_letter(f"prices_good_for: {span}\n"))
    assert caught.value.line == 4


def test_prices_that_are_good_for_a_while_need_a_time() -> None:
    with pytest.raises(ContentInvalid, match="without the time of a price"):
        prices([content(_letter("prices_good_for: 4h\n"))])
