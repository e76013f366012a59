"""A composed letter taken apart for whoever looks at it: parts, headers in words, sizes; and made inert for a frame."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from dispatcher.compose.freezing import LARGEST_HTML
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.errors import InputRefused
from dispatcher.sending.press import CampaignPress

GMAIL_CLIPS = 102_400  # octets of HTML, about
_LINK_TARGET = re.compile(r'(<a\b[^>]*?)\shref="([^"]*)"', re.IGNORECASE)
_DARK = re.compile(r"@media \(prefers-color-scheme: ?dark\)")


@dataclass(frozen=True, slots=True)
class Inspected:
    """A letter's subject and text; the message, its headers and its sizes in octets. `refused`: why there is no message
    for this person.
    """

    subject: str
    text: str
    source: str = ""
    headers: Sequence[tuple[str, str]] = ()
    message: int = 0
    html: int = 0
    plain: int = 0
    most_html: int = LARGEST_HTML
    links: int = 0
    pictures: int = 0
    refused: str = ""


def look_at(press: CampaignPress, to: Recipient, now: datetime) -> Inspected:
    """Compose the letter and take it apart. Raises ContentInvalid."""
    page, text = press.page(to, now), press.plain(to, now)
    try:
        body = press.letter(to, now).body
    except InputRefused as refused:
        return Inspected("", text, refused=refused.what)
    parsed = BytesParser(EmailMessage, policy=policy.SMTPUTF8).parsebytes(body)
    return Inspected(
        subject=str(parsed["Subject"]),
        text=text,
        source=body.decode("utf-8", "replace").replace("\r\n", "\n"),
        headers=[(name, " ".join(str(value).split())) for name, value in parsed.items()],
        message=len(body),
        html=len(page.encode()),
        plain=len(text.encode()),
        links=len(_LINK_TARGET.findall(page)),
        pictures=page.count("<img"),
    )


def inert(page: str, *, is_dark: bool) -> str:
    """Take the targets from a letter's links, so that nobody unsubscribes by looking; what they led to stands in their
    title. Show it by day, or by night, whatever the browser prefers.
    """
    without = _LINK_TARGET.sub(r'\1 title="\2"', page)
    return _DARK.sub("@media all" if is_dark else "@media not all", without)
