"""Stage two: an edition and one recipient's fields, pressed into the bytes that go over the line.

This runs once per recipient and must be fast: the constant text is already encoded, so here Jinja2 joins a few
dozen strings, and only the values are escaped and encoded. What must stay true: a value cannot leave its place.
In a header, CR, LF and NUL are refused; in the HTML part, values are escaped; in both parts they are
quoted-printable, so that none can make a line, a boundary or Jinja2 source.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import Literal

from jinja2 import StrictUndefined, Template, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import escape

from dispatcher.compose import headers, wire
from dispatcher.compose.dkim import relaxed_body
from dispatcher.compose.edition import Edition, Kind
from dispatcher.compose.fields import Fields
from dispatcher.compose.quoted_printable import SOFT, filled, is_clean
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


_MARKUP = re.compile("[&<>\"']")
_READY_LINKS = [(name, wire.ready(name, wire.PART_HTML), wire.ready(name, wire.PART_TEXT)) for name in wire.READY_LINKS]
(_, _LEAVE_HTML, _LEAVE_TEXT), (_, _PREFERENCES_HTML, _PREFERENCES_TEXT), (_, _VIEW_HTML, _VIEW_TEXT) = _READY_LINKS
_DAYS_KEPT = 4096
_DAY_HTML, _DAY_TEXT = (wire.ready(wire.READY_DAY, part) for part in (wire.PART_HTML, wire.PART_TEXT))


class _Context:
    """What a compiled template asks of its context, and no more. Jinja2's own costs a quarter of the rendering."""

    __slots__ = ("exported_vars", "resolve_or_missing", "vars")

    def __init__(self, values: dict[str, object]) -> None:
        self.vars: dict[str, object] = {}
        self.exported_vars: set[str] = set()
        self.resolve_or_missing = values.__getitem__


class Press:
    """One edition, compiled. Share it among all letters of a process; it keeps nothing of any recipient."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self._root = _compiled(_ON_THE_WIRE, edition.wire).root_render_func
        self._is_newsletter = edition.kind is Kind.NEWSLETTER
        self._has_unsubscribe = self._is_newsletter or edition.kind is Kind.RENEW
        # Whatever the edition asks for, to be filled for each letter. What stays `missing` StrictUndefined refuses.
        asked_for = meta.find_undeclared_variables(_ON_THE_WIRE.parse(edition.wire))
        self._blank: dict[str, object] = dict.fromkeys(sorted(asked_for), missing)
        self._days: dict[date, tuple[str, str, str]] = {}

    def letter(self, fields: Fields) -> Letter:
        """Compose one letter; InputRefused if a value cannot be written, which concerns this recipient only."""
        if self._is_newsletter and fields.consented_on is None:
            raise InputRefused("a newsletter without the date of consent", "Every newsletter says why it comes.")
        context = self._blank.copy()
        self._fill(context, fields)
        context["date"] = headers.guard("Date", fields.date)
        # A letter around consent echoes no typed name: it may have been typed by someone else, as an insult.
        context["to"] = headers.mailbox("To", fields.name if self._is_newsletter else "", fields.address)
        made = f"{fields.message_id} {fields.envelope_sender} {fields.unsubscribe_mailto}"
        if headers.are_usual(f"{made} {fields.unsubscribe_url} {fields.preferences_url} {fields.view_url}"):
            self._write_usual(context, fields)
        else:
            self._write_guarded(context, fields)
        return self._pressed(fields, context)

    def _write_usual(self, context: dict[str, object], fields: Fields) -> None:
        """Add what we make ourselves, and the links ready for each part: they stand in every letter, twice or more."""
        context["message_id"] = f"<{fields.message_id}>"
        if self._has_unsubscribe:
            by_mail = "mailto:" + fields.unsubscribe_mailto
            context["list_unsubscribe"] = headers.unsubscribe_by(fields.unsubscribe_url, by_mail)
        context[_LEAVE_HTML] = context[_LEAVE_TEXT] = fields.unsubscribe_url + SOFT
        context[_PREFERENCES_HTML] = context[_PREFERENCES_TEXT] = fields.preferences_url + SOFT
        context[_VIEW_HTML] = context[_VIEW_TEXT] = fields.view_url + SOFT

    def _write_guarded(self, context: dict[str, object], fields: Fields) -> None:
        """Add the same where something is unlike what we make: each is looked at by itself, refused or written out."""
        headers.check_address("the envelope sender", fields.envelope_sender)
        context["message_id"] = headers.message_id(fields.message_id)
        if self._has_unsubscribe:
            context["list_unsubscribe"] = headers.list_unsubscribe(fields.unsubscribe_url, fields.unsubscribe_mailto)
        for name, html, text in _READY_LINKS:
            value = str(context[name])
            context[html], context[text] = _html_on_the_wire(value), filled(value)

    def page(self, fields: Fields) -> str:
        """Give the HTML for "view in browser" and for previews."""
        return self._page.render(self._fill({}, fields))

    def plain(self, fields: Fields) -> str:
        """Give the text part as people read it."""
        return self._plain.render(self._fill({}, fields))

    def subject(self, fields: Fields) -> str:
        """Give the subject as people read it."""
        return self._subject.render(self._fill({}, fields))

    @cached_property
    def is_relaxed(self) -> bool:
        """Claim that each letter's body is its own relaxed form, for DKIM. False for editions of version 0.1.0."""
        tokens = _ON_THE_WIRE.lex(self.edition.wire)
        constants = "".join(text for _, kind, text in tokens if kind == "data").replace("\n", "\r\n")
        body = constants.partition("\r\n\r\n")[2].encode("ascii")
        return body == relaxed_body(body)

    @cached_property
    def _page(self) -> Template:
        return _compiled(_FOR_THE_EYE, self.edition.html)

    @cached_property
    def _plain(self) -> Template:
        return _compiled(_FOR_THE_EYE, self.edition.text)

    @cached_property
    def _subject(self) -> Template:
        return _compiled(_FOR_THE_EYE, self.edition.subject)

    def _pressed(self, fields: Fields, context: dict[str, object]) -> Letter:
        try:
            # What Template.render does, without its copy of the context and its rewriting of tracebacks.
            pieces = list(self._root(_Context(context)))  # type: ignore[arg-type]
        except UnicodeEncodeError:
            raise _half_a_character() from None
        address = fields.address
        return Letter(fields.message_id, fields.envelope_sender, address, pieces, not address.isascii())

    def _fill(self, values: dict[str, object], fields: Fields) -> dict[str, object]:
        values["name"] = fields.name if self._is_newsletter else ""
        values["address"] = fields.address
        values["unsubscribe_url"] = fields.unsubscribe_url
        values["preferences_url"] = fields.preferences_url
        values["view_url"] = fields.view_url
        values["consented_on"], values[_DAY_HTML], values[_DAY_TEXT] = self._day(fields.consented_on)
        values["confirm_url"] = fields.confirm_url
        values["requested_at"] = fields.requested_at
        topics = fields.requested_topics
        values["topics"] = _titles(topics, self.edition.language) if topics else ""
        return values

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


@lru_cache(maxsize=8)  # an edition is compiled when it is looked over, released and sent
def _compiled(environment: ImmutableSandboxedEnvironment, source: str) -> Template:
    return environment.from_string(source)


def _environment(
    filters: Mapping[str, Callable[..., str]], newline: Literal["\n", "\r\n"]
) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,  # each value passes the filter of its part, which escapes
        keep_trailing_newline=True,
        newline_sequence=newline,
    )
    environment.globals.clear()
    environment.filters.update(filters)
    return environment


def _html_on_the_wire(value: object) -> str:
    text = str(value)
    if is_clean(text):
        return text + SOFT
    return filled(str(escape(text)) if _MARKUP.search(text) else text)


def _text_on_the_wire(value: object) -> str:
    return filled(str(value))


def _written_day(day: str) -> tuple[str, str, str]:
    return day, _html_on_the_wire(day), filled(day)


_ON_THE_WIRE = _environment(
    {
        wire.PART_HTML: _html_on_the_wire,
        wire.PART_TEXT: _text_on_the_wire,
        wire.PART_SUBJECT: str,
        "subject": headers.subject,
    },
    "\r\n",
)
_FOR_THE_EYE = _environment({wire.PART_HTML: _escaped, wire.PART_TEXT: str, wire.PART_SUBJECT: str}, "\n")
