"""The first words people agree to, and the privacy notice, as they lie in templates/web/public.

What must stay true: what a form shows or links stands in the database before anybody can agree to it. The files of the
declaration are its first version and no more; newer ones are entered with `dispatcher declarations add`.
"""

from datetime import datetime
from functools import cache
from string import Template

from sqlalchemy import Connection

from dispatcher.assets import templates
from dispatcher.compose.words import topic_title
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations
from dispatcher.domain.consent import Evidence
from dispatcher.domain.declarations import Declaration, Draft
from dispatcher.sending import notice
from dispatcher.settings import Settings

FIRST = "2026-01"


def enter(conn: Connection, settings: Settings, now: datetime) -> None:
    """Enter the first declaration, unless there is one, and the privacy notice as it reads now, in every language."""
    if declarations.current(conn, Language.DE, now) is None:
        words = {language: Template(first_words(language)) for language in Language}
        texts = {language: template.substitute(values(settings)) for language, template in words.items()}
        declarations.enter(conn, Draft(FIRST, texts, tuple(Topic)), now)
    for language in Language:
        declarations.keep_notice(conn, language, privacy(settings, language), now)


def shown(conn: Connection, language: Language, now: datetime) -> Declaration:
    """Give the declaration that a form has to show."""
    standing = declarations.current(conn, language, now)
    assert standing is not None, "create_app enters the declarations"
    return standing


def words(conn: Connection, declaration_id: int | None, language: Language | None = None) -> Declaration | None:
    """Give the words that a form showed, or the same version in another language; None: it showed none that we know."""
    found = declarations.by_id(conn, declaration_id) if declaration_id is not None else None
    if found is None or language in (None, found.language):
        return found
    return next((text for text in declarations.texts(conn, found.number) if text.language is language), found)


def privacy(settings: Settings, language: Language) -> str:
    """Give the privacy notice, Markdown."""
    return notice.privacy(settings, language)


def privacy_sha256(settings: Settings, language: Language) -> bytes:
    """Give the hash under which it is proven which privacy notice was linked."""
    return notice.hashes(settings)[language]


def on_their_behalf(conn: Connection, settings: Settings, source: str, language: Language, now: datetime) -> Evidence:
    """Gather what proves a request that we enter for somebody: the words and the notice that they will be shown before
    they confirm.
    """
    enter(conn, settings, now)
    standing = shown(conn, language, now)
    return Evidence(
        source=source,
        language=language,
        declaration_id=standing.id,
        privacy_sha256=privacy_sha256(settings, language),
    )


def values(settings: Settings) -> dict[str, str]:
    """Give what `$sender` and so on stand for in words of consent."""
    return notice.values(settings)


def titles() -> dict[Language, dict[Topic, str]]:
    """Give the topics' names as people read them."""
    return {language: {topic: topic_title(topic, language) for topic in Topic} for language in Language}


@cache
def first_words(language: Language) -> str:
    """Give the first declaration as it lies in the file."""
    path = templates() / "web" / "public" / f"declaration.{language}.md"
    return path.read_text(encoding="utf-8").strip()
