"""A content file read and checked: what one campaign says, in one language. The only door for authors' text.

    source text --lift--> marked text --split--> front matter + Markdown --checks--> Content

What must stay true: whatever passes here can be composed and sent; whatever cannot is refused with the line of
the file and a cure. Texts hold markers where the recipient's fields go (snippets.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from dispatcher.compose.front_matter import Mapping, Text, split
from dispatcher.compose.markdown import Prose, check_link
from dispatcher.compose.prices import currencies
from dispatcher.compose.snippets import MARKERS, Snippet, index_of, lift, unbalanced
from dispatcher.errors import ContentInvalid
from dispatcher.languages import Language

LARGEST_SOURCE = 1_000_000  # octets
MOST_ENTRIES = 60  # of articles, products or offers
MOST_SUBJECTS = 4  # in a trial

# What a file may say, in the order in which it is best read; manuscript.py writes it so.
TEXTS = ("language", "subject", "subjects", "title", "preheader", "lead", "as_of", "prices_good_for")
ENTRIES = {
    "articles": ("title", "text", "link", "link_text", "image", "alt"),
    "products": ("name", "price", "currency", "unit", "as_of", "link"),
    "offers": ("title", "text", "price", "currency", "valid_until", "code", "link"),
    "button": ("text", "link"),
}
KEYS = frozenset({*TEXTS, *ENTRIES})
_ARTICLE, _PRODUCT, _OFFER, _BUTTON = (frozenset(keys) for keys in ENTRIES.values())


@dataclass(frozen=True, slots=True)
class Price:
    """An amount of money, exactly as written."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Article:
    """A heading, some Markdown, at most one picture and one link."""

    title: str
    text: Prose | None
    link: str
    link_text: str
    image: str
    alt: str


@dataclass(frozen=True, slots=True)
class Product:
    """A row: name and price at its time."""

    name: str
    price: Price | None
    unit: str
    as_of: datetime | date | None
    link: str


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer and the last day on which it holds."""

    title: str
    text: Prose | None
    price: Price | None
    valid_until: date
    code: str
    link: str


@dataclass(frozen=True, slots=True)
class Button:
    """The one thing a reader is asked to do."""

    text: str
    link: str


@dataclass(frozen=True, slots=True)
class Content:
    """One campaign in one language; "" and () where the file says nothing. `subject` overrides the campaign's; of
    several that are tried it is the first.
    """

    file: str
    language: Language
    title: str
    subject: str
    preheader: str
    lead: str
    as_of: datetime | date | None
    prices_good_for: timedelta | None
    articles: tuple[Article, ...]
    products: tuple[Product, ...]
    offers: tuple[Offer, ...]
    button: Button | None
    body: Prose
    snippets: tuple[Snippet, ...]
    subjects: tuple[str, ...] = ()  # those of a trial


def parse_content(source: str, *, file: str) -> Content:
    """Read a content file; ContentInvalid names `file`, the line, what is wrong and the cure."""
    if len(source) > LARGEST_SOURCE or len(source.encode("utf-8", "replace")) > LARGEST_SOURCE:
        raise ContentInvalid(file, 0, "larger than 1 MB", "A letter may have 100 kB; shorten the text.")
    marked = lift(source.removeprefix("\ufeff"), file=file)
    head, body = split(marked, file=file, known=KEYS)
    return _Author(head, marked.snippets).content(file, body)


class _Author:
    """Reads the front matter with the snippets at hand."""

    def __init__(self, head: Mapping, snippets: Sequence[Snippet]) -> None:
        self.head, self.snippets = head, tuple(snippets)

    def content(self, file: str, body: Text) -> Content:
        head = self.head
        language, subjects = self._language(), self._subjects()
        content = Content(
            file=file,
            language=language,
            title=self._required(head, "title"),
            subject=subjects[0] if subjects else self._line(head, "subject"),
            preheader=self._line(head, "preheader"),
            lead=self._line(head, "lead"),
            as_of=head.moment("as_of"),
            prices_good_for=head.span("prices_good_for"),
            articles=tuple(self._article(entry) for entry in self._entries("articles", _ARTICLE)),
            products=tuple(self._product(entry) for entry in self._entries("products", _PRODUCT)),
            offers=tuple(self._offer(entry) for entry in self._entries("offers", _OFFER)),
            button=self._button(),
            body=Prose(body, self.snippets),
            snippets=self.snippets,
            subjects=subjects,
        )
        if not (content.body or content.articles or content.products or content.offers):
            raise head.refuse(
                "title", "the letter has a title and nothing else", "Write a text below the front matter."
            )
        return content

    def _language(self) -> Language:
        given = self.head.required("language").text
        if given not in list(Language):
            raise self.head.refuse("language", f"unknown language `{given[:20]}`", "Write `language: de` or `en`.")
        return Language(given)

    def _subjects(self) -> tuple[str, ...]:
        """Give the subjects of a trial; none: there is one subject."""
        key, given = "subjects", self.head.texts("subjects")
        if given is None:
            return ()
        if self.head.text("subject") is not None:
            cure = "Put it first among the `subjects`, and remove `subject`."
            raise self.head.refuse("subject", "`subject` beside `subjects`", cure)
        if not 2 <= len(given) <= MOST_SUBJECTS:
            cure = f"Write 2 to {MOST_SUBJECTS}; a single one is `subject: ...`."
            raise self.head.refuse(key, f"{len(given)} entries in `subjects`", cure)
        lines = tuple(self._as_line(self.head, key, each) for each in given)
        if not all(lines):
            raise self.head.refuse(key, "an empty entry in `subjects`", "Write each out.")
        if len(set(lines)) < len(lines):
            raise self.head.refuse(key, "two of the `subjects` are the same", "Nothing would be tried; write another.")
        return lines

    def _entries(self, key: str, known: frozenset[str]) -> list[Mapping]:
        entries = list(self.head.each(key, known))
        if len(entries) > MOST_ENTRIES:
            raise self.head.refuse(key, f"more than {MOST_ENTRIES} entries in `{key}`", "Make it two letters.")
        return entries

    def _article(self, entry: Mapping) -> Article:
        image, link, link_text = self._link(entry, "image", image=True), self._link(entry, "link"), "link_text"
        if image and entry.text("alt") is None:
            cure = 'Add `alt: ...`; for a mere ornament `alt: ""`.'
            raise entry.refuse("image", "an image without `alt`: many read without pictures", cure)
        if entry.text(link_text) is not None and not link:
            raise entry.refuse(link_text, "`link_text` without `link`", "Add `link: https://...`.")
        title, text = self._required(entry, "title"), self._prose(entry, "text")
        return Article(title, text, link, self._line(entry, link_text), image, self._line(entry, "alt"))

    def _product(self, entry: Mapping) -> Product:
        price, as_of = self._price(entry), entry.moment("as_of")
        if price is not None and as_of is None:
            cure = "Add `as_of: 2026-03-02 10:30`: a price without its time misleads."
            raise entry.refuse("price", "`price` without `as_of`", cure)
        return Product(
            name=self._required(entry, "name"),
            price=price,
            unit=self._line(entry, "unit"),
            as_of=as_of,
            link=self._link(entry, "link"),
        )

    def _offer(self, entry: Mapping) -> Offer:
        valid_until = entry.day("valid_until")
        if valid_until is None:
            raise entry.refuse("valid_until", "`valid_until` is missing in an offer", "Add `valid_until: 2026-03-31`.")
        return Offer(
            title=self._required(entry, "title"),
            text=self._prose(entry, "text"),
            price=self._price(entry),
            valid_until=valid_until,
            code=self._line(entry, "code"),
            link=self._link(entry, "link"),
        )

    def _button(self) -> Button | None:
        entry = self.head.one("button", _BUTTON)
        if entry is None:
            return None
        entry.required("link")
        return Button(self._required(entry, "text"), self._link(entry, "link"))

    def _price(self, entry: Mapping) -> Price | None:
        amount, currency = entry.number("price"), entry.text("currency")
        if amount is None:
            return None
        code = currency.text if currency else "EUR"
        if code not in currencies():
            raise entry.refuse("currency", f"unknown currency `{code[:20]}`", "Write its ISO code: EUR, CHF, USD.")
        return Price(amount, code)

    def _prose(self, entry: Mapping, key: str) -> Prose | None:
        text = entry.text(key)
        return Prose(text, self.snippets) if text else None

    def _link(self, entry: Mapping, key: str, *, image: bool = False) -> str:
        text = entry.text(key)
        if text is None or not text.text:
            return ""
        self._check_markers(entry, key, text.text)
        return check_link(text.text, text.place, 0, self.snippets, image=image)

    def _required(self, entry: Mapping, key: str) -> str:
        entry.required(key)
        return self._line(entry, key)

    def _line(self, entry: Mapping, key: str) -> str:
        """Give a text as one line, each condition in it whole."""
        found = entry.text(key)
        return self._as_line(entry, key, found) if found is not None else ""

    def _as_line(self, entry: Mapping, key: str, found: Text) -> str:
        self._check_markers(entry, key, found.text)
        lone = unbalanced(found.text, self.snippets)
        if lone is not None:
            raise entry.refuse(key, f"a condition that is not whole in `{key}`", "Open and close it in one text.")
        return " ".join(found.text.split())

    def _check_markers(self, entry: Mapping, key: str, text: str) -> None:
        """YAML reads an escape as a character: one that only we may write."""
        if any(index_of(character) >= len(self.snippets) for character in MARKERS.findall(text)):
            raise entry.refuse(key, "a character of a private-use plane", "Remove it: no font shows it.")
