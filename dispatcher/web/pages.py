"""Pages: templates, wording and style sheet put together. What must stay true: every value is escaped."""

from collections.abc import Mapping
from functools import cache, lru_cache, partial
from urllib.parse import urlsplit

import nh3
from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dispatcher.assets import PACKAGE, templates
from dispatcher.db.terms import Language
from dispatcher.settings import Settings
from dispatcher.web.compiled import environment
from dispatcher.web.language import say, topic_title

STATIC = PACKAGE / "web" / "static"


class Pages:
    """Renders templates/web/public. `root` is the path under which the pages lie, without a slash at its end."""

    def __init__(self, settings: Settings) -> None:
        self.root = urlsplit(settings.public_url).path
        self._environment = _environment(settings.sender_name, self.root)
        self._standing = lru_cache(maxsize=64)(self._rendered)

    def html(self, name: str, language: Language, **values: object) -> str:
        """Render public/<name>.html; without values once for all, as its wording is read once."""
        return self._rendered(name, language, **values) if values else self._standing(name, language)

    def _rendered(self, name: str, language: Language, **values: object) -> str:
        return self._environment.get_template(f"public/{name}.html").render(
            lang=language,
            say=partial(say, language),
            topic_title=partial(topic_title, language=language),
            **values,
        )

    def answer(
        self, name: str, language: Language, *, status: int = 200, headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> HTMLResponse:  # fmt: skip
        """Render public/<name>.html as an answer."""
        return HTMLResponse(self.html(name, language, **values), status, headers)


@cache
def markdown(text: str) -> Markup:
    """Give our own Markdown (declaration, notices) as clean HTML; line ends are kept, as addresses need them."""
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    return Markup(nh3.clean(parser.render(text), link_rel=None))  # noqa: S704  (cleaned by ammonia)


@cache
def _environment(house: str, root: str) -> Environment:
    """Give what templates are compiled in: once for every application of this house."""
    made = environment(templates() / "web", root, STATIC, {"style": "site.css", "icon": "favicon.svg"})
    made.globals["house"] = house
    return made
