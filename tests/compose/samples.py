"""A made-up house, a made-up recipient, and the shortest way from a content text to a letter."""

from dataclasses import replace
from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from dispatcher.assets import templates
from dispatcher.compose.content import Content, parse_content
from dispatcher.compose.edition import Edition
from dispatcher.compose.fields import Fields
from dispatcher.compose.freezing import freeze, freeze_service
from dispatcher.compose.house import House
from dispatcher.compose.letter import Letter, Press

TOKEN = "AXq7mZ0tVwS5y1bQk9Lr3uHcJfNd"

HOUSE = House(
    name="Beispiel Edelmetalle GmbH",
    sender_name="Beispiel Edelmetalle",
    sender_address="news@news.example.de",
    public_url="https://news.example.de",
    feedback_sender_id="beispiel",
    list_id_domain="news.example.de",
    impressum=(
        "**Beispiel Edelmetalle GmbH**\\\nMusterstraße 12, 20095 Hamburg\\\n"
        "Geschäftsführung: Maria Muster\\\nTelefon: [040 1234567](tel:+49401234567), <kontakt@example.de>\\\n"
        "Amtsgericht Hamburg, HRB 000000 · USt-IdNr. DE000000000"
    ),
    privacy_url="https://news.example.de/privacy",
)

READER = Fields(
    address="maria@example.com",
    name="Maria Muster",
    message_id="9f2c51d0a7b34e6f@news.example.de",
    envelope_sender="b+k7q2m4x9c3v5@bounce.example.de",
    date="Fri, 20 Nov 2026 09:45:00 +0000",
    unsubscribe_url=f"https://news.example.de/u/{TOKEN}",
    unsubscribe_mailto=f"u+{TOKEN}@bounce.example.de",
    preferences_url=f"https://news.example.de/p/{TOKEN}",
    view_url=f"https://news.example.de/v/{TOKEN}",
    consented_on=date(2026, 3, 2),
)

ASKER = replace(
    READER,
    consented_on=None,
    confirm_url=f"https://news.example.de/c/{TOKEN}",
    requested_at="2026-11-20 09:12 UTC",
    requested_topics="finance-news special-offers",
)

HEAD = "---\nlanguage: de\ntitle: Ein Titel\n---\n"


def sample_files() -> list[Path]:
    return sorted((templates() / "mail").glob("*/sample.*.md"))


def content(source: str) -> Content:
    return parse_content(source, file="brief.md")


def edition(source: str, *, topic: str = "product-news", subject: str = "Ein Betreff", house: House = HOUSE) -> Edition:
    return freeze(content(source), topic=topic, subject=subject, house=house, campaign_id=7)


def sample_edition(path: Path) -> Edition:
    return freeze(
        parse_content(path.read_text(encoding="utf-8"), file=path.name),
        topic=path.parent.name,
        subject="",
        house=HOUSE,
        campaign_id=7,
    )


def press(body: str = "{{ greeting }}, ein Satz.\n", **given: str) -> Press:
    return Press(edition(HEAD + body, **given))  # type: ignore[arg-type]


def service(kind: str, language: str = "de") -> Press:
    return Press(freeze_service(kind, language=language, house=HOUSE))


def parsed(letter: Letter) -> EmailMessage:
    message = message_from_bytes(letter.body, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def part(message: EmailMessage, subtype: str) -> str:
    found = message.get_body((subtype,))
    assert isinstance(found, EmailMessage)
    text = found.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


def header_lines(letter: Letter, name: str) -> list[str]:
    """The raw lines of one header field, as they stand on the wire."""
    lines: list[str] = []
    for line in letter.body.split(b"\r\n\r\n", 1)[0].decode().split("\r\n"):
        if line.startswith(f"{name}: ") or (lines and line.startswith(" ")):
            lines.append(line)
        elif lines:
            break
    return lines
