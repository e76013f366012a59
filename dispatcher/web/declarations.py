"""The words people agree to, and the privacy notice, as they lie in templates/web/public.

What must stay true: words that somebody has agreed to are never changed. To change them, edit the file and give VERSION
another name; the older text stays in the database beside the consents that were given under it.
"""

import hashlib
from datetime import datetime
from functools import cache
from string import Template

import structlog
from sqlalchemy import Connection

from dispatcher.assets import templates
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import consent
from dispatcher.domain.consent import Declaration
from dispatcher.settings import Settings

KEY, VERSION = "newsletter", "2026-01"

log = structlog.get_logger()


def enter(conn: Connection, settings: Settings, now: datetime) -> None:
    """Enter the current declarations, in every language, unless they stand already."""
    for language in Language:
        text = _text("declaration", language, settings)
        consent.declare(conn, Declaration(0, KEY, VERSION, language, text, tuple(Topic)), now)
        standing = consent.current_declaration(conn, language)
        if standing is not None and (standing.version, standing.text) != (VERSION, text):
            log.warning(
                "declaration.differs",
                shown=standing.version,
                file=f"declaration.{language}.md",
                cure="people see the older words; changed words need a new version, in dispatcher/web/declarations.py",
            )


def shown(conn: Connection, language: Language) -> Declaration:
    """Give the declaration that a form has to show."""
    standing = consent.current_declaration(conn, language)
    assert standing is not None, "create_app enters the declarations"
    return standing


def privacy(settings: Settings, language: Language) -> str:
    """Give the privacy notice, Markdown."""
    return _text("privacy", language, settings)


def privacy_sha256(settings: Settings, language: Language) -> bytes:
    """Give the hash under which it is proven which privacy notice was linked."""
    return hashlib.sha256(privacy(settings, language).encode()).digest()


def _text(name: str, language: Language, settings: Settings) -> str:
    return Template(_file(name, language)).substitute(sender=settings.sender_name, contact=settings.sender_address)


@cache
def _file(name: str, language: Language) -> str:
    path = templates() / "web" / "public" / f"{name}.{language}.md"
    return path.read_text(encoding="utf-8").strip()
