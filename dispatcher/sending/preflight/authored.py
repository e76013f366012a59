"""Checks of what the author wrote, and of each letter as it was laid out. Pure: nothing is asked of anybody."""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from dispatcher.compose.content import Offer
from dispatcher.compose.front_matter import Place, Text
from dispatcher.compose.markdown import Prose
from dispatcher.compose.plain import plain
from dispatcher.sending.preflight.examination import Examination, Look
from dispatcher.sending.preflight.findings import Check, Finding, Severity
from dispatcher.sending.preflight.page import read_page
from dispatcher.zone import ZONE

# What can be found here, by check: `pictures` are looked at here and, when they are asked for, in links.py.
FINDS = {
    Check.CONTENT: ("markup",),
    Check.PLACEHOLDERS: ("left", "gap", "draft"),
    Check.PRICES: ("ahead", "stale", "over", "last_day"),
    Check.LEGAL: ("no_impressum", "no_unsubscribe", "no_button"),
    Check.SIZE: ("near_clip",),
    Check.PICTURES: ("no_alt", "alt_is_file"),
}
NEARLY_CLIPPED = 80_000  # octets of HTML; at 100,000 a letter is refused, at about 102 kB Gmail cuts it
STALE_AFTER = timedelta(hours=24)
_DAY = timedelta(days=1)

# Not as a mere word: what a template of another system, a half-written text or a program leaves behind.
_LEFT = re.compile(
    r"\{\{|\}\}|\{%|%\}|\*?\|[A-Z][A-Z_]+\|\*?|%%\w+%%|\[\[\w+\]\]|\$\{\w+\}|%[A-Z][A-Z_]{2,}%"
    r"|\[(?:Vor|Nach|First|Last)?[ _-]?(?:name|Name|NAME)\]|\b(?:undefined|NaN|\[object Object\])"
)
# Words in square brackets, where Markdown made no link of them. Left out: what a writer means to stand so, whole
# marks (`[sic]`, `[PDF]`, `[Anzeige]`) and notes of an editor; one letter, as in `[d]ie`, is a change in a quotation.
_GAP = re.compile(
    r"(?<!\[)\[(?!(?:sic|pdf|anzeige|werbung|ad|advertisement|anm\.[^\]]*|hervorh\.[^\]]*|emphasis[^\]]*)\])"
    r"[^\W\d_][^\[\]\n]{1,60}\](?![\](\[])",
    re.IGNORECASE,
)
_DRAFT = re.compile(r"\bTODO\b|\bFIXME\b|\bTBD\b|\bXXX+\b|(?i:lorem ipsum|platzhalter|placeholder)")
_MARKUP = re.compile(
    r"</?(script|iframe|style|object|embed|form|input|div|span|p|br|a|b|i|img|table|font|center)\b[^>]*>?"
)
_FILE_NAME = re.compile(r"(?i)[\w-]+\.(jpe?g|png|gif|webp|svg|avif)|(img|dsc|image|bild|foto)[ _-]?\d+")


def check_content(exam: Examination) -> Iterator[Finding]:
    """HTML that readers would see as text: the author meant it to do something."""
    for look in exam.looks.values():
        for found in _MARKUP.finditer(look.text):
            shown = found.group()[:60]
            yield Finding(Check.CONTENT, "markup", Severity.WARN, look.line_of(shown), {"shown": shown})


def check_placeholders(exam: Examination) -> Iterator[Finding]:
    """What should have been filled in, with a name and without one."""
    for look in exam.looks.values():
        subjects = (text for each in look.further for text in (each.subject, each.bare))
        texts = (look.subject, look.page.text, look.text, look.bare, *subjects)
        for name, pattern, severity in (("left", _LEFT, Severity.STOP), ("draft", _DRAFT, Severity.WARN)):
            for shown in sorted({found.group() for text in texts for found in pattern.finditer(text)}):
                yield Finding(Check.PLACEHOLDERS, name, severity, look.line_of(shown), {"shown": shown})
        # Not in the text part: there a link of the letter may stand in brackets of its own.
        seen = (look.subject, look.page.text, *subjects)
        for shown in sorted({found.group() for text in seen for found in _GAP.finditer(text)}):
            if not _LEFT.search(shown) and not _DRAFT.search(shown):
                yield Finding(Check.PLACEHOLDERS, "gap", Severity.WARN, look.line_of(shown), {"shown": shown})


def check_prices(exam: Examination) -> Iterator[Finding]:
    """Prices that are old when the letter goes, or from the future; offers that are over by then."""
    for look in exam.looks.values():
        content = look.content
        if content.as_of is not None and exam.of.topic == "finance-news":
            yield from _price(exam, look, content.title, content.as_of)
        for product in content.products:
            if product.price is not None and product.as_of is not None:
                yield from _price(exam, look, product.name, product.as_of)
        for offer in content.offers:
            yield from _offer(exam, look, offer)


def check_legal(exam: Examination) -> Iterator[Finding]:
    """The Impressum and the link to leave by, in both parts; the button of mail programs in the head."""
    wanted = _lines(exam.desk.house.impressum)
    for look in exam.looks.values():
        for part, text, links in (
            ("HTML", look.page.text, " ".join(look.page.links)),
            ("Text", " ".join(look.text.split()), look.text),
        ):
            lacks = [line for line in wanted if line not in text]
            if lacks:
                values = {"part": part, "line": lacks[0]}
                yield Finding(Check.LEGAL, "no_impressum", Severity.STOP, look.file, values)
            if look.fields.unsubscribe_url not in links:
                yield Finding(Check.LEGAL, "no_unsubscribe", Severity.STOP, look.file, {"part": part})
        head = look.raw.partition(b"\r\n\r\n")[0]
        link = f"List-Unsubscribe: <{look.fields.unsubscribe_url}>".encode()
        if link not in head or b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click" not in head:
            yield Finding(Check.LEGAL, "no_button", Severity.STOP, look.file)


def check_size(exam: Examination) -> Iterator[Finding]:
    """Letters near Gmail's clip: the Impressum stands last."""
    for look in exam.looks.values():
        if look.edition.html_size > NEARLY_CLIPPED:
            values = {"size": f"{look.edition.html_size / 1000:.0f}"}
            yield Finding(Check.SIZE, "near_clip", Severity.WARN, look.file, values)


def check_alternatives(exam: Examination) -> Iterator[Finding]:
    """Pictures that say nothing where they are not shown. An article's picture whose `alt` is "" is an ornament."""
    for look in exam.looks.values():
        ornaments = {article.image for article in look.content.articles if article.image and not article.alt}
        for address, alternative in look.page.pictures:
            if not alternative and address not in ornaments:
                yield Finding(Check.PICTURES, "no_alt", Severity.WARN, look.line_of(address), {"picture": address})
            elif alternative and _FILE_NAME.fullmatch(alternative.strip()):
                values = {"picture": address, "alt": alternative}
                yield Finding(Check.PICTURES, "alt_is_file", Severity.WARN, look.line_of(alternative), values)


def _price(exam: Examination, look: Look, what: str, as_of: datetime | date) -> Iterator[Finding]:
    at = as_of if isinstance(as_of, datetime) else datetime.combine(as_of, time.max)
    age = exam.goes_at - at.replace(tzinfo=ZONE)
    is_ahead = as_of > exam.goes_at.astimezone(ZONE).date() if not isinstance(as_of, datetime) else age < timedelta(0)
    values = {"what": what, "as_of": f"{as_of:%Y-%m-%d %H:%M}" if isinstance(as_of, datetime) else f"{as_of}"}
    where = look.line_of(what)
    if is_ahead:
        yield Finding(Check.PRICES, "ahead", Severity.STOP, where, values)
    elif age > STALE_AFTER:
        yield Finding(
            Check.PRICES, "stale", Severity.WARN, where, {**values, "hours": f"{age.total_seconds() / 3600:.0f}"}
        )


def _offer(exam: Examination, look: Look, offer: Offer) -> Iterator[Finding]:
    day = exam.goes_at.astimezone(ZONE).date()
    values = {"what": offer.title, "until": f"{offer.valid_until}"}
    where = look.line_of(offer.title)
    if offer.valid_until < day:
        yield Finding(Check.PRICES, "over", Severity.STOP, where, values)
    elif offer.valid_until == day:
        yield Finding(Check.PRICES, "last_day", Severity.WARN, where, values)


def _lines(impressum: str) -> list[str]:
    """The Impressum's words, line by line, as both parts show them."""
    place = Place("the Impressum", tuple(range(1, impressum.count("\n") + 2)))
    shown = plain(Prose(Text(impressum, place), ()))
    page = read_page(Prose(Text(impressum, place), ()).html()).text
    lines = [" ".join(line.split()) for line in re.split(r"\n| \(|\)", shown)]
    return [line for line in lines if line and line in page]
