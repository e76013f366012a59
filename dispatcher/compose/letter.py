"""Stage two: an edition and one recipient's fields, pressed into the bytes that go over the line.

This runs once per recipient and must be fast: the constant text is already encoded, so here Jinja2 joins a few
dozen strings, and only the values are escaped and encoded. What must stay true: a value cannot leave its place.
In a header, CR, LF and NUL are refused; in the HTML part, values are escaped; in both parts they are
quoted-printable, so that none can make a line, a boundary or Jinja2 source.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from jinja2 import StrictUndefined, Template
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


@dataclass(slots=True)
class Letter:
    """What goes over one line to one person: `pieces`, one behind the other, are its body. Most of them are the
    edition's own and shared by all its letters, so one that waits weighs a tenth of what it has on the wire."""

    message_id: str
    sender: str
    recipient: str
    pieces: list[str]
    needs_smtputf8: bool

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
_DAY_HTML, _DAY_TEXT = (wire.ready(wire.READY_DAY, part) for part in (wire.PART_HTML, wire.PART_TEXT))
# What neither quoted-printable nor HTML would alter: what is_clean says, only faster to say for a link.
_CLEAN_LINK = re.compile(r"https?://[!#-%(-;?-~]{1,66}").fullmatch


class _Values(dict[str, str]):
    """Values by name. An unknown name gives what Jinja2 takes for one, so that StrictUndefined refuses it."""

    def __missing__(self, name: str) -> object:
        return missing


class _Context:
    """What a compiled template asks of its context, and no more. Jinja2's own costs a quarter of the rendering."""

    __slots__ = ("exported_vars", "resolve_or_missing", "vars")

    def __init__(self, values: _Values) -> None:
        self.vars: dict[str, object] = {}
        self.exported_vars: set[str] = set()
        self.resolve_or_missing = values.__getitem__


class Press:
    """One edition, compiled. Share it among all letters of a process; it keeps nothing of any recipient."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self._root = _compiled(_ON_THE_WIRE, edition.wire).root_render_func

    def letter(self, fields: Fields) -> Letter:
        """Compose one letter; InputRefused if a value cannot be written, which concerns this recipient only."""
        is_newsletter = self.edition.kind is Kind.NEWSLETTER
        if is_newsletter and fields.consented_on is None:
            raise InputRefused("a newsletter without the date of consent", "Every newsletter says why it comes.")
        context = _Values(self._values(fields))
        self._write_ready(context)
        context["date"] = headers.guard("Date", fields.date)
        # A letter around consent echoes no typed name: it may have been typed by someone else, as an insult.
        context["to"] = headers.mailbox("To", fields.name if is_newsletter else "", fields.address)
        context["message_id"] = headers.message_id(fields.message_id)
        if is_newsletter or self.edition.kind is Kind.RENEW:
            context["list_unsubscribe"] = headers.list_unsubscribe(fields.unsubscribe_url, fields.unsubscribe_mailto)
        return self._pressed(fields, context)

    @staticmethod
    def _write_ready(context: _Values) -> None:
        """Add the values that come ready for each part: they stand in every letter, twice or more."""
        for name, html, text in _READY_LINKS:
            value = context[name]
            if _CLEAN_LINK(value):
                context[html] = context[text] = value + SOFT
            else:
                context[html], context[text] = _html_on_the_wire(value), filled(value)
        context[_DAY_HTML], context[_DAY_TEXT] = _day_on_the_wire(context["consented_on"])

    def page(self, fields: Fields) -> str:
        """Give the HTML for "view in browser" and for previews."""
        return self._page.render(self._values(fields))

    def plain(self, fields: Fields) -> str:
        """Give the text part as people read it."""
        return self._plain.render(self._values(fields))

    def subject(self, fields: Fields) -> str:
        """Give the subject as people read it."""
        return self._subject.render(self._values(fields))

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

    def _pressed(self, fields: Fields, context: _Values) -> Letter:
        try:
            # What Template.render does, without its copy of the context and its rewriting of tracebacks.
            pieces = list(self._root(_Context(context)))  # type: ignore[arg-type]
        except UnicodeEncodeError:
            raise _half_a_character() from None
        sender = headers.check_address("the envelope sender", fields.envelope_sender)
        return Letter(fields.message_id, sender, fields.address, pieces, not fields.address.isascii())

    def _values(self, fields: Fields) -> dict[str, str]:
        language = self.edition.language
        return {
            "name": fields.name if self.edition.kind is Kind.NEWSLETTER else "",
            "address": fields.address,
            "unsubscribe_url": fields.unsubscribe_url,
            "preferences_url": fields.preferences_url,
            "view_url": fields.view_url,
            "consented_on": long_date(fields.consented_on, language) if fields.consented_on else "–",
            "confirm_url": fields.confirm_url,
            "requested_at": fields.requested_at,
            "topics": _titles(fields.requested_topics, language) if fields.requested_topics else "",
        }


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


@lru_cache(maxsize=4096)
def _day_on_the_wire(day: str) -> tuple[str, str]:
    return _html_on_the_wire(day), filled(day)


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
