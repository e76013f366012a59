"""How a language writes a price. What freezes letters needs it; who only sends them does not load Babel."""

from decimal import Decimal
from functools import lru_cache

from babel.numbers import format_currency, list_currencies

from dispatcher.languages import Language

_LOCALES = {Language.DE: "de_DE", Language.EN: "en_GB"}


def price(amount: Decimal, currency: str, language: Language) -> str:
    """Give "2.412,50 €" or "€2,412.50"."""
    return format_currency(amount, currency, locale=_LOCALES[language])


@lru_cache(maxsize=1)
def currencies() -> frozenset[str]:
    """Give the ISO 4217 codes that can be written."""
    return frozenset(list_currencies())
