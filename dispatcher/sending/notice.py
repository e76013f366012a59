"""The privacy notice as it reads now: what the pages show, and what a mail that asks for consent links."""

from functools import cache, lru_cache
from string import Template

from dispatcher.assets import templates
from dispatcher.db.terms import Language
from dispatcher.domain import declarations
from dispatcher.settings import Settings


def values(settings: Settings) -> dict[str, str]:
    """Give what `$sender` and so on stand for in words of consent."""
    return {"sender": settings.sender_name, "contact": settings.sender_address}


def privacy(settings: Settings, language: Language) -> str:
    """Give the privacy notice, Markdown."""
    return _privacy(language, settings.sender_name, settings.sender_address)


def hashes(settings: Settings) -> dict[Language, bytes]:
    """Give the hashes under which it is proven which privacy notice was linked."""
    sender, contact = settings.sender_name, settings.sender_address
    return {language: _sha256(language, sender, contact) for language in Language}


@lru_cache(maxsize=16)
def _privacy(language: Language, sender: str, contact: str) -> str:
    return Template(_file(language)).substitute(sender=sender, contact=contact)


@lru_cache(maxsize=16)
def _sha256(language: Language, sender: str, contact: str) -> bytes:
    return declarations.sha256(_privacy(language, sender, contact))


@cache
def _file(language: Language) -> str:
    return (templates() / "web" / "public" / f"privacy.{language}.md").read_text(encoding="utf-8").strip()
