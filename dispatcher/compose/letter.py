"""Stage two: an edition and one recipient's fields, pressed into the bytes that go over the line.

This runs once per recipient and must be fast: the constant text is already encoded, so here Jinja2 puts a few dozen
strings into a list, and only the values are escaped and encoded. What must stay true: a value cannot leave its place.
In a header, CR, LF and NUL are refused; in the HTML part, values are escaped; in both parts they are
quoted-printable, so that none can make a line, a boundary or Jinja2 source.
"""

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

from jinja2 import Template
from jinja2.utils import missing
from markupsafe import escape

from dispatcher.compose import headers, wire
from dispatcher.compose.dkim import relaxed_body
from dispatcher.compose.edition import Edition, Kind
from dispatcher.compose.fields import Fields
from dispatcher.compose.quoted_printable import SOFT, filled, is_clean
from dispatcher.compose.rendering import Environment, PiecesEnvironment, compiled, compiled_to_pieces
from dispatcher.compose.words import listed, long_date, topic_title
from dispatcher.errors import InputRefused
from dispatcher.languages import Language


@dataclass(slots=True, init=False)  # its making is written out: a letter makes one (see "Compiled" in ARCHITECTURE.md)
class Letter:
    """What goes over one line to one person: `pieces`, one behind the other, are its body. Most of them are the
    edition's own and shared by all its letters, so one that waits weighs a tenth of what it has on the wire."""

    message_id: str
    sender: str
    recipient: str
    pieces: list[str]
    needs_smtputf8: bool

    def __init__(self, message_id: str, sender: str, recipient: str, pieces: list[str], needs_smtputf8: bool) -> None:
        self.message_id = message_id
        self.sender = sender
        self.recipient = recipient
        self.pieces = pieces
        self.needs_smtputf8 = needs_smtputf8

    def octets(self) -> bytes:
        """Give the body: headers and MIME with CRLF, without the closing dot; no line of it begins with a dot, so none
        must be stuffed. To put it together costs less than a microsecond, so nobody need keep it.
        """
        try:
            return "".join(self.pieces).encode()
        except UnicodeEncodeError:
            raise _half_a_character() from None

    @property
    def body(self) -> bytes:
        """Give the body to whoever looks at it."""
        return self.octets()


def _half_a_character() -> InputRefused:
    return InputRefused("a value holds half a character", "Give well-formed Unicode.")


_MARKUP: Final = re.compile("[&<>\"']")
_DAYS_KEPT: Final = 4096
# What a source may ask for as it is read, and on the wire besides: in the order in which a press hands it over.
_READ = (
    "name", "address", "unsubscribe_url", "preferences_url", "view_url", "consented_on", "confirm_url", "requested_at",
    "topics",
)  # fmt: skip
_WRITTEN = (
    "date", "to", "message_id", "list_unsubscribe",
    *(wire.ready(field, part) for field in wire.READY for part in (wire.PART_HTML, wire.PART_TEXT)),
)  # fmt: skip


def are_usual(fields: Fields) -> bool:
    """Claim that addresses and links of ours are made as usual (`headers.are_usual`)."""
    made = f"{fields.message_id} {fields.envelope_sender} {fields.unsubscribe_mailto}"
    return headers.are_usual(f"{made} {fields.unsubscribe_url} {fields.preferences_url} {fields.view_url}")


# What a letter bears of our own making: Message-ID, List-Unsubscribe and each link, for HTML and for text. A letter
# without List-Unsubscribe has `missing`, which Jinja2 refuses to write.
_Ours = tuple[str, object, str, str, str, str, str, str]


class Press:
    """One edition, compiled. Share it among all letters of a process; it keeps nothing of any recipient."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self._pieces = compiled_to_pieces(_ON_THE_WIRE, _WRITTEN + _READ, edition.wire)
        self._is_newsletter = edition.kind is Kind.NEWSLETTER
        self._has_unsubscribe = self._is_newsletter or edition.kind is Kind.RENEW
        self._days: dict[date, tuple[str, str, str]] = {}

    def letter(self, fields: Fields) -> Letter:
        """Compose one letter; InputRefused if a value cannot be written, which concerns this recipient only."""
        if self._is_newsletter and fields.consented_on is None:
            raise InputRefused("a newsletter without the date of consent", "Every newsletter says why it comes.")
        date = headers.guard("Date", fields.date)
        # A letter around consent echoes no typed name: it may have been typed by someone else, as an insult.
        to = headers.mailbox("To", fields.name if self._is_newsletter else "", fields.address)
        ours = self._usual(fields) if fields.is_usual or are_usual(fields) else self._guarded(fields)
        message_id, leaves, leave_html, leave_text, preferences_html, preferences_text, view_html, view_text = ours
        _, day_html, day_text = self._day(fields.consented_on)
        name, address, leave, preferences, view, day, confirm, requested_at, topics = self._read(fields)
        try:
            pieces = self._pieces(
                date, to, message_id, leaves,
                leave_html, leave_text, preferences_html, preferences_text, view_html, view_text, day_html, day_text,
                name, address, leave, preferences, view, day, confirm, requested_at, topics,
            )  # fmt: skip
        except UnicodeEncodeError:
            raise _half_a_character() from None
        return Letter(fields.message_id, fields.envelope_sender, address, pieces, not address.isascii())

    def _usual(self, fields: Fields) -> _Ours:
        """Give what we make ourselves, as usual: then a link is the same in both parts."""
        by_mail = "mailto:" + fields.unsubscribe_mailto
        leaves = headers.unsubscribe_by(fields.unsubscribe_url, by_mail) if self._has_unsubscribe else missing
        leave, preferences, view = fields.unsubscribe_url + SOFT, fields.preferences_url + SOFT, fields.view_url + SOFT
        return f"<{fields.message_id}>", leaves, leave, leave, preferences, preferences, view, view

    def _guarded(self, fields: Fields) -> _Ours:
        """Give the same where something is unlike what we make: each is looked at by itself, refused or written out."""
        headers.check_address("the envelope sender", fields.envelope_sender)
        message_id = headers.message_id(fields.message_id)
        leaves = missing
        if self._has_unsubscribe:
            leaves = headers.list_unsubscribe(fields.unsubscribe_url, fields.unsubscribe_mailto)
        both = _both_on_the_wire
        return message_id, leaves, *both(fields.unsubscribe_url), *both(fields.preferences_url), *both(fields.view_url)

    def page(self, fields: Fields) -> str:
        """Give the HTML for "view in browser" and for previews."""
        return self._page.render(self._readable(fields))

    def plain(self, fields: Fields) -> str:
        """Give the text part as people read it."""
        return self._plain.render(self._readable(fields))

    def subject(self, fields: Fields) -> str:
        """Give the subject as people read it."""
        return self._subject.render(self._readable(fields))

    @cached_property
    def is_relaxed(self) -> bool:
        """Claim that each letter's body is its own relaxed form, for DKIM. False for editions of version 0.1.0."""
        tokens = _ON_THE_WIRE.lex(self.edition.wire)
        constants = "".join(text for _, kind, text in tokens if kind == "data").replace("\n", "\r\n")
        body = constants.partition("\r\n\r\n")[2].encode("ascii")
        return body == relaxed_body(body)

    @cached_property
    def _page(self) -> Template:
        return compiled(_FOR_THE_EYE, self.edition.html)

    @cached_property
    def _plain(self) -> Template:
        return compiled(_FOR_THE_EYE, self.edition.text)

    @cached_property
    def _subject(self) -> Template:
        return compiled(_FOR_THE_EYE, self.edition.subject)

    def _readable(self, fields: Fields) -> dict[str, str]:
        return dict(zip(_READ, self._read(fields), strict=True))

    def _read(self, fields: Fields) -> tuple[str, str, str, str, str, str, str, str, str]:
        name = fields.name if self._is_newsletter else ""
        day, _, _ = self._day(fields.consented_on)
        topics = _titles(fields.requested_topics, self.edition.language) if fields.requested_topics else ""
        leave, preferences, view = fields.unsubscribe_url, fields.preferences_url, fields.view_url
        return name, fields.address, leave, preferences, view, day, fields.confirm_url, fields.requested_at, topics

    def _day(self, day: date | None) -> tuple[str, str, str]:
        """Write a day, as it is read and as it stands in each part: many people consented on the same one."""
        if day is None:
            return _written_day("–")
        written = self._days.get(day)
        if written is None:
            if len(self._days) > _DAYS_KEPT:
                self._days.clear()
            written = self._days[day] = _written_day(long_date(day, self.edition.language))
        return written


def _titles(topics: str, language: Language) -> str:
    return listed([topic_title(topic, language) for topic in topics.split()], language)


def _escaped(value: object) -> str:
    return str(escape(value))


def _both_on_the_wire(value: object) -> tuple[str, str]:
    """Write a value for HTML and for text: most are the same in both, and written once."""
    text = str(value)
    if is_clean(text):
        written = text + SOFT
        return written, written
    written = filled(text)
    return filled(str(escape(text))) if _MARKUP.search(text) else written, written


def _html_on_the_wire(value: object) -> str:
    return _both_on_the_wire(value)[0]


def _text_on_the_wire(value: object) -> str:
    return _both_on_the_wire(value)[1]


def _written_day(day: str) -> tuple[str, str, str]:
    return day, *_both_on_the_wire(day)


def _subject_on_the_wire(pieces: list[str]) -> str:
    return headers.subject("".join(pieces))


_ON_THE_WIRE = PiecesEnvironment(
    {
        wire.BOTH: _both_on_the_wire,
        wire.PART_HTML: _html_on_the_wire,  # this one and the next in editions of version 0.1.0 only
        wire.PART_TEXT: _text_on_the_wire,
        wire.PART_SUBJECT: str,
        "subject": _subject_on_the_wire,
    },
    "\r\n",
)
_FOR_THE_EYE = Environment({wire.PART_HTML: _escaped, wire.PART_TEXT: str, wire.PART_SUBJECT: str}, "\n")
