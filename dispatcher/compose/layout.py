"""Stage one's templates: ready values in, the whole letter as marked HTML, text and subject out.

A folder of templates/mail/ is one letter: subject.txt, body.txt, body.html. Templates choose and order; they
compute nothing. A recipient's field in a template (`{{ fields.name }}`) is a marker, as in the content.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import Template

import css_inline
from jinja2 import FileSystemLoader, StrictUndefined, select_autoescape
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from dispatcher.assets import templates
from dispatcher.compose.content import Article, Content, Offer, Price, Product
from dispatcher.compose.front_matter import Place, Text
from dispatcher.compose.house import House
from dispatcher.compose.markdown import Prose
from dispatcher.compose.plain import plain, tidy, underlined, wrap
from dispatcher.compose.prices import price
from dispatcher.compose.snippets import Kind, Snippet, marker
from dispatcher.compose.words import moment, say, words
from dispatcher.languages import Language

FIELDS = (
    "name", "greeting", "address", "unsubscribe_url", "preferences_url", "view_url", "consented_on",
    "confirm_url", "requested_at", "topics",
)  # fmt: skip

Values = Mapping[str, object]
_Speak = Callable[[Prose | None], str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A letter laid out, with markers where the recipient's fields go; html and text end with a line end."""

    subject: str
    html: str
    text: str
    snippets: tuple[Snippet, ...]


def lay_out(folder: str, values: "Ready", snippets: Sequence[Snippet]) -> Sheet:
    """Render the folder's templates; `snippets` are those of the content, the templates' own follow them."""
    fields = {name: marker(len(snippets) + number) for number, name in enumerate(FIELDS)}
    spoken = _sentences(folder, values, fields)
    base = {"lang": values.language.value, "words": spoken, "fields": fields}
    html = _render(f"{folder}/body.html", {**base, **values.html})
    text = _render(f"{folder}/body.txt", {**base, **values.text})
    subject = _render(f"{folder}/subject.txt", {**base, **values.text})
    return Sheet(
        subject=" ".join(subject.split()),
        html=_styled(html) + "\n",
        text=tidy(text).strip("\n") + "\n",
        snippets=(*snippets, *(Snippet(Kind.OUTPUT, name) for name in FIELDS)),
    )


@dataclass(frozen=True, slots=True)
class Ready:
    """Ready values, once for the HTML part and once for the text part."""

    language: Language
    html: Values
    text: Values
    sayings: Mapping[str, str]


def of_newsletter(content: Content, house: House, *, topic_title: str, subject: str) -> Ready:
    """Make a newsletter's content ready for both parts."""
    language = content.language
    as_of = moment(content.as_of, language) if content.as_of else ""
    shared: dict[str, object] = {
        "subject": subject,
        "title": content.title,
        "preheader": content.preheader or content.lead,
        "lead": content.lead,
        "dateline": " · ".join(filter(None, (as_of, topic_title))),
        "button": {"text": content.button.text, "link": content.button.link} if content.button else None,
    }
    html, text = (
        {
            **shared,
            **_house(house, speak),
            "body": speak(content.body),
            "articles": [_article(article, speak) for article in content.articles],
            "products": [_product(product, language) for product in content.products],
            "offers": [_offer(offer, language, speak) for offer in content.offers],
        }
        for speak in (_as_html, _as_text)
    )
    return Ready(language, html, text, sayings={"house": house.name, "topic": topic_title})


def of_service(house: House, language: Language) -> Ready:
    """Make ready what the letters around consent need: the house, nothing else."""
    return Ready(language, _house(house, _as_html), _house(house, _as_text), sayings={"house": house.name, "topic": ""})


def _as_html(prose: Prose | None) -> str:
    return Markup(prose.html()) if prose else ""  # noqa: S704 (cleaned by nh3, see markdown.py)


def _as_text(prose: Prose | None) -> str:
    return plain(prose) if prose else ""


def _house(house: House, speak: _Speak) -> dict[str, object]:
    impressum = Prose(
        Text(_in_lines(house.impressum), Place("the Impressum", tuple(range(1, house.impressum.count("\n") + 2)))), ()
    )
    return {
        "house": {
            "name": house.name,
            "impressum": speak(impressum),
            "public_url": house.public_url,
            "imprint_url": house.imprint_url,
            "privacy_url": house.privacy_url,
        }
    }


def _article(article: Article, speak: _Speak) -> dict[str, str]:
    return {
        "title": article.title,
        "text": speak(article.text),
        "link": article.link,
        "link_text": article.link_text,
        "image": article.image,
        "alt": article.alt,
    }


def _product(product: Product, language: Language) -> dict[str, str]:
    as_of = say(language, "as_of", moment=moment(product.as_of, language)) if product.as_of else ""
    return {
        "name": product.name,
        "price": _price(product.price, language),
        "note": ", ".join(filter(None, (say(language, "per", unit=product.unit) if product.unit else "", as_of))),
        "link": product.link,
    }


def _offer(offer: Offer, language: Language, speak: _Speak) -> dict[str, str]:
    return {
        "title": offer.title,
        "text": speak(offer.text),
        "price": _price(offer.price, language),
        "until": say(language, "until", day=moment(offer.valid_until, language)),
        "code": say(language, "code", code=offer.code) if offer.code else "",
        "link": offer.link,
    }


def _price(given: Price | None, language: Language) -> str:
    return price(given.amount, given.currency, language) if given else ""


def _sentences(folder: str, values: Ready, fields: Mapping[str, str]) -> dict[str, str]:
    """The wording for this folder, `$names` filled: the group `letter`, and over it the folder's own."""
    known = {**fields, **values.sayings}
    every = words(values.language)
    return {
        key.partition(".")[2]: Template(sentence).substitute(known)
        for group in ("letter", folder)
        for key, sentence in every.items()
        if key.startswith(f"{group}.")
    }


def _render(name: str, context: Values) -> str:
    return _stage_one().get_template(name).render(context)


def _styled(html: str) -> str:
    """Inline the style sheet; what cannot be inlined, the media queries, becomes the page's only <style>."""
    base = templates() / "mail" / "_base"
    inlined = css_inline.inline(
        html, extra_css=(base / "letter.css").read_text(encoding="utf-8"), load_remote_stylesheets=False,
    )  # fmt: skip
    screens = " ".join((base / "screens.css").read_text(encoding="utf-8").split())
    return inlined.replace("</head>", f"<style>{screens}</style></head>", 1)


@lru_cache(maxsize=1)
def _stage_one() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(templates() / "mail"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["wrap"] = wrap
    environment.filters["underlined"] = underlined
    return environment


def _in_lines(address: str) -> str:
    """An Impressum is an address: each line of it stays a line."""
    return re.sub(r"(?<!\n)\n(?!\n)", "  \n", address)
